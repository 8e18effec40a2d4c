"""Loss by the sign of emotion: of the last ten visits together, and of the last one alone."""

from __future__ import annotations

import msgspec
import numpy as np

from nba.analytics.journeys.friction import WINDOW, Visits
from nba.analytics.journeys.lagged_visits import VisitHistory
from nba.measurement.statistics.intervals import share_interval

SMALL = 30  # visits; a rate of fewer is shown greyed
_SIGNS = (("negative", -1), ("zero", 0), ("positive", 1))
_ROUND = 9  # decimals: sums of equal and opposite valences are 0


class LossRate(msgspec.Struct, frozen=True, kw_only=True):
    """Losses per visit where the emotion had this sign, with a 95 % interval by customer."""

    stage: int | None  # code of the journey's stage, -1 unknown; None: all stages
    by: str  # "last_10" (sum of the visits at lags 1-10) or "last" (this visit alone)
    sign: str  # negative, zero or positive
    n: int  # visits
    losses: int
    rate: float | None  # None where there is no visit; its interval is then [0, 1]
    low: float
    high: float
    small: bool  # fewer than `SMALL` visits


def loss_by_sign(visits: Visits) -> tuple[LossRate, ...]:
    """In total, then per stage in the order of its code: six rates each.

    Reported side by side because where one visit is to blame, the sum of ten is the worse guide.
    """
    lost = visits.lost.astype(bool)
    total = VisitHistory(visits.customers).total(visits.valences, 1, WINDOW)
    signs = {
        "last_10": np.sign(total.round(_ROUND)),
        "last": np.sign(visits.valences.round(_ROUND)),
    }
    everywhere = np.ones(len(lost), dtype=bool)
    places: list[tuple[int | None, np.ndarray]] = [(None, everywhere)]
    places += [(int(code), visits.stages == code) for code in np.unique(visits.stages)]
    return tuple(
        _rate(stage, by, name, lost[chosen], visits.customers[chosen])
        for stage, here in places
        for by in signs
        for name, sign in _SIGNS
        for chosen in [here & (signs[by] == sign)]
    )


def _rate(
    stage: int | None, by: str, sign: str, lost: np.ndarray, customers: np.ndarray
) -> LossRate:
    n, losses = len(lost), int(lost.sum())
    low, high = share_interval(lost, customers)
    return LossRate(
        stage=stage,
        by=by,
        sign=sign,
        n=n,
        losses=losses,
        rate=losses / n if n else None,
        low=low,
        high=high,
        small=n < SMALL,
    )
