"""What a training reports: figures, slices, leakage, search and uplift, for people and scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nba.measurement.statistics.estimate import Undecided, as_json
from serving.console import console, print_table
from serving.reports.tables import models_json, print_models

if TYPE_CHECKING:
    from training.diagnostics.uplift import Uplift
    from training.fitting.fit import Report, Training


def print_training(training: Training) -> None:
    """Metrics and slices of each model, what was looked for in the rows, and uplift."""
    print_models(training.figures())
    for name, report in training.reports.items():
        _print_slices(name, report)
        if report.search is not None:
            found = report.search
            console.print(
                f"{name}: best of {found.trials} trials, loss {found.loss:.5f} on the held rows, "
                f"by default {found.default_loss:.5f}",
                highlight=False,
            )
        if report.leakage is not None:
            looked = report.leakage
            console.print(
                f"{name}: {looked.refusal or 'no leakage found'}; the column that tells most by "
                f"itself is {looked.strongest} ({looked.strength:.3f})",
                highlight=False,
            )
            for leak in looked.trusted:
                console.print(f"[yellow]trusted[/] {leak.text}", highlight=False)
    _print_uplift(training.uplift)


def training_json(training: Training) -> dict[str, object]:
    """The same for scripts."""
    found: dict[str, object] = models_json(training.figures())
    for name, report in training.reports.items():
        found[f"{name}_slices"] = [
            {"slice": one.name, "rows": one.rows, "undecided": one.figures.reason}
            if isinstance(one.figures, Undecided)
            else {
                "slice": one.name,
                "rows": one.rows,
                **{figure: as_json(value) for figure, value in one.figures.items()},
            }
            for one in report.slices
        ]
        found[f"{name}_leakage"] = report.leakage
        found[f"{name}_search"] = report.search
    if training.uplift is not None:
        found["uplift"] = (
            {"undecided": training.uplift.reason}
            if isinstance(training.uplift, Undecided)
            else [_uplift_json(one) for one in training.uplift]
        )
    return found


def _print_slices(name: str, report: Report) -> None:
    judged = [(one, one.figures) for one in report.slices if isinstance(one.figures, dict)]
    if not judged:
        return
    first, *others = judged[0][1]
    rows = [
        (one.name, one.rows, *(getattr(figures[first], end) for end in ("value", "low", "high")),
         *(figures[other].value for other in others))
        for one, figures in judged
    ]  # fmt: skip
    columns = ("slice", "rows", first, "low", "high", *others)
    print_table(f"{name} by slice, 95 % intervals by customer", columns, rows)
    left = [one.name for one in report.slices if isinstance(one.figures, Undecided)]
    if left:
        console.print(f"undecided, too little to judge: {', '.join(left)}", highlight=False)


def _print_uplift(found: tuple[Uplift, ...] | Undecided | None) -> None:
    if found is None:
        return
    if isinstance(found, Undecided):
        console.print(f"uplift: undecided: {found.reason}", highlight=False)
        return
    rows: list[tuple[object, ...]] = []
    for one in found:
        if isinstance(one.figures, Undecided):
            rows.append((one.action, f"undecided: {one.figures.reason}", None, None))
            continue
        effect, qini = (
            f"{e.value:.3g} ({e.low:.3g} to {e.high:.3g})"
            for e in (one.figures.effect, one.figures.qini)
        )
        rows.append((one.action, effect, qini, "yes" if one.figures.varies else "not shown"))
    title = f"Uplift in {found[0].outcome} against no action" if found else "Uplift"
    print_table(title, ("action", "effect", "Qini", "differs between customers"), rows)


def _uplift_json(one: Uplift) -> dict[str, object]:
    found: dict[str, object] = {
        "action": one.action,
        "outcome": one.outcome,
        "treated": one.treated,
        "control": one.control,
    }
    if isinstance(one.figures, Undecided):
        return {**found, "undecided": one.figures.reason}
    figures = {name: as_json(getattr(one.figures, name)) for name in ("effect", "qini", "auuc")}
    return {**found, **figures, "varies": one.figures.varies}
