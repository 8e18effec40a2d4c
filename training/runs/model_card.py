"""The model card of a bundle: what it is for, from what, how good, where not, and the way back.

After Mitchell et al., Model Cards for Model Reporting, FAccT 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from nba.measurement.statistics.estimate import Estimate, Undecided
from training.diagnostics.slices import Slice
from training.fitting.fit import Fitted, Report, Training

WEAKEST = 5  # slices that are named
_LIMITS = (
    "Associations of the past: a column that matters is not thereby a cause.",
    "Judged on later time of the same log, or on other customers of the same time where there is "
    "too little of it; what changes after it, drift alarms tell.",
    "The figures of touchpoint are of its batch model alone. What serves adds the residual, whose "
    "warm start has learned of all decisions after those it was fitted on, the tested ones too; "
    "the gates judge both together, with a residual that has learned of none of the tested ones.",
    "A slice that is undecided was not judged, which is not the same as being good.",
)


def model_card(training: Training, code: str) -> str:
    """Markdown. `code`: the version of the code that has trained."""
    manifest = training.bundle.manifest
    events = training.history.events
    received = [event.received_at for event in events]
    window = f"{_day(min(received))} to {_day(max(received))}" if received else "no events"
    accepts = "what an action is worth in EUR" if manifest.target == "value" else "p_accept"
    lines = [
        f"# {training.bundle.bundle_id}",
        "",
        f"For the journey {training.history.fold.schema.journey.name!r}: the risk that a customer "
        f"leaves within {manifest.horizon_days:g} days, and {accepts} of each action for a "
        "customer at a moment. For choosing among the actions of the journey file, under its "
        "rules; for no decision about credit, price or a person's rights.",
        "",
        f"- Data: {len(events):,} events received {window}, `{manifest.dataset}`",
        f"- Context: `{manifest.schema_hash}`; journey file: `{manifest.catalogue_version}`",
        f"- Seed {manifest.seed}; code {code}",
        *([] if training.decided.cut is None else [f"- {_capital(training.decided.cut.sentence)}"]),
        "",
    ]
    for name, fitted in training.models.items():
        lines += _model(name, fitted, training.reports[name])
    lines += _uplift(training)
    lines += ["## Known limits", "", *(f"- {limit}" for limit in _LIMITS)]
    lines += [f"- No {part} model: {why}." for part, why in manifest.missing.items()]
    lines += [
        "",
        "## The way back",
        "",
        "`nba rollback` puts the champion before this one in force again, on every replica; "
        "`nba promote VERSION` any other.",
        "",
    ]
    return "\n".join(lines)


def _model(name: str, fitted: Fitted | Undecided, report: Report) -> list[str]:
    lines = [f"## {name}", ""]
    if isinstance(fitted, Undecided):
        return [*lines, f"None: {fitted.reason}.", ""]
    rows = f"{fitted.metrics['rows_fit']:,.0f} rows"
    others = "by_customers" in fitted.metrics
    judged_on = "other customers, since later time is too short" if others else "later time"
    lines += [
        f"{_recipe(report)}; fitted on {rows}, judged on {fitted.metrics['rows_test']:,.0f} of "
        f"{judged_on}, with 95 % intervals by customer.",
        "",
        *_table(report.slices[:1]),
        "",
    ]
    judged = [part for part in report.slices[1:] if not isinstance(part.figures, Undecided)]
    weakest = sorted(judged, key=_goodness)[:WEAKEST]
    if weakest:
        lines += [f"The weakest of {len(judged)} slices that could be judged:", ""]
        lines += [*_table(weakest), ""]
    left = len(report.slices) - 1 - len(judged)
    if left:
        lines += [f"{left} slices are undecided.", ""]
    leakage = report.leakage
    if leakage is not None:
        trusted = "; ".join(leak.text for leak in leakage.trusted)
        lines += [
            f"Leakage: none found; the single column that tells most is `{leakage.strongest}` "
            f"({leakage.strength:.2f}); {leakage.replayed} rows were replayed without what came "
            f"after them{'; trusted: ' + trusted if trusted else ''}.",
            "",
        ]
    return lines


def _recipe(report: Report) -> str:
    if report.recipe.estimator is not None:
        return f"The deployment's own estimator `{report.recipe.estimator.name}`"
    if report.search is not None:
        search = report.search
        return (
            f"LightGBM, the best of {search.trials} trials (loss {search.loss:.5f}, by default "
            f"{search.default_loss:.5f})"
        )
    return "LightGBM with default parameters"


def _table(slices: Sequence[Slice]) -> list[str]:
    rows_of = [(part.name, part.rows, part.figures) for part in slices]
    judged = [(name, rows, figures) for name, rows, figures in rows_of if isinstance(figures, dict)]
    if not judged:
        return ["No figures: " + "; ".join(_why_none(part) for part in slices)]
    names = list(judged[0][2])
    lines = [f"| | rows | {' | '.join(names)} |", f"|---|---|{'---|' * len(names)}"]
    for name, rows, figures in judged:
        cells = " | ".join(interval(figures[figure]) for figure in names)
        lines.append(f"| {name} | {rows:,} | {cells} |")
    return lines


def _why_none(part: Slice) -> str:
    return part.figures.reason if isinstance(part.figures, Undecided) else part.name


def _goodness(part: Slice) -> float:
    figures = part.figures
    assert isinstance(figures, dict)
    return figures["auc"].value if "auc" in figures else -figures["rmse_eur"].value


def _uplift(training: Training) -> list[str]:
    effects = training.uplift
    if effects is None:
        return []
    if isinstance(effects, Undecided):
        return ["## Uplift", "", f"Undecided: {effects.reason}.", ""]
    lines = ["## Uplift", "", "Against no action, where the log drew between the two.", ""]
    lines += [
        "| action | outcome | effect | Qini | differs between customers |",
        "|---|---|---|---|---|",
    ]
    for uplift in effects:
        figures, row = uplift.figures, f"| {uplift.action} | {uplift.outcome} |"
        if isinstance(figures, Undecided):
            lines.append(f"{row} undecided: {figures.reason} | | |")
        else:
            effect, qini = interval(figures.effect), interval(figures.qini)
            varies = "yes" if figures.varies else "not shown"
            lines.append(f"{row} {effect} | {qini} | {varies} |")
    return [*lines, ""]


def interval(estimate: Estimate) -> str:
    """A value with its interval, short."""
    return f"{estimate.value:.3g} ({estimate.low:.3g} to {estimate.high:.3g})"


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _day(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d}"
