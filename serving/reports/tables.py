"""What commands report: the same figures as tables for people and as JSON for scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import structs

from nba.journey.actions import NO_ACTION
from nba.measurement.statistics.estimate import Estimate, Undecided, as_json
from serving.console import console, pretty_json, print_table

if TYPE_CHECKING:
    from nba.analytics.journeys.friction import Friction
    from nba.analytics.journeys.loss_by_emotion import LossRate
    from serving.api.schemas import DecideAnswer
    from serving.jobs.batch_decisions import BatchResult
    from serving.jobs.event_import import Imported

Metrics = dict[str, float] | Undecided


def print_import(result: Imported) -> None:
    """What became of the lines of event files."""
    counts = [("new", result.accepted), ("duplicate", result.duplicates)]
    print_table("Events", ("events", "count"), [*counts, ("rejected", result.rejected_lines)])
    print_unmapped(result.unmapped)
    _print_past_decisions(result)
    for rejected in result.rejected:
        console.print(f"[red]rejected[/] {rejected}", highlight=False, soft_wrap=True)


def _print_past_decisions(result: Imported) -> None:
    """What past decisions count for; nothing where there are none."""
    if not result.past_decisions:
        return
    console.print(
        f"{result.past_decisions:,} past decisions: they count for caps, cool-downs, features and "
        "training",
        highlight=False,
        soft_wrap=True,
    )
    if result.without_propensity:
        console.print(
            f"{result.without_propensity:,} of them without a propensity: no off-policy answer "
            "(what-ifs, rule prices, promotion) reads them",
            highlight=False,
            soft_wrap=True,
        )
    if result.unknown_actions:
        title = "Actions that the journey file does not have: they count as contacts"
        rows = sorted(result.unknown_actions.items(), key=lambda item: -item[1])
        print_table(title, ("action", "count"), rows)


def print_unmapped(unmapped: Mapping[str, int]) -> None:
    """Events without a mapping, most frequent first."""
    if unmapped:
        rows = sorted(unmapped.items(), key=lambda item: -item[1])
        title = "Events that the journey file does not map: kept, and counted as unmapped"
        print_table(title, ("event", "count"), rows)


def print_models(models: Mapping[str, Metrics], judged_on: str = "later time") -> None:
    """Each model's metrics, or why it has none."""
    for name, metrics in models.items():
        rows = (
            [("undecided", metrics.reason)] if isinstance(metrics, Undecided) else metrics.items()
        )
        print_table(f"{name} model, on {judged_on}", ("metric", "value"), rows)


def models_json(models: Mapping[str, Metrics]) -> dict[str, object]:
    """The same for scripts."""
    return {
        name: {"undecided": metrics.reason} if isinstance(metrics, Undecided) else metrics
        for name, metrics in models.items()
    }


def print_values(values: Mapping[str, Estimate | Undecided]) -> None:
    """What policies would have been worth."""
    print_table(
        "Value in EUR per decision, 95 % interval",
        ("policy", "value", "low", "high", "decisions", "effective"),
        [
            (name, f"undecided: {value.reason}", None, None, None, None)
            if isinstance(value, Undecided)
            else (name, value.value, value.low, value.high, value.n, value.ess)
            for name, value in values.items()
        ],
    )


def values_json(values: Mapping[str, Estimate | Undecided]) -> dict[str, object]:
    """The same for scripts."""
    return {name: as_json(value) for name, value in values.items()}


def print_answer(answer: DecideAnswer) -> None:
    """One decision: what was drawn, from what, and what was refused."""
    drawn = answer.actions[0].action_id if answer.actions else NO_ACTION
    print_table(
        f"{answer.decision_id}: {drawn}",
        ("action", "p_accept", "value_eur", "priority", "propensity"),
        [
            (
                candidate.action_id,
                candidate.p_accept,
                candidate.value_eur,
                candidate.priority,
                candidate.propensity,
            )
            for candidate in answer.candidates
        ],
    )
    refused = [(r.action_id, r.stage, r.rule, r.detail) for r in answer.filtered]
    if refused:
        print_table("Refused", ("action", "stage", "rule", "fact"), refused)
    if answer.note:
        console.print(answer.note)


def print_batch(done: BatchResult) -> None:
    """A finished batch: how many got what."""
    words = "logged" if done.logged else "dry run, nothing is logged"
    console.print(f"{done.name}: {done.customers:,} customers, {words}", highlight=False)
    rows = [(action, n, n / max(1, done.customers)) for action, n in done.actions.items()]
    print_table(f"Decisions in {done.folder}", ("action", "decisions", "share"), rows)
    if set(done.modes) - {"live"}:
        print_table("How they came about", ("mode", "decisions"), done.modes.items())


def print_document(answer: DecideAnswer) -> None:
    """One decision as JSON, indented, on stdout."""
    print(pretty_json(answer))


def print_friction(friction: Friction, rates: Sequence[LossRate], stages: Sequence[str]) -> None:
    """The verdict in a sentence, what it rests on, and loss by the sign of emotion."""
    verdict = friction.verdict
    named = f"undecided: {verdict.reason}" if isinstance(verdict, Undecided) else verdict
    console.print(f"[bold]{named}[/]", highlight=False)
    console.print(friction.sentence, highlight=False)
    size = (
        f"{friction.losses:,} losses after {friction.visits:,} visits of "
        f"{friction.customers:,} customers"
    )
    console.print(size, highlight=False)
    if friction.figures is not None:
        rows: list[tuple[object, ...]] = []
        for name, value in structs.asdict(friction.figures).items():
            if isinstance(value, Estimate):
                rows.append((name, value.value, value.low, value.high))
            elif isinstance(value, Undecided):
                rows.append((name, f"undecided: {value.reason}", None, None))
            else:
                rows.append((name, value, None, None))
        print_table(
            "What it rests on: log-odds of leaving per unit of valence, and tests",
            ("figure", "value", "low", "high"),
            rows,
        )
    print_table(
        "Loss per visit by the sign of emotion: of the last 10 visits, and of the last alone",
        ("stage", "by", "sign", "visits", "losses", "rate", "low", "high", ""),
        [
            (
                _stage(rate, stages),
                rate.by,
                rate.sign,
                rate.n,
                rate.losses,
                rate.rate,
                rate.low,
                rate.high,
                "few" if rate.small else "",
            )
            for rate in rates
        ],
    )


def friction_json(
    friction: Friction, rates: Sequence[LossRate], stages: Sequence[str]
) -> dict[str, object]:
    """The same for scripts."""
    figures = structs.asdict(friction.figures) if friction.figures is not None else {}
    return {
        "verdict": _plain(friction.verdict),
        **{name: getattr(friction, name) for name in ("sentence", "visits", "customers", "losses")},
        "figures": {name: _plain(value) for name, value in figures.items()},
        "loss_by_sign": [{**structs.asdict(rate), "stage": _stage(rate, stages)} for rate in rates],
    }


def _plain(value: object) -> object:
    return as_json(value) if isinstance(value, Estimate | Undecided) else value


def _stage(rate: LossRate, stages: Sequence[str]) -> str:
    if rate.stage is None:
        return "all"
    return stages[rate.stage] if rate.stage >= 0 else "-"
