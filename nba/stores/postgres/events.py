"""The events of the log in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, LiteralString

from nba.events.event import Event
from nba.stores.acceptance import decision_event_id
from nba.stores.postgres import sql
from nba.stores.postgres.connections import Connection, Connections
from nba.stores.postgres.rows import as_json, event_row


class PostgresTables:
    """What reads and writes through shared connections."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def _rows(self, statement: LiteralString, *values: object) -> list[tuple[Any, ...]]:
        with self._connections.connection() as connection:
            return connection.execute(statement, values).fetchall()


class PostgresEvents(PostgresTables):
    """Events: appended in turn, read by customer, by page and by decision."""

    def append_events(self, events: Sequence[Event]) -> list[int | None]:
        """As `Log.append_events`."""
        if not events:
            return []
        with self._connections.transaction() as connection:
            connection.execute(sql.TAKE_TURN)
            new = insert_events(connection, events)
        return [new.pop(event.event_id, None) for event in events]

    def events_since(self, positions: Mapping[str, int]) -> dict[str, list[Event]]:
        """As `Log.events_since`."""
        by_customer: dict[str, list[Event]] = {}
        if positions:
            for event in self._events(sql.EVENTS_SINCE, as_json(dict(positions))):
                by_customer.setdefault(event.customer_id, []).append(event)
        return by_customer

    def events_from(self, moments: Mapping[str, datetime]) -> dict[str, list[Event]]:
        """As `Log.events_from`."""
        by_customer: dict[str, list[Event]] = {}
        if moments:
            for event in self._events(sql.EVENTS_FROM, as_json(dict(moments))):
                by_customer.setdefault(event.customer_id, []).append(event)
        return by_customer

    def page_events(self, after: int = 0, limit: int = 10_000) -> list[Event]:
        """As `Log.page_events`."""
        return self._events(sql.PAGE_EVENTS, after, limit)

    def outcomes(self, decision_id: str) -> list[Event]:
        """As `Log.outcomes`."""
        return self._events(sql.OUTCOMES, decision_id, decision_event_id(decision_id))

    def outcomes_of(self, decision_ids: Sequence[str]) -> list[Event]:
        """As `Log.outcomes_of`."""
        own = [decision_event_id(decision_id) for decision_id in decision_ids]
        return self._events(sql.OUTCOMES_OF, list(decision_ids), own) if own else []

    def events_of(self, decision_ids: Sequence[str]) -> list[Event]:
        """As `Log.events_of`."""
        return self._events(sql.EVENTS_OF, list(decision_ids)) if decision_ids else []

    def position(self) -> int:
        """As `Log.position`."""
        return int(self._rows(sql.POSITION)[0][0])

    def _events(self, statement: LiteralString, *values: object) -> list[Event]:
        rows = self._rows(statement, *values)
        return [
            Event(
                seq=seq,
                event_id=event_id,
                customer_id=customer_id,
                name=name,
                occurred_at=occurred_at,
                received_at=received_at,
                properties=properties,
            )
            for seq, event_id, customer_id, name, occurred_at, received_at, properties in rows
        ]


def insert_events(connection: Connection, events: Sequence[Event]) -> dict[str, int]:
    """The seq of each that is new, by its id; the turn must be ours."""
    rows = as_json([event_row(event) for event in events])
    return dict(connection.execute(sql.INSERT_EVENTS, (rows,)).fetchall())
