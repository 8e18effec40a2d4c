"""A simulated bank that learns, cohort after cohort on one log, with the service's own parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import NamedTuple

import msgspec

from features.fold import Fold
from models.bundles.bundle import Bundle
from models.learning.versions import POLICY
from nba.events.names import ACTION_DECIDED
from nba.events.parsing import parse_event
from nba.journey.file import JourneyFile
from nba.journey_file.loader import load_journey
from nba.stores.memory.log import MemoryLog
from nba.stores.versioned import CHAMPION
from serving.cli.scientists.simulated_service import ServicePolicy
from serving.replica.assembly import assemble, seeds
from serving.replica.replica import Replica
from serving.settings import Settings
from serving.workers.background import learner_of
from training.data.history import events_from, history_of, read_history
from training.fitting.fit import train
from training.simulation.history import RandomPolicy
from training.simulation.world import (
    ContactOpportunity,
    EventJson,
    SimulatedChoice,
    SimulatedPolicy,
    World,
    WorldConfig,
    WorldParameters,
)

BANK = load_journey(Path(__file__).parents[2] / "examples" / "bank" / "journey.yaml")


START = datetime(2026, 1, 1, tzinfo=UTC)


PAUSE_DAYS = 10.0  # between cohorts: every reward window is over


PAST, MET_AT_RANDOM = 1_200, 120  # customers


PAST_SEED = 900_001


LEARN_EVERY = 100  # decisions between two passes of the learner


class Frozen(NamedTuple):
    """What serves after so many decisions: by alias, the id and the files that it points at."""

    decisions: int
    aliases: Mapping[str, tuple[str, Mapping[str, bytes]]]


class Renamed:
    """A cohort's customers under names of their own, so that one log holds all cohorts."""

    def __init__(self, policy: SimulatedPolicy, prefix: str, told: Callable[[], None]) -> None:
        self._policy, self._prefix, self._told = policy, prefix, told

    def observe(self, events: Sequence[EventJson]) -> None:
        """Pass them on, renamed."""
        self._policy.observe([renamed(event, self._prefix) for event in events])

    def choose(self, asked: ContactOpportunity) -> SimulatedChoice:
        """Pass it on, and tell that somebody was decided."""
        chosen = self._policy.choose(replace(asked, customer_id=self._prefix + asked.customer_id))
        self._told()
        return chosen


class LearningBank:
    """One bank with the service in it, cohort after cohort on one log."""

    def __init__(self, parameters: WorldParameters, cohort: WorldConfig, seed: int) -> None:
        self.parameters, self._cohort, self._seed = parameters, cohort, seed
        self.log = MemoryLog()
        self.decisions = 0
        self._cohorts = count()
        self._replica: Replica | None = None
        self._past: Bundle | None = None

    def begin(self) -> None:
        """The past, a cohort that is met by a random policy, and the first bundle."""
        before = World(replace(self._cohort, customers=PAST, days=120.0, seed=PAST_SEED))
        before.parameters = self.parameters
        past = events_from(before.play(RandomPolicy(PAST_SEED)))
        self._past = train(history_of(Fold(BANK), past), seed=self._seed).bundle
        world, prefix = self._next(MET_AT_RANDOM)
        for event in world.play(RandomPolicy(self._seed)):
            self.log.append_events([_parsed(renamed(event, prefix))])
            self.decisions += event["name"] == ACTION_DECIDED
        self.retrain()
        self._replica = replica_on(self.log, BANK, self._seed)

    def live(self) -> Iterator[int]:
        """One more cohort, decided and learned from; gives the decisions so far, now and then."""
        assert self._replica is not None
        replica = self._replica
        world, prefix = self._next()
        learner = learner_of(replica, Settings(policy_versions=2))
        due: list[int] = []

        def told() -> None:
            self.decisions += 1
            if self.decisions % LEARN_EVERY == 0:
                due.append(self.decisions)

        for _ in world.play(Renamed(ServicePolicy(replica), prefix, told), log_decisions=False):
            if due:
                due.clear()
                learner.step()
                replica.reload()
                yield self.decisions
        learner.step()
        replica.reload()

    def retrain(self) -> None:
        """A new bundle from the whole log, at once in force."""
        assert self._past is not None
        found = train(read_history(Fold(BANK), self.log), seed=self._seed).bundle
        missing = {name: why for name, why in found.manifest.missing.items() if name != "churn"}
        manifest = msgspec.structs.replace(
            found.manifest, churn=self._past.manifest.churn, missing=missing
        )
        bundle = Bundle(manifest, self._past.churn, found.touchpoint, found.table, found.warm)
        self.log.save_bundle(bundle.bundle_id, bundle.files())
        self.log.set_alias(CHAMPION, bundle.bundle_id, START)
        if self._replica is not None:
            self._replica.reload()
            learner_of(self._replica, Settings(policy_versions=2)).step()
            self._replica.reload()

    def frozen(self) -> Frozen:
        """What serves now."""
        found = {}
        for alias in (CHAMPION, POLICY):
            name = self.log.alias(alias)
            stored = self.log.bundle(name) if name is not None else None
            if stored is not None:
                found[alias] = (stored.bundle_id, stored.files)
        return Frozen(self.decisions, found)

    def _next(self, customers: int | None = None) -> tuple[World, str]:
        number = next(self._cohorts)
        start = START + number * timedelta(days=self._cohort.days + PAUSE_DAYS)
        seed = self._seed * 1_000 + number
        customers = customers or self._cohort.customers
        world = World(replace(self._cohort, seed=seed, start=start, customers=customers))
        world.parameters = self.parameters
        return world, f"k{number}-"


def replica_on(log: MemoryLog, journey: JourneyFile, seed: int) -> Replica:
    """The service's own parts on this log, deciding at the world's moments."""
    numbers = count()
    return assemble(
        Settings(),
        log=log,
        journey=journey,
        new_id=lambda: f"sim-{next(numbers)}",
        seed_for=seeds(seed),
    )


def renamed(event: EventJson, prefix: str) -> EventJson:
    """The event under the names of its cohort."""
    names = {"customer_id": prefix + event["customer_id"]}
    if "event_id" in event:
        names["event_id"] = prefix + event["event_id"]
    return {**event, **names}


def _parsed(event: EventJson):
    return parse_event(event, START, trusted=True)
