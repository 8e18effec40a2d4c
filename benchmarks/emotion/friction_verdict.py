"""Is the verdict right? Simulated banks whose customers leave for a known reason.

    .venv/bin/python benchmarks/emotion/friction_verdict.py --json [--seeds N] [--customers N]

Each seed is a bank under a random policy in each of five mechanisms. The visits are read by the
fold from the events alone; `--truth` takes them as the customers felt them.
`--first-seed` 1001 and up were used to design the tests; the figures are for seeds from 1.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from features.fold import Fold
from nba.analytics.journeys.friction import Friction, Visits, friction
from nba.journey_file.loader import load_journey
from nba.measurement.statistics.estimate import Undecided
from training.data.history import events_from, history_of
from training.emotion.friction import report_friction
from training.simulation.config import Mechanism
from training.simulation.history import RandomPolicy
from training.simulation.world import World, WorldConfig

BANK = Path(__file__).parents[2] / "examples" / "bank" / "journey.yaml"
RIGHT: dict[Mechanism, str] = {
    "accumulation": "accumulation",
    "blocking": "blocking",
    "peak_end": "peak_end",
    "confounded": "unhappy_customers",
    "null": "none",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="the figures as JSON on the last line")
    parser.add_argument("--data", help="not used: the banks are simulated")
    parser.add_argument("--seeds", type=int, default=20, help="banks of each mechanism")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--customers", type=int, default=3_000, help="of each bank")
    parser.add_argument("--days", type=float, default=240.0)
    parser.add_argument("--truth", action="store_true", help="visits as they were felt")
    given = parser.parse_args()
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    cases = [(mechanism, seed) for seed in seeds for mechanism in RIGHT]
    started = time.perf_counter()
    with get_context("fork").Pool(2) as pool:
        size = {"customers": given.customers, "days": given.days}
        judge = partial(verdict_of, **size, truth=given.truth)
        counts = {name: Counter[str]() for name in RIGHT}
        for (mechanism, seed), verdict in zip(cases, pool.imap(judge, cases), strict=True):
            counts[mechanism][verdict] += 1
            print(f"{seed:5} {mechanism:14}{verdict}", flush=True)
    for mechanism, seen in counts.items():
        print(f"{mechanism:14}" + ", ".join(f"{name} {n}" for name, n in seen.most_common()))
    print(f"{time.perf_counter() - started:.0f} s")
    figures = {name: counts[name][right] / given.seeds for name, right in RIGHT.items()}
    figures["confounded_false"] = counts["confounded"]["accumulation"] / given.seeds
    if given.json:
        print(json.dumps(figures))


def verdict_of(case: tuple[Mechanism, int], *, customers: int, days: float, truth: bool) -> str:
    """The verdict on one bank, `undecided` where there is none."""
    mechanism, seed = case
    config = WorldConfig(customers=customers, days=days, seed=seed, mechanism=mechanism)
    found = friction(felt_visits(config)) if truth else read_friction(config)
    verdict = found.verdict
    return "undecided" if isinstance(verdict, Undecided) else verdict


def read_friction(config: WorldConfig) -> Friction:
    """The friction of a bank as its log tells it."""
    fold = Fold(load_journey(BANK))
    events = events_from(World(config).play(RandomPolicy(config.seed)))
    return report_friction(history_of(fold, events), seed=config.seed).friction


def felt_visits(config: WorldConfig) -> Visits:
    """The true visits of a bank that is played under a random policy."""
    world = World(config)
    for _ in world.play(RandomPolicy(config.seed), log_decisions=False):
        pass
    lives = [(key, felt) for key, felt in sorted(world.felt.items()) if felt]
    touchpoints = sorted({one.touchpoint for _, felt in lives for one in felt})
    sizes = np.array([len(felt) for _, felt in lives])
    lost = np.zeros(int(sizes.sum()), dtype=bool)
    closed = np.array([key in world.closed for key, _ in lives])
    lost[(np.cumsum(sizes) - 1)[closed]] = True
    return Visits(
        customers=np.repeat(np.arange(len(lives)), sizes),
        valences=np.array([one.valence for _, felt in lives for one in felt]),
        stages=np.array([touchpoints.index(one.touchpoint) for _, felt in lives for one in felt]),
        lost=lost,
    )


if __name__ == "__main__":
    main()
