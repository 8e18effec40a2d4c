"""The composition root: settings become a house of concrete parts."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import numpy as np

from features.customers import Customers
from features.fold import Fold
from models.bundle import load_bundle
from models.policy import EpsilonGreedy
from models.registry import CHAMPION
from models.scorer import BundleScorer
from nba.arbitration import Scorer
from nba.decider import Decider
from nba.decision import Decision, Request
from nba.errors import InvalidBundle, NbaError, StoreUnavailable
from nba.journey import JourneyFile
from nba.journey_file import load_journey
from nba.pipeline import Pipeline
from nba.stores.log import Log
from serving.settings import Settings


@dataclass(slots=True)
class House:
    """The parts of one replica; `champion` is the bundle id that was last taken up."""

    journey: JourneyFile
    fold: Fold
    log: Log
    customers: Customers
    decider: Decider
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    new_seed: Callable[[], int]
    close: Callable[[], None]
    champion: str | None = None

    def decide(self, requests: Sequence[Request]) -> list[Decision]:
        """Decide and log. Raises InvalidInput, StoreUnavailable."""
        return self.decider.decide(requests, self.now(), new_id=self.new_id, new_seed=self.new_seed)

    def decide_each(self, requests: Sequence[Request]) -> list[Decision | StoreUnavailable]:
        """`decide` for requests of several callers. Raises InvalidInput, StoreUnavailable."""
        now, new_id, new_seed = self.now(), self.new_id, self.new_seed
        return self.decider.decide_each(requests, now, new_id=new_id, new_seed=new_seed)

    def rehearse(self, requests: Sequence[Request]) -> list[Decision]:
        """Decide and log nothing. Raises InvalidInput, StoreUnavailable."""
        return self.decider.draw(requests, self.now(), new_id=self.new_id, new_seed=self.new_seed)

    def reload(self) -> bool:
        """Take up the champion where another was promoted; True where something changed.

        A champion that cannot be used leaves the decider without a scorer: decisions come from
        the owner's fallback and say why. Raises StoreUnavailable.
        """
        champion = self.log.alias(CHAMPION)
        if champion == self.champion and champion is not None:
            return False
        scorer, why = _scorer(self.log, champion, self.fold)
        self.decider.pipeline.take(scorer, why)
        self.champion = champion
        return True


def _scorer(log: Log, champion: str | None, fold: Fold) -> tuple[Scorer | None, str]:
    if champion is None:
        return None, "no bundle is promoted: run nba train, then nba promote"
    stored = log.bundle(champion)
    if stored is None:
        return None, f"the champion {champion} is not in the store: promote it again"
    try:
        bundle = load_bundle(stored.files)
        if bundle.bundle_id != champion:
            raise InvalidBundle(f"{champion}: its manifest was altered; promote it again")
        return BundleScorer(bundle, fold.schema), ""
    except NbaError as error:
        return None, str(error)


def utc_now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


def new_id() -> str:
    """A decision id that nobody can guess."""
    return f"dec-{uuid.uuid4().hex}"


def new_seed() -> int:
    """A seed for one draw, 0 to 2^48 - 1."""
    return int.from_bytes(os.urandom(6), "big")


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
    from nba.stores import schema
    from nba.stores.postgres import PostgresLog

    url = database_url(settings)
    if settings.database_url is None and schema.current(url) is None:
        schema.migrate(url)
    return PostgresLog.open(url)


def close_log(settings: Settings, log: Log) -> None:
    """Release the log; the last one out stops the private server."""
    log.close()
    if settings.database_url is None:
        from nba.stores import embedded

        embedded.stop_if_unused(settings.home)


def database_url(settings: Settings) -> str:
    """The URL of the log's database; starts the private server where none is given.

    Raises StoreUnavailable.
    """
    if settings.database_url is not None:
        return settings.database_url
    from nba.stores import embedded

    return embedded.start(settings.home)


def seeds(settings: Settings) -> Callable[[], int]:
    """Where the seeds of the draws come from: the system's entropy, or NBA_SEED."""
    if settings.seed is None:
        return new_seed
    rng = np.random.default_rng(settings.seed)
    return lambda: int(rng.integers(2**48))


def assemble(
    settings: Settings,
    *,
    log: Log | None = None,
    journey: JourneyFile | None = None,
    now: Callable[[], datetime] = utc_now,
    new_id: Callable[[], str] = new_id,
    new_seed: Callable[[], int] | None = None,
) -> House:
    """A house on these settings; tests give a memory log, a fixed clock and fixed seeds."""
    if journey is None:
        journey = load_journey(settings.journey)
    ours = log is None
    log = open_log(settings) if log is None else log
    fold = Fold(journey)
    fold.warm()
    customers = Customers(log, fold)
    pipeline = Pipeline(fold.schema, EpsilonGreedy(journey.exploration.epsilon))
    decider = Decider(pipeline=pipeline, contexts=customers, log=log)
    house = House(
        journey=journey,
        fold=fold,
        log=log,
        customers=customers,
        decider=decider,
        now=now,
        new_id=new_id,
        new_seed=new_seed or seeds(settings),
        close=partial(close_log, settings, log) if ours else log.close,
    )
    house.reload()
    return house
