"""The log in PostgreSQL: plain SQL through psycopg 3, one round trip for each statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, LiteralString, Self

import msgspec
from psycopg import errors

from nba.decision import Decision, decision_from_json
from nba.errors import NotFound
from nba.events import Event
from nba.stores import postgres_sql as sql, schema
from nba.stores.acceptance import (
    Stand,
    accepted,
    claimed_decision,
    decision_event_id,
    unsaved_bundle,
)
from nba.stores.connections import Connections
from nba.stores.log import Snapshot, StoredBundle

POOL_SIZE = 8


class PostgresLog:
    """A `Log` in PostgreSQL. Threads may share it; processes open one each.

    A commit is on the server's disk when a method returns (`synchronous_commit` is on at least).
    """

    def __init__(self, url: str, *, pool_size: int = POOL_SIZE) -> None:
        self._connections = Connections(url, pool_size)

    @classmethod
    def open(cls, url: str, *, pool_size: int = POOL_SIZE) -> Self:
        """The log at `url`, once its tables are known to be this program's.

        Raises StoreUnavailable; UnknownSchema where the tables are absent, older or newer.
        """
        log = cls(url, pool_size=pool_size)
        try:
            with log._connections.connection() as connection:
                schema.check(connection)
        except BaseException:
            log.close()
            raise
        return log

    def append_events(self, events: Sequence[Event]) -> list[int | None]:
        """As `Log.append_events`."""
        if not events:
            return []
        rows = _json([_event_row(event) for event in events])
        with self._connections.transaction() as connection:
            connection.execute(sql.TAKE_TURN)
            new = dict(connection.execute(sql.INSERT_EVENTS, (rows,)).fetchall())
        return [new.pop(event.event_id, None) for event in events]

    def append_decisions(self, decisions: Sequence[Decision]) -> list[Decision | None]:
        """As `Log.append_decisions`."""
        if not decisions:
            return []
        asked = _json([_asked(decision) for decision in decisions])
        with self._connections.transaction() as connection:
            connection.execute(sql.TAKE_TURN)
            found = connection.execute(sql.STANDS, (asked,)).fetchall()
            answers, new = accepted(decisions, [_stand(*row) for row in found])
            if new:
                rows = _json([_decision_row(decision) for decision in new])
                connection.execute(sql.INSERT_DECISIONS, (rows,))
        return answers

    def events_since(self, positions: Mapping[str, int]) -> dict[str, list[Event]]:
        """As `Log.events_since`."""
        found: dict[str, list[Event]] = {}
        if positions:
            for event in self._events(sql.EVENTS_SINCE, _json(dict(positions))):
                found.setdefault(event.customer_id, []).append(event)
        return found

    def page_events(self, after: int = 0, limit: int = 10_000) -> list[Event]:
        """As `Log.page_events`."""
        return self._events(sql.PAGE_EVENTS, after, limit)

    def page_decisions(self, after: int = 0, limit: int = 1_000) -> list[tuple[int, Decision]]:
        """As `Log.page_decisions`."""
        rows = self._rows(sql.PAGE_DECISIONS, after, limit)
        return [(seq, decision_from_json(record)) for seq, record in rows]

    def decision(self, decision_id: str) -> Decision | None:
        """As `Log.decision`."""
        found = self._decisions(sql.DECISION, decision_id)
        return found[0] if found else None

    def answered(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Decision]:
        """As `Log.answered`."""
        if not keys:
            return {}
        asked = [_Asked(customer_id=customer, request_id=request) for customer, request in keys]
        found = self._decisions(sql.ANSWERED, _json(asked))
        return {(one.request.customer_id, one.request.request_id or ""): one for one in found}

    def customer_decisions(self, customer_id: str, limit: int = 100) -> list[Decision]:
        """As `Log.customer_decisions`."""
        return self._decisions(sql.CUSTOMER_DECISIONS, customer_id, limit)

    def outcomes(self, decision_id: str) -> list[Event]:
        """As `Log.outcomes`."""
        return self._events(sql.OUTCOMES, decision_id, decision_event_id(decision_id))

    def position(self) -> int:
        """As `Log.position`."""
        return int(self._rows(sql.POSITION)[0][0])

    def snapshots(self, customer_ids: Sequence[str], kernel: str) -> dict[str, Snapshot]:
        """As `Log.snapshots`."""
        rows = self._rows(sql.SNAPSHOTS, list(customer_ids), kernel) if customer_ids else []
        return {
            customer_id: Snapshot(customer_id=customer_id, kernel=kernel, seq=seq, state=state)
            for customer_id, seq, state in rows
        }

    def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        """As `Log.save_snapshots`."""
        newest: dict[tuple[str, str], Snapshot] = {}
        for snapshot in snapshots:
            key = (snapshot.customer_id, snapshot.kernel)
            present = newest.get(key)
            if present is None or snapshot.seq >= present.seq:
                newest[key] = snapshot
        if newest:
            # In one order everywhere, so that two callers cannot each wait for the other's row.
            rows = [(*key, newest[key].seq, newest[key].state) for key in sorted(newest)]
            with self._connections.transaction() as connection:
                connection.execute(sql.WITHOUT_WAITING)
                connection.execute(
                    sql.SAVE_SNAPSHOTS, [list(column) for column in zip(*rows, strict=True)]
                )

    def save_bundle(self, bundle_id: str, files: Mapping[str, bytes]) -> None:
        """As `Log.save_bundle`."""
        with self._connections.transaction() as connection:
            if connection.execute(sql.SAVE_BUNDLE, (bundle_id,)).rowcount:
                rows = [(bundle_id, name, content) for name, content in files.items()]
                connection.cursor().executemany(sql.SAVE_BUNDLE_FILE, rows)

    def set_alias(self, alias: str, bundle_id: str, at: datetime) -> None:
        """As `Log.set_alias`."""
        with self._connections.connection() as connection:
            try:
                connection.execute(sql.SET_ALIAS, (alias, bundle_id, at))
            except errors.ForeignKeyViolation:
                raise NotFound(unsaved_bundle(alias, bundle_id)) from None

    def alias(self, alias: str) -> str | None:
        """As `Log.alias`."""
        rows = self._rows(sql.ALIAS, alias)
        return rows[0][0] if rows else None

    def bundle(self, bundle_id: str) -> StoredBundle | None:
        """As `Log.bundle`."""
        rows = self._rows(sql.BUNDLE, bundle_id)
        if not rows:
            return None
        files = {name: content for _, name, content in rows if name is not None}
        return StoredBundle(bundle_id=bundle_id, files=files)

    def close(self) -> None:
        """As `Log.close`."""
        self._connections.close()

    def _rows(self, statement: LiteralString, *values: object) -> list[tuple[Any, ...]]:
        with self._connections.connection() as connection:
            return connection.execute(statement, values).fetchall()

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

    def _decisions(self, statement: LiteralString, *values: object) -> list[Decision]:
        return [decision_from_json(record) for (record,) in self._rows(statement, *values)]


class _EventRow(msgspec.Struct):
    """A row of `events` before it has a seq."""

    event_id: str
    customer_id: str
    name: str
    occurred_at: datetime
    received_at: datetime
    decision_id: str | None
    properties: dict[str, Any]


class _DecisionRow(_EventRow):
    """A row of `decisions` and, in the same fields, its row of `events`."""

    request_id: str | None
    record: msgspec.Raw  # Decision.to_json, kept byte for byte


class _Asked(msgspec.Struct, kw_only=True):
    """What `STANDS` and `ANSWERED` look up."""

    customer_id: str
    request_id: str | None
    decision_id: str | None = None
    event_id: str | None = None


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _event_row(event: Event) -> _EventRow:
    return _EventRow(
        event.event_id,
        event.customer_id,
        event.name,
        event.occurred_at,
        event.received_at,
        claimed_decision(event),
        event.properties,
    )


def _decision_row(decision: Decision) -> _DecisionRow:
    event = decision.as_event()
    return _DecisionRow(
        event.event_id,
        event.customer_id,
        event.name,
        event.occurred_at,
        event.received_at,
        decision.decision_id,
        event.properties,
        decision.request.request_id,
        msgspec.Raw(decision.to_json()),
    )


def _asked(decision: Decision) -> _Asked:
    return _Asked(
        customer_id=decision.request.customer_id,
        request_id=decision.request.request_id,
        decision_id=decision.decision_id,
        event_id=decision_event_id(decision.decision_id),
    )


def _stand(position: int, earlier: str | None, taken: bool) -> Stand:
    record = None if earlier is None else decision_from_json(earlier)
    return Stand(position=position, earlier=record, taken=taken)
