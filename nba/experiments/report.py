"""The report of an experiment, from the log: a sentence with its interval, or what is missing.

The unit is the customer: her exposure is her first decision that carries a label of the
experiment, and she stays in the arm of it whatever is decided for her later. Decisions in shadow
mode expose nobody: she got what the other system decided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

import msgspec
import numpy as np

from nba.decisions.decision import Decision, Mode
from nba.durations import DAY_S
from nba.errors import InvalidInput
from nba.events.event import Event
from nba.experiments.evidence import ExperimentEvidence
from nba.experiments.experiment import Experiment, Started
from nba.experiments.metrics import Exposure, MetricTally
from nba.experiments.results import ArmComparison, as_metric, compare
from nba.experiments.validity_checks import ValidityCheck, lights
from nba.journey.file import JourneyFile
from nba.measurement.off_policy.propensity_audit import (
    DrawCounts,
    PropensityAudit,
    audit_propensities,
    draw_counts,
)
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.verdict import GuardrailVerdict, MetricVerdict, customers_needed

GRACE_S = 900.0  # replicas take a start or a stop up within seconds, and clocks differ
UNKNOWN = "?"  # before the arm's name, of labels that the experiment has no arm for


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
    lights: list[ValidityCheck]
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
    tally = _tallied(started, journey, kind_of, events)
    evidence, due = evidence_of(started, tally)
    audited = audit_of(decisions, lambda one: _of(started.experiment, one.arms) is not None)
    return report_on(started, evidence, audited, tally.end_s, due=due)


def evidence_of(started: Started, tally: MetricTally) -> tuple[ExperimentEvidence, bool]:
    """What was tallied as sums, and whether the fixed analysis is due.

    It is made once: over the first `customers` who were exposed and all who were in the first
    `min_days`, as soon as the windows of all of them are over. So it never changes with looks.
    """
    experiment = started.experiment
    arms = [arm.id for arm in experiment.arms]
    began_s = started.started_at.timestamp()
    ended_s = np.inf if started.ended_at is None else started.ended_at.timestamp()
    exposed = dict.fromkeys(arms, 0)
    unknown: dict[str, int] = {}
    strays = misplaced = 0
    good: dict[str, Exposure] = {}
    for customer, exposure in tally.exposures.items():
        if exposure.arm.startswith(UNKNOWN):
            name = exposure.arm.removeprefix(UNKNOWN)
            unknown[name] = unknown.get(name, 0) + 1
            continue
        exposed[exposure.arm] += 1
        own = started.arm_of(customer)
        outside = not began_s - GRACE_S <= exposure.at_s <= ended_s + GRACE_S
        misplaced += own is None or own.id != exposure.arm or outside
        strays += len(tally.arms_seen[customer]) > 1
        good[customer] = exposure
    due = _first(experiment, good, began_s, tally)
    evidence = ExperimentEvidence(
        exposed=exposed,
        unknown=unknown,
        strays=strays,
        misplaced=misplaced,
        sums=tally.sums(good),
        fixed_sums={} if due is None else tally.sums(due),
    )
    return evidence, due is not None


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
    checks = lights(experiment, evidence, audited, due=due)
    red = [f"{light.name}: {light.detail}" for light in checks if light.red]
    days = max(end_s - started.started_at.timestamp(), 0.0) / DAY_S
    comparisons = [] if red else compare(experiment, evidence, started.tuning_n)
    primary = [one for one in comparisons if one.role == "primary"]
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
        lights=checks,
        withheld="; ".join(red),
        comparisons=comparisons,
        answer=_answer(experiment, primary, red, days),
        missing=[] if red else _missing(experiment, evidence, comparisons, days),
        ready=ready,
    )


def audit_of(
    pages: Iterable[list[Decision]], concerns: Callable[[Decision], bool]
) -> PropensityAudit | Undecided | str:
    """The audit of the propensities of live decisions, or why they cannot be true."""
    counts = DrawCounts()
    try:
        for page in pages:
            live = [one for one in page if one.mode is Mode.LIVE and concerns(one)]
            if live:
                counts = counts + _draws(live)
    except InvalidInput as error:
        return str(error)
    return audit_propensities(counts)


def _draws(decisions: Sequence[Decision]) -> DrawCounts:
    names = sorted({one.action_id for each in decisions for one in each.candidates})
    at = {name: n for n, name in enumerate(names)}
    probabilities = np.zeros((len(decisions), len(names)))
    for row, each in zip(probabilities, decisions, strict=True):
        for one in each.candidates:
            row[at[one.action_id]] = one.propensity
    drawn = np.array([at[each.action_id] for each in decisions])
    return draw_counts(tuple(names), probabilities, drawn)


def _tallied(
    started: Started,
    journey: JourneyFile,
    kind_of: Callable[[Event], str | None],
    events: Iterable[list[Event]],
) -> MetricTally:
    experiment = started.experiment
    known = {experiment.label(arm): arm.id for arm in experiment.arms}

    def arm_of(event: Event) -> str | None:
        if "shadow_action_id" in event.properties:
            return None
        label = _of(experiment, event.properties.get("arms") or ())
        if label is None:
            return None
        return known.get(label, UNKNOWN + label.partition(".")[2])

    tally = MetricTally(
        journey,
        kind_of,
        experiment.metrics,
        arm_of=arm_of,
        concerns=lambda customer: started.arm_of(customer) is not None,
        since_s=started.started_at.timestamp(),
        covariate_days=experiment.covariate_days,
    )
    for page in events:
        tally.read(page)
    tally.settle(None if started.ended_at is None else started.ended_at.timestamp())
    return tally


def _of(experiment: Experiment, labels: Iterable[object]) -> str | None:
    """The label of this experiment among those of a decision."""
    begins = f"{experiment.id}."
    return next((str(one) for one in labels if str(one).startswith(begins)), None)


def _first(
    experiment: Experiment, exposed: dict[str, Exposure], began_s: float, tally: MetricTally
) -> dict[str, Exposure] | None:
    """The customers of the fixed analysis, None while it is not due."""
    if experiment.customers is None or len(exposed) < experiment.customers:
        return None
    times = sorted(exposure.at_s for exposure in exposed.values())
    until_s = max(times[experiment.customers - 1], began_s + experiment.min_days * DAY_S)
    slowest_s = max(tally.window_s(metric) for metric in experiment.metrics)
    if until_s + slowest_s > tally.end_s:
        return None
    return {customer: one for customer, one in exposed.items() if one.at_s <= until_s}


def _ready(experiment: Experiment, comparisons: Sequence[ArmComparison]) -> list[str]:
    """The arms that are better on the primary metric, with every guardrail held."""
    found = []
    for arm in experiment.arms[1:]:
        mine = [one for one in comparisons if one.arm == arm.id]
        better = any(one.role == "primary" and one.verdict is MetricVerdict.BETTER for one in mine)
        held = all(one.verdict is GuardrailVerdict.HELD for one in mine if one.role == "guardrail")
        if better and held:
            found.append(arm.id)
    return found


def _answer(
    experiment: Experiment, primary: Sequence[ArmComparison], red: Sequence[str], days: float
) -> str:
    if red:
        return f"results are withheld: {'; '.join(red)}"
    if days < experiment.min_days:
        metric = as_metric(experiment.primary).name
        so_far = f"it has run {days:.1f} of at least {experiment.min_days:g} days"
        return f"not enough evidence on {metric}: {so_far}"
    return "; ".join(one.sentence for one in primary)


def _missing(
    experiment: Experiment,
    evidence: ExperimentEvidence,
    comparisons: Sequence[ArmComparison],
    days: float,
) -> list[str]:
    """What a decision still waits for, in words."""
    found = []
    if days < experiment.min_days:
        left = experiment.min_days - days
        found.append(f"{left:.1f} more days: no claim before, since weekdays differ")
    if experiment.analysis == "fixed" and not evidence.fixed_sums:
        exposed = sum(evidence.exposed.values())
        found.append(f"{exposed:,} of {experiment.customers:,} customers, and their windows")
    least = experiment.primary.least_effect
    for one in comparisons:
        if one.role == "primary" and one.verdict is MetricVerdict.NO_EVIDENCE:
            found += _more(one, least, as_metric(experiment.primary).unit, days)
        if one.role == "guardrail" and one.verdict is not GuardrailVerdict.HELD:
            state = "is broken" if one.verdict is GuardrailVerdict.BROKEN else "is undecided"
            found.append(f"guardrail {one.metric} {state} for {one.arm}: {one.sentence}")
    return found


def _more(one: ArmComparison, least: float, unit: str, days: float) -> list[str]:
    """How many more customers would show the least effect that matters."""
    if isinstance(one.effect, Undecided):
        return [f"{one.arm}: {one.effect.reason}"]
    needed = customers_needed(one.effect, least)
    size = f"{100 * least:g} points" if unit == "points" else f"{least:g} {unit}"
    if needed is None:
        return [f"{one.arm}: no number of customers shows {size}"]
    if needed <= one.effect.n:
        return [f"{one.arm}: nothing; a difference of {size} would show by now"]
    more = needed - one.effect.n
    rate = one.effect.n / days if days > 0.0 else 0.0
    when = f", about {more / rate:.0f} days at this rate" if rate > 0.0 else ""
    return [f"{one.arm}: about {more:,} more customers to show a difference of {size}{when}"]
