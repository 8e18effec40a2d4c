"""The composition root: settings become a house of concrete parts."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from features.customers import Customers
from features.fold import Fold
from models.bundle import load_bundle
from models.policy import EpsilonGreedy
from models.scorer import BundleScorer
from nba.arbitration import Scorer
from nba.decider import Decider
from nba.decision import Decision, Request
from nba.errors import NbaError, StoreUnavailable
from nba.journey import JourneyFile
from nba.journey_file import load_journey
from nba.stores.log import Log
from serving.settings import Settings

CHAMPION = "champion"


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
    champion: str | None = None

    def decide(self, requests: Sequence[Request]) -> list[Decision]:
        """Decide and log. Raises InvalidInput, StoreUnavailable."""
        return self.decider.decide(requests, self.now(), new_id=self.new_id, new_seed=self.new_seed)

    def rehearse(self, requests: Sequence[Request]) -> list[Decision]:
        """Decide and log nothing. Raises InvalidInput, StoreUnavailable."""
        for request in requests:
            self.decider.check(request)
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
        self.decider.take(scorer, why)
        self.champion = champion
        return True


def _scorer(log: Log, champion: str | None, fold: Fold) -> tuple[Scorer | None, str]:
    if champion is None:
        return None, "no bundle is promoted: run nba train, then nba promote"
    stored = log.bundle(champion)
    if stored is None:
        return None, f"the champion {champion} is not in the store: promote it again"
    try:
        return BundleScorer(load_bundle(stored.files), fold.schema), ""
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


def open_log(settings: Settings) -> Log:
    """The PostgreSQL log of these settings; the private server is started where no URL is given.

    Raises UnknownSchema, StoreUnavailable.
    """
    from nba.stores.postgres import PostgresLog

    return PostgresLog.open(database_url(settings))


def database_url(settings: Settings) -> str:
    """The URL of the log's database; starts the private server where none is given."""
    if settings.database_url is not None:
        return settings.database_url
    from nba.stores import embedded

    settings.home.mkdir(parents=True, exist_ok=True)
    try:
        return embedded.start(settings.postgres_folder)
    except OSError as error:
        raise StoreUnavailable(f"{settings.postgres_folder}: {error}") from None


def assemble(
    settings: Settings,
    *,
    log: Log | None = None,
    journey: JourneyFile | None = None,
    now: Callable[[], datetime] = utc_now,
    new_id: Callable[[], str] = new_id,
    new_seed: Callable[[], int] = new_seed,
) -> House:
    """A house on these settings; tests give a memory log, a fixed clock and fixed seeds."""
    if journey is None:
        journey = load_journey(settings.journey)
    if log is None:
        log = open_log(settings)
    fold = Fold(journey)
    fold.warm()
    customers = Customers(log, fold)
    decider = Decider(
        schema=fold.schema,
        contexts=customers,
        log=log,
        policy=EpsilonGreedy(journey.exploration.epsilon),
    )
    house = House(
        journey=journey,
        fold=fold,
        log=log,
        customers=customers,
        decider=decider,
        now=now,
        new_id=new_id,
        new_seed=new_seed,
    )
    house.reload()
    return house
