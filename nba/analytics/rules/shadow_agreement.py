"""How far decisions in shadow mode are those of the system that they run beside."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import msgspec
import numpy as np

from nba.decisions.decision import Decision, Mode
from nba.measurement.statistics.estimate import Estimate, Undecided
from nba.measurement.statistics.intervals import share_interval

MIN_SHADOW = 100
GO_LIVE = (0.6, 0.8)  # share of equal actions with which owners go live, a rule of thumb


class Shadow(msgspec.Struct, frozen=True, kw_only=True):
    """Decisions beside another system: how often ours is the same."""

    channel: str | None  # None: all of them
    decisions: int
    same: int
    agreement: Estimate | Undecided
    advice: str


def report_shadow(pages: Iterator[list[Decision]]) -> list[Shadow]:
    """How often our action is the other system's, over all and by channel."""
    same: dict[str | None, list[bool]] = defaultdict(list)
    customers: dict[str | None, list[str]] = defaultdict(list)
    for page in pages:
        for decision in page:
            if decision.mode is Mode.SHADOW:
                for channel in {None, decision.request.channel or "any"}:
                    same[channel].append(decision.action_id == decision.request.baseline)
                    customers[channel].append(decision.request.customer_id)
    channels = [None, *sorted(channel for channel in same if channel is not None)]
    return [_shadow(each, np.array(same[each]), np.array(customers[each])) for each in channels]


def _shadow(channel: str | None, agreed: np.ndarray, customers: np.ndarray) -> Shadow:
    n, same = len(agreed), int(agreed.sum())
    if n < MIN_SHADOW:
        reason = f"{n} decisions in shadow mode, under {MIN_SHADOW}"
        agreement: Estimate | Undecided = Undecided(reason=reason)
        return Shadow(channel=channel, decisions=n, same=same, agreement=agreement, advice="")
    low, high = share_interval(agreed, customers)
    agreement = Estimate(value=same / n, low=low, high=high, n=n, ess=float(n))
    if low >= GO_LIVE[1]:
        advice = "over 80 %: it repeats the other system, and going live changes little"
    elif low >= GO_LIVE[0]:
        advice = "within 60 to 80 %: as usual for going live"
    elif high < GO_LIVE[0]:
        advice = "under 60 %: look at where they differ before going live"
    else:
        advice = "around 60 %: more decisions will tell"
    return Shadow(channel=channel, decisions=n, same=same, agreement=agreement, advice=advice)
