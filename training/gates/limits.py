"""The limits of the gates, in one place."""

from __future__ import annotations

import msgspec

from nba.measurement.off_policy.logged_decisions import OverlapRequirements


class GateLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a challenger must keep to."""

    min_rows: int = 1_000  # decisions whose reward is complete
    join_deviations: float = 3.0  # of the weeks before, that the last week's join rate may be off
    weeks: int = 4  # before the last one, that are needed to say so
    margin_eur: float = 0.0  # per decision, that the gain may be below 0
    ess: float = 500.0  # effective sample size of challenger and champion
    largest_share: float = 0.05  # of all weight, on one customer
    slice_rows: int = 200  # decisions, under which a slice is not judged
    slice_level: float = 0.05  # of any false alarm over all slices
    fair_ratio: float = 0.8  # of offer rates, below which a slice is named in the reason
    top_share: float = 0.9  # of all that is done, in one action
    covered: float = 0.8  # of the champion's actions that the challenger still draws
    entropy: float = 0.5  # of the champion's, below which the draw has collapsed
    latency: float = 2.0  # times the champion's
    replayed: int = 2_000  # newest decisions that are decided again
    contexts: int = 200  # of them, whose contexts are folded again

    @property
    def requirements(self) -> OverlapRequirements:
        """What off-policy evaluation refuses without."""
        return OverlapRequirements(ess=self.ess, largest_share=self.largest_share)


LIMITS = GateLimits()
