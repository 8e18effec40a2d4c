"""Replay of an exported log on this machine: the rows of `frame.replay`, however it is cut."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.replay import exported_log as batch
from features.replay.exported_log import TimeGrid, context_rows, replay_folder
from features.replay.point_in_time import ContextQuestions, encode, replay
from features.replay.spark import fold_sorted
from nba.durations import DAY_US
from nba.errors import InvalidFile, InvalidInput
from nba.events.event import Event, micros
from nba.stores import parquet
from tests.fixtures.late_log import DAYS, late_log
from tests.fixtures.small_replica import FOLD, JOURNEY, NOON

END = micros(NOON + timedelta(days=DAYS))


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return late_log(customers=60, events=900).page_events()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("exported") / "log"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "PAGE", 100)
        parquet.export(late_log(customers=60, events=900), made)
    yield made


def expected(events: list[Event], grid: TimeGrid) -> dict[tuple[str, int], bytes]:
    """The rows that `frame.replay` gives on the whole log, moment by moment."""
    first: dict[str, int] = {}
    for event in events:
        at = micros(event.received_at)
        first[event.customer_id] = min(at, first.get(event.customer_id, at))
    asked = []
    for customer, since in first.items():
        moment = grid.end_us
        while moment >= since:
            asked.append((customer, moment))
            if not grid.step_us:
                break
            moment -= grid.step_us
    customers = np.array([customer for customer, _ in asked], dtype=object)
    as_of = np.array([moment / 1e6 for _, moment in asked])
    values, _ = replay(FOLD, encode(FOLD, events), ContextQuestions.at(customers, as_of))
    return {one: row.tobytes() for one, row in zip(asked, values, strict=True)}


def found(table: pd.DataFrame) -> dict[tuple[str, int], bytes]:
    assert list(table.columns) == ["customer_id", "as_of", *FOLD.schema.columns]
    times = table["as_of"].astype("int64")
    values = table[FOLD.schema.columns].to_numpy()
    rows = {
        (str(customer), int(time)): row.tobytes()
        for customer, time, row in zip(table["customer_id"], times, values, strict=True)
    }
    assert len(rows) == len(table)
    return rows


@pytest.mark.parametrize("bucket", [50, 10**6])
@pytest.mark.parametrize("step_us", [0, 5 * DAY_US])
def test_a_replayed_folder_is_the_replayed_log(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    folder: Path,
    events: list[Event],
    bucket: int,
    step_us: int,
) -> None:
    monkeypatch.setattr(batch, "BUCKET", bucket)
    monkeypatch.setattr(batch, "ROWS", 70)
    grid = TimeGrid(END, step_us)
    told: list[int] = []
    replay_folder(FOLD, folder, tmp_path / "rows.parquet", grid, len(events), told.append)
    assert found(pd.read_parquet(tmp_path / "rows.parquet")) == expected(events, grid)
    assert sum(told) == len(events)
    assert [one.name for one in tmp_path.iterdir()] == ["rows.parquet"]


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_batches_cut_anywhere_give_the_same_rows(events: list[Event], size: int) -> None:
    """What Spark's workers do, without Spark: customers come in order, in batches of any size."""
    import msgspec

    grid = TimeGrid(END, 9 * DAY_US)
    ordered = sorted(events, key=lambda one: (one.customer_id, one.occurred_at, one.seq))
    batches = parquet.table_of(ordered).combine_chunks().to_batches(max_chunksize=size)
    journey = msgspec.json.encode(JOURNEY)
    table = msgspec.json.encode(FOLD.schema.table)
    rows = [one.to_pandas() for one in fold_sorted(journey, table, grid, iter(batches))]
    assert found(pd.concat(rows)) == expected(events, grid)


def test_what_is_received_after_a_moment_is_not_seen(events: list[Event]) -> None:
    at = micros(NOON + timedelta(days=DAYS / 2))
    known = [event for event in events if micros(event.received_at) <= at]
    assert len(known) < len([event for event in events if micros(event.occurred_at) <= at])
    whole, then = (
        [b.to_pandas() for b in context_rows(FOLD, e, TimeGrid(at))] for e in (events, known)
    )
    assert found(pd.concat(whole)) == found(pd.concat(then)) != {}


def test_no_customer_has_a_row_before_the_log_knew_of_her(events: list[Event]) -> None:
    assert list(context_rows(FOLD, events, TimeGrid(micros(NOON) - DAY_US))) == []


def test_an_empty_log_gives_a_table_without_rows(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    replay_folder(FOLD, tmp_path / "log", tmp_path / "rows.parquet", TimeGrid(END), 0)
    assert found(pd.read_parquet(tmp_path / "rows.parquet")) == {}
    assert batch.written_rows(tmp_path / "rows.parquet") == 0


def test_what_is_there_is_not_overwritten(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "rows.parquet").write_text("mine")
    with pytest.raises(InvalidInput, match="it exists"):
        replay_folder(FOLD, folder, tmp_path / "rows.parquet", TimeGrid(END), 900)
    assert (tmp_path / "rows.parquet").read_text() == "mine"


def test_a_replay_that_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "log" / "day=2026-03-01").mkdir(parents=True)
    (tmp_path / "log" / "day=2026-03-01" / "part-0.parquet").write_bytes(b"no")
    with pytest.raises(InvalidFile, match=r"part-0\.parquet"):
        replay_folder(FOLD, tmp_path / "log", tmp_path / "rows.parquet", TimeGrid(END), 1)
    assert [one.name for one in tmp_path.iterdir()] == ["log"]
