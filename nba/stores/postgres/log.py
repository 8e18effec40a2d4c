"""The log in PostgreSQL: plain SQL through psycopg 3, one round trip for each statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString, Self

from nba.decisions.decision import Decision, decision_from_json
from nba.stores.acceptance import accepted, accepted_guarded
from nba.stores.log import GuardedEvents
from nba.stores.postgres import schema, sql
from nba.stores.postgres.artifacts import PostgresArtifacts
from nba.stores.postgres.connections import Connections
from nba.stores.postgres.events import insert_events
from nba.stores.postgres.rows import (
    Lookup,
    append_state,
    as_json,
    decision_lookup,
    decision_row,
    event_row,
    guarded_lookup,
)
from nba.stores.postgres.work import PostgresWork, leave_work, room
from nba.stores.scheduled_work import delivery_of

POOL_SIZE = 8


class PostgresLog(PostgresWork, PostgresArtifacts):
    """A `Log` in PostgreSQL. Threads may share it; processes open one each.

    A commit is on the server's disk when a method returns (`synchronous_commit` is on at least).
    """

    def __init__(self, url: str, *, pool_size: int = POOL_SIZE) -> None:
        super().__init__(Connections(url, pool_size))

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

    def append_decisions(self, decisions: Sequence[Decision]) -> list[Decision | None]:
        """As `Log.append_decisions`."""
        if not decisions:
            return []
        lookups = as_json([decision_lookup(decision) for decision in decisions])
        with self._connections.transaction() as connection:
            connection.execute(sql.TAKE_TURN)
            uses = [use for made in decisions for use in (*made.uses, *made.watched)]
            left = room(connection, uses)
            states = [
                append_state(*row)
                for row in connection.execute(sql.APPEND_STATES, (lookups,)).fetchall()
            ]
            answers, new = accepted(decisions, states, left)
            if new:
                events = [event_row(event) for made in new for event in made.as_events()]
                records = [decision_row(decision) for decision in new]
                connection.execute(sql.INSERT_DECISIONS, (as_json(events), as_json(records)))
                timers = [timer for decision in new for timer in decision.timers]
                deliveries = [d for made in new if (d := delivery_of(made)) is not None]
                leave_work(connection, left, timers, deliveries)
        return answers

    def append_guarded(self, appends: Sequence[GuardedEvents]) -> list[bool]:
        """As `Log.append_guarded`."""
        if not appends:
            return []
        lookups = as_json([guarded_lookup(append) for append in appends])
        with self._connections.transaction() as connection:
            connection.execute(sql.TAKE_TURN)
            left = room(connection, [use for append in appends for use in append.uses])
            states = [
                append_state(*row)
                for row in connection.execute(sql.APPEND_STATES, (lookups,)).fetchall()
            ]
            answers, new = accepted_guarded(appends, states, left)
            if new:
                insert_events(connection, [event for append in new for event in append.events])
                timers = [timer for append in new for timer in append.timers]
                leave_work(connection, left, timers, [])
        return answers

    def page_decisions(self, after: int = 0, limit: int = 1_000) -> list[tuple[int, Decision]]:
        """As `Log.page_decisions`."""
        rows = self._rows(sql.PAGE_DECISIONS, after, limit)
        return [(seq, decision_from_json(record)) for seq, record in rows]

    def decision(self, decision_id: str) -> Decision | None:
        """As `Log.decision`."""
        decisions = self._decisions(sql.DECISION, decision_id)
        return decisions[0] if decisions else None

    def decisions(self, decision_ids: Sequence[str]) -> dict[str, Decision]:
        """As `Log.decisions`."""
        decisions = self._decisions(sql.DECISIONS, list(decision_ids)) if decision_ids else []
        return {decision.decision_id: decision for decision in decisions}

    def answered(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Decision]:
        """As `Log.answered`."""
        if not keys:
            return {}
        lookups = [Lookup(customer_id=customer, request_id=request) for customer, request in keys]
        decisions = self._decisions(sql.ANSWERED, as_json(lookups))
        return {(d.request.customer_id, d.request.request_id or ""): d for d in decisions}

    def customer_decisions(self, customer_id: str, limit: int = 100) -> list[Decision]:
        """As `Log.customer_decisions`."""
        return self._decisions(sql.CUSTOMER_DECISIONS, customer_id, limit)

    def close(self) -> None:
        """As `Log.close`."""
        self._connections.close()

    def _decisions(self, statement: LiteralString, *values: object) -> list[Decision]:
        return [decision_from_json(record) for (record,) in self._rows(statement, *values)]
