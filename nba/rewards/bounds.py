"""Bounds of rewards in EUR: learned from a log where the owner sets none, and kept with the bundle.

One reward of a million would else be the mean of everything that it touches. Rewards are winsorised
(Tukey, The Future of Data Analysis, 1962, section 17): what lies beyond a bound counts as the
bound. The medians are of the rewards that something came of, since most others are 0.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import chain

import msgspec
import numpy as np

from nba.errors import InvalidBundle
from nba.journey.file import JourneyFile
from nba.journey.goals import Bounds, RewardRule
from nba.rewards.credit import Credit
from nba.rewards.terms import ActionTerms, action_terms
from nba.stores.log import Log
from nba.stores.versioned import CHAMPION, version_in_force

FEWEST = 5  # rewards of an action, below which their median says nothing
FENCE = 20.0  # of their median size: 1 in 700 of lognormal amounts with sigma 1 is larger
_MANIFEST = "manifest.json"  # of a bundle


class CutRewards(msgspec.Struct, frozen=True, kw_only=True):
    """What bounds have done to rewards."""

    low: float
    high: float
    rewards: int  # that are complete
    above: int  # how many of them counted as `high`
    below: int  # and as `low`

    @property
    def sentence(self) -> str:
        """For a report."""
        return (
            f"rewards are kept from {self.low:.6g} to {self.high:.6g} EUR: {self.above:,} of "
            f"{self.rewards:,} were above and {self.below:,} below, and count as that"
        )


def learned_bounds(journey: JourneyFile, rewards: Iterable[tuple[str, float]]) -> Bounds | None:
    """Bounds from the actions and unbounded rewards of decisions; None where the owner sets them,
    where the target is no value, or where no reward differs from what silence is worth.

    None counts for more than FENCE times the median size of those of its action, or of an action
    whose are larger: up to half of them may be absurd, and what is rare and dear is not cut for
    what is often and cheap. Actions with fewer than FEWEST rewards go by the median of all. What
    silence is worth is within the bounds.
    """
    rule = journey.reward
    if rule.target != "value" or rule.bounds is not None:
        return None
    silence = sorted(terms.default for terms in _all_terms(journey))
    sizes: dict[str, list[float]] = defaultdict(list)
    for action, reward in rewards:
        if reward not in silence:
            sizes[action].append(abs(reward))
    if not sizes:
        return None
    medians = [float(np.median(own)) for own in sizes.values() if len(own) >= FEWEST]
    fence = FENCE * max(medians or [float(np.median(list(chain(*sizes.values()))))])
    low, high = min(-fence, silence[0]), max(fence, silence[-1])
    return Bounds(low=low, high=high) if low < high else None


def bounded(journey: JourneyFile, bounds: Bounds | None) -> JourneyFile:
    """The journey with the learned bounds in its reward rule, where it sets none itself."""
    rule = journey.reward
    if bounds is None or rule.target != "value" or rule.bounds is not None:
        return journey
    return msgspec.structs.replace(journey, reward=msgspec.structs.replace(rule, bounds=bounds))


def bounds_in_force(log: Log) -> Bounds | None:
    """Those that the champion has learned. Raises InvalidBundle, StoreUnavailable."""
    stored = version_in_force(log, CHAMPION)
    if stored is None or _MANIFEST not in stored.files:
        return None
    try:
        return msgspec.json.decode(stored.files[_MANIFEST], type=_LearnedBounds).reward_bounds
    except msgspec.DecodeError as error:
        raise InvalidBundle(f"{stored.bundle_id}: {error}; promote it again") from None


def cut_rewards(rule: RewardRule, credits: Iterable[Credit]) -> CutRewards | None:
    """How many complete rewards lay beyond the bounds of the rule; None where it has none."""
    if rule.bounds is None:
        return None
    low, high = rule.bounds.low, rule.bounds.high
    earned = [credit.earned for credit in credits if credit.complete]
    return CutRewards(
        low=low,
        high=high,
        rewards=len(earned),
        above=sum(reward > high for reward in earned),
        below=sum(reward < low for reward in earned),
    )


class _LearnedBounds(msgspec.Struct, frozen=True):
    reward_bounds: Bounds | None = None


def _all_terms(journey: JourneyFile) -> list[ActionTerms]:
    rule = journey.reward
    return [action_terms(rule), *(action_terms(rule, each.reward) for each in journey.actions)]
