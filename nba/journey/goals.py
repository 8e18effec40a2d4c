"""Goals: what is learned from, and when a customer has left."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from nba.journey.fields import Identifier, JourneyPart, NonNegative, Positive, Share

Aggregate = Literal["sum", "max", "earliest"]


class Bounds(JourneyPart, frozen=True):
    """Between which values a reward is kept."""

    low: float
    high: float


class RewardRule(JourneyPart, frozen=True):
    """What is learned from: what comes of a decision within `window_days`.

    `response`: from 0 to 1: 1 where an event whose mapping says `outcome: positive` names the
    decision. `value`: EUR: the amounts of the `events` kinds in the window, and what the terms
    add. Costs are no part of it: arbitration takes them off. An action may declare its own events
    and window (`nba.journey.actions.ActionReward`); `nba.rewards.attribution` is the rule.
    """

    target: Literal["response", "value"] = "response"
    window_days: Positive = 7.0
    events: list[Identifier] = []  # for `value`: the kinds whose amounts are summed
    minus: list[Identifier] = []  # for `value`: the kinds whose amounts are subtracted
    aggregate: Aggregate = "sum"  # of several `events`
    default: float = 0.0  # of silence
    # for `response`, of several outcomes that name a decision: a positive one, whatever else came,
    # or the last; unset is best, so that the hashes of earlier files stay what they are
    outcomes: Literal["best", "last"] | UnsetType = UNSET
    credit: Literal["all", "last"] = "all"  # which decisions an event counts for, in whose windows
    bounds: Bounds | None = None  # for `value`: between which EUR a reward is kept
    staying: bool = False  # for `value`: adds the risk of leaving taken away x customer_value_eur
    feeling_eur: NonNegative = 0.0  # for `value`: of each point that the emotion rises by
    carry: Share = 0.0  # share of the next step's reward that a step of a sub-journey gets
    annoyance: bool = False  # what is reported is less the annoyance too, not the cost alone


class ChurnRule(JourneyPart, frozen=True):
    """When a customer has left: at `event`, or after `horizon_days` without any of `inactive`."""

    horizon_days: Positive
    event: Identifier | None = None  # a mapped kind, such as account_closed
    inactive: list[Identifier] = []  # the kinds that show that the customer is still with us
    every_days: Positive = 7.0  # spacing of the moments at which training asks
