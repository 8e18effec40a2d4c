"""The service from a cold start in a simulated telecom, beside a plain LinUCB and VW.

    .venv/bin/python benchmarks/telecom/second_world.py --json [--decisions N] [--seeds N]

By default settings and from an empty log: decisions are drawn and learned from the first one on,
and a bundle is trained whenever they have doubled. The share of the oracle's gain is that of the
expected gains of the decisions in a span, what exploring costs included, over those that the oracle
would have had at the same visits. LinUCB and VW (`make peers`) know the declared value of keeping a
customer, a few columns made for them, and are told each answer as it is heard.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from benchmarks.bandits.bandits import PEERS_PYTHON
from benchmarks.telecom.players import Known, Service, linucb, uniform, vw
from benchmarks.telecom.telecom import OFFERS, Player, Telecom

SPANS = {"to_2000": (0, 2_000), "from_8000_to_10000": (8_000, 10_000)}


def shares(player: Player, seed: int, decisions: int) -> dict[str, float]:
    """Of the oracle's gain, in each span that was reached."""
    world = Telecom(seed)
    for _ in world.play(player, decisions):
        pass
    gains, best = np.array(world.gains), np.array(world.best)
    return {
        name: float(gains[begin:end].sum() / best[begin:end].sum())
        for name, (begin, end) in SPANS.items()
        if end <= decisions
    }


def with_vw(seed: int, decisions: int) -> dict[str, float]:
    player, worker = vw(seed)
    try:
        return shares(player, seed, decisions)
    finally:
        worker.kill()


def best_fixed(seed: int, decisions: int) -> dict[str, float]:
    """Of always offering the one action that is best in each span."""
    found = [
        shares(Known(lambda one, day, action=action: action), seed, decisions) for action in OFFERS
    ]
    return {name: max(each[name] for each in found) for name in found[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="the figures as JSON on the last line")
    parser.add_argument("--data", help="not used: the telecom is simulated")
    parser.add_argument("--decisions", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    policies: dict[str, Callable[[int], dict[str, float]]] = {
        "service": lambda seed: shares(Service(seed), seed, given.decisions),
        "linucb": lambda seed: shares(linucb(seed), seed, given.decisions),
        "uniform": lambda seed: shares(uniform(seed), seed, given.decisions),
        "best_fixed": lambda seed: best_fixed(seed, given.decisions),
    }
    if PEERS_PYTHON.is_file():
        policies["vw"] = lambda seed: with_vw(seed, given.decisions)
    else:
        print("VW is not here: make peers")
    figures: dict[str, Any] = {}
    for name, play in policies.items():
        played = [play(seed) for seed in range(1, given.seeds + 1)]
        figures[name] = {}
        for span in played[0]:
            found = np.array([one[span] for one in played])
            half = 1.96 * found.std(ddof=1) / np.sqrt(len(found)) if len(found) > 1 else None
            figures[name][span] = {"share": float(found.mean()), "half_width": half}
        cells = "  ".join(
            f"{span} {one['share']:+.3f}"
            + ("" if one["half_width"] is None else f" +- {one['half_width']:.3f}")
            for span, one in figures[name].items()
        )
        print(f"{name:12}{cells}", flush=True)
    if given.json:
        print(json.dumps({"share_of_oracle": figures}))


if __name__ == "__main__":
    main()
