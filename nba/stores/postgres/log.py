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
    as_json,
    asked_of,
    asked_of_guarded,
    decision_row,
    event_row,
    stand,
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
        asked = as_json([asked_of(decision) for decision in decisions])
        with self._connections.transaction() as connection:
            connection.execute(sql.TAKE_TURN)
            scarce = [use for one in decisions for use in (*one.uses, *one.watched)]
            left = room(connection, scarce)
            stands = [stand(*row) for row in connection.execute(sql.STANDS, (asked,)).fetchall()]
            answers, new = accepted(decisions, stands, left)
            if new:
                events = [event_row(event) for one in new for event in one.as_events()]
                records = [decision_row(decision) for decision in new]
                connection.execute(sql.INSERT_DECISIONS, (as_json(events), as_json(records)))
                timers = [timer for decision in new for timer in decision.timers]
                going_out = [one for one in map(delivery_of, new) if one is not None]
                leave_work(connection, left, timers, going_out)
        return answers

    def append_guarded(self, appends: Sequence[GuardedEvents]) -> list[bool]:
        """As `Log.append_guarded`."""
        if not appends:
            return []
        asked = as_json([asked_of_guarded(append) for append in appends])
        with self._connections.transaction() as connection:
            connection.execute(sql.TAKE_TURN)
            left = room(connection, [use for append in appends for use in append.uses])
            stands = [stand(*row) for row in connection.execute(sql.STANDS, (asked,)).fetchall()]
            answers, new = accepted_guarded(appends, stands, left)
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
        found = self._decisions(sql.DECISION, decision_id)
        return found[0] if found else None

    def decisions(self, decision_ids: Sequence[str]) -> dict[str, Decision]:
        """As `Log.decisions`."""
        found = self._decisions(sql.DECISIONS, list(decision_ids)) if decision_ids else []
        return {decision.decision_id: decision for decision in found}

    def answered(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Decision]:
        """As `Log.answered`."""
        if not keys:
            return {}
        asked = [Lookup(customer_id=customer, request_id=request) for customer, request in keys]
        found = self._decisions(sql.ANSWERED, as_json(asked))
        return {(one.request.customer_id, one.request.request_id or ""): one for one in found}

    def customer_decisions(self, customer_id: str, limit: int = 100) -> list[Decision]:
        """As `Log.customer_decisions`."""
        return self._decisions(sql.CUSTOMER_DECISIONS, customer_id, limit)

    def close(self) -> None:
        """As `Log.close`."""
        self._connections.close()

    def _decisions(self, statement: LiteralString, *values: object) -> list[Decision]:
        return [decision_from_json(record) for (record,) in self._rows(statement, *values)]
