"""What policies are worth in simulated banks whose truth is known.

    .venv/bin/python benchmarks/bandits/policies.py --json [--worlds N] [--emotion off]

EUR per customer against doing nothing, the mean over worlds with its 95% interval (Student's t);
each customer meets the same luck under every policy. `rules_with_emotion` is the service itself on
the bank's journey file; `rules_without_emotion` the same without any rule or weight that names
emotion or a signal of feeling (its models still see both); `no_caps` the first without caps,
cool-downs and pauses. Their champion is trained once, on a bank of its own under a random policy,
whose seed no compared world has. `oracle` is shown the truth at every moment and is greedy: an
upper mark, and not the best that there is.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from multiprocessing import get_context
from pathlib import Path

import msgspec
import numpy as np
from scipy.special import stdtrit

from features.fold import Fold
from models.bundles.bundle import load_bundle
from models.bundles.scorer import BundleScorer
from nba.engine.scorer import CalibratedScorer
from nba.journey.file import JourneyFile
from nba.journey_file.loader import load_journey
from nba.stores.memory.log import MemoryLog
from nba.stores.versioned import CHAMPION
from serving.cli.scientists.simulated_service import ServicePolicy
from serving.replica.assembly import assemble, seeds
from serving.settings import Settings
from training.data.history import events_from, history_of
from training.fitting.fit import train
from training.simulation.history import NeverAct, RandomPolicy, customer_values_eur
from training.simulation.policies import SELLING, AlwaysAct, LastNode, Oracle
from training.simulation.world import SimulatedPolicy, World, WorldConfig

BANK = Path(__file__).parents[2] / "examples" / "bank" / "journey.yaml"
TRAINING_SEED = 100_001
FEELING_KINDS = ("rage_click", "complaint", "survey_answered")  # kinds that say how somebody feels
SERVICE = ("rules_without_emotion", "rules_with_emotion", "no_caps")
SIMPLE: Mapping[str, Callable[[int], SimulatedPolicy]] = {
    "nothing": lambda seed: NeverAct(),
    "always_sell": lambda seed: AlwaysAct(SELLING),
    "random": RandomPolicy,
    "last_node": lambda seed: LastNode(),
    "oracle": lambda seed: Oracle(),
}
ORDER = ("nothing", "always_sell", "random", "last_node", *SERVICE, "oracle")


@dataclass(frozen=True, slots=True)
class Champion:
    """A bundle as the log stores it."""

    bundle_id: str
    files: Mapping[str, bytes]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="the figures as JSON on the last line")
    parser.add_argument("--data", help="not used: the banks are simulated")
    parser.add_argument("--worlds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=1, help="of the compared worlds")
    parser.add_argument("--customers", type=int, default=120, help="of each world")
    parser.add_argument("--days", type=float, default=90.0)
    parser.add_argument("--emotion", choices=("on", "off"), default="on", help="off: moves nothing")
    parser.add_argument("--training-customers", type=int, default=1_200)
    parser.add_argument("--policies", default=",".join(ORDER), help="which, separated by commas")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    names = [name for name in ORDER if name in given.policies.split(",")]
    config = WorldConfig(
        customers=given.customers, days=given.days, emotion_effect=float(given.emotion == "on")
    )
    started = time.perf_counter()
    needed = any(name in SERVICE for name in names)
    champion = trained(config, given.training_customers) if needed else None
    print(f"trained in {time.perf_counter() - started:.0f} s", flush=True)
    seeds = range(given.first_seed, given.first_seed + given.worlds)
    play = partial(gains_of, names=names, config=config, champion=champion)
    worlds: list[dict[str, float]] = []
    with get_context("fork").Pool(given.jobs) as pool:
        for seed, gains in zip(seeds, pool.imap(play, seeds), strict=True):
            worlds.append(gains)
            told = "  ".join(f"{name} {gain:+.1f}" for name, gain in gains.items())
            print(f"{seed:4} {told}", flush=True)
    figures: dict[str, object] = {"worlds": given.worlds}
    for name in names:
        gains_eur = np.array([gains[name] for gains in worlds])
        value, half = interval(gains_eur)
        figures[name] = {
            "value": round(value, 2),
            "ci": [round(value - half, 2), round(value + half, 2)],
        }
        print(f"{name:22} {value:+8.2f}  [{value - half:+.2f}, {value + half:+.2f}]")
    for better, worse in (
        ("rules_with_emotion", "rules_without_emotion"),
        ("rules_with_emotion", "no_caps"),
    ):
        if better in names and worse in names:
            value, half = interval(np.array([gains[better] - gains[worse] for gains in worlds]))
            figures[f"{better}_over_{worse}"] = {
                "value": round(value, 2),
                "ci": [round(value - half, 2), round(value + half, 2)],
            }
            print(f"{better} - {worse}: {value:+.2f}  [{value - half:+.2f}, {value + half:+.2f}]")
    print(f"{time.perf_counter() - started:.0f} s")
    if given.json:
        print(json.dumps(figures))


def interval(worlds_eur: np.ndarray) -> tuple[float, float]:
    """(mean, half width of its 95% interval) over worlds; NaN for one world."""
    if len(worlds_eur) < 2:
        return float(worlds_eur.mean()), float("nan")
    spread = worlds_eur.std(ddof=1) / np.sqrt(len(worlds_eur))
    return float(worlds_eur.mean()), float(stdtrit(len(worlds_eur) - 1, 0.975) * spread)


def trained(config: WorldConfig, customers: int) -> Champion:
    """The champion, from a random policy's history in a bank of its own."""
    learned_on = replace(config, seed=TRAINING_SEED, customers=customers, days=120.0)
    events = events_from(World(learned_on).play(RandomPolicy(TRAINING_SEED)))
    bundle = train(history_of(Fold(load_journey(BANK)), events), seed=7).bundle
    return Champion(bundle.bundle_id, bundle.files())


def gains_of(
    seed: int, *, names: list[str], config: WorldConfig, champion: Champion | None
) -> dict[str, float]:
    """EUR per customer against doing nothing, of each policy, in the world of this seed."""
    world = replace(config, seed=seed)
    nothing = customer_values_eur(world, NeverAct())
    gains = {}
    for name in names:
        if name in SIMPLE:
            policy = SIMPLE[name](seed)
        else:
            assert champion is not None
            policy = service(journey_of(name), champion, seed)
        gains[name] = float((customer_values_eur(world, policy) - nothing).mean())
    return gains


def service(journey: JourneyFile, champion: Champion, seed: int) -> ServicePolicy:
    """The service's own decider on this journey, with a log in memory."""
    log = MemoryLog()
    log.save_bundle(champion.bundle_id, champion.files)
    log.set_alias(CHAMPION, champion.bundle_id, datetime.now(UTC))
    numbers = count()
    house = assemble(
        Settings(),
        log=log,
        journey=journey,
        new_id=lambda: f"sim-{next(numbers)}",
        seed_for=seeds(seed),
    )
    pipeline = house.engine.pipeline
    if pipeline.scorer is None or house.misfit:
        why = pipeline.strategy.fallback_reason or house.misfit
        raise SystemExit(f"the champion is not in force: {why}")
    bundle = load_bundle(champion.files)
    scorer = CalibratedScorer(BundleScorer(bundle, pipeline.schema, reasons=False))
    strategy = pipeline.strategy._replace(scorer=scorer, challenger=None)
    house.engine = house.engine.deciding_by(replace(pipeline, strategy=strategy))
    return ServicePolicy(house)


def journey_of(name: str) -> JourneyFile:
    """The bank's journey file as this policy has it."""
    journey = load_journey(BANK)
    if name == "rules_without_emotion":
        return without_emotion(journey)
    if name == "no_caps":
        rules = msgspec.structs.replace(journey.contact_policy, caps=[], cool_downs=[], pauses=[])
        return msgspec.structs.replace(journey, contact_policy=rules)
    return journey


def without_emotion(journey: JourneyFile) -> JourneyFile:
    """Without the rules and weights that name emotion, a signal of feeling, or a segment that does.

    Where a sub-journey names such a segment, nobody counts as upset and everybody as content.
    """
    signals = tuple(detector.signal for detector in journey.detectors())
    spaces = ("emotion", *FEELING_KINDS, *signals)
    felt = {f"segment.{name}" for name, rule in journey.segments.items() if _names(rule, spaces)}

    def feels(rule: str | None) -> bool:
        return rule is not None and (_names(rule, spaces) or any(one in rule for one in felt))

    changed = msgspec.structs.replace
    unmoved = {
        "upset": "customer.days_known < 0",
        "content": "customer.days_known >= 0 or not (customer.days_known >= 0)",
    }
    segments = {
        name: unmoved[name] if f"segment.{name}" in felt else rule
        for name, rule in journey.segments.items()
    }
    actions = [
        changed(
            action,
            eligible=None if feels(action.eligible) else action.eligible,
            applicable=None if feels(action.applicable) else action.applicable,
            suitable=None if feels(action.suitable) else action.suitable,
        )
        for action in journey.actions
    ]
    return changed(
        journey,
        segments=segments,
        actions=actions,
        engagement=[rule for rule in journey.engagement if not feels(rule.when)],
        weights=[weight for weight in journey.weights if not feels(weight.when)],
    )


def _names(rule: str, spaces: tuple[str, ...]) -> bool:
    """Whether a rule names anything below one of these."""
    return any(f"{space}." in rule for space in spaces)


if __name__ == "__main__":
    main()
