"""The log in memory, for simulation and tests: the same contract, gone with the process."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from nba.decisions.decision import Decision
from nba.decisions.sub_journey_moves import SubJourneyTimer
from nba.stores.acceptance import (
    AppendState,
    CapacityRoom,
    accepted,
    accepted_guarded,
    decision_event_id,
    last_id,
)
from nba.stores.log import GuardedEvents
from nba.stores.memory.work import MemoryArtifacts, MemoryWork
from nba.stores.scheduled_work import delivery_of


class MemoryLog(MemoryWork, MemoryArtifacts):
    """A `Log` in dictionaries, under a lock."""

    def __init__(self) -> None:
        MemoryWork.__init__(self)
        MemoryArtifacts.__init__(self)
        self._decisions: list[tuple[int, Decision]] = []
        self._decision_by_id: dict[str, Decision] = {}
        self._decision_by_key: dict[tuple[str, str], Decision] = {}
        self._decisions_by_customer: dict[str, list[Decision]] = {}

    def append_decisions(self, decisions: Sequence[Decision]) -> list[Decision | None]:
        """As `Log.append_decisions`."""
        with self._lock:
            room = CapacityRoom(self._used)
            states = [self._append_state(decision) for decision in decisions]
            answers, new = accepted(decisions, states, room)
            for decision in new:
                seq = [self._append(event) for event in decision.as_events()][-1]
                assert seq is not None  # `accepted` refuses a taken id
                self._decisions.append((seq, decision))
                self._decision_by_id[decision.decision_id] = decision
                request = decision.request
                if request.request_id is not None:
                    key = (request.customer_id, request.request_id)
                    self._decision_by_key[key] = decision
                self._decisions_by_customer.setdefault(request.customer_id, []).append(decision)
                self._set_timers(decision.timers)
                delivery = delivery_of(decision)
                if delivery is not None:
                    self._deliveries[delivery.decision_id] = delivery
            self._used.update(room.totals)
            return answers

    def append_guarded(self, appends: Sequence[GuardedEvents]) -> list[bool]:
        """As `Log.append_guarded`."""
        with self._lock:
            room = CapacityRoom(self._used)
            states = [
                AppendState(
                    position=self._position(append.customer_id),
                    taken=last_id(append) in self._event_ids,
                )
                for append in appends
            ]
            answers, new = accepted_guarded(appends, states, room)
            for append in new:
                for event in append.events:
                    self._append(event)
                self._set_timers(append.timers)
            self._used.update(room.totals)
            return answers

    def page_decisions(self, after: int = 0, limit: int = 1_000) -> list[tuple[int, Decision]]:
        """As `Log.page_decisions`."""
        with self._lock:
            first = bisect_right(self._decisions, after, key=lambda row: row[0])
            return self._decisions[first : first + limit]

    def decision(self, decision_id: str) -> Decision | None:
        """As `Log.decision`."""
        with self._lock:
            return self._decision_by_id.get(decision_id)

    def decisions(self, decision_ids: Sequence[str]) -> dict[str, Decision]:
        """As `Log.decisions`."""
        with self._lock:
            known = self._decision_by_id
            return {
                decision_id: known[decision_id]
                for decision_id in decision_ids
                if decision_id in known
            }

    def answered(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Decision]:
        """As `Log.answered`."""
        with self._lock:
            known = self._decision_by_key
            return {key: known[key] for key in keys if key in known}

    def customer_decisions(self, customer_id: str, limit: int = 100) -> list[Decision]:
        """As `Log.customer_decisions`."""
        with self._lock:
            return self._decisions_by_customer.get(customer_id, [])[::-1][:limit]

    def close(self) -> None:
        """As `Log.close`."""

    def _set_timers(self, timers: Sequence[SubJourneyTimer]) -> None:
        for timer in timers:
            self._timers.setdefault(timer.timer_id, timer)

    def _append_state(self, decision: Decision) -> AppendState:
        request = decision.request
        earlier = self._decision_by_id.get(decision.decision_id)
        if earlier is not None and earlier.request.customer_id != request.customer_id:
            earlier = None
        if request.request_id is not None:
            key = (request.customer_id, request.request_id)
            earlier = self._decision_by_key.get(key, earlier)
        return AppendState(
            position=self._position(request.customer_id),
            earlier=earlier,
            taken=decision_event_id(decision.decision_id) in self._event_ids,
        )
