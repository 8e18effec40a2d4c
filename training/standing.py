"""Which past decisions count, and from when: one rule for what is learned and what is reported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nba.context import DAY_S
from nba.events import (
    ACTION_ACTIVATED,
    ACTION_DECIDED,
    ACTION_DELIVERED,
    ACTION_EXPIRED,
    ACTION_OUTCOMES,
    NO_ACTION,
    Event,
    micros,
)
from nba.journey import RewardRule
from training.history import History


class Settled(NamedTuple):
    """A decision that counts and whose reward window is over."""

    event: Event
    since_s: float  # from when its reward counts, seconds since 1970 UTC

    @property
    def activated_later(self) -> bool:
        """Whether its window begins with a sign of its own and not with the decision."""
        return self.since_s > micros(self.event.occurred_at) / 1e6


class _Signs(NamedTuple):
    """What the events after a decision say of it."""

    first_s: float | None = None  # of those that show that it was activated
    reached: bool = False  # she has seen it
    expired: bool = False


def settled(history: History, rule: RewardRule) -> list[Settled]:
    """The decisions that count and whose reward window is over at the end of the log, as they
    stand in it.

    A decision counts from when it was made. A deferred one counts from its activation: the first
    `Action Activated`, `Action Delivered` or outcome that names it; without one it does not count.
    `no_action` counts from when it was decided, deferred or not: nobody can activate it, and
    leaving it out would choose decisions by what was drawn. `Action Expired` ends that a decision
    counts, unless she had seen it before or any such sign comes after, as in `nba/ledger_fold.py`;
    then it counts from where it would have without.
    """
    window_s = rule.window_days * DAY_S
    signs = _signs(history.events)
    found = []
    for event in history.events:
        if event.name != ACTION_DECIDED:
            continue
        since_s = _since_s(event, signs.get(event.decision_id or "", _Signs()))
        if since_s is not None and since_s + window_s <= history.end_s:
            found.append(Settled(event, since_s))
    return found


def _since_s(event: Event, signs: _Signs) -> float | None:
    at_s = micros(event.occurred_at) / 1e6
    if event.properties.get("action_id") == NO_ACTION:
        return at_s
    if signs.expired:
        return None
    if event.properties.get("deferred") is not True:
        return at_s
    return None if signs.first_s is None else max(at_s, signs.first_s)


def _signs(events: Sequence[Event]) -> dict[str, _Signs]:
    """By decision id, from events in order of time."""
    telling = (*ACTION_OUTCOMES, ACTION_ACTIVATED, ACTION_DELIVERED, ACTION_EXPIRED)
    named = [event for event in events if event.name in telling and event.decision_id]
    found: dict[str, _Signs] = {}
    for event in sorted(named, key=lambda event: (event.occurred_at, event.seq)):
        decision_id = str(event.decision_id)
        before = found.get(decision_id, _Signs())
        if event.name == ACTION_EXPIRED:
            found[decision_id] = before._replace(expired=not before.reached)
            continue
        first_s = before.first_s if before.first_s is not None else micros(event.occurred_at) / 1e6
        reached = before.reached or event.name in ACTION_OUTCOMES
        found[decision_id] = _Signs(first_s, reached)
    return found
