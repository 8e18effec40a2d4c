"""The compiled fold: replay and online, on one core.

    .venv/bin/python benchmarks/kernel.py --json

20 event kinds (4 of them with an amount), 4 half-lives, the ring of 10 nodes, the contact ring;
events of 100,000 customers, folded with a context row for every tenth event.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from features import kernel
from features.fold import Fold
from nba.context import DAY_S
from nba.journey import (
    Action,
    ChurnRule,
    EventMapping,
    Journey,
    JourneyFile,
    JourneyStage,
    Scene,
    Touchpoint,
)

EVENTS = 3_000_000
CUSTOMERS = 100_000
KINDS = 20
ROUNDS = 3
SEED = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="the figures as JSON on the last line")
    parser.add_argument("--data", help="not used: the events are generated")
    parser.add_argument("--events", type=int, default=EVENTS)
    given = parser.parse_args()
    fold = Fold(journey())
    figures = {
        "replay_events_per_s": replay_speed(fold, given.events),
        "online_us_per_event": online_us(fold),
        "state_bytes": fold.state_bytes(),
        "columns": len(fold.schema.columns),
    }
    print(f"replay   {figures['replay_events_per_s'] / 1e6:8.2f} million events / CPU second")
    print(f"online   {figures['online_us_per_event']:8.2f} us / event, called from Python")
    print(f"state    {figures['state_bytes']:8.0f} bytes / customer")
    if given.json:
        print(json.dumps(figures))


def journey() -> JourneyFile:
    """20 kinds over 4 touchpoints in 2 stages, 5 actions."""
    points = [
        Touchpoint(id=f"point_{n}", kind="digital", channel="web", owner="Digital")
        for n in range(4)
    ]
    stages = [
        JourneyStage(id="use", touchpoints=points[:3]),
        JourneyStage(id="leave", leaving=True, touchpoints=points[3:]),
    ]
    events = [
        EventMapping(
            id=f"kind_{n}",
            event=f"Kind {n}",
            touchpoint=f"point_{n % 4}",
            valence=0.1 * (n % 5 - 2),
            amount="amount" if n < 4 else None,
        )
        for n in range(KINDS)
    ]
    return JourneyFile(
        version=1,
        name="benchmark",
        scenes=[Scene(id="scene", journeys=[Journey(id="journey", stages=stages)])],
        events=events,
        churn=ChurnRule(event="kind_19", horizon_days=30),
        actions=[Action(id=f"action_{n}", channel="web", touchpoint="point_0") for n in range(5)],
    )


def replay_speed(fold: Fold, n: int) -> float:
    """Events per CPU second, the best of the rounds; a first round compiles."""
    rng = np.random.default_rng(SEED)
    rows = np.zeros(n, dtype=kernel.ROW)
    rows["a"] = rng.integers(0, KINDS, n)
    rows["b"] = rows["a"] % 4
    rows["time"] = 1.7e9 + rng.uniform(0, 90 * DAY_S, n)
    rows["amount"] = rng.random(n)
    rows["valence"] = rng.uniform(-0.5, 0.5, n)
    customers = rng.integers(0, CUSTOMERS, n)
    order = np.lexsort((rows["time"], customers))
    rows, customers = rows[order], customers[order]
    starts = np.searchsorted(customers, np.arange(CUSTOMERS + 1))
    asked = np.arange(0, n, 10)
    query_starts = np.searchsorted(customers[asked], np.arange(CUSTOMERS + 1))
    m = len(asked)
    out = np.empty((m, len(fold.schema.columns)))
    offered = np.empty((m, 2))
    best = 0.0
    for round_ in range(ROUNDS + 1):
        begun = time.process_time()
        kernel.replay(
            fold.layout, fold.stage_of, fold.has_amount, rows, np.arange(n), rows["time"].copy(),
            starts, rows["time"][asked].copy(), np.full(m, n), np.full(m, np.inf),
            np.full(m, -1), query_starts, fold.empty.values.copy(), out, offered,
        )  # fmt: skip
        seconds = time.process_time() - begun
        if round_:
            best = max(best, n / seconds)
    return best


def online_us(fold: Fold) -> float:
    """Microseconds of one update as the service calls it, the best of the rounds."""
    rows = np.zeros(1, dtype=kernel.ROW)
    rows["time"] = 1.7e9
    state = fold.empty.values.copy()
    calls = 100_000
    best = np.inf
    for _ in range(ROUNDS + 1):
        begun = time.process_time()
        for _ in range(calls):
            kernel.fold(state, fold.layout, fold.stage_of, rows)
        best = min(best, (time.process_time() - begun) / calls * 1e6)
    return float(best)


if __name__ == "__main__":
    main()
