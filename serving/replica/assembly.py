"""The composition root: settings become a replica of concrete parts."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

from nba.decisions.request import Request
from nba.engine.decider import IdsAndSeeds
from nba.events.valences import ValenceTable
from nba.journey.file import JourneyFile
from nba.promotion import catalogue_versions as catalogue
from nba.randomization import seed_of
from nba.stores.log import Log
from serving.replica.engine import make_engine
from serving.replica.replica import Replica
from serving.settings import Settings


def utc_now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


def new_id() -> str:
    """A decision id that nobody can guess."""
    return f"dec-{uuid.uuid4().hex}"


@contextmanager
def opened_log(settings: Settings) -> Iterator[Log]:
    """The log of these settings for one piece of work.

    Raises UnknownSchema, StoreUnavailable.
    """
    log = open_log(settings)
    try:
        yield log
    finally:
        close_log(settings, log)


def open_log(settings: Settings) -> Log:
    """The PostgreSQL log of these settings.

    Where no URL is given, the private server in `home` is started or joined, and an empty
    database gets its tables. Raises UnknownSchema, StoreUnavailable.
    """
    from nba.stores.postgres import schema
    from nba.stores.postgres.log import PostgresLog

    url = database_url(settings)
    if settings.database_url is None and schema.current(url) is None:
        schema.migrate(url)
    return PostgresLog.open(url)


def close_log(settings: Settings, log: Log) -> None:
    """Release the log; the last one out stops the private server."""
    log.close()
    if settings.database_url is None:
        from nba.stores.postgres import embedded

        embedded.stop_if_unused(settings.home)


def database_url(settings: Settings) -> str:
    """The URL of the log's database; starts the private server where none is given.

    Raises StoreUnavailable.
    """
    if settings.database_url is not None:
        return settings.database_url
    from nba.stores.postgres import embedded

    return embedded.start(settings.home)


def seeds(seed: int | None) -> Callable[[Request, str], int]:
    """The seed of each draw: from this seed, None for the system's entropy, and what is decided.

    That is named by the caller's key where there is one, so that another worker or a restart draws
    it alike, else by the decision's id.
    """
    chosen = int.from_bytes(os.urandom(16), "big") if seed is None else seed

    def seed_for(request: Request, decision_id: str) -> int:
        key = request.request_id
        named = ("decision", decision_id) if key is None else ("request", key)
        return seed_of(chosen, *named, request.customer_id)

    return seed_for


def assemble(
    settings: Settings,
    *,
    log: Log | None = None,
    journey: JourneyFile | None = None,
    now: Callable[[], datetime] = utc_now,
    new_id: Callable[[], str] = new_id,
    seed_for: Callable[[Request, str], int] | None = None,
    by: str = catalogue.SERVICE,
) -> Replica:
    """A replica on these settings; tests give a memory log, a fixed clock and fixed seeds.

    `by`: whether a service takes up the journey file or a command that ends, which may run on
    another one.
    """
    opened = log is None
    log = open_log(settings) if log is None else log
    close = partial(close_log, settings, log) if opened else log.close
    try:
        if journey is None:
            journey = journey_in_force(settings, log)
        replica = Replica(
            log=log,
            engine=make_engine(journey, log, ValenceTable()),
            now=now,
            chance=IdsAndSeeds(new_id, seed_for or seeds(settings.seed)),
            close=close,
        )
        catalogue.note_served(log, journey, now(), by=by)
        replica.reload()
    except BaseException:
        if opened:
            close()
        raise
    return replica


def journey_in_force(settings: Settings, log: Log) -> JourneyFile:
    """The published catalogue, or NBA_JOURNEY's file where none was published yet.

    Raises InvalidJourney, InvalidInput, NotFound, StoreUnavailable.
    """
    return catalogue.journey_in_force(settings.journey, log)
