"""What a training reports: figures, slices, leakage, search and uplift, for people and scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.console import console, print_table

if TYPE_CHECKING:
    from nba.measurement.statistics.estimate import Undecided


if TYPE_CHECKING:
    from training.diagnostics.uplift import Uplift
    from training.fitting.fit import Report, Training


def print_training(training: Training) -> None:
    """Metrics and slices of each model, what was looked for in the rows, and uplift."""
    from serving.reports.tables import print_models

    print_models(training.figures())
    if training.decided.cut is not None:
        console.print(training.decided.cut.sentence, highlight=False)
    if past := training.decided.without_propensity:
        console.print(
            f"touchpoint: {past:,} of {len(training.decided.actions):,} decisions came without a "
            "propensity: learned from, and no evidence for what-ifs or promotion",
            highlight=False,
            soft_wrap=True,
        )
    for name, report in training.reports.items():
        _print_slices(name, report)
        if report.search is not None:
            search = report.search
            console.print(
                f"{name}: best of {search.trials} trials, loss {search.loss:.5f} on the held rows, "
                f"by default {search.default_loss:.5f}",
                highlight=False,
            )
        if report.leakage is not None:
            leakage = report.leakage
            console.print(
                f"{name}: {leakage.refusal or 'no leakage found'}; the column that tells most by "
                f"itself is {leakage.strongest} ({leakage.strength:.3f})",
                highlight=False,
            )
            for leak in leakage.trusted:
                console.print(f"[yellow]trusted[/] {leak.text}", highlight=False)
    _print_uplift(training.uplift)


def training_json(training: Training) -> dict[str, object]:
    """The same for scripts."""
    from nba.measurement.statistics.estimate import Undecided, as_json
    from serving.reports.tables import models_json

    figures: dict[str, object] = models_json(training.figures())
    figures["without_propensity"] = training.decided.without_propensity
    for name, report in training.reports.items():
        figures[f"{name}_slices"] = [
            {"slice": slice_.name, "rows": slice_.rows, "undecided": slice_.figures.reason}
            if isinstance(slice_.figures, Undecided)
            else {
                "slice": slice_.name,
                "rows": slice_.rows,
                **{figure: as_json(value) for figure, value in slice_.figures.items()},
            }
            for slice_ in report.slices
        ]
        figures[f"{name}_leakage"] = report.leakage
        figures[f"{name}_search"] = report.search
    if training.uplift is not None:
        figures["uplift"] = (
            {"undecided": training.uplift.reason}
            if isinstance(training.uplift, Undecided)
            else [_uplift_json(slice_) for slice_ in training.uplift]
        )
    return figures


def _print_slices(name: str, report: Report) -> None:
    from nba.measurement.statistics.estimate import Undecided

    decided = [
        (slice_, slice_.figures) for slice_ in report.slices if isinstance(slice_.figures, dict)
    ]
    if not decided:
        return
    first, *others = decided[0][1]
    rows = [
        (
            slice_.name,
            slice_.rows,
            figures[first].value,
            figures[first].low,
            figures[first].high,
            *(figures[other].value for other in others),
        )
        for slice_, figures in decided
    ]
    columns = ("slice", "rows", first, "low", "high", *others)
    print_table(f"{name} by slice, 95 % intervals by customer", columns, rows)
    undecided = [slice_.name for slice_ in report.slices if isinstance(slice_.figures, Undecided)]
    if undecided:
        console.print(f"undecided, too little to judge: {', '.join(undecided)}", highlight=False)


def _print_uplift(uplift: tuple[Uplift, ...] | Undecided | None) -> None:
    from nba.measurement.statistics.estimate import Undecided

    if uplift is None:
        return
    if isinstance(uplift, Undecided):
        console.print(f"uplift: undecided: {uplift.reason}", highlight=False)
        return
    rows: list[tuple[object, ...]] = []
    for action in uplift:
        if isinstance(action.figures, Undecided):
            rows.append((action.action, f"undecided: {action.figures.reason}", None, None))
            continue
        effect, qini = (
            f"{e.value:.3g} ({e.low:.3g} to {e.high:.3g})"
            for e in (action.figures.effect, action.figures.qini)
        )
        rows.append((action.action, effect, qini, "yes" if action.figures.varies else "not shown"))
    title = f"Uplift in {uplift[0].outcome} against no action" if uplift else "Uplift"
    print_table(title, ("action", "effect", "Qini", "differs between customers"), rows)


def _uplift_json(uplift: Uplift) -> dict[str, object]:
    from nba.measurement.statistics.estimate import Undecided, as_json

    counts: dict[str, object] = {
        "action": uplift.action,
        "outcome": uplift.outcome,
        "treated": uplift.treated,
        "control": uplift.control,
    }
    if isinstance(uplift.figures, Undecided):
        return {**counts, "undecided": uplift.figures.reason}
    figures = {name: as_json(getattr(uplift.figures, name)) for name in ("effect", "qini", "auuc")}
    return {**counts, **figures, "varies": uplift.figures.varies}
