"""Connections to PostgreSQL: opened, reused, replaced when broken; their errors named once.

This is less than psycopg_pool, and on purpose. There, a request that finds the server gone waits
for the pool's timeout and learns no more than that (2 s of 2 s, measured); here, it tries to
connect, and has the refusal with its reason in a millisecond, so that a decision falls back in
time. The next request after the server's return simply succeeds.
"""

from __future__ import annotations

import select
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import msgspec
import psycopg
from psycopg import errors, pq
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.json import set_json_loads

from nba.errors import InvalidInput, StoreUnavailable, UnknownSchema

Connection = psycopg.Connection[tuple[Any, ...]]

CONNECT_TIMEOUT_S = 3
# A peer that stops in the middle of a transaction must not hold the whole log for ever. Every
# statement is served by an index; a plan that was made and kept while a table was small would
# read the whole of it, once it has grown.
_SESSION = """
SELECT set_config('TimeZone', 'UTC', false),
       set_config('lock_timeout', '5s', false),
       set_config('idle_in_transaction_session_timeout', '5s', false),
       set_config('enable_seqscan', 'off', false),
       CASE WHEN current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')
            THEN set_config('synchronous_commit', 'on', false) END
"""
_LIMIT_EXCEEDED = "54"  # class of SQLSTATE: the statement is too large, now and on every retry


class Connections:
    """At most `size` connections, opened when needed; safe to share between threads."""

    def __init__(self, url: str, size: int, wait_s: float = 5.0) -> None:
        self._url = url
        self._size = size
        self._wait_s = wait_s
        self._free = threading.BoundedSemaphore(size)
        self._idle: list[Connection] = []  # last in, first out: the warmest is used again
        self._closed = False

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection in autocommit. Raises StoreUnavailable, in place of the driver's errors."""
        if not self._free.acquire(timeout=self._wait_s):
            raise StoreUnavailable(
                f"all {self._size} connections to PostgreSQL stayed busy for {self._wait_s:g} s; "
                f"send less at once, or give the log a larger pool_size"
            )
        try:
            with database_errors(self._url):
                connection = self._take()
                try:
                    yield connection
                finally:
                    self._give_back(connection)
        finally:
            self._free.release()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection in a transaction, committed when the block ends well."""
        with self.connection() as connection, connection.transaction():
            yield connection

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """A new connection beside the shared ones, closed in the end. Raises StoreUnavailable."""
        with self.errors():
            connection = connect(self._url)
        try:
            yield connection
        finally:
            connection.close()

    def errors(self) -> AbstractContextManager[None]:
        """Where the driver's errors become ours."""
        return database_errors(self._url)

    def close(self) -> None:
        """Close the idle ones now, and the busy ones as they come back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> Connection:
        if self._closed:
            raise StoreUnavailable("this log is closed; open it again")
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread was faster
                break
            if _is_quiet(connection):
                return connection
            connection.close()
        return connect(self._url)

    def _give_back(self, connection: Connection) -> None:
        idle = connection.info.transaction_status == pq.TransactionStatus.IDLE
        if idle and not self._closed:
            self._idle.append(connection)
        else:
            connection.close()


def connect(url: str) -> Connection:
    """A new connection in autocommit, in UTC, that reads JSON with msgspec.

    Raises psycopg.OperationalError; InvalidInput where `url` cannot be read.
    """
    try:
        known = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # The driver's message would show a piece of the URL, which may be the password.
        remedy = "give postgresql://user:password@host:port/database"
        raise InvalidInput("database URL", "(not shown)", remedy) from None
    timeout = known.get("connect_timeout") or CONNECT_TIMEOUT_S
    connection = psycopg.connect(url, autocommit=True, connect_timeout=int(timeout))
    set_json_loads(msgspec.json.decode, connection)
    connection.execute(_SESSION)
    return connection


@contextmanager
def database_errors(url: str) -> Iterator[None]:
    """The one place where an error of the driver becomes one of ours."""
    try:
        yield
    except (errors.UndefinedTable, errors.UndefinedColumn) as error:
        raise UnknownSchema(f"{_line(error)}: run `nba migrate`") from error
    except (errors.ReadOnlySqlTransaction, errors.IdleInTransactionSessionTimeout) as error:
        raise _unavailable(url, error) from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        if (error.sqlstate or "").startswith(_LIMIT_EXCEEDED):
            raise
        raise _unavailable(url, error) from error


def _unavailable(url: str, error: Exception) -> StoreUnavailable:
    known = conninfo_to_dict(url)
    where = f"{known.get('host') or 'the local socket'}, database {known.get('dbname')!r}"
    return StoreUnavailable(
        f"PostgreSQL at {where}: {_line(error)}; check that it runs and NBA_DATABASE_URL names it"
    )


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _is_quiet(connection: Connection) -> bool:
    """Whether an idle connection is still good, without asking the server.

    A server that closed it has sent something: its farewell, or the end of the stream.
    """
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return not poll.poll(0)
