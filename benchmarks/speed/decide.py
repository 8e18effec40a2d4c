"""`/decide` beside an empty endpoint and beside all that a decision cannot do without, in one run.

    .venv/bin/python benchmarks/speed/decide.py --json [--actions N] [--rules N]

The service runs with one worker on a private PostgreSQL, and every decision is committed. Each
request is the first of its customer, whose history is in the log and whose context was read before
(a dry run): nobody's caps are used up. An answer that is not live fails the run. The empty endpoint
is the same stack with the same settings (`empty_service.py`); rounds alternate. The load itself
takes its share of the machine, and of requests a second; CPU time is that of the service and of
PostgreSQL alone.
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
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import msgspec
import numpy as np
import psutil

from benchmarks.speed.cpu_time import cpu_s, postmaster
from benchmarks.speed.floors import Floors, append_ms, predict_ms, read_ms
from benchmarks.speed.http_load import Load, post_all
from benchmarks.speed.measured_bank import fill, make_journey
from nba.decisions.decision import Decision
from nba.stores.postgres.log import PostgresLog
from serving.jobs.server import free_port, running
from serving.replica.assembly import database_url
from serving.settings import Settings, prepare_environment

HERE = Path(__file__).parent
LOCAL = "127.0.0.1"
CONNECTIONS = (1, 8, 32)
ROUNDS = 3


class Answer(msgspec.Struct):
    """What is read of an answer."""

    decision_id: str
    mode: str
    action_id: str | None = None


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One load on one endpoint."""

    load: Load
    cpu_ms: float  # of the service and its PostgreSQL, a request


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """At one number of connections; medians over the rounds."""

    cpu_ms: float
    floors_ms: float
    floor_ratio: float
    rps: float
    rps_ratio: float
    p50_ms: float
    p99_ms: float
    fallbacks: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="the figures as JSON on the last line")
    parser.add_argument("--data", help="not used: the load is simulated")
    parser.add_argument("--actions", type=int, default=0, help="0: the bank's own")
    parser.add_argument("--rules", type=int, default=0, help="distinct rules; 0: the bank's own")
    parser.add_argument("--requests", type=int, default=600, help="in each round")
    given = parser.parse_args()
    print(f"load average {os.getloadavg()[0]:.2f}")
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), given.actions, given.rules, given.requests)
    for connections, one in figures.items():
        print(f"{connections:>2} connections: {one.cpu_ms:.2f} ms CPU a decision, "
              f"{one.floor_ratio:.1f} of its floors ({one.floors_ms:.2f} ms)   "
              f"{one.rps:.0f} req/s, {one.rps_ratio:.3f} of empty   p50 {one.p50_ms:.2f} ms   "
              f"p99 {one.p99_ms:.2f} ms   fallbacks {one.fallbacks}")  # fmt: skip
    if given.json:
        print(json.dumps({str(n): msgspec.to_builtins(one) for n, one in figures.items()}))


def measure(folder: Path, actions: int, rules: int, requests: int) -> dict[int, Figures]:
    """Figures by number of connections."""
    settings = Settings(
        home=folder / "home", journey=folder / "journey.json", port=free_port(LOCAL)
    )
    os.environ["NUMBA_CACHE_DIR"] = str(folder / "numba")
    prepare_environment(settings)
    journey = make_journey(actions, rules)
    settings.journey.write_bytes(msgspec.json.encode(journey))
    bank = fill(settings, journey, requests * (ROUNDS * len(CONNECTIONS) + 1))
    fresh = iter(bank.customers)
    parts = [[next(fresh) for _ in range(requests)] for _ in range(ROUNDS * len(CONNECTIONS) + 1)]
    empty_port = free_port(LOCAL)
    answers: list[Answer] = []
    rounds: dict[tuple[str, int], list[Round]] = {}
    with (
        serving(settings, folder) as service,
        empty_service(empty_port, folder) as empty,
    ):
        processes = [service, postmaster(settings.home)]

        def load(name: str, customers: Sequence[str], connections: int) -> Round:
            bodies = [_body(customer_id) for customer_id in customers]
            port, pids = (empty_port, [empty]) if name == "empty" else (settings.port, processes)
            if name == "decide":
                dry = [_body(customer_id, dry_run=True) for customer_id in customers]
                post_all(LOCAL, port, "/decide", dry, connections=8)
            before = cpu_s(pids)
            found = post_all(LOCAL, port, "/decide", bodies, connections=connections)
            cpu_ms = (cpu_s(pids) - before) / len(bodies) * 1000
            if set(found.statuses) != {200}:
                raise SystemExit(f"{name}: answers that were not 200: {found.statuses}")
            if name == "decide":
                answers.extend(msgspec.json.decode(one, type=Answer) for one in found.answers)
            return Round(load=found, cpu_ms=cpu_ms)

        for name in ("empty", "decide"):
            load(name, parts[-1], 8)  # the first requests of a process
        for number, part in enumerate(parts[:-1]):
            connections = CONNECTIONS[number % len(CONNECTIONS)]
            for name in ("empty", "decide"):
                rounds.setdefault((name, connections), []).append(load(name, part, connections))
        url = database_url(settings)
        decided = _logged(url, [one.decision_id for one in answers[-200:]])
        scored = round(np.mean([len(one.candidates) - 1 for one in decided]))
        floors = Floors(
            empty_ms=_median(rounds[("empty", 8)], "cpu_ms"),
            predict_ms=predict_ms(bank.bundle, max(1, scored)),
            read_ms=read_ms(url),
            append_ms=append_ms(url, decided),
        )
    modes = Counter(one.mode for one in answers)
    if set(modes) != {"live"}:
        raise SystemExit(f"answers that were not live: {dict(modes)}")
    return {
        connections: _figures(rounds, connections, floors.sum_ms, len(answers) - modes["live"])
        for connections in CONNECTIONS
    }


def _figures(
    rounds: Mapping[tuple[str, int], Sequence[Round]],
    connections: int,
    floors_ms: float,
    fallbacks: int,
) -> Figures:
    decided, empty = rounds[("decide", connections)], rounds[("empty", connections)]
    cpu_ms, rps = _median(decided, "cpu_ms"), _median(decided, "rps")
    return Figures(
        cpu_ms=cpu_ms,
        floors_ms=floors_ms,
        floor_ratio=cpu_ms / floors_ms,
        rps=rps,
        rps_ratio=rps / _median(empty, "rps"),
        p50_ms=_median(decided, "p50_ms"),
        p99_ms=_median(decided, "p99_ms"),
        fallbacks=fallbacks,
    )


def _logged(url: str, decision_ids: Sequence[str]) -> list[Decision]:
    log = PostgresLog.open(url)
    try:
        return list(log.decisions(decision_ids).values())
    finally:
        log.close()


def _body(customer_id: str, *, dry_run: bool = False) -> bytes:
    asked = {"customer_id": customer_id, "channel": "web"} | ({"dry_run": True} if dry_run else {})
    return msgspec.json.encode(asked)


def _median(rounds: Sequence[Round], figure: str) -> float:
    return float(
        np.median([getattr(one, figure, getattr(one.load, figure, None)) for one in rounds])
    )


@contextmanager
def serving(settings: Settings, folder: Path) -> Iterator[int]:
    """The service of these settings; yields its process."""
    with running(settings, folder / "service.log"):
        (child,) = (
            one
            for one in psutil.Process().children()
            if "NextBestAction" in " ".join(one.cmdline())
        )
        yield child.pid


@contextmanager
def empty_service(port: int, folder: Path) -> Iterator[int]:
    """The empty endpoint on this port; yields its process."""
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
        yield child.pid
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(30)


if __name__ == "__main__":
    main()
