"""The composition root: settings become a house of concrete parts."""

from __future__ import annotations

import logging
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
from features.nodes import Story, story
from features.text import TextModel, load_text_model
from features.words import read_words
from models.bundle import Bundle, load_bundle
from models.policy import EpsilonGreedy
from models.registry import CHAMPION, TEXT
from models.scorer import BundleScorer
from nba.arbitration import Scorer
from nba.decider import Decider
from nba.decision import Decision, Request
from nba.errors import InvalidBundle, NbaError, NotFound, StoreUnavailable
from nba.events import Event
from nba.journey import JourneyFile
from nba.journey_file import load_journey
from nba.pipeline import Pipeline
from nba.stores.log import Log
from nba.valences import ValenceTable
from serving.settings import Settings

logger = logging.getLogger("nba.serving")


@dataclass(frozen=True, slots=True)
class Engine:
    """From events to a decision, on one set of valences; replaced as a whole."""

    fold: Fold
    customers: Customers
    decider: Decider


@dataclass(slots=True)
class House:
    """The parts of one replica; `champion` is the bundle id that was last taken up."""

    journey: JourneyFile
    log: Log
    engine: Engine
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    new_seed: Callable[[], int]
    close: Callable[[], None]
    champion: str | None = None
    words: TextModel | None = None  # reads texts on the way in
    words_alias: str | None = None  # the text model that was last looked at

    @property
    def fold(self) -> Fold:
        """The fold that serves now."""
        return self.engine.fold

    @property
    def customers(self) -> Customers:
        """The contexts that are served now."""
        return self.engine.customers

    @property
    def decider(self) -> Decider:
        """The decider that serves now."""
        return self.engine.decider

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
        the owner's fallback and say why. A champion with other valences gets an engine of its
        own, whose contexts are rebuilt from the log while the old one still answers. Raises
        StoreUnavailable.
        """
        self._reload_words()
        self.decider.pipeline.words = self.words_read_by
        champion = self.log.alias(CHAMPION)
        if champion == self.champion and champion is not None:
            return False
        engine = self.engine
        scorer: Scorer | None = None
        try:
            bundle = _bundle(self.log, champion)
            if bundle.table != engine.fold.schema.table:
                engine = make_engine(self.journey, self.log, bundle.table)
            scorer, why = BundleScorer(bundle, engine.fold.schema), ""
        except StoreUnavailable:
            raise
        except NbaError as error:
            engine, why = self.engine, str(error)
        if engine is not self.engine:
            engine.customers.rebuild(self.engine.customers.known())
        engine.decider.pipeline.words = self.words_read_by
        engine.decider.pipeline.take(scorer, why)
        self.engine = engine
        self.champion = champion
        return True

    @property
    def words_read_by(self) -> str:
        """The id of the text model, `untrained`, or `none` where no event has a text."""
        if not any(mapping.text for mapping in self.journey.events):
            return "none"
        return self.words.model_id if self.words is not None else "untrained"

    def read_words(self, events: Sequence[Event]) -> list[Event]:
        """The events, those with a text scored by the text model in force."""
        return read_words(events, self.fold.encoder, self.words)

    def story(self, customer_id: str, fold: Fold) -> tuple[datetime, Story]:
        """(as_of, the last nodes) of a customer. Raises NotFound, StoreUnavailable."""
        events = self.log.events_since({customer_id: 0}).get(customer_id)
        if not events:
            raise NotFound(f"customer_id: {customer_id!r}: no event of this customer is in the log")
        as_of = max(self.now(), max(event.occurred_at for event in events))
        return as_of, story(fold, events, as_of)

    def _reload_words(self) -> None:
        name = self.log.alias(TEXT)
        if name is None or name == self.words_alias:
            return
        self.words_alias = name
        try:
            self.words = text_model(self.log)
        except InvalidBundle as error:
            logger.warning("texts are read as before: %s", error)


def text_model(log: Log) -> TextModel | None:
    """The text model in force, None before the first. Raises InvalidBundle, StoreUnavailable."""
    name = log.alias(TEXT)
    if name is None:
        return None
    stored = log.bundle(name)
    model = load_text_model(stored.files if stored is not None else {})
    if model.model_id != name:
        raise InvalidBundle(f"{name}: altered since training; run nba train text again")
    return model


def _bundle(log: Log, champion: str | None) -> Bundle:
    if champion is None:
        raise NotFound("no bundle is promoted: run nba train, then nba promote")
    stored = log.bundle(champion)
    if stored is None:
        raise NotFound(f"the champion {champion} is not in the store: promote it again")
    bundle = load_bundle(stored.files)
    if bundle.bundle_id != champion:
        raise InvalidBundle(f"{champion}: its manifest was altered; promote it again")
    return bundle


def make_engine(journey: JourneyFile, log: Log, table: ValenceTable) -> Engine:
    """An engine on these valences, its kernel compiled, its contexts not yet read."""
    fold = Fold(journey, table)
    fold.warm()
    customers = Customers(log, fold)
    pipeline = Pipeline(fold.schema, EpsilonGreedy(journey.exploration.epsilon))
    return Engine(fold, customers, Decider(pipeline=pipeline, contexts=customers, log=log))


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
    house = House(
        journey=journey,
        log=log,
        engine=make_engine(journey, log, ValenceTable()),
        now=now,
        new_id=new_id,
        new_seed=new_seed or seeds(settings),
        close=partial(close_log, settings, log) if ours else log.close,
    )
    house.reload()
    return house
