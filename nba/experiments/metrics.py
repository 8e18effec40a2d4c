"""Accumulate metrics from pages of the log: one number per customer and metric.

A customer counts from their exposure, the first of their decisions that an experiment marks. Their
metric is what they do within its window after that, and they count once that window is over for
everybody alike: a customer whose window is still open is left out, whatever they have done so far.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from nba.durations import DAY_S
from nba.errors import InvalidInput
from nba.events.event import Event
from nba.events.names import ACTION_DECIDED
from nba.experiments.experiment import MetricSpec
from nba.journey.file import JourneyFile
from nba.measurement.statistics.moments import Moments, moments
from nba.rewards.attribution import Attribution
from nba.rewards.isolation import credits_and_failures
from nba.rewards.validity import at_s
from nba.stores.log import Log

PRELUDE_S = 1e-6  # of time that no event can fall into


class Exposure(NamedTuple):
    """When a customer was first decided in an arm."""

    at_s: float
    arm: str


class MetricContribution(NamedTuple):
    """What an event adds to a metric."""

    at_s: float
    amount: float


def end_of(log: Log) -> float:
    """Until when the log is known, seconds since 1970 UTC.

    Raises InvalidInput for an empty one, StoreUnavailable.
    """
    last = log.page_events(log.position() - 1, 1)
    if not last:
        raise InvalidInput("log", "empty", "nothing is known of anybody yet; send events first")
    return last[-1].received_at.timestamp()


class MetricAccumulator:
    """Exposures, and what the exposed did before and after."""

    def __init__(
        self,
        journey: JourneyFile,
        kind_of: Callable[[Event], str | None],
        metrics: Sequence[MetricSpec],
        *,
        arm_of: Callable[[Event], str | None],
        concerns: Callable[[str], bool],
        since_s: float,
        covariate_days: float,
    ) -> None:
        """`arm_of`: the arm that an `Action Decided` exposes its customer to, None for none;
        `concerns`: whose events are kept; `since_s`: nobody was exposed before."""
        self._metrics = metrics
        self._kind_of = kind_of
        self._arm_of = arm_of
        self._concerns = concerns
        self._since_s = since_s
        self._covariate_s = covariate_days * DAY_S
        self._rule = Attribution(journey, kind_of)
        self._rewarded = any(metric.measure == "reward" for metric in metrics)
        self._mapping_of = {mapping.id: mapping for mapping in journey.events}
        self._of_kind: dict[str, list[int]] = defaultdict(list)
        for n, metric in enumerate(metrics):
            for kind in metric.events:
                self._of_kind[kind].append(n)
        self._names = {event.event for event in journey.events if event.id in self._of_kind}
        self._contributions: list[dict[str, list[MetricContribution]]] = [
            defaultdict(list) for _ in metrics
        ]
        self._events: list[Event] = []  # for rewards
        self.exposures: dict[str, Exposure] = {}
        self.arms_seen: dict[str, set[str]] = defaultdict(set)
        self.left_out: frozenset[str] = frozenset()  # customers whose rewards cannot be settled
        self.end_s = -np.inf  # until when the log is known

    def read(self, page: Iterable[Event]) -> None:
        """Take in events, in any order."""
        concerned: dict[str, bool] = {}
        for event in page:
            self.end_s = max(self.end_s, event.received_at.timestamp())
            if self._rewarded and self._rule.concerns(event):
                self._events.append(event)
            if event.name == ACTION_DECIDED:
                self._expose(event)
            if event.name not in self._names:
                continue
            customer = event.customer_id
            if customer not in concerned:
                concerned[customer] = self._concerns(customer)
            if concerned[customer]:
                self._tell(event)

    def settle(self, end_s: float | None = None) -> None:
        """Read the rewards, once every page was read; `end_s`: nothing after it counts."""
        if end_s is not None:
            self.end_s = min(self.end_s, end_s)
        if not self._rewarded:
            return
        credits, failures = credits_and_failures(self._rule, self._events, self.end_s)
        self.left_out = frozenset(failures)
        for credit in credits:
            if credit.complete:
                contribution = MetricContribution(at_s(credit.decision), credit.reward)
                for n, metric in enumerate(self._metrics):
                    if metric.measure == "reward":
                        self._contributions[n][credit.decision.customer_id].append(contribution)

    def window_s(self, metric: MetricSpec) -> float:
        """After so long an exposed customer's metric is complete."""
        reward = self._rule.horizon_s if metric.measure == "reward" else 0.0
        return metric.window_days * DAY_S + reward

    def sums(
        self,
        exposures: Mapping[str, Exposure] | None = None,
    ) -> dict[str, dict[str, Moments]]:
        """By metric and arm, the sums over the exposed whose window is over."""
        exposed = self.exposures if exposures is None else exposures
        return {
            metric.id: self._sums(metric, self._contributions[n], exposed)
            for n, metric in enumerate(self._metrics)
        }

    def _sums(
        self,
        metric: MetricSpec,
        contributions: Mapping[str, list[MetricContribution]],
        exposed: Mapping[str, Exposure],
    ) -> dict[str, Moments]:
        latest_s = self.end_s - self.window_s(metric)
        y: dict[str, list[float]] = defaultdict(list)
        x: dict[str, list[float]] = defaultdict(list)
        # the exposing decision itself has a reward; an event of its moment came before it
        strictly = 0.0 if metric.measure == "reward" else PRELUDE_S / 2
        for customer, (began_s, arm) in exposed.items():
            if began_s > latest_s or (metric.measure == "reward" and customer in self.left_out):
                continue
            until_s = began_s + metric.window_days * DAY_S
            after = before = 0.0
            for when_s, amount in contributions.get(customer, ()):
                if began_s + strictly <= when_s <= until_s:
                    after += amount
                elif began_s - self._covariate_s <= when_s < began_s + strictly:
                    before += amount
            if metric.measure == "any":
                after, before = float(after > 0.0), float(before > 0.0)
            elif metric.cap is not msgspec.UNSET:
                after, before = (
                    max(-metric.cap, min(sum_, metric.cap)) for sum_ in (after, before)
                )
            y[arm].append(after)
            x[arm].append(before)
        return {arm: moments(np.array(y[arm]), np.array(x[arm])) for arm in y}

    def _expose(self, event: Event) -> None:
        arm = self._arm_of(event)
        if arm is None:
            return
        customer, when_s = event.customer_id, at_s(event)
        self.arms_seen[customer].add(arm)
        known = self.exposures.get(customer)
        if known is None or when_s < known.at_s:
            self.exposures[customer] = Exposure(when_s, arm)

    def _tell(self, event: Event) -> None:
        when_s = at_s(event)
        if when_s < self._since_s - self._covariate_s:
            return
        kind = self._kind_of(event)
        if kind is None:
            return
        for n in self._of_kind.get(kind, ()):
            amount = 1.0
            if self._metrics[n].measure == "amount":
                amount = self._mapping_of[kind].amount_in(event.properties) or 0.0
            self._contributions[n][event.customer_id].append(MetricContribution(when_s, amount))
