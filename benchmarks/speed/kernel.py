"""The compiled fold: replay and online, on one core.

    .venv/bin/python benchmarks/speed/kernel.py --json

20 event kinds (4 of them with an amount), 4 half-lives, the ring of 10 nodes, the contact ring;
events of 100,000 customers, folded with a context row for every tenth event. `vs`: the same rows by
DuckDB and Polars, in this run, on one thread (`kernel_peers.py`): their CPU seconds, and how many
times the kernel's that is, which computes all the columns.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from features.fold import Fold, untraced
from features.kernel import fold_events as kernel
from features.kernel.layout import QUERY, ROLE, ROW
from features.kernel.plan import stage_codes
from nba.durations import DAY_S
from nba.events.signals import ROLES
from nba.journey.actions import Action
from nba.journey.file import JourneyFile
from nba.journey.goals import ChurnRule
from nba.journey.map import Journey, JourneyStage, Scene, Touchpoint
from nba.journey.mapping import EventMapping

EVENTS = 3_000_000
PEER_EVENTS = 5_000_000
CUSTOMERS = 100_000
KINDS = 20
ROUNDS = 3
SEED = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="the figures as JSON on the last line")
    parser.add_argument("--data", help="not used: the events are generated")
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--peer-events", type=int, default=PEER_EVENTS, help="0: no peers")
    given = parser.parse_args()
    fold = Fold(journey())
    rows, customers = made_rows(fold, given.events)
    figures = {
        "fold_events_per_s": fold_speed(fold, rows, customers),
        "replay_events_per_s": replay_speed(fold, rows, customers, 10),
        "online_us_per_event": online_us(fold, rows),
        "detectors": len(fold.schema.detectors),
        "state_bytes": fold.size * 8,
        "columns": len(fold.schema.columns),
    }
    print(f"fold     {figures['fold_events_per_s'] / 1e6:8.2f} million events / CPU second")
    print(f"replay   {figures['replay_events_per_s'] / 1e6:8.2f} million events / CPU second")
    print(f"online   {figures['online_us_per_event']:8.2f} us / event, called from Python")
    print(f"state    {figures['state_bytes']:8.0f} bytes / customer")
    if given.peer_events:
        del rows, customers
        figures |= against_peers(fold, given.peer_events)
    if given.json:
        print(json.dumps(figures))


def against_peers(fold: Fold, n: int) -> dict[str, object]:
    """The kernel and its peers on the same `n` events."""
    from benchmarks.speed import kernel_peers

    rows, customers = made_rows(fold, n)
    seconds, values, asked = replayed(fold, rows, customers, 10)
    stages = stage_codes(fold.schema.journey)
    found = kernel_peers.compare(fold.schema, rows, customers, asked, stages, values, seconds)
    columns = len(kernel_peers.expressible(fold.schema, KINDS))
    print(f"peers    {n:,} events, {len(asked):,} rows, one thread; kernel {seconds:.2f} CPU s")
    print(f"         they: {columns} of {len(fold.schema.columns)} columns; the kernel: all")
    for name, one in found.items():
        print(f"{name}   {one['seconds']:8.2f} CPU s, {one['ratio']:.1f} times the kernel's")
        print(f"         largest relative difference {one['largest_difference']:.1e}")
    for cannot in kernel_peers.CANNOT:
        print(f"         cannot express {cannot}")
    for left_out in kernel_peers.LEFT_OUT:
        print(f"         left out: {left_out}")
    return {
        "vs": found,
        "vs_events": n,
        "vs_rows": len(asked),
        "vs_columns": columns,
        "vs_kernel_seconds": round(seconds, 3),
    }


def journey() -> JourneyFile:
    """20 kinds, one for each of the roles that detectors take and 2 more, over 4 touchpoints."""
    points = [
        Touchpoint(id=f"point_{n}", kind="digital", channel=f"channel_{n % 2}", owner="Digital")
        for n in range(4)
    ]
    stages = [
        JourneyStage(id="use", touchpoints=points[:3]),
        JourneyStage(id="leave", leaving=True, touchpoints=points[3:]),
    ]
    roles = [*(role for role in ROLES if role not in ("csat", "ces")), None, None, None]
    events = [
        EventMapping(
            id=f"kind_{n}",
            event=f"Kind {n}",
            touchpoint=f"point_{n % 4}",
            valence=0.1 * (n % 5 - 2),
            role=roles[n],
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
        actions=[
            Action(id=f"action_{n}", channel="channel_0", touchpoint="point_0") for n in range(5)
        ],
    )


def made_rows(fold: Fold, n: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows, customers), sorted by (customer, time): bursts of events, as visits have them."""
    rng = np.random.default_rng(SEED)
    rows = np.zeros(n, dtype=ROW)
    kinds = rng.integers(0, KINDS, n)
    mapped = fold.schema.journey.events
    rows["kind"] = kinds
    rows["touchpoint"] = kinds % 4
    rows["role"] = np.array([ROLE[m.role] if m.role else 0 for m in mapped])[kinds]
    rows["flag"] = rng.integers(-1, 2, n)
    rows["amount"] = rng.random(n)
    rows["valence"] = np.nan
    rows["key"] = rng.integers(1, 4, n)
    rows["sketch"] = rng.integers(0, 2**52, n)
    rows["number"] = rng.integers(0, 3, n)
    customers = rng.integers(0, CUSTOMERS, n)
    visits = rng.integers(0, 8, n)  # events of one visit fall within two minutes
    rows["time"] = 1.7e9 + visits * 11 * DAY_S + customers % 97 + rng.uniform(0, 120, n)
    order = np.lexsort((rows["time"], customers))
    rows = rows[order]
    rows["seq"] = np.arange(1, n + 1)
    return rows, customers[order]


def replay_speed(fold: Fold, rows: np.ndarray, customers: np.ndarray, every: int) -> float:
    """Events per CPU second, the best of the rounds."""
    seconds, _, _ = replayed(fold, rows, customers, every)
    return len(rows) / seconds


def replayed(
    fold: Fold, rows: np.ndarray, customers: np.ndarray, every: int
) -> tuple[float, np.ndarray, np.ndarray]:
    """(CPU seconds of the best round, context rows, positions asked); a first round compiles."""
    n = len(rows)
    starts = np.searchsorted(customers, np.arange(CUSTOMERS + 1))
    asked = np.arange(0, n, every)
    query_starts = np.searchsorted(customers[asked], np.arange(CUSTOMERS + 1))
    m = len(asked)
    out = np.empty((m, len(fold.schema.columns)))
    offered = np.empty((m, 2))
    best = np.inf
    for round_ in range(ROUNDS + 1):
        begun = time.process_time()
        queries = np.empty(m, dtype=QUERY)
        queries["as_of"], queries["action"] = rows["time"][asked], -1
        queries["seen_seq"], queries["seen_received"] = n, np.inf
        kernel.replay(
            plan=fold.plan,
            rows=rows,
            received=rows["time"].copy(),
            row_starts=starts,
            queries=queries,
            query_starts=query_starts,
            states=np.empty((2, fold.size)),
            trace=untraced(),
            out=out,
            offered=offered,
        )
        seconds = time.process_time() - begun
        if round_:
            best = min(best, seconds)
    return float(best), out, asked


def fold_speed(fold: Fold, rows: np.ndarray, customers: np.ndarray) -> float:
    """Events per CPU second of the fold alone, the best of the rounds."""
    starts = np.searchsorted(customers, np.arange(CUSTOMERS + 1))
    best = 0.0
    for round_ in range(ROUNDS + 1):
        begun = time.process_time()
        nobody = np.empty(0, dtype=np.int64)
        kernel.trace_all(
            state=np.empty(fold.size),
            plan=fold.plan,
            rows=rows,
            row_starts=starts,
            upto=np.inf,
            trace=untraced(),
            customers=nobody,
        )
        seconds = time.process_time() - begun
        if round_:
            best = max(best, len(rows) / seconds)
    return best


def online_us(fold: Fold, rows: np.ndarray) -> float:
    """Microseconds of one update as the service calls it, the best of the rounds."""
    state = fold.empty.values.copy()
    calls = 100_000
    best = np.inf
    nothing = untraced()
    for _ in range(ROUNDS + 1):
        state[:] = fold.empty.values
        singles = [rows[n : n + 1] for n in range(calls)]
        begun = time.process_time()
        for row in singles:
            kernel.fold(state, fold.plan, row, nothing)
        best = min(best, (time.process_time() - begun) / calls * 1e6)
    return float(best)


if __name__ == "__main__":
    main()
