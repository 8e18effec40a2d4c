"""How fast the log takes events: `python benchmarks/speed/ingest.py --json`.

Appends synthetic events to PostgreSQL in batches of 10,000, and beside each batch copies the same
rows into a table without index or duplicate check. That COPY is the floor: what this machine's
PostgreSQL takes at best from one client, whatever a log does with it. Both alternate, so that a
busy moment of the machine slows both, and the ratio holds where the rates do not.

Group commit: the same log with 1 and with 100 events in a call, each call one commit.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import psycopg
from psycopg.conninfo import make_conninfo

from nba.events.event import Event
from nba.stores.postgres import embedded, schema
from nba.stores.postgres.log import PostgresLog

BATCH = 10_000
CUSTOMERS = 20_000
START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ("Product Viewed", "Page Viewed", "Order Completed", "Ticket Opened", "Email Opened")


def synthetic(first: int, count: int) -> list[Event]:
    """`count` events, about 200 bytes each, with ids in no order, as clients make them."""
    events = []
    for number in range(first, first + count):
        at = START + timedelta(milliseconds=number)
        events.append(
            Event(
                event_id=f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}",
                customer_id=f"customer-{number * 7919 % CUSTOMERS}",
                name=NAMES[number % len(NAMES)],
                occurred_at=at,
                received_at=at,
                properties={
                    "channel": "web",
                    "product_id": f"p{number % 900}",
                    "price": number % 10_000 / 100,
                    "session": number // 10,
                },
            )
        )
    return events


def bulk(log: PostgresLog, floor: psycopg.Connection, count: int) -> dict[str, float]:
    """Events per second of the log and of the floor, in turn, batch by batch."""
    floor.execute("CREATE TABLE floor (LIKE events)")
    floor.commit()
    log_s = floor_s = 0.0
    for first in range(0, count, BATCH):
        events = synthetic(first, min(BATCH, count - first))
        began = time.perf_counter()
        log.append_events(events)
        log_s += time.perf_counter() - began
        began = time.perf_counter()
        copy(floor, events)
        floor_s += time.perf_counter() - began
    return {
        "bulk_events": count,
        "bulk_events_per_s": round(count / log_s),
        "copy_floor_events_per_s": round(count / floor_s),
        "ratio": round(floor_s / log_s, 3),
    }


def copy(connection: psycopg.Connection, events: Sequence[Event]) -> None:
    """COPY the rows of `events`, commit."""
    columns = "event_id, customer_id, name, occurred_at, received_at, decision_id, properties"
    with connection.cursor() as cursor:
        with cursor.copy(f"COPY floor (seq, {columns}) FROM STDIN") as rows:
            for seq, event in enumerate(events):
                rows.write_row(
                    (
                        seq,
                        event.event_id,
                        event.customer_id,
                        event.name,
                        event.occurred_at,
                        event.received_at,
                        event.decision_id,
                        msgspec.json.encode(event.properties).decode(),
                    )
                )
    connection.commit()


def group_commit(log: PostgresLog, first: int, per_call: int, calls: int) -> dict[str, float]:
    """Events per second and the median call, with `per_call` events in each commit."""
    events = synthetic(first, per_call * calls)
    took = []
    for start in range(0, len(events), per_call):
        began = time.perf_counter()
        log.append_events(events[start : start + per_call])
        took.append(time.perf_counter() - began)
    return {
        "events_per_call": per_call,
        "events_per_s": round(len(events) / sum(took)),
        "call_p50_ms": round(statistics.median(took) * 1000, 3),
    }


@contextmanager
def database(folder: Path) -> Iterator[str]:
    """The URL of a new database in the folder's server, dropped in the end."""
    server = embedded.start(folder)
    try:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute("DROP DATABASE IF EXISTS nba_benchmark")
            connection.execute("CREATE DATABASE nba_benchmark")
            url = make_conninfo(server, dbname="nba_benchmark")
            schema.migrate(url)
            yield url
            connection.execute("DROP DATABASE nba_benchmark WITH (FORCE)")
    finally:
        embedded.stop_if_unused(folder)


def measure(folder: Path, count: int) -> dict[str, object]:
    """All figures of one run."""
    with database(folder) as url:
        log = PostgresLog.open(url)
        log.append_events(synthetic(2**32, BATCH))  # warm
        warm = log.position()
        with psycopg.connect(url) as floor:
            figures: dict[str, object] = dict(bulk(log, floor, count))
        figures["group_commit"] = [
            group_commit(log, 2**33, per_call=1, calls=1000),
            group_commit(log, 2**34, per_call=100, calls=200),
        ]
        assert log.position() >= warm + count
        log.close()
    return figures


def main() -> None:
    """Parse the arguments, measure, print."""
    parser = argparse.ArgumentParser(description="How fast the log takes events.")
    parser.add_argument("--json", action="store_true", help="print the JSON object only")
    parser.add_argument("--data", type=Path, help="data folder (default: a temporary one)")
    parser.add_argument("--events", type=int, default=500_000, help="events in bulk")
    given = parser.parse_args()
    if given.data is not None:
        figures = measure(given.data, given.events)
    else:
        with TemporaryDirectory(prefix="bench-nba-") as folder:
            figures = measure(Path(folder), given.events)
    if not given.json:
        print(f"bulk         {figures['bulk_events_per_s']:>9,} events/s")
        print(f"floor (COPY) {figures['copy_floor_events_per_s']:>9,} events/s")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
