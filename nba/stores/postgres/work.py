"""Timers, deliveries, shared capacities, cursors and turns in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

import psycopg
from msgspec.structs import replace

from nba.decisions.decision import CapacityTaken
from nba.decisions.sub_journey_moves import SubJourneyTimer
from nba.errors import NotFound
from nba.events.event import Event
from nba.stores.acceptance import CapacityRoom, Period, periods
from nba.stores.log import Delivery
from nba.stores.postgres import sql, work_sql
from nba.stores.postgres.connections import Connection
from nba.stores.postgres.events import PostgresEvents, insert_events
from nba.stores.postgres.rows import UsedRow, as_json
from nba.stores.scheduled_work import fired, settles, unknown_delivery


class PostgresWork(PostgresEvents):
    """What is to be done, beside the events; several processes may be at it."""

    def used(self, keys: Sequence[Period]) -> dict[Period, float]:
        """As `Log.used`."""
        if not keys:
            return {}
        with self._connections.connection() as connection:
            return _used(connection, keys)

    def fire_timers(self, now: datetime, limit: int = 100) -> list[Event]:
        """As `Log.fire_timers`."""
        with self._connections.transaction() as connection:
            due = connection.execute(work_sql.HOLD_DUE_TIMERS, (now, limit)).fetchall()
            if not due:
                return []
            connection.execute(sql.TAKE_TURN)
            events = [fired(timer_id, customer_id, now) for timer_id, customer_id in due]
            new = insert_events(connection, events)
            connection.execute(work_sql.DROP_TIMERS, ([timer_id for timer_id, _ in due],))
        return [replace(e, seq=new[e.event_id]) for e in events if e.event_id in new]

    def claim_deliveries(self, now: datetime, limit: int, lease_s: float) -> list[Delivery]:
        """As `Log.claim_deliveries`."""
        until = now + timedelta(seconds=lease_s)
        rows = self._rows(work_sql.CLAIM_DELIVERIES, now, limit, until)
        return [_delivery(*row) for row in rows]

    def settle_delivery(self, delivery: Delivery, event: Event | None = None) -> None:
        """As `Log.settle_delivery`."""
        with self._connections.transaction() as connection:
            if event is not None:
                connection.execute(sql.TAKE_TURN)
            key = (delivery.decision_id,)
            row = connection.execute(work_sql.HOLD_DELIVERY, key).fetchone()
            if row is None:
                raise NotFound(unknown_delivery(delivery.decision_id))
            if settles(_delivery(*row), delivery):
                values = (delivery.state, delivery.due_at, delivery.attempts, delivery.error)
                connection.execute(work_sql.SETTLE_DELIVERY, (*values, *key))
                if event is not None:
                    insert_events(connection, [event])

    def deliveries(self, state: str, limit: int = 100) -> list[Delivery]:
        """As `Log.deliveries`."""
        return [_delivery(*row) for row in self._rows(work_sql.DELIVERIES, state, limit)]

    def cursor(self, name: str) -> int:
        """As `Log.cursor`."""
        rows = self._rows(work_sql.CURSOR, name)
        return int(rows[0][0]) if rows else 0

    def save_cursor(self, name: str, seq: int) -> None:
        """As `Log.save_cursor`."""
        with self._connections.connection() as connection:
            connection.execute(work_sql.SAVE_CURSOR, (name, seq))

    @contextmanager
    def turn(self, name: str) -> Iterator[bool]:
        """As `Log.turn`. A connection of its own holds it, and takes it along when it breaks."""
        with self._connections.alone() as connection:
            with self._connections.errors():
                connection.execute(work_sql.NOTICE_THE_DEAD)
                (is_ours,) = connection.execute(work_sql.TRY_TURN, (name,)).fetchone() or (False,)
            try:
                yield is_ours
            finally:
                if is_ours:  # the server notices a closed connection only some time later
                    with suppress(psycopg.Error):
                        connection.execute(work_sql.END_TURN, (name,))


def room(connection: Connection, uses: Sequence[CapacityTaken]) -> CapacityRoom:
    """What is left of the capacities that these use; the turn must be ours."""
    keys = sorted(periods(uses))
    return CapacityRoom(_used(connection, keys) if keys else {})


def leave_work(
    connection: Connection,
    taken: CapacityRoom,
    timers: Sequence[SubJourneyTimer],
    deliveries: Sequence[Delivery],
) -> None:
    """Store what appends take and leave to be done, in their transaction."""
    if taken.totals:
        rows = [UsedRow(*period, used) for period, used in taken.totals.items()]
        connection.execute(work_sql.SAVE_USED, (as_json(rows),))
    if timers:
        connection.execute(work_sql.SET_TIMERS, (as_json(timers),))
    if deliveries:
        connection.execute(work_sql.ADD_DELIVERIES, (as_json(deliveries),))


def _used(connection: Connection, keys: Sequence[Period]) -> dict[Period, float]:
    json_keys = as_json([UsedRow(*key) for key in keys])
    rows = connection.execute(work_sql.USED, (json_keys,)).fetchall()
    return {(capacity, period): used for capacity, period, used in rows}


def _delivery(
    decision_id: str, customer_id: str, state: Any, due_at: datetime, attempts: int, error: Any
) -> Delivery:
    return Delivery(
        decision_id=decision_id,
        customer_id=customer_id,
        state=state,
        due_at=due_at,
        attempts=attempts,
        error=error,
    )
