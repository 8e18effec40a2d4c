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
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from multiprocessing import get_context
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from scipy.special import ndtri

from benchmarks.bank.learning_bank import BANK, START, Frozen, LearningBank, replica_on
from models.bundles.bundle import load_bundle
from models.bundles.scorer import BundleScorer
from nba.journey.file import JourneyFile
from nba.stores.memory.log import MemoryLog
from nba.stores.versioned import CHAMPION
from serving.cli.scientists.simulated_service import ServicePolicy
from training.simulation.config import draw_parameters
from training.simulation.history import NeverAct
from training.simulation.policies import AlwaysAct, Oracle
from training.simulation.responses import WORLD_ACTIONS
from training.simulation.world import (
    SimulatedPolicy,
    World,
    WorldConfig,
    WorldParameters,
)

JUDGED_SEED, CHOSEN_SEED = 500_000, 600_000  # of customers whom nobody learned from


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


def policy_of(frozen: Frozen, journey: JourneyFile, seed: int) -> ServicePolicy:
    """What was frozen, deciding without learning, and without explaining itself."""
    log = MemoryLog()
    for alias, (name, files) in frozen.aliases.items():
        log.save_bundle(name, files)
        log.set_alias(alias, name, START)
    replica = replica_on(log, journey, seed)
    pipeline = replica.engine.pipeline
    scorer = pipeline.strategy.scorer
    if scorer is None or replica.misfit:
        why = pipeline.strategy.fallback_reason or replica.misfit
        raise SystemExit(f"the champion is not in force: {why}")
    bundle = load_bundle(frozen.aliases[CHAMPION][1])
    mute = BundleScorer(bundle, replica.engine.fold.schema, reasons=False)
    strategy = pipeline.strategy._replace(scorer=scorer._replace(base=mute), challenger=None)
    replica.engine = replica.engine.deciding_by(replace(pipeline, strategy=strategy))
    return ServicePolicy(replica)


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


if __name__ == "__main__":
    main()
