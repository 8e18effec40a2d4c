"""How often is a signal wrong? Each detector in simulated banks where feelings are known.

    .venv/bin/python benchmarks/emotion/detectors.py --json [--worlds N]

A signal belongs to the visit nearest in time, half an hour off at most; others are counted as
`outside`. A negative signal in a visit that felt good (or the other way round) is a false positive:
`false_share` of the signals are; `per_1000` is how many of them come in a thousand visits of the
other sign.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np

from features.fold import Fold
from features.replay.visits import read_nodes
from nba.journey_file.loader import load_journey
from training.data.history import events_from, history_of
from training.simulation.history import RandomPolicy
from training.simulation.world import World, WorldConfig

BANK = Path(__file__).parents[2] / "examples" / "bank" / "journey.yaml"
VISIT_S = 1_800.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="the figures as JSON on the last line")
    parser.add_argument("--data", help="not used: the banks are simulated")
    parser.add_argument("--worlds", type=int, default=3)
    parser.add_argument("--customers", type=int, default=1_000)
    given = parser.parse_args()
    signals, wrong, outside, visits = Counter[str](), Counter[str](), Counter[str](), Counter[int]()
    fold = Fold(load_journey(BANK))
    for seed in range(1, given.worlds + 1):
        look(fold, seed, given.customers, signals, wrong, outside, visits)
    figures = {}
    for name in sorted(fold.schema.signals + as_sent(fold)):
        sign = int(np.sign(fold.schema.appraisal(name, None).valence))
        figures[name] = {
            "signals": signals[name],
            "false_share": round(wrong[name] / signals[name], 4) if signals[name] else None,
            "per_1000": round(1_000 * wrong[name] / visits[-sign], 3) if sign else None,
            "outside": outside[name],
        }
        print(f"{name:22}", figures[name])
    if given.json:
        print(json.dumps(figures))


def as_sent(fold: Fold) -> list[str]:
    """The mapped kinds that are a signal as the bank sends it."""
    return [mapping.id for mapping in fold.schema.journey.events if mapping.signal is not None]


def look(
    fold: Fold,
    seed: int,
    customers: int,
    signals: Counter[str],
    wrong: Counter[str],
    outside: Counter[str],
    visits: Counter[int],
) -> None:
    """Add one bank's signals and visits to the counts."""
    config = WorldConfig(customers=customers, days=120, seed=seed)
    world = World(config)
    history = history_of(fold, events_from(world.play(RandomPolicy(seed))))
    table = read_nodes(fold, history.rows, history.end_s)
    for felt in world.felt.values():
        visits.update(int(np.sign(one.valence)) for one in felt)
    names = history.rows.customers
    wanted = {*fold.schema.signals, *as_sent(fold)}
    ends = {
        customer: np.array([one.at.timestamp() for one in felt])
        for customer, felt in world.felt.items()
    }
    for part, who in zip(table.parts, table.part_customers, strict=True):
        name = fold.schema.kinds[part["kind"]]
        sign = np.sign(part["valence"])
        if name not in wanted or sign == 0:
            continue
        customer = str(names[who])
        apart = np.abs(ends[customer] - part["time"])
        if len(apart) == 0 or apart.min() > VISIT_S:
            outside[name] += 1
            continue
        at = int(apart.argmin())
        signals[name] += 1
        wrong[name] += int(np.sign(world.felt[customer][at].valence) == -sign)


if __name__ == "__main__":
    main()
