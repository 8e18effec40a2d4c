"""The files that one decision enters, from `POST /decide` to the logged record, in that order.

    .venv/bin/python -m scripts.decision_path [--json]

A customer with a few events is decided for twice over HTTP, on a private PostgreSQL; the second
time every Python function that is entered is noted, in every thread. Compiled code is not seen.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

from starlette.testclient import TestClient

from nba.stores.postgres import embedded, schema
from nba.stores.postgres.log import PostgresLog
from scripts.structure import PACKAGES, ROOT
from serving.http.routes import Routes
from serving.replica.assembly import assemble
from serving.settings import Settings


@contextmanager
def entered() -> Iterator[dict[str, int]]:
    """Counts the calls into each file of the five packages for as long as the block lasts."""
    calls: dict[str, int] = {}
    folders = tuple(f"{ROOT / package}/" for package in PACKAGES)

    def note(frame: FrameType, event: str, _: Any) -> None:
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(folders):
            name = str(Path(file).relative_to(ROOT))
            calls[name] = calls.get(name, 0) + 1

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="the count and the files as JSON")
    given = parser.parse_args()
    with TemporaryDirectory(prefix="nba-path-") as folder:
        try:
            calls = decided_in(Path(folder))
        finally:
            embedded.stop(Path(folder))
    if not given.json:
        for file, count in calls.items():
            print(f"{count:6,}  {file}")
    print(json.dumps({"files": len(calls), "entered": list(calls)} if given.json else len(calls)))


def decided_in(folder: Path) -> dict[str, int]:
    """The files that a decision enters, on a fresh log in this folder."""
    url = embedded.start(folder)
    schema.migrate(url)
    settings = Settings(deadline_ms=60_000.0, journey=ROOT / "examples" / "bank" / "journey.yaml")
    with entered() as calls:
        routes = Routes(assemble(settings, log=PostgresLog.open(url)), settings)
        with TestClient(routes.app) as client:
            for n in range(3):
                search = {"query": "card limit", "results": 0}
                event = {"event": "Search Performed", "customer_id": "ada", "properties": search}
                client.post("/events", json={**event, "event_id": f"search-{n}"}).raise_for_status()
            question = {"customer_id": "ada", "channel": "web"}
            client.post("/decide", json=question).raise_for_status()
            calls.clear()
            answer = client.post("/decide", json=question).raise_for_status().json()
            seen = dict(calls)
            client.portal.call(routes.close)
    assert answer["logged"] is not False, answer
    return seen


if __name__ == "__main__":
    main()
