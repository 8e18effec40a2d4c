"""The replay of an exported log on Spark against the local one: `spark_replay.py --json`.

    make spark && .venv/bin/python benchmarks/speed/spark_replay.py --json

Writes a log of the simulated bank's events as Parquet, 3 % of them late, and replays it every 30
days: locally, and on Spark with one core and with two, each in a process of its own, so that the
number of cores is real. Seconds are of the wall clock, of the call that an operator waits for, from
the Parquet files to the rows on disk, with the kernel compiled before. `overhead_s` is
`seconds_1_core` less `seconds_local`: the session, the workers' start, the shuffle, and what it
costs to hand events and rows over, all on one core. `session_s` is the part of it that the
session's start took. `equal`: every column of the three tables has the same bytes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.fold import Fold
from features.replay.exported_log import TimeGrid, replay_folder, written_rows
from features.replay.spark import check_spark, replay_spark
from nba.durations import DAY_US
from nba.errors import NbaError
from nba.events.event import micros
from nba.journey_file.loader import load_journey
from nba.stores import parquet

JOURNEY = Path(__file__).parents[2] / "examples" / "bank" / "journey.yaml"
START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 120
LATE = 0.03
EVENTS_EACH = 60  # of a customer, on average
EVERY_DAYS = 30
SEED = 1
# name, properties, weight
CONTENTS = (
    ("Action Decided", {"action_id": "loan_offer", "channel": "web", "propensity": 0.33}, 12),
    ("Action Shown", {"action_id": "loan_offer", "decision_id": "8e75", "channel": "web"}, 9),
    ("App Opened", {"channel": "app"}, 8),
    ("Payment Notice Sent", {"channel": "mail"}, 7),
    ("Products Searched", {"channel": "web", "query": "credit card", "results_count": 23}, 5),
    ("Products Searched", {"channel": "web", "query": "debt relief", "results_count": 0}, 3),
    ("Product Viewed", {"channel": "web", "product": "insurance"}, 6),
    ("Payment Started", {"channel": "app"}, 5),
    ("Payment Completed", {"channel": "app"}, 4),
    ("identify", {"segment": "mass", "age": 23, "monthly_income_eur": 1842.68}, 4),
    ("Contact Started", {"channel": "phone", "issue": "payment", "announced_wait_s": 147}, 4),
    ("Contact Ended", {"issue": "payment", "wait_s": 99, "resolved": True}, 3),
    ("Contact Ended", {"issue": "fees", "wait_s": 410, "resolved": False}, 1),
    ("Branch Visited", {"channel": "branch", "reason": "application", "resolved": False}, 2),
    ("Action Dismissed", {"action_id": "referral", "channel": "app"}, 4),
    ("Agent Requested", {"channel": "ivr"}, 2),
    ("Application Started", {"channel": "web", "product": "loan"}, 2),
    ("Form Error", {"channel": "web", "form": "loan", "field": "employer"}, 1),
    ("Product Purchased", {"product": "card", "margin_eur": 37.95}, 1),
    ("Rage Click", {"channel": "app", "page": "app_home"}, 1),
    ("Survey Answered", {"channel": "mail", "kind": "nps", "score": 4}, 1),
    ("Complaint Filed", {"channel": "web", "comment": "too slow"}, 1),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="the figures as JSON on the last line")
    parser.add_argument("--data", type=Path, help="folder to work in (default: a temporary one)")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--engine", choices=("local", "1", "2"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.engine:
        print(json.dumps(one(given.data, given.engine)))
        return
    try:
        check_spark()
    except NbaError as error:
        sys.exit(str(error))
    with TemporaryDirectory(prefix="bench-nba-", dir=given.data) as folder:
        figures = measure(Path(folder), given.events)
    print(f"local         {figures['seconds_local']:8.1f} s")
    print(f"Spark 1 core  {figures['seconds_1_core']:8.1f} s, session {figures['session_s']:.1f} s")
    print(f"Spark 2 cores {figures['seconds_2_cores']:8.1f} s")
    if given.json:
        print(json.dumps(figures))


def measure(folder: Path, events: int) -> dict[str, object]:
    """All figures of one run."""
    write_log(folder / "log", events)
    found = {}
    for engine in ("local", "1", "2"):
        command = [sys.executable, __file__, "--engine", engine, "--data", str(folder)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found[engine] = json.loads(done.stdout.splitlines()[-1])
    local = found["local"]["seconds"]
    return {
        "equal": all(same(folder / "local", folder / engine) for engine in ("1", "2")),
        "events": events,
        "rows": written_rows(folder / "local"),
        "seconds_local": local,
        "seconds_1_core": found["1"]["seconds"],
        "seconds_2_cores": found["2"]["seconds"],
        "overhead_s": round(found["1"]["seconds"] - local, 2),
        "session_s": found["1"]["session_s"],
    }


def one(folder: Path, engine: str) -> dict[str, float]:
    """Replay the folder's log with one engine, to the folder named as it."""
    fold = Fold(load_journey(JOURNEY))
    fold.compile()
    fold_nothing(fold)
    extent = parquet.extent(folder / "log")
    assert extent.end is not None
    grid = TimeGrid(micros(extent.end), EVERY_DAYS * DAY_US)
    steps: list[float] = []
    begun = time.perf_counter()
    if engine == "local":
        replay_folder(fold, folder / "log", folder / "local", grid, extent.events)
    else:
        replay_spark(
            *(fold, folder / "log", folder / engine, grid, extent.events),
            cores=int(engine),
            step=lambda name: steps.append(time.perf_counter()),
        )
    seconds = time.perf_counter() - begun
    session = steps[1] - steps[0] if steps else 0.0
    return {"seconds": round(seconds, 2), "session_s": round(session, 2)}


def fold_nothing(fold: Fold) -> None:
    """Compile or load what a replay calls."""
    from features.replay.point_in_time import ContextQuestions, encode, replay

    replay(fold, encode(fold, []), ContextQuestions.at(["nobody"], np.array([0.0])))


def write_log(folder: Path, events: int) -> None:
    """A log in which customers come back in visits, and some events arrive days late."""
    rng = np.random.default_rng(SEED)
    customers = rng.integers(0, max(1, events // EVENTS_EACH), events)
    visit = rng.integers(0, 8, events)  # events of one visit fall within 20 minutes
    begins = (customers * 7_919 + visit * 104_729) % (DAYS * 86_400 - 1_200) * 1_000_000
    occurred = micros(START) + begins + rng.integers(0, 1_200_000_000, events)
    late = rng.random(events) < LATE
    received = occurred + np.where(late, rng.integers(0, 5 * DAY_US, events), 0)
    weights = np.array([weight for _, _, weight in CONTENTS], dtype=float)
    kinds = rng.choice(len(CONTENTS), events, p=weights / weights.sum())
    order = np.argsort(received, kind="stable")
    names = pa.array([name for name, _, _ in CONTENTS])
    texts = pa.array([json.dumps(held, sort_keys=True) for _, held, _ in CONTENTS])
    for number, start in enumerate(range(0, events, parquet.PAGE)):
        page = order[start : start + parquet.PAGE]
        days = received[page] // DAY_US
        for day in np.unique(days):
            chosen = np.flatnonzero(days == day)
            rows = page[chosen]
            columns = [
                pa.array([f"e{row}" for row in rows]),
                pa.array([f"c{customer:07}" for customer in customers[rows]]),
                names.take(pa.array(kinds[rows])),
                pa.array(occurred[rows]),
                pa.array(received[rows]),
                pa.array(start + chosen + 1),
                texts.take(pa.array(kinds[rows])),
            ]
            typed = [c.cast(f.type) for c, f in zip(columns, parquet.schema(), strict=True)]
            date = f"{datetime.fromtimestamp(0, UTC) + timedelta(days=int(day)):%Y-%m-%d}"
            folder.mkdir(exist_ok=True)
            table = pa.Table.from_arrays(typed, schema=parquet.schema())
            parquet.write_part(folder, date, number, table)


def same(one: Path, other: Path) -> bool:
    """Whether two tables of context rows have the same bytes, in whatever order of rows."""
    tables = [pq.read_table(path) for path in (one, other)]
    tables = [t.sort_by([("customer_id", "ascending"), ("as_of", "ascending")]) for t in tables]
    if tables[0].column_names != tables[1].column_names:
        return False
    for left, right in zip(*(table.itercolumns() for table in tables), strict=True):
        if pa.types.is_floating(left.type):
            if left.to_numpy().tobytes() != right.to_numpy().tobytes():
                return False
        elif left.cast(right.type) != right:
            return False
    return True


if __name__ == "__main__":
    main()
