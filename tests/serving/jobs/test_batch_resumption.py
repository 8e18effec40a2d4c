"""A batch that was cut short, by a kill or an outage, goes on where it stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest

from nba.decisions.decision import Decision
from nba.engine import batch as batch_module
from nba.engine.batch import BatchPlan
from nba.errors import InvalidFile, InvalidInput, StoreUnavailable
from nba.events.event import Event
from nba.stores.memory.log import MemoryLog
from nba.stores.postgres.log import PostgresLog
from serving.jobs import decision_files
from serving.jobs.batch_decisions import BatchOptions, customers_in, customers_of, run_batch
from tests.fixtures.batches import SCORES, batch_on, filled, governed
from tests.fixtures.files import ROOT, SMALL_JOURNEY
from tests.fixtures.small_replica import (
    NOON,
    SmallReplica,
    StubScorer,
    engine_of,
    failed_search,
)

# The folder


def replica_on(log: Any = None, scorer: Any = None) -> Any:
    """What `run_batch` needs of a replica."""
    small = SmallReplica(log=log or MemoryLog(), scorer=scorer or StubScorer(SCORES))
    return SimpleNamespace(
        log=small.log,
        engine=engine_of(small),
        now=lambda: NOON,
        chance=small.chance,
        small=small,
    )


class Dying(MemoryLog):
    """A log whose caller is killed after so many appends of decisions."""

    left = 10**9

    def append_decisions(self, decisions: Sequence[Decision]) -> list[Decision | None]:
        self.left -= 1
        held = super().append_decisions(decisions)
        if self.left == 0:
            raise KeyboardInterrupt
        return held


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision_files, "PART", 10)
    monkeypatch.setattr("serving.jobs.batch_decisions.CHUNK", 4)
    monkeypatch.setattr(batch_module, "CHUNK", 4)


@pytest.mark.usefixtures("small_parts")
def test_a_batch_goes_on_from_its_last_complete_part(tmp_path: Path) -> None:
    log = Dying()
    replica = replica_on(log)
    customers = filled(replica.small, 35)
    log.left = 5  # in the midst of the second part, after its decisions were committed
    ask = BatchOptions(whole=True)
    with pytest.raises(KeyboardInterrupt):
        run_batch(replica, tmp_path / "out", ask, lambda: customers)
    assert len(list((tmp_path / "out").glob("part-*.parquet"))) == 1
    held = len(log.page_decisions(0, 10_000))

    def never() -> list[str]:
        raise AssertionError("the customers stand in the folder")

    seen: list[int] = []
    done = run_batch(replica, tmp_path / "out", ask, never, seen.append)
    assert (done.went_on, done.customers, sum(seen)) == (True, 35, 35)
    rows = pq.read_table(tmp_path / "out", partitioning=None).to_pylist()
    assert [row["customer_id"] for row in rows] == customers
    logged = {one.decision_id: one for _, one in log.page_decisions(0, 10_000)}
    assert len(logged) == held + 35 - 18 and sum(done.actions.values()) == 35
    for row in rows:
        assert logged[row["decision_id"]].to_json() == row["decision"]
    again = run_batch(replica, tmp_path / "out", ask, never)
    assert again == done and len(log.page_decisions(0, 10_000)) == len(logged)


def test_two_batches_are_two_however_long_their_folders_name_is(tmp_path: Path) -> None:
    replica = replica_on()
    customers = filled(replica.small, 12)
    for week in (1, 2):
        replica.now = lambda week=week: NOON + timedelta(weeks=week)
        folder = tmp_path / f"week-{week}" / ("n" * 250)
        folder.parent.mkdir()
        run_batch(replica, folder, BatchOptions(seed=7), lambda: customers)
    logged = [one for _, one in replica.log.page_decisions(0, 100)]
    held = [one for one in logged if one.request.request_id is not None]  # those of the batches
    assert len(held) == 24 and len({one.request.request_id for one in held}) == 2
    assert len({one.seed for one in held}) == 24


@pytest.mark.usefixtures("small_parts")
def test_a_dry_run_that_goes_on_remembers_what_it_has_taken(tmp_path: Path) -> None:
    results = []
    for name, dies in (("whole", False), ("cut", True)):
        replica = replica_on()
        small = SmallReplica(governed(4.0, "contacts"), scorer=StubScorer((0.9, 0, 0.9, 0, 0)))
        replica.engine = engine_of(small)
        replica.log = small.log
        customers = filled(small, 30)
        ask = BatchOptions(dry_run=True, seed=4, whole=True)
        if dies:
            run_batch(replica, tmp_path / name, ask, lambda c=customers: c)
            (tmp_path / name / "part-000001.parquet").unlink()
            (tmp_path / name / "part-000002.parquet").unlink()
        run_batch(replica, tmp_path / name, ask, lambda c=customers: c)
        rows = pq.read_table(tmp_path / name, partitioning=None).to_pylist()
        results.append([row["action_id"] for row in rows])
    assert results[0] == results[1]


def test_another_question_does_not_go_on_in_the_same_folder(tmp_path: Path) -> None:
    replica = replica_on()
    filled(replica.small, 3)
    run_batch(replica, tmp_path / "out", BatchOptions(seed=1), lambda: customers_in(replica.log))
    for ask in (BatchOptions(channel="web"), BatchOptions(dry_run=True), BatchOptions(seed=2)):
        with pytest.raises(InvalidInput, match="name another folder"):
            run_batch(replica, tmp_path / "out", ask, list)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("mine")
    with pytest.raises(InvalidInput, match="no folder of a batch"):
        run_batch(replica, tmp_path / "other", BatchOptions(), list)
    with pytest.raises(InvalidInput, match="channel"):
        run_batch(replica, tmp_path / "third", BatchOptions(channel="wbe"), list)
    assert not (tmp_path / "third").exists()


def test_customers_come_from_the_log_or_from_a_file(tmp_path: Path) -> None:
    replica = replica_on()
    replica.log.append_events([failed_search(customer_id=one) for one in ("b", "a", "b", "c d")])
    assert list(customers_in(replica.log)) == ["b", "a", "c d"]
    file = tmp_path / "who.txt"
    file.write_text("x\n\ny z\nx\n", encoding="utf-8")
    assert list(customers_of(file)) == ["x", "y z"]
    file.write_text("x" * 300, encoding="utf-8")
    for bad in (file, tmp_path / "none.txt"):
        with pytest.raises(InvalidFile):
            list(customers_of(bad))


def test_a_log_that_keeps_moving_stops_the_batch_and_loses_nothing() -> None:
    class Moving(MemoryLog):
        def append_decisions(self, decisions: Sequence[Decision]) -> list[Decision | None]:
            self.append_events([_later(decision.request.customer_id) for decision in decisions])
            return super().append_decisions(decisions)

    replica = SmallReplica(log=Moving(), scorer=StubScorer(SCORES))
    with pytest.raises(StoreUnavailable, match="it goes on"):
        batch_on(replica, BatchPlan(name="b", seed=1, now=NOON)).decide(["ada"])


def _later(customer_id: str) -> Event:
    return failed_search(NOON + timedelta(minutes=1), customer_id)


CHILD = """
import sys
from pathlib import Path
from serving.jobs import decision_files
decision_files.PART = 40
sys.argv = ["nba", "decide", "--batch", sys.argv[1], "--json"]
from serving.cli import main
main()
"""


def test_a_batch_that_is_killed_goes_on_and_decides_for_nobody_twice(
    postgres_url: str, tmp_path: Path
) -> None:
    log = PostgresLog.open(postgres_url)
    customers = [f"c{n}" for n in range(600)]
    log.append_events([failed_search(customer_id=customer) for customer in customers])
    out = tmp_path / "out"
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("NBA_")},
        "NBA_DATABASE_URL": postgres_url,
        "NBA_HOME": str(tmp_path / "home"),
        "NBA_JOURNEY": str(SMALL_JOURNEY),
    }
    command = [sys.executable, "-c", CHILD, str(out)]
    child = subprocess.Popen(command, cwd=ROOT, env=environ, stderr=subprocess.DEVNULL)
    for _ in range(1200):
        if len(list(out.glob("part-*.parquet"))) >= 2 or child.poll() is not None:
            break
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait(30)
    complete = len(list(out.glob("part-*.parquet")))
    assert complete >= 2, "the child came to nothing"
    finished = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, timeout=120)
    done = json.loads(finished.stdout)
    assert (done["customers"], done["went_on"]) == (600, True)
    decisions = [one for _, one in log.page_decisions(0, 10_000)]
    log.close()
    assert len(decisions) == 600
    assert {decision.request.customer_id for decision in decisions} == set(customers)
    rows = pq.read_table(out, partitioning=None).to_pylist()
    assert {row["decision_id"] for row in rows} == {decision.decision_id for decision in decisions}
