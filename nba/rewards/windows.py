"""The window of a decision: what may count for it, from when until when, and what it adds up to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import fsum
from typing import NamedTuple

from nba.events.event import Event
from nba.journey.file import JourneyFile
from nba.rewards.terms import ActionTerms, action_terms
from nba.rewards.validity import Reach, at_s, in_order, reach_of, when


class Occurrence(NamedTuple):
    """An event that may count for a decision."""

    at_s: float
    event: Event
    kind: str | None


class Entry(NamedTuple):
    """What one event adds to a reward."""

    occurrence: Occurrence
    amount: float
    against: bool = False  # it is taken off
    states: bool = False  # it stands for all that came before it


class Window(NamedTuple):
    """The span in which events may count for one decision.

    Those that need not name it count by when it was made, so that `no_action`, which nobody
    activates, is looked at for the same time as what was activated later.
    """

    decision: Event
    terms: ActionTerms
    named: Sequence[Occurrence]  # events that name it, in order of time
    reach: Reach
    made_s: float
    since_s: float  # when it reached the customer; made, where it did not

    @property
    def closes_s(self) -> float:
        """Until when events that need not name it count."""
        return self.made_s + self.terms.window_s

    @property
    def named_until_s(self) -> float:
        """Until when events that name it count."""
        return self.since_s + self.terms.window_s

    def holds(self, occurrence: Occurrence) -> bool:
        """Whether an event that need not name the decision falls into it."""
        return self.made_s < occurrence.at_s <= self.closes_s


def is_late(
    journey: JourneyFile, outcome: Event, decision: Event, named: Iterable[Event] = ()
) -> bool:
    """Whether an outcome comes after the window of the decision that it names.

    `decision`: its `Action Decided`. `named`: what names it; only a deferred one needs that.
    """
    drawn = decision.properties.get("action_id")
    own = next((action.reward for action in journey.actions if action.id == drawn), None)
    reach, since_s = reach_of(decision, in_order(named))
    window_s = action_terms(journey.reward, own).window_s
    return reach == "reached" and at_s(outcome) > since_s + window_s


def reward_of(entries: Sequence[Entry], terms: ActionTerms) -> float:
    """The reward that these entries make, before terms and bounds."""
    if not entries:
        return terms.default
    ordered = sorted(entries, key=lambda entry: when(entry.occurrence.event))
    stated = max((n for n, entry in enumerate(ordered) if entry.states), default=0)
    ordered = ordered[stated:]
    plus = [entry.amount for entry in ordered if not entry.against]
    minus = [-entry.amount for entry in ordered if entry.against]
    if plus and terms.aggregate != "sum":
        plus = [max(plus) if terms.aggregate == "max" else plus[0]]
    return fsum((*plus, *minus))
