"""`/decide` beside an empty BentoML endpoint, in one run.

    .venv/bin/python benchmarks/speed/decide.py --json [--actions N] [--rules N]

The service runs with one worker on a private PostgreSQL, with the bank's events of simulated
customers in the log, and every decision is committed. The empty endpoint is the same stack with
the same settings (`empty_service.py`). Both get the same load; rounds alternate.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import msgspec
import numpy as np

from benchmarks.speed.http_load import Load, post_all
from nba.durations import DAY_S
from serving.jobs.server import free_port
from serving.settings import Settings, prepare_environment

HERE = Path(__file__).parent
LOCAL = "127.0.0.1"
CUSTOMERS = 400
CONNECTIONS = 8
ROUNDS = 3
SEED = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="the figures as JSON on the last line")
    parser.add_argument("--data", help="not used: the load is simulated")
    parser.add_argument("--actions", type=int, default=0, help="0: the bank's own")
    parser.add_argument("--rules", type=int, default=0, help="distinct rules; 0: the bank's own")
    parser.add_argument("--requests", type=int, default=1500, help="in each round")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), given.actions, given.rules, given.requests)
    for name in ("empty", "decide"):
        one = figures[name]
        print(f"{name:8} {one['rps']:8.0f} req/s   p50 {one['p50_ms']:7.2f} ms   "
              f"p99 {one['p99_ms']:7.2f} ms")  # fmt: skip
    print(f"decide does {figures['rps_ratio']:.2f} of the empty endpoint's requests a second")
    if given.json:
        print(json.dumps(figures))


def measure(folder: Path, actions: int, rules: int, requests: int) -> dict[str, object]:
    """Figures of both endpoints: medians over the rounds."""
    settings = Settings(
        home=folder / "home", journey=folder / "journey.json", port=free_port(LOCAL)
    )
    os.environ["NUMBA_CACHE_DIR"] = str(folder / "numba")
    prepare_environment(settings)
    journey = make_journey(actions, rules)
    settings.journey.write_bytes(msgspec.json.encode(journey))
    customers = fill(settings, journey)
    rng = np.random.default_rng(SEED)
    bodies = [
        msgspec.json.encode({"customer_id": customers[n], "channel": "web"})
        for n in rng.integers(0, len(customers), requests)
    ]
    empty_port = free_port(LOCAL)
    rounds: dict[str, list[Load]] = {"empty": [], "decide": []}
    with serving(settings, folder), empty_service(settings, empty_port, folder):
        for port in (empty_port, settings.port):
            post_all(LOCAL, port, "/decide", bodies[:100], connections=CONNECTIONS)
        for _ in range(ROUNDS):
            for name, port in (("empty", empty_port), ("decide", settings.port)):
                rounds[name].append(
                    post_all(LOCAL, port, "/decide", bodies, connections=CONNECTIONS)
                )
    for name, loads in rounds.items():
        bad = {status: n for load in loads for status, n in load.statuses.items() if status != 200}
        if bad:
            raise SystemExit(f"{name}: answers that were not 200: {bad}")
    medians = {
        name: {
            figure: float(np.median([load.figures()[figure] for load in loads]))
            for figure in ("rps", "p50_ms", "p99_ms")
        }
        for name, loads in rounds.items()
    }
    return {
        **medians,
        "rps_ratio": medians["decide"]["rps"] / medians["empty"]["rps"],
        "actions": len(journey.actions),
        "rules": len({action.eligible for action in journey.actions} - {None}),
        "connections": CONNECTIONS,
    }


def make_journey(actions: int, rules: int):  # type: ignore[no-untyped-def]
    """The bank's journey; with `actions`, as many on the web, under this many distinct rules."""
    from nba.journey.actions import Action
    from nba.journey.policies import Cap, Capacity, ContactRules
    from nba.journey_file.loader import load_journey

    journey = load_journey(HERE.parents[1] / "examples" / "bank" / "journey.yaml")
    if actions == 0:
        return journey
    rng = np.random.default_rng(SEED)
    kinds = [mapping.id for mapping in journey.events]
    texts = [
        f"emotion.sum10 >= {rng.uniform(-4, 1):.4f} or "
        f"{kinds[n % len(kinds)]}.count_7d > {rng.uniform(0, 2):.4f}"
        for n in range(max(1, rules))
    ]
    made = [
        Action(
            id=f"action_{n}",
            channel="web",
            touchpoint="web_search",
            value_eur=float(rng.uniform(5, 100)),
            cost_eur=float(rng.uniform(0, 1)),
            eligible=texts[n % len(texts)] if rules else None,
            features={"sells": float(n % 2), "margin_eur": float(rng.uniform(5, 100))},
        )
        for n in range(actions)
    ]
    limits = ContactRules(
        caps=[
            Cap(id="customer", times=200, days=7),
            Cap(id="each", times=50, days=7, per="action"),
        ],
        capacities=[Capacity(id="room", most=1e9)],
    )
    return msgspec.structs.replace(
        journey,
        actions=made,
        engagement=[rule for rule in journey.engagement if not (rule.group or rule.actions)][:1],
        contact_policy=limits,
        weights=[],
        levers=[],
        sub_journeys=[],
        fallback=[],
    )


def fill(settings: Settings, journey) -> list[str]:  # type: ignore[no-untyped-def]
    """Simulated customers and a champion of a usual size into the log; gives the customers."""
    from features.fold import Fold
    from nba.events.parsing import parse_event
    from nba.stores.versioned import CHAMPION
    from serving.replica.assembly import opened_log
    from training.simulation.history import RandomPolicy
    from training.simulation.world import World, WorldConfig

    start = datetime.now(UTC) - timedelta(days=60)
    config = WorldConfig(customers=CUSTOMERS, days=60, start=start, seed=SEED)
    now = datetime.now(UTC)
    events = [
        parse_event(event, now, trusted=True) for event in World(config).play(RandomPolicy(SEED))
    ]
    fold = Fold(journey)
    bundle = make_bundle(fold, events)
    with opened_log(settings) as log:
        log.append_events(events)
        log.save_bundle(bundle.bundle_id, bundle.files())
        log.set_alias(CHAMPION, bundle.bundle_id, now)
    return sorted({event.customer_id for event in events})


def make_bundle(fold, events):  # type: ignore[no-untyped-def]
    """Models about as large as the bank's own: real contexts, labels that depend on ten columns."""
    from features.replay.point_in_time import ContextQuestions, encode, replay
    from models.bundles.bundle import FORMAT, Bundle, Manifest, part
    from models.predictors.lightgbm_trees import fit_trees
    from models.predictors.touchpoint_columns import (
        action_rows,
        touchpoint_columns,
        touchpoint_rows,
    )

    rng = np.random.default_rng(SEED)
    journey = fold.schema.journey
    numbered = [msgspec.structs.replace(event, seq=n + 1) for n, event in enumerate(events)]
    rows = encode(fold, numbered)
    end = max(rows.received)
    n = 12_000
    moments = ContextQuestions.at(
        rng.choice(rows.customers, n), rng.uniform(end - 40 * DAY_S, end, n)
    )
    codes = rng.integers(0, len(journey.actions), n)
    moments = replace(moments, actions=codes)
    values, offered = replay(fold, rows, moments)
    trained = [action.id for action in journey.actions]
    features = list(journey.actions[0].features)
    table = touchpoint_rows(values, offered, action_rows(journey, trained, features)[codes])
    used = rng.choice(values.shape[1], 10, replace=False)
    signal = np.nan_to_num(values[:, used])
    signal = (signal - signal.mean(0)) / (signal.std(0) + 1e-9) @ rng.normal(0, 0.25, 10)

    def fitted(x, shift, columns, categorical=()):  # type: ignore[no-untyped-def]
        y = (rng.random(n) < 1 / (1 + np.exp(1.5 - signal - shift))).astype(float)
        cut = int(0.8 * n)
        return fit_trees(
            x[:cut], y[:cut], x[cut:], y[cut:], columns=columns, seed=SEED, categorical=categorical
        )

    churn = fitted(values, 0.0, fold.schema.columns)
    effect = rng.normal(0, 0.7, len(trained))[codes]
    columns = touchpoint_columns(fold.schema.columns, features)
    touchpoint = fitted(table, effect, columns, ("action",))
    manifest = Manifest(
        format=FORMAT,
        schema_hash=fold.schema.schema_hash,
        catalogue_version=journey.catalogue_version(),
        target="response",
        horizon_days=30.0,
        actions=tuple(trained),
        action_features=tuple(features),
        dataset="benchmark",
        seed=SEED,
        churn=part("churn", churn, {}),
        touchpoint=part("touchpoint", touchpoint, {}),
    )
    trees = {"churn": churn.booster.num_trees(), "touchpoint": touchpoint.booster.num_trees()}
    print(f"models: {trees} trees, {table.shape[1]} columns, {len(trained)} actions")
    return Bundle(manifest, churn, touchpoint)


@contextmanager
def serving(settings: Settings, folder: Path) -> Iterator[None]:
    from serving.jobs.server import running

    with running(settings, folder / "service.log"):
        yield


@contextmanager
def empty_service(settings: Settings, port: int, folder: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "bentoml", "serve", "empty_service:Empty",
               "--host", LOCAL, "--port", str(port)]  # fmt: skip
    with (folder / "empty.log").open("wb") as log:
        child = subprocess.Popen(
            command, cwd=HERE, stdout=log, stderr=log, start_new_session=True, env={**os.environ}
        )
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex((LOCAL, port)) == 0:
                    break
            time.sleep(0.1)
        time.sleep(1.0)
        yield
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(30)


if __name__ == "__main__":
    main()
