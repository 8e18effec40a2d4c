"""`nba decide --batch`: a whole base decided under rules, caps and capacities, into Parquet.

    .venv/bin/python benchmarks/speed/batch_decide.py --json
        [--customers N] [--actions N] [--rules N]

The customers' histories are those of simulated customers, copied under other names, in a log in
memory (`--postgres`: in a private PostgreSQL, and every decision is committed). The floor is the
trees alone: LightGBM's own predict over the same number of rows, ready in memory. A million:
`--customers 1000000 --dry-run`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import msgspec
import numpy as np

from benchmarks.speed.measured_bank import SEED, make_bundle, make_journey

WORLD = 200  # simulated customers, of whom the others are copies
DAYS = 60
PUT = 20_000  # events in one append


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="the figures as JSON on the last line")
    parser.add_argument("--data", help="not used: the base is simulated")
    parser.add_argument("--customers", type=int, default=4_000)
    parser.add_argument("--actions", type=int, default=200)
    parser.add_argument("--rules", type=int, default=50, help="distinct rules")
    parser.add_argument("--events", type=int, default=40, help="of each customer, at most")
    parser.add_argument("--dry-run", action="store_true", help="nothing is logged")
    parser.add_argument("--postgres", action="store_true", help="the log in a private PostgreSQL")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), given)
    print(f"{figures['customers']:,} customers x {figures['actions']} actions: "
          f"{figures['seconds']:.1f} s, {figures['decisions_per_s']:.0f} decisions/s, "
          f"{figures['peak_mb']:.0f} MB; the trees alone {figures['trees_s']:.1f} s")  # fmt: skip
    if given.json:
        print(json.dumps(figures))


def measure(folder: Path, given: argparse.Namespace) -> dict[str, object]:
    from features.fold import Fold
    from nba.stores.memory.log import MemoryLog
    from serving.jobs.batch_decisions import BatchOptions, run_batch
    from serving.replica.assembly import assemble, opened_log
    from serving.settings import Settings, prepare_environment

    settings = Settings(home=folder / "home", journey=folder / "journey.json")
    os.environ["NUMBA_CACHE_DIR"] = str(folder / "numba")
    prepare_environment(settings)
    journey = with_limits(make_journey(given.actions, given.rules))
    settings.journey.write_bytes(msgspec.json.encode(journey))
    events = simulated()
    bundle = make_bundle(Fold(journey), events)
    if given.postgres:
        with opened_log(settings) as log:
            customers = fill(log, events, bundle, given)
            house = assemble(settings, log=log, journey=journey)
            return run(house, folder, given, customers, bundle, run_batch, BatchOptions)
    log = MemoryLog()
    customers = fill(log, events, bundle, given)
    house = assemble(settings, log=log, journey=journey)
    return run(house, folder, given, customers, bundle, run_batch, BatchOptions)


def run(house, folder, given, customers, bundle, run_batch, ask):  # type: ignore[no-untyped-def]
    """One batch over everybody."""
    begun = time.perf_counter()
    done = run_batch(
        house, folder / "out", ask(channel="web", dry_run=given.dry_run, seed=SEED),
        lambda: customers,
    )  # fmt: skip
    seconds = time.perf_counter() - begun
    assert done.customers == len(customers)
    return {
        "customers": done.customers,
        "actions": len(house.engine.journey.actions),
        "seconds": seconds,
        "decisions_per_s": done.customers / seconds,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "trees_s": floor(bundle, given.actions) * done.customers,
        "no_action_share": done.actions.get("no_action", 0) / done.customers,
        "logged": done.logged,
        "store": "postgres" if given.postgres else "memory",
    }


def floor(bundle, actions: int) -> float:  # type: ignore[no-untyped-def]
    """Seconds of LightGBM for one customer's candidates."""
    rng = np.random.default_rng(SEED)
    rows = rng.normal(size=(20 * actions, len(bundle.touchpoint.columns)))
    begun = time.perf_counter()
    bundle.touchpoint.predict(rows)
    return (time.perf_counter() - begun) / 20


def with_limits(journey):  # type: ignore[no-untyped-def]
    """The journey with a cap, a cool-down and a capacity, so that their cost is in the figure."""
    from nba.journey.policies import Cap, Capacity, ContactRules, CoolDown

    limits = ContactRules(
        caps=[Cap(id="seven_a_week", times=7, days=7)],
        cool_downs=[CoolDown(id="a_day", hours=24, per="action")],
        capacities=[Capacity(id="calls", most=50, actions=[journey.actions[0].id])],
    )
    return msgspec.structs.replace(journey, contact_policy=limits, sub_journeys=[])


def simulated():  # type: ignore[no-untyped-def]
    from nba.events.parsing import parse_event
    from training.simulation.history import RandomPolicy
    from training.simulation.world import World, WorldConfig

    now = datetime.now(UTC)
    config = WorldConfig(customers=WORLD, days=DAYS, start=now - timedelta(days=DAYS), seed=SEED)
    played = World(config).play(RandomPolicy(SEED))
    return [parse_event(event, now, trusted=True) for event in played]


def fill(log, events, bundle, given) -> list[str]:  # type: ignore[no-untyped-def]
    """Copies of the simulated customers, as many as asked for, and the champion."""
    from nba.stores.versioned import CHAMPION

    log.save_bundle(bundle.bundle_id, bundle.files())
    log.set_alias(CHAMPION, bundle.bundle_id, datetime.now(UTC))
    of: dict[str, list] = {}  # type: ignore[type-arg]
    for event in events:
        of.setdefault(event.customer_id, []).append(event)
    waiting, names = [], []
    for n, template in enumerate(islice(cycle(sorted(of)), given.customers)):
        names.append(f"c{n:07d}")
        waiting += [
            msgspec.structs.replace(one, customer_id=names[-1], event_id=f"{one.event_id}:{n}")
            for one in of[template][-given.events :]
        ]
        if len(waiting) >= PUT:
            log.append_events(waiting)
            waiting = []
    log.append_events(waiting)
    return names


if __name__ == "__main__":
    main()
