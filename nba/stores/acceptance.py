"""Which appends of one call are stored: the rule that every log keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from nba.decisions.decision import CapacityTaken, Decision
from nba.errors import shown
from nba.events.event import Event
from nba.events.names import DECISION_PREFIX
from nba.events.parsing import MAX_ID_CHARS
from nba.stores.log import GuardedEvents

Period = tuple[str, str]  # (capacity, period)


class AppendState(msgspec.Struct, frozen=True, kw_only=True):
    """What the log holds, before a call, about one of its appends."""

    position: int  # seq of the customer's last event, 0 for none
    earlier: Decision | None = None  # of this customer, with the same request_id or decision_id
    taken: bool  # the id of its last event is in the log


class CapacityRoom:
    """What was taken of shared capacities, while the appends of one call are judged in turn."""

    def __init__(self, used: Mapping[Period, float]) -> None:
        self._used = dict(used)
        self._changed: set[Period] = set()

    def take(self, uses: Sequence[CapacityTaken]) -> bool:
        """Take all of them, or none where one of them would go over its `most`."""
        after = dict(self._used)
        for use in uses:
            period = (use.capacity, use.period)
            after[period] = after.get(period, 0.0) + use.amount
            if after[period] > use.most:
                return False
        self._used = after
        self._changed |= periods(uses)
        return True

    def holds(self, uses: Sequence[CapacityTaken]) -> bool:
        """Whether there is room for each of them.

        A decision stands only while what it could have drawn can still be had: else those that
        draw something else would be kept and the others drawn again, and propensities be wrong.
        """
        return all(
            self._used.get((use.capacity, use.period), 0.0) + use.amount <= use.most for use in uses
        )

    @property
    def totals(self) -> dict[Period, float]:
        """What is taken now of those that this call has taken of."""
        return {period: self._used[period] for period in sorted(self._changed)}


def periods(uses: Sequence[CapacityTaken]) -> set[Period]:
    """Which (capacity, period) they take of."""
    return {(use.capacity, use.period) for use in uses}


def accepted(
    decisions: Sequence[Decision], states: Sequence[AppendState], room: CapacityRoom
) -> tuple[list[Decision | None], list[Decision]]:
    """(answers, to store). An answer is the decision itself, the earlier one, or None: again.

    The decisions count one after the other: the first that is stored moves its customer's log
    past all that were made on the same context, and leaves less of what it uses to the rest.
    """
    answers: list[Decision | None] = []
    stored: dict[str, Decision] = {}  # by customer
    ids: set[str] = set()
    for decision, state in zip(decisions, states, strict=True):
        customer_id = decision.request.customer_id
        before = stored.get(customer_id)
        if state.earlier is not None:
            answers.append(state.earlier)
        elif before is not None:
            answers.append(before if _answers(before, decision) else None)
        elif state.taken or decision.decision_id in ids or decision.context_seq < state.position:
            answers.append(None)
        elif not (room.holds(decision.watched) and room.take(decision.uses)):
            answers.append(None)
        else:
            stored[customer_id] = decision
            ids.add(decision.decision_id)
            answers.append(decision)
    return answers, list(stored.values())


def accepted_guarded(
    appends: Sequence[GuardedEvents], states: Sequence[AppendState], room: CapacityRoom
) -> tuple[list[bool], list[GuardedEvents]]:
    """(answers, to store), by the rule of `accepted`. True also where it was stored before."""
    answers: list[bool] = []
    stored: dict[str, GuardedEvents] = {}  # by customer
    ids: set[str] = set()
    for append, state in zip(appends, states, strict=True):
        if state.taken or last_id(append) in ids:
            answers.append(True)
            continue
        fresh = append.customer_id not in stored and append.seen_seq >= state.position
        answers.append(fresh and room.take(append.uses))
        if answers[-1]:
            stored[append.customer_id] = append
            ids.update(event.event_id for event in append.events)
    return answers, list(stored.values())


def last_id(append: GuardedEvents) -> str:
    """The id of the event that says whether it was stored before."""
    return append.events[-1].event_id


def claimed_decision(event: Event) -> str | None:
    """The decision that an event names, where that can be the id of one.

    Any text may come in as a property; only one of an id's length is worth an index entry.
    """
    name = event.decision_id
    return name if name is not None and 0 < len(name) <= MAX_ID_CHARS else None


def _answers(earlier: Decision, decision: Decision) -> bool:
    same_key = decision.request.request_id is not None and (
        decision.request.request_id == earlier.request.request_id
    )
    return same_key or decision.decision_id == earlier.decision_id


def unsaved_bundle(alias: str, bundle_id: str) -> str:
    """Why an alias was not set."""
    return f"bundle {shown(bundle_id)} is not saved; save it before pointing {shown(alias)} at it"


def decision_event_id(decision_id: str) -> str:
    """The id of the decision's own `Action Decided`, the last of `Decision.as_events`."""
    return DECISION_PREFIX + decision_id
