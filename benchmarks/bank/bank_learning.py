"""What the learning loop gains in one simulated bank, as its decisions add up.

    .venv/bin/python benchmarks/bank/bank_learning.py --json [--decisions N]

Who leaves was learned from the bank's past, before any of these decisions. The bank then lives
through cohorts of new customers, one after the other. The first, which is small, is met by a random
policy; from it the first touchpoint model is trained. From then on the service decides, the learner
turns every outcome into policy versions, and a new bundle is trained whenever the decisions have
doubled. After 10,000 and 100,000 decisions what was learned is frozen and decides for customers
whom it has never met, as do: the best fixed action (chosen on other customers), the owner's rules,
weights and values without any model, and the oracle, which is shown the truth and is greedy. EUR
per customer against doing nothing, with the 95 % interval over these customers; each meets the same
luck under every policy.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from scipy.special import ndtri

from features.fold import Fold
from models.bundles.bundle import Bundle, load_bundle
from models.bundles.scorer import BundleScorer
from models.learning.versions import POLICY
from nba.events.names import ACTION_DECIDED
from nba.events.parsing import parse_event
from nba.journey.file import JourneyFile
from nba.journey_file.loader import load_journey
from nba.stores.memory.log import MemoryLog
from nba.stores.versioned import CHAMPION
from serving.cli.scientists.simulated_service import ServicePolicy
from serving.replica.assembly import assemble
from serving.replica.replica import Replica
from serving.settings import Settings
from serving.workers.background import learner_of
from training.data.history import events_from, history_of, read_history
from training.fitting.fit import train
from training.simulation.config import draw_parameters
from training.simulation.history import NeverAct, RandomPolicy
from training.simulation.policies import AlwaysAct, Oracle
from training.simulation.responses import WORLD_ACTIONS
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
JUDGED_SEED, CHOSEN_SEED = 500_000, 600_000  # of customers whom nobody learned from


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
        self._replica = house_on(self.log, BANK, self._seed)

    def live(self) -> Iterator[int]:
        """One more cohort, decided and learned from; gives the decisions so far, now and then."""
        assert self._replica is not None
        house = self._replica
        world, prefix = self._next()
        learner = learner_of(house, Settings(policy_versions=2))
        due: list[int] = []

        def told() -> None:
            self.decisions += 1
            if self.decisions % LEARN_EVERY == 0:
                due.append(self.decisions)

        for _ in world.play(Renamed(ServicePolicy(house), prefix, told), log_decisions=False):
            if due:
                due.clear()
                learner.step()
                house.reload()
                yield self.decisions
        learner.step()
        house.reload()

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="the figures as JSON on the last line")
    parser.add_argument("--data", help="not used: the bank is simulated")
    parser.add_argument("--decisions", type=int, default=100_000)
    parser.add_argument("--checkpoints", default="10000,100000")
    parser.add_argument("--seed", type=int, default=11, help="of the bank and all chance")
    parser.add_argument("--cohort", type=int, default=300, help="customers of a cohort")
    parser.add_argument("--judged", type=int, default=800, help="customers who judge")
    parser.add_argument("--days", type=float, default=90.0, help="that a cohort lasts")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    started = time.perf_counter()
    wanted = sorted(int(one) for one in given.checkpoints.split(","))
    wanted = [one for one in wanted if one <= given.decisions]
    config = WorldConfig(customers=given.cohort, days=given.days, seed=given.seed)
    parameters = draw_parameters(config)
    frozen = lived(LearningBank(parameters, config, given.seed), wanted, started)
    judges = replace(config, customers=given.judged)
    with get_context("fork").Pool(given.jobs) as pool:
        fixed = best_fixed(pool.map, parameters, replace(config, customers=given.judged // 3))
        plain = rules_alone(frozen[0])
        asked: dict[str, Callable[[], SimulatedPolicy]] = {
            "nothing": NeverAct,
            "best_fixed": partial(AlwaysAct, [fixed]),
            "rules": partial(policy_of, frozen[0], plain, given.seed),
            "oracle": Oracle,
        }
        asked |= {str(one.decisions): partial(policy_of, one, BANK, given.seed) for one in frozen}
        played = pool.map(
            partial(_play, parameters, replace(judges, seed=JUDGED_SEED)), asked.values()
        )
    values = dict(zip(asked, played, strict=True))
    gains = {name: interval(values[name] - values["nothing"]) for name in asked}
    for name, gain in gains.items():
        print(f"{name:12} {gain['value']:+8.2f}  {gain['ci']}")
    oracle = gains["oracle"]["value"]
    labels = dict(zip([str(one) for one in wanted], [str(one.decisions) for one in frozen],
                      strict=True))  # fmt: skip
    share = {label: round(gains[name]["value"] / oracle, 3) for label, name in labels.items()}
    print(f"best fixed action: {fixed}; {time.perf_counter() - started:.0f} s")
    if given.json:
        figures = {
            "best_fixed": gains["best_fixed"] | {"action": fixed},
            "rules": gains["rules"],
            "oracle": gains["oracle"],
            "learned": {label: gains[name] for label, name in labels.items()},
            "share_of_oracle_gain": share,
        }
        print(json.dumps(figures))


def lived(bank: LearningBank, wanted: Sequence[int], started: float) -> list[Frozen]:
    """The bank at each of the wanted numbers of decisions."""
    bank.begin()
    trained_at, found = bank.decisions, []
    print(f"{bank.decisions:7} random decisions, first bundle", flush=True)
    for cohort in count(1):
        for decisions in bank.live():
            if decisions >= wanted[len(found)]:
                found.append(bank.frozen())
                print(
                    f"{decisions:7} frozen after {time.perf_counter() - started:.0f} s", flush=True
                )
                if len(found) == len(wanted):
                    return found
        print(f"{bank.decisions:7} after cohort {cohort}", flush=True)
        if bank.decisions >= 2 * trained_at:
            bank.retrain()
            trained_at = bank.decisions
            print(f"{bank.decisions:7} trained again", flush=True)
    return found


def house_on(log: MemoryLog, journey: JourneyFile, seed: int) -> Replica:
    """The service's own parts on this log, deciding at the world's moments."""
    numbers, rng = count(), np.random.default_rng(seed)
    return assemble(
        Settings(),
        log=log,
        journey=journey,
        new_id=lambda: f"sim-{next(numbers)}",
        new_seed=lambda: int(rng.integers(2**48)),
    )


def policy_of(frozen: Frozen, journey: JourneyFile, seed: int) -> ServicePolicy:
    """What was frozen, deciding without learning, and without explaining itself."""
    log = MemoryLog()
    for alias, (name, files) in frozen.aliases.items():
        log.save_bundle(name, files)
        log.set_alias(alias, name, START)
    house = house_on(log, journey, seed)
    pipeline = house.engine.pipeline
    scorer = pipeline.strategy.scorer
    if scorer is None:
        raise SystemExit(f"the champion is not in force: {pipeline.strategy.why_none}")
    bundle = load_bundle(frozen.aliases[CHAMPION][1])
    mute = BundleScorer(bundle, house.engine.fold.schema, reasons=False)
    strategy = pipeline.strategy._replace(scorer=scorer._replace(base=mute), challenger=None)
    house.engine = house.engine.deciding_by(replace(pipeline, strategy=strategy))
    return ServicePolicy(house)


def rules_alone(frozen: Frozen) -> JourneyFile:
    """The bank's rules, weights and declared values, without a model and without exploring."""
    arbitration = msgspec.structs.replace(BANK.arbitration, without=["p_accept", "retention"])
    exploration = msgspec.structs.replace(BANK.exploration, policy="greedy")
    return msgspec.structs.replace(BANK, arbitration=arbitration, exploration=exploration)


def best_fixed(
    run: Callable[..., list[np.ndarray]], parameters: WorldParameters, config: WorldConfig
) -> str:
    """The action that is worth most where it can be shown, on customers of its own."""
    chosen = replace(config, seed=CHOSEN_SEED)
    made = [partial(AlwaysAct, [action]) for action in WORLD_ACTIONS]
    totals = run(partial(_play, parameters, chosen), made)
    return list(WORLD_ACTIONS)[int(np.argmax([values.mean() for values in totals]))]


def _play(
    parameters: WorldParameters, config: WorldConfig, make: Callable[[], SimulatedPolicy]
) -> np.ndarray:
    """EUR of each customer, (customers,)."""
    world = World(config)
    world.parameters = parameters
    for _ in world.play(make(), log_decisions=False):
        pass
    return np.array([world.value_eur[key] for key in sorted(world.value_eur)])


def interval(gains_eur: np.ndarray) -> dict[str, object]:
    """The mean over customers with its 95 % interval."""
    half = float(ndtri(0.975)) * float(gains_eur.std(ddof=1)) / len(gains_eur) ** 0.5
    value = float(gains_eur.mean())
    return {"value": round(value, 2), "ci": [round(value - half, 2), round(value + half, 2)]}


def renamed(event: EventJson, prefix: str) -> EventJson:
    """The event under the names of its cohort."""
    names = {"customer_id": prefix + event["customer_id"]}
    if "event_id" in event:
        names["event_id"] = prefix + event["event_id"]
    return {**event, **names}


def _parsed(event: EventJson):
    return parse_event(event, START, trusted=True)


if __name__ == "__main__":
    main()
