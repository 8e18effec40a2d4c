"""The window of a decision: what may count for it, from when until when, and what it adds up to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from math import fsum
from typing import NamedTuple

from nba.events.event import Event, micros
from nba.journey.file import JourneyFile
from nba.rewards.terms import ActionTerms, action_terms
from nba.rewards.validity import Reach, at_s, in_order, reach_of, when

MOST_STEPS = 32  # of one reward, however many events make it


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


class Arrival(NamedTuple):
    """A part of a reward that came at once."""

    at_s: float  # when it was received, seconds since 1970 UTC
    amount: float


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


def arrivals_of(
    entries: Sequence[Entry], window: Window, reward: Callable[[Sequence[Entry]], float]
) -> tuple[Arrival, ...]:
    """How a reward has grown from that of silence, in the order in which its entries came.

    `reward`: of some of the entries. One that was received after the window has passed, as in an
    import, tells nothing of how long rewards take: it came when it occurred.
    """

    def came_s(entry: Entry) -> float:
        received_s = micros(entry.occurrence.event.received_at) / 1e6
        in_time = received_s <= max(window.closes_s, window.named_until_s)
        return received_s if in_time else entry.occurrence.at_s

    ordered = sorted(entries, key=came_s)
    steps = _spread(len(ordered))
    rewards = [reward(ordered[:step]) for step in (0, *steps)]
    return tuple(
        Arrival(came_s(ordered[step - 1]), after - before)
        for step, (before, after) in zip(steps, pairwise(rewards), strict=True)
        if after != before
    )


def _spread(entries: int) -> Sequence[int]:
    """After how many of them the reward is looked at: after each, or at most MOST_STEPS times."""
    if entries <= MOST_STEPS:
        return range(1, entries + 1)
    return sorted({round(entries * step / MOST_STEPS) for step in range(1, MOST_STEPS + 1)})
