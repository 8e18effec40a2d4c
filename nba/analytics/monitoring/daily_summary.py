"""A day of the loop in sums that add up: its events, its decisions and their outcomes.

Days, replicas and shards merge exactly, so that a month is the sum of its days.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from nba.analytics.monitoring.context_bins import ContextCounts
from nba.analytics.monitoring.offer_counts import OfferCounts
from nba.analytics.monitoring.outcome_join import OutcomeJoin
from nba.analytics.monitoring.sketches import (
    BucketedRewards,
    DistinctCount,
    NamedCounts,
    PropertiesByName,
)
from nba.measurement.off_policy.propensity_audit import DrawCounts
from nba.measurement.statistics.calibration import CalibrationBins
from nba.measurement.statistics.drift import Histogram, histogram
from nba.rewards.credit import SettledCounts

# of probabilities and of EUR alike; a score is one or the other
_UPPER: tuple[float, ...] = (
    *(0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.065, 0.08, 0.1, 0.125, 0.15, 0.2),
    *(0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0),
    *(1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 50.0, 75.0, 100.0, 150.0, 200.0, 500.0),
)
SCORE_EDGES = (*(-edge for edge in reversed(_UPPER)), 0.0, *_UPPER)
LAG_EDGES_S: tuple[float, ...] = tuple(
    60.0 * math.sqrt(2.0) ** n for n in range(32)
)  # a minute to 33 days

Kind = Literal["accept", "churn"]


class EventCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Events from outside, on the day on which they were received."""

    events: int = 0
    kinds: NamedCounts = NamedCounts()  # by mapped kind
    unmapped: NamedCounts = NamedCounts()  # by name, where the journey file maps none
    sources: PropertiesByName = PropertiesByName()  # traits and amounts

    def __add__(self, other: EventCounts) -> EventCounts:
        return EventCounts(
            events=self.events + other.events,
            kinds=self.kinds + other.kinds,
            unmapped=self.unmapped + other.unmapped,
            sources=self.sources + other.sources,
        )


class PredictionHistograms(msgspec.Struct, frozen=True, kw_only=True):
    """What one bundle predicted, counted by score."""

    accept: tuple[int, ...] = ()  # candidates by their score, between SCORE_EDGES
    churn: tuple[int, ...] = ()  # decisions by the risk of leaving

    def __add__(self, other: PredictionHistograms) -> PredictionHistograms:
        return PredictionHistograms(
            accept=_added(self.accept, other.accept), churn=_added(self.churn, other.churn)
        )

    def histogram(self, kind: Kind) -> Histogram:
        """One of the two."""
        counts = self.accept if kind == "accept" else self.churn
        return Histogram(edges=SCORE_EDGES, counts=counts or (0,) * (len(SCORE_EDGES) + 2))


def prediction_histograms(accept: np.ndarray, churn: np.ndarray) -> PredictionHistograms:
    """The scores of any number of candidates, and the risks of any number of decisions."""
    return PredictionHistograms(accept=_score_counts(accept), churn=_score_counts(churn))


def _score_counts(scores: np.ndarray) -> tuple[int, ...]:
    return histogram(scores, SCORE_EDGES).counts if len(scores) else ()


class DecisionCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Decisions, on the day on which they were made."""

    modes: NamedCounts = NamedCounts()
    schemas: NamedCounts = NamedCounts()  # live decisions by the columns of their contexts
    customers: DistinctCount = DistinctCount()  # of live decisions
    draws: DrawCounts = DrawCounts()
    offers: OfferCounts = OfferCounts()
    unsound: int = 0  # live decisions whose probabilities are not a distribution
    least: float = 1.0  # the smallest probability above 0 of any candidate
    bins_schema: str = msgspec.field(
        name="cut", default=""
    )  # schema of the bins that the contexts were counted in; empty: none were
    contexts: ContextCounts = ContextCounts()
    bundles: tuple[str, ...] = ()
    scores: tuple[PredictionHistograms, ...] = ()  # a bundle each

    def __add__(self, other: DecisionCounts) -> DecisionCounts:
        by_bundle = dict(zip(self.bundles, self.scores, strict=True))
        for bundle_id, scores in zip(other.bundles, other.scores, strict=True):
            by_bundle[bundle_id] = by_bundle.get(bundle_id, PredictionHistograms()) + scores
        bundles = tuple(sorted(by_bundle))
        return DecisionCounts(
            modes=self.modes + other.modes,
            schemas=self.schemas + other.schemas,
            customers=self.customers + other.customers,
            draws=self.draws + other.draws,
            offers=self.offers + other.offers,
            unsound=self.unsound + other.unsound,
            least=min(self.least, other.least),
            bins_schema=self.bins_schema or other.bins_schema,
            contexts=self.contexts + other.contexts,
            bundles=bundles,
            scores=tuple(by_bundle[bundle_id] for bundle_id in bundles),
        )

    @property
    def live(self) -> int:
        """Decisions that the policy drew."""
        return self.modes.of("live")

    def of_bundle(self, bundle_id: str | None) -> PredictionHistograms:
        """What this bundle predicted; nothing where it made no decision."""
        return dict(zip(self.bundles, self.scores, strict=True)).get(
            bundle_id or "", PredictionHistograms()
        )


class EarlyOutcomes(msgspec.Struct, frozen=True, kw_only=True):
    """What had come of decisions when each was a certain age, the same for all of them."""

    join: OutcomeJoin = OutcomeJoin()
    rewards: BucketedRewards = BucketedRewards()

    def __add__(self, other: EarlyOutcomes) -> EarlyOutcomes:
        return EarlyOutcomes(join=self.join + other.join, rewards=self.rewards + other.rewards)


class SettledOutcomes(msgspec.Struct, frozen=True, kw_only=True):
    """What had come of decisions when their windows were over."""

    counts: SettledCounts = SettledCounts()
    lags: tuple[int, ...] = ()  # decisions by the time to their first answer, between LAG_EDGES_S
    bundles: tuple[str, ...] = ()
    calibration: tuple[CalibrationBins, ...] = ()  # a bundle each
    draws: DrawCounts | UnsetType = UNSET  # of the live ones that count: all that were drawn

    def __add__(self, other: SettledOutcomes) -> SettledOutcomes:
        by_bundle = dict(zip(self.bundles, self.calibration, strict=True))
        for bundle_id, bins in zip(other.bundles, other.calibration, strict=True):
            by_bundle[bundle_id] = by_bundle.get(bundle_id, CalibrationBins()) + bins
        bundles = tuple(sorted(by_bundle))
        return SettledOutcomes(
            counts=self.counts + other.counts,
            lags=_added(self.lags, other.lags),
            bundles=bundles,
            calibration=tuple(by_bundle[bundle_id] for bundle_id in bundles),
            draws=_added_draws(self.draws, other.draws),
        )

    def of_bundle(self, bundle_id: str | None) -> CalibrationBins:
        """Predictions and outcomes of this bundle."""
        by_bundle = dict(zip(self.bundles, self.calibration, strict=True))
        return by_bundle.get(bundle_id or "", CalibrationBins())


class DailySummary(msgspec.Struct, frozen=True, kw_only=True):
    """One day, or the sum of several."""

    events: EventCounts = msgspec.field(default=EventCounts(), name="told")
    decisions: DecisionCounts = msgspec.field(default=DecisionCounts(), name="drawn")
    early: EarlyOutcomes = EarlyOutcomes()
    settled: SettledOutcomes = SettledOutcomes()

    def __add__(self, other: DailySummary) -> DailySummary:
        return DailySummary(
            events=self.events + other.events,
            decisions=self.decisions + other.decisions,
            early=self.early + other.early,
            settled=self.settled + other.settled,
        )


def lag_counts(lags_s: np.ndarray) -> tuple[int, ...]:
    """The counts of (n,) times to the first answer; none of none."""
    return histogram(lags_s, LAG_EDGES_S).counts if len(lags_s) else ()


def lag_quantile_s(lags: tuple[int, ...], quantile: float) -> float:
    """A quantile of the lags, the upper edge of its bin; NaN of none."""
    total = sum(lags)
    if total == 0:
        return float("nan")
    bin_of = int(np.searchsorted(np.cumsum(lags), quantile * total))
    return LAG_EDGES_S[min(bin_of, len(LAG_EDGES_S) - 1)]


def _added_draws(
    left: DrawCounts | UnsetType, right: DrawCounts | UnsetType
) -> DrawCounts | UnsetType:
    if isinstance(left, UnsetType) or isinstance(right, UnsetType):
        return right if isinstance(left, UnsetType) else left
    return left + right


def _added(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    if not left or not right:
        return left or right
    return tuple(a + b for a, b in zip(left, right, strict=True))
