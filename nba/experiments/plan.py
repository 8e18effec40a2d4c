"""What an experiment could show, before it starts: from the base rates and the traffic of the log.

The last weeks are read as if they had been the experiment with one arm for all: the same
exposures, windows and covariates, so that what is planned is what will be measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import msgspec
import numpy as np

from nba.durations import DAY_S
from nba.events.event import Event
from nba.experiments.assignment import Assignment
from nba.experiments.experiment import Experiment
from nba.experiments.metrics import MetricAccumulator
from nba.journey.file import JourneyFile
from nba.measurement.statistics.confidence_sequences import TUNING_N
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.moments import Moments, SampleMean, cuped_means, sample_mean
from nba.measurement.statistics.power import (
    HoldoutRow,
    detectable_effect,
    holdout_table,
    sample_size,
)
from nba.measurement.statistics.sample_ratio import detectable_loss

EVERYBODY = "everybody"  # the one arm of the rehearsal
LONGEST_DAYS = 180.0  # an experiment that needs longer is not worth starting
LOOKS_DAYS = (7.0, 14.0, 28.0, 56.0, 84.0)
MIN_BASE = 100  # customers on whom a base rate can rest


class DetectableRow(msgspec.Struct, frozen=True, kw_only=True):
    """The least effect on the primary metric that would show after so many days."""

    days: float  # of exposures; the window comes on top
    customers: int  # in all arms
    fixed: float
    always_valid: float


class ExperimentPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What could be shown, and what stands against it."""

    experiment: str
    days_read: float  # of the log
    base: float  # the primary metric, of a customer
    base_customers: int
    sd: float  # between customers
    sd_left: float  # after the covariate
    customers_per_day: float  # who would be exposed, lately
    least_effect: float
    needed_fixed: int | Undecided  # customers in all arms
    needed_always_valid: int | Undecided
    days_fixed: float | Undecided  # until they are exposed and their windows over
    days_always_valid: float | Undecided
    detectable: list[DetectableRow]
    loss_that_shows: float | Undecided  # of one arm's customers, by the sample ratio
    holdout: list[HoldoutRow]  # what an always-on holdout could show of the same metric
    problems: list[str]  # why it should not start


def plan_experiment(
    experiment: Experiment,
    journey: JourneyFile,
    kind_of: Callable[[Event], str | None],
    events: Iterable[list[Event]],
    *,
    end_s: float,
    days: float = 28.0,
) -> ExperimentPlan:
    """The plan on the last `days` of the log, which ends at `end_s`, seconds since 1970 UTC."""
    since_s = end_s - days * DAY_S
    exploration = journey.exploration
    assignment = Assignment(exploration.holdout_share, exploration.random_share)

    def in_reach(customer: str) -> bool:
        return assignment.kept_out(customer) is None

    def arm_of(event: Event) -> str | None:
        real = "shadow_action_id" not in event.properties
        recent = event.occurred_at.timestamp() >= since_s
        return EVERYBODY if real and recent and in_reach(event.customer_id) else None

    tally = MetricAccumulator(
        journey,
        kind_of,
        [experiment.primary],
        arm_of=arm_of,
        concerns=in_reach,
        since_s=since_s,
        covariate_days=experiment.covariate_days,
    )
    for page in events:
        tally.read(page)
    tally.settle()
    sums = tally.sums()[experiment.primary.id].get(EVERYBODY, Moments())
    times = np.sort([exposure.at_s for exposure in tally.exposures.values()])
    traffic = _Traffic((times - since_s) / DAY_S, days, experiment.share)
    return _planned(experiment, journey, sums, traffic, days)


class _Traffic:
    """Customers who are met for the first time, by day; after the last day at the late rate."""

    def __init__(self, arrived: np.ndarray, days: float, share: float) -> None:
        """`arrived`: sorted days since the beginning, one a customer."""
        self._arrived, self._days, self._share = arrived, days, share
        late = min(7.0, days)
        self.per_day = share * float((arrived >= days - late).sum()) / late

    def customers(self, days: float) -> int:
        """How many are exposed within so many days."""
        exposed = self._share * float(np.searchsorted(self._arrived, days, side="right"))
        return int(exposed + max(days - self._days, 0.0) * self.per_day)

    def days(self, customers: int) -> float | Undecided:
        """After how many days so many are exposed."""
        rank = math.ceil(customers / self._share)
        if rank <= len(self._arrived):
            return float(self._arrived[rank - 1])
        if self.per_day == 0.0:
            within = int(self._share * len(self._arrived))
            reason = f"{customers:,} customers are needed, {within:,} are within reach"
            return Undecided(reason=f"{reason}, and nobody new has come lately")
        return self._days + (customers - self._share * len(self._arrived)) / self.per_day


def _planned(
    experiment: Experiment, journey: JourneyFile, sums: Moments, traffic: _Traffic, days: float
) -> ExperimentPlan:
    primary = experiment.primary
    base, left = sample_mean(sums), _left(experiment, sums)
    sd = math.sqrt(left.variance)
    needed = {kind: _needed(experiment, sd, kind) for kind in ("fixed", "always_valid")}
    until = {
        kind: _days(traffic, customers, primary.window_days) for kind, customers in needed.items()
    }
    rows = [
        DetectableRow(
            days=length,
            customers=n,
            fixed=_detectable(experiment, sd, n, "fixed"),
            always_valid=_detectable(experiment, sd, n, "always_valid"),
        )
        for length in LOOKS_DAYS
        if (n := traffic.customers(length)) >= 2 * len(experiment.arms) and sd > 0.0
    ]
    expected = experiment.customers or traffic.customers(28.0)
    return ExperimentPlan(
        experiment=experiment.id,
        days_read=days,
        base=base.mean,
        base_customers=base.n,
        sd=math.sqrt(base.variance),
        sd_left=sd,
        customers_per_day=traffic.per_day,
        least_effect=primary.least_effect,
        needed_fixed=needed["fixed"],
        needed_always_valid=needed["always_valid"],
        days_fixed=until["fixed"],
        days_always_valid=until["always_valid"],
        detectable=rows,
        loss_that_shows=detectable_loss(expected, [arm.share for arm in experiment.arms]),
        holdout=_holdout(experiment, journey, base),
        problems=_problems(experiment, base, needed, until),
    )


def _left(experiment: Experiment, sums: Moments) -> SampleMean:
    """The base with the variance that the covariate leaves."""
    return cuped_means(sums, Moments())[0] if experiment.covariate_days else sample_mean(sums)


def _pairs(experiment: Experiment) -> list[tuple[float, float]]:
    """(share of the customers in either, share of those in the arm) of each arm and the control."""
    control, *shares = (arm.share for arm in experiment.arms)
    return [(control + share, share / (control + share)) for share in shares]


def _level(experiment: Experiment) -> float:
    """The confidence of one comparison, all arms being claims of one family."""
    return 1.0 - experiment.alpha / (len(experiment.arms) - 1)


def _tuning(experiment: Experiment, kind: str) -> int | None:
    if kind == "fixed":
        return None
    return experiment.tuning_n or experiment.customers or TUNING_N


def _needed(experiment: Experiment, sd: float, kind: str) -> int | Undecided:
    """Customers in all arms that show the least effect with a power of 0.8."""
    if sd <= 0.0:
        return Undecided(reason="no customer differs from another on it")
    most = 0
    for fraction, share in _pairs(experiment):
        customers = sample_size(
            experiment.primary.least_effect,
            sd,
            share=share,
            confidence=_level(experiment),
            tuning_n=_tuning(experiment, kind),
        )
        if isinstance(customers, Undecided):
            return customers
        most = max(most, math.ceil(customers / fraction))
    return most


def _detectable(experiment: Experiment, sd: float, customers: int, kind: str) -> float:
    return max(
        detectable_effect(
            max(int(customers * fraction), 2),
            sd,
            share=share,
            confidence=_level(experiment),
            tuning_n=_tuning(experiment, kind),
        )
        for fraction, share in _pairs(experiment)
    )


def _days(traffic: _Traffic, customers: int | Undecided, window_days: float) -> float | Undecided:
    if isinstance(customers, Undecided):
        return customers
    days = traffic.days(customers)
    return days if isinstance(days, Undecided) else days + window_days


def _holdout(experiment: Experiment, journey: JourneyFile, base: SampleMean) -> list[HoldoutRow]:
    if experiment.primary.measure != "any" or not 0.0 < base.mean < 1.0:
        return []
    own = journey.exploration.holdout_share
    shares = tuple(sorted({0.05, 0.1} | ({own} if own else set())))
    return list(holdout_table(base.mean, shares=shares))


def _problems(
    experiment: Experiment,
    base: SampleMean,
    needed: dict[str, int | Undecided],
    until: dict[str, float | Undecided],
) -> list[str]:
    if base.n < MIN_BASE:
        return [f"{base.n} customers in the log have a complete window, under {MIN_BASE}"]
    kind = experiment.analysis
    customers, days = needed[kind], until[kind]
    if isinstance(customers, Undecided):
        return [customers.reason]
    if isinstance(days, Undecided):
        return [days.reason]
    problems = []
    if days > LONGEST_DAYS:
        problems.append(f"it needs {customers:,} customers, {days:.0f} days at this traffic")
    if kind == "fixed" and (experiment.customers or 0) < customers:
        problems.append(f"{experiment.customers:,} customers are planned, {customers:,} are needed")
    return problems
