"""The report of an experiment, from the log: a sentence with its interval, or what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

import msgspec

from nba.decisions.decision import Decision
from nba.durations import DAY_S
from nba.events.event import Event
from nba.experiments.evidence import ExperimentEvidence
from nba.experiments.evidence_collection import collect_evidence, label_in, read_metrics
from nba.experiments.experiment import Experiment, Started
from nba.experiments.results import ArmComparison, as_metric, compare
from nba.experiments.validity_checks import ValidityCheck, audit_decisions, validity_checks
from nba.journey.file import JourneyFile
from nba.measurement.off_policy.propensity_audit import (
    PropensityAudit,
)
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.verdict import GuardrailVerdict, MetricVerdict, customers_needed


class ExperimentReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an experiment says now."""

    experiment: str
    hypothesis: str
    started_at: datetime
    ended_at: datetime | None
    days: float  # that it ran, up to the end of the log
    exposed: dict[str, int]  # customers by arm
    complete: int  # of them, those whose window of the primary metric is over
    planned: int | None
    checks: list[ValidityCheck] = msgspec.field(name="lights")
    withheld: str  # why nothing is shown; empty where something is
    comparisons: list[ArmComparison]
    answer: str
    missing: list[str]  # what a decision still waits for
    ready: list[str]  # arms that may be shipped


def report_experiment(
    started: Started,
    journey: JourneyFile,
    kind_of: Callable[[Event], str | None],
    events: Iterable[list[Event]],
    decisions: Iterator[list[Decision]],
) -> ExperimentReport:
    """The report over the whole log, in pages."""
    metrics = read_metrics(started, journey, kind_of, events)
    evidence, due = collect_evidence(started, metrics)
    audited = audit_decisions(
        decisions,
        lambda decision: label_in(started.experiment, decision.arms) is not None,
    )
    return report_on(started, evidence, audited, metrics.end_s, due=due)


def report_on(
    started: Started,
    evidence: ExperimentEvidence,
    audited: PropensityAudit | Undecided | str,
    end_s: float,
    *,
    due: bool,
) -> ExperimentReport:
    """The report on evidence, wherever its sums come from."""
    experiment = started.experiment
    checks = validity_checks(experiment, evidence, audited, due=due)
    red = [f"{check.name}: {check.detail}" for check in checks if check.red]
    days = max(end_s - started.started_at.timestamp(), 0.0) / DAY_S
    comparisons = [] if red else compare(experiment, evidence, started.tuning_n)
    primary = [comparison for comparison in comparisons if comparison.role == "primary"]
    early = days < experiment.min_days
    ready = [] if early else _ready(experiment, comparisons)
    complete = sum(one.n for one in evidence.sums.get(experiment.primary.id, {}).values())
    return ExperimentReport(
        experiment=experiment.id,
        hypothesis=experiment.hypothesis,
        started_at=started.started_at,
        ended_at=started.ended_at,
        days=days,
        exposed=evidence.exposed | evidence.unknown,
        complete=complete,
        planned=experiment.customers,
        checks=checks,
        withheld="; ".join(red),
        comparisons=comparisons,
        answer=_answer(experiment, primary, red, days),
        missing=[] if red else _missing(experiment, evidence, comparisons, days),
        ready=ready,
    )


def _ready(experiment: Experiment, comparisons: Sequence[ArmComparison]) -> list[str]:
    """The arms that are better on the primary metric, with every guardrail held."""
    ready = []
    for arm in experiment.arms[1:]:
        compared = [comparison for comparison in comparisons if comparison.arm == arm.id]
        better = any(
            comparison.role == "primary" and comparison.verdict is MetricVerdict.BETTER
            for comparison in compared
        )
        guarded = all(
            comparison.verdict is GuardrailVerdict.HELD
            for comparison in compared
            if comparison.role == "guardrail"
        )
        if better and guarded:
            ready.append(arm.id)
    return ready


def _answer(
    experiment: Experiment, primary: Sequence[ArmComparison], red: Sequence[str], days: float
) -> str:
    if red:
        return f"results are withheld: {'; '.join(red)}"
    if days < experiment.min_days:
        metric = as_metric(experiment.primary).name
        so_far = f"it has run {days:.1f} of at least {experiment.min_days:g} days"
        return f"not enough evidence on {metric}: {so_far}"
    return "; ".join(comparison.sentence for comparison in primary)


def _missing(
    experiment: Experiment,
    evidence: ExperimentEvidence,
    comparisons: Sequence[ArmComparison],
    days: float,
) -> list[str]:
    """What a decision still waits for, in words."""
    missing = []
    if evidence.left_out:
        who = "1 customer" if evidence.left_out == 1 else f"{evidence.left_out:,} customers"
        missing.append(f"the rewards of {who} cannot be settled: they are in no reward metric")
    if days < experiment.min_days:
        left = experiment.min_days - days
        missing.append(f"{left:.1f} more days: no claim before, since weekdays differ")
    if experiment.analysis == "fixed" and not evidence.fixed_sums:
        exposed = sum(evidence.exposed.values())
        missing.append(f"{exposed:,} of {experiment.customers:,} customers, and their windows")
    least = experiment.primary.least_effect
    for comparison in comparisons:
        if comparison.role == "primary" and comparison.verdict is MetricVerdict.NO_EVIDENCE:
            missing += _more(comparison, least, as_metric(experiment.primary).unit, days)
        if comparison.role == "guardrail" and comparison.verdict is not GuardrailVerdict.HELD:
            state = "is broken" if comparison.verdict is GuardrailVerdict.BROKEN else "is undecided"
            missing.append(
                f"guardrail {comparison.metric} {state} for {comparison.arm}: {comparison.sentence}"
            )
    return missing


def _more(comparison: ArmComparison, least: float, unit: str, days: float) -> list[str]:
    """How many more customers would show the least effect that matters."""
    if isinstance(comparison.effect, Undecided):
        return [f"{comparison.arm}: {comparison.effect.reason}"]
    needed = customers_needed(comparison.effect, least)
    size = f"{100 * least:g} points" if unit == "points" else f"{least:g} {unit}"
    if needed is None:
        return [f"{comparison.arm}: no number of customers shows {size}"]
    if needed <= comparison.effect.n:
        return [f"{comparison.arm}: nothing; a difference of {size} would show by now"]
    more = needed - comparison.effect.n
    rate = comparison.effect.n / days if days > 0.0 else 0.0
    when = f", about {more / rate:.0f} days at this rate" if rate > 0.0 else ""
    return [f"{comparison.arm}: about {more:,} more customers to show a difference of {size}{when}"]
