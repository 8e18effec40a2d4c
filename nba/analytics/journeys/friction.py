"""Does friction add up? Why customers leave, as far as their visits tell.

Four stories make customers leave after bad visits: they add up; the last one alone is to blame;
the worst and the last are; or some customers are unhappy from the start. They are told apart by
the order of the visits. Under a fixed trait visits are exchangeable, so that given the mean over
the whole past, *when* a customer had the bad visits says nothing; under accumulation it does.
Association, not proof: that takes randomised relief.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec
import numpy as np

from nba.analytics.journeys.lagged_visits import VisitHistory
from nba.measurement.statistics.estimate import Estimate, Undecided
from nba.measurement.statistics.intervals import normal_interval
from nba.measurement.statistics.logistic_regression import LogisticFit, fit_logistic

MIN_LOSSES = 100
LEVEL = 0.01  # of each test for an effect
APART = 0.05  # of the test that tells a trait from a lasting effect
MIN_CLOSENESS = 1.28  # standard errors by which one story must fit better than the other
MEMORIES = (0.7, 0.8, 0.88, 0.95)  # share of a visit's effect that lasts to the next
WINDOW, LONG = 10, 20  # lags
_MIN_STAGE_LOSSES = 10  # a stage with fewer shares the others' base rate

_SENTENCES = {
    "accumulation": "Friction adds up: customers leave after bad visits in a row, beyond what the "
    "last visit, the worst one and their own usual level explain.",
    "blocking": "A single bad visit makes customers leave; what they met before it adds nothing.",
    "peak_end": "Customers leave over their worst and their last visit; the other visits of the "
    "window add nothing to these two.",
    "unhappy_customers": "Unhappy customers leave: those who leave meet bad visits all along, "
    "and recent ones weigh no more than old ones, so friction does not add up.",
    "none": "How visits went says nothing about who leaves.",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Visits:
    """n visits, sorted by customer and time. Nothing after a decision to leave is a visit."""

    customers: np.ndarray  # (n,) int64 codes
    valences: np.ndarray  # (n,) observed, -1 to 1
    stages: np.ndarray  # (n,) int64 codes of the journey's stages, -1 unknown
    lost: np.ndarray  # (n,) bool: the customer left after this visit and before any other

    def __post_init__(self) -> None:
        shape = self.customers.shape
        if len(shape) != 1:
            raise ValueError(f"customers have the shape {shape}, not (n,)")
        for name in ("valences", "stages", "lost"):
            other = getattr(self, name).shape
            if other != shape:
                raise ValueError(f"{name} have the shape {other}, customers {shape}")
        if (np.diff(self.customers) < 0).any():
            raise ValueError("visits must be sorted by customer")
        if not (np.abs(self.valences) <= 1.0).all():
            raise ValueError("valences must lie in [-1, 1]")
        if (self.lost[:-1] & (np.diff(self.customers) == 0)).any():
            raise ValueError("only a customer's last visit can be the one they left after")


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What the verdict rests on. Coefficients are log-odds of leaving per unit of valence, so
    that negative ones mean "the better, the fewer leave"; tests are Wald tests with covariance
    by customer, as the naive likelihood ratio would take one customer's visits for strangers'."""

    last: Estimate | Undecided  # valence of the last visit alone
    last_chi2: float  # 2 degrees of freedom: the valence and its negative part
    last_p: float
    history_chi2: float  # 1 degree: the mean of visits 2-10, given the last
    history_p: float
    recent: Estimate | Undecided  # mean of visits 2-10, after 20 visits or more
    older: Estimate | Undecided  # mean of visits 11-20, beside it
    decay: Estimate | Undecided  # one visit among 2-10 less one among 11-20
    decay_p: float  # one-sided
    own: Estimate | Undecided  # the customer's own mean over the past, given the last visit
    own_p: float  # one-sided: worse customers leave
    own_beyond_faded_p: float  # one-sided: even given the faded sum
    recent_given_own: Estimate | Undecided  # mean of visits 2-10, given last and own means
    trough: Estimate | Undecided  # the worst of the last 10, given last and own means
    faded: Estimate | Undecided  # sum of memory^lag valence, given last and own means
    memory: float  # of `MEMORIES`, the one that fits best
    trough_p: float  # one-sided
    faded_p: float  # times the number of memories tried (Bonferroni)
    trough_beyond_faded: Estimate | Undecided
    faded_beyond_trough: Estimate | Undecided
    adding_up_over_peak: float  # standard errors by which `faded` fits better than `trough`


class Friction(msgspec.Struct, frozen=True, kw_only=True):
    """Why customers leave: accumulation, blocking, peak_end, unhappy_customers or none."""

    verdict: str | Undecided
    sentence: str
    visits: int
    customers: int
    losses: int
    figures: Figures | None  # None where there are too few losses


def friction(visits: Visits) -> Friction:
    """The story that the visits support, by tests in this order, each one-sided at `LEVEL`.

    1. Given the last visit and what the whole past was like: does a bad recent past (`trough` or
       `faded`, Holm) raise the odds of leaving? If so, `accumulation` or `peak_end`, whichever
       fits better by Vuong's test over customers (Econometrica 1989, section 5), undecided if
       about as well.
    2. Else: do customers with a worse own mean leave more? `unhappy_customers` if they do even
       given the recent past, undecided if that cannot be told apart.
    3. Else: does the last visit matter? `blocking`, else `none`.
    """
    lost = visits.lost.astype(bool)
    past = VisitHistory(visits.customers)
    size = {
        "visits": len(lost),
        "customers": int((past.length == 1).sum()),
        "losses": int(lost.sum()),
    }
    usable = int((lost & (past.length > 1)).sum())
    if usable < MIN_LOSSES:
        reason = (
            f"{usable} losses after two visits or more, {MIN_LOSSES - usable} short of {MIN_LOSSES}"
        )
        return Friction(
            verdict=Undecided(reason=reason),
            sentence=f"Too early to say whether friction adds up: {reason}.",
            figures=None,
            **size,
        )
    figures = _figures(visits, past, lost)
    verdict = _verdict(figures)
    sentence = (
        f"Friction lasts beyond the last visit, but {verdict.reason}."
        if isinstance(verdict, Undecided)
        else _SENTENCES[verdict]
    )
    return Friction(verdict=verdict, sentence=sentence, figures=figures, **size)


def _verdict(figures: Figures) -> str | Undecided:
    if 2.0 * min(figures.trough_p, figures.faded_p) < LEVEL:
        if abs(figures.adding_up_over_peak) < MIN_CLOSENESS:
            return Undecided(reason="adding up and peak-end explain the losses about equally well")
        return "accumulation" if figures.adding_up_over_peak > 0 else "peak_end"
    if figures.own_p < LEVEL:
        if figures.own_beyond_faded_p >= APART:
            return Undecided(reason="too few losses tell whether it fades or is the customer's own")
        return "unhappy_customers"
    return "blocking" if figures.last_p < LEVEL else "none"


def _figures(visits: Visits, past: VisitHistory, lost: np.ndarray) -> Figures:
    valence = visits.valences - visits.valences.mean()
    bad = np.minimum(visits.valences, 0.0)
    worst = (visits.valences <= np.quantile(visits.valences, 0.1)).astype(float)
    shapes = [valence, bad - bad.mean(), worst - worst.mean()]
    recent = past.total(valence, 2, WINDOW) / (WINDOW - 1)  # a missing visit is an average one
    older = past.total(valence, WINDOW + 1, LONG) / (LONG - WINDOW)
    own = past.own_mean(valence)
    owns = [*map(past.own_mean, shapes), past.trough(visits.valences, int(past.length.max()))]
    trough = past.trough(visits.valences, WINDOW)
    known = [np.log(past.length), past.count(2, WINDOW), past.count(WINDOW + 1, LONG)]
    base = [*known, *shapes[:2], *_stages(visits.stages, lost)]

    everywhere = np.ones(len(lost), dtype=bool)

    def fit(*columns: np.ndarray, where: np.ndarray = everywhere) -> LogisticFit:
        design = np.column_stack([np.ones(len(lost)), *columns])[where]
        start = np.zeros(design.shape[1])
        start[: len(ground)] = ground[: len(start)]
        return fit_logistic(design, lost[where], clusters=visits.customers[where], start=start)

    ground = np.zeros(0)
    last = fit(*known, *shapes[:2])
    ground = fit(*base).weights  # where the fits below start from, to save Newton's steps
    history, fit_own = fit(*base, recent), fit(*base, own)
    lagged = fit(*base, recent, older, where=past.length >= LONG)
    peak = fit(*base, *owns, trough)
    sums = [past.faded(valence, memory, 4 * WINDOW) for memory in MEMORIES]
    fits = [fit(*base, *owns, faded) for faded in sums]
    best = int(np.argmax([candidate.log_likelihoods.sum() for candidate in fits]))
    faded, added = sums[best], fits[best]
    fit_both = fit(*base, *owns, trough, faded)
    per_visit = {-2: 1.0 / (WINDOW - 1), -1: -1.0 / (LONG - WINDOW)}
    last_chi2, last_p = last.wald([len(known) + 1, len(known) + 2])
    history_chi2, history_p = history.wald([-1])
    return Figures(
        last=_estimate(fit(*known, valence), {-1: 1.0}),
        last_chi2=last_chi2,
        last_p=last_p,
        history_chi2=history_chi2,
        history_p=history_p,
        recent=_estimate(lagged, {-2: 1.0}),
        older=_estimate(lagged, {-1: 1.0}),
        decay=_estimate(lagged, per_visit),
        decay_p=_p_below(lagged, per_visit),
        own=_estimate(fit_own, {-1: 1.0}),
        own_p=_p_below(fit_own, {-1: 1.0}),
        own_beyond_faded_p=_p_below(fit(*base, own, faded), {-2: 1.0}),
        recent_given_own=_estimate(fit(*base, *owns, recent), {-1: 1.0}),
        trough=_estimate(peak, {-1: 1.0}),
        faded=_estimate(added, {-1: 1.0}),
        memory=MEMORIES[best],
        trough_p=_p_below(peak, {-1: 1.0}),
        faded_p=min(1.0, len(MEMORIES) * _p_below(added, {-1: 1.0})),
        trough_beyond_faded=_estimate(fit_both, {-2: 1.0}),
        faded_beyond_trough=_estimate(fit_both, {-1: 1.0}),
        adding_up_over_peak=_vuong(added, peak, visits.customers),
    )


def _stages(stages: np.ndarray, lost: np.ndarray) -> list[np.ndarray]:
    """Indicators of all stages but the most visited one, (n,) each; rare ones count to it."""
    codes, counts = np.unique(stages, return_counts=True)
    common = codes[np.argmax(counts)]
    columns = [(stages == code).astype(float) for code in codes if code != common]
    return [
        column for column in columns if _MIN_STAGE_LOSSES <= lost[column > 0].sum() < column.sum()
    ]


def _estimate(fit: LogisticFit, contrast: dict[int, float]) -> Estimate | Undecided:
    value, error = _contrast(fit, contrast)
    if error <= 0.0:
        return Undecided(reason="no visit has such a past")
    n = len(fit.log_likelihoods)
    low, high = normal_interval(value, error)
    return Estimate(value=value, low=low, high=high, n=n, ess=float(fit.clusters))


def _p_below(fit: LogisticFit, contrast: dict[int, float]) -> float:
    """The one-sided p-value of "the contrast is not below 0"."""
    value, error = _contrast(fit, contrast)
    return 0.5 * math.erfc(-value / error / math.sqrt(2.0)) if error > 0.0 else 1.0


def _contrast(fit: LogisticFit, contrast: dict[int, float]) -> tuple[float, float]:
    vector = np.zeros(len(fit.weights))
    for column, factor in contrast.items():
        vector[column] = factor
    return float(vector @ fit.weights), fit.standard_error(vector)


def _vuong(left: LogisticFit, right: LogisticFit, customers: np.ndarray) -> float:
    """sum d / sqrt(sum d^2) over customers, d = log-likelihood of left less that of right."""
    _, codes = np.unique(customers, return_inverse=True)
    gains = np.bincount(codes, left.log_likelihoods - right.log_likelihoods)
    spread = math.sqrt(float((gains**2).sum()))
    return float(gains.sum()) / spread if spread > 0.0 else 0.0
