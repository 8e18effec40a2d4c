"""Actions and the treatments that render them."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from nba.journey.fields import Day, Identifier, JourneyPart, NonNegative, Positive, Share, Text
from nba.journey.goals import Aggregate
from nba.journey.policies import Layer

NO_ACTION = "no_action"  # the action id of leaving the customer in peace
# the rules that an action or a treatment declares itself, each with its layer
INLINE_RULES: dict[str, Layer] = {
    "eligible": "eligibility",
    "applicable": "applicability",
    "suitable": "suitability",
}


class Treatment(JourneyPart, frozen=True):
    """One way to render an action."""

    id: Identifier
    name: Text | None = None
    eligible: str | None = None
    applicable: str | None = None
    suitable: str | None = None


class ActionReward(JourneyPart, frozen=True):
    """What shows that an action was worth it, in place of what the file's `reward` says."""

    events: list[Identifier] = []  # kinds of later events that count; none: the file's
    minus: list[Identifier] = []  # kinds that count against it
    window_days: Positive | None = None  # they count for so long; none: the file's
    window_hours: Positive | None = None  # the same in hours
    worth: float | None = None  # of each event; none: its amount, of a response 1
    aggregate: Aggregate | None = None  # of several; none: the file's
    default: float | None = None  # the reward of silence; none: the file's


class Action(JourneyPart, frozen=True):
    """Something that we may do at a touchpoint, on a channel."""

    id: Identifier
    channel: Identifier
    touchpoint: Identifier  # where it belongs
    also_at: list[Identifier] = []  # further touchpoints of the same channel that can show it
    name: Text | None = None
    group: Identifier | None = None
    type: Literal["marketing", "service", "transactional"] = "marketing"
    purpose: Identifier | None = None  # the consent that it needs; none: no consent
    treatment: Text | None = None  # how it is rendered, where there is one way
    treatments: list[Treatment] = []  # where there are several: the draw takes an allowed one
    value_eur: float = 0.0  # worth of one good response
    # what is guessed of its responses while nothing was trained; unset, and not a default, so that
    # the hashes of earlier files stay what they are
    p_accept: Share | UnsetType = UNSET
    cost_eur: NonNegative = 0.0  # of offering it once
    keeps: Share = 0.0  # of the risk of leaving, what a good response takes away
    begins: Day | None = None  # the first day on which it may be offered
    ends: Day | None = None  # the last
    eligible: str | None = None  # may we: law, product
    applicable: str | None = None  # does it make sense now
    suitable: str | None = None  # is it good for the customer
    only_in_sub_journey: bool = False  # offered only where a step calls for it
    features: dict[Identifier, float] = {}  # what the model may know of it
    reward: ActionReward | None = None  # what shows that it was worth it; none: the file's
