"""The log as Parquet: what is exported is what is read, in order, and nothing else is taken."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from nba.errors import InvalidFile, InvalidInput, StoreUnavailable
from nba.events.event import Event
from nba.events.valences import SurveyScale, ValenceTable
from nba.stores import parquet
from nba.stores.memory.log import MemoryLog

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "PAGE", 4)


def log_of(*received: datetime, **properties: Any) -> MemoryLog:
    log = MemoryLog()
    log.append_events(
        [
            Event(
                event_id=f"e{number}",
                customer_id=f"c{number % 3}",
                name="Product Viewed",
                occurred_at=at - timedelta(minutes=number),
                received_at=at,
                properties=properties or {"n": number, "é": [1.5, None, {"deep": True}]},
            )
            for number, at in enumerate(received)
        ]
    )
    return log


def days(*offsets: float) -> list[datetime]:
    return [NOON + timedelta(days=offset) for offset in offsets]


def test_what_is_exported_is_what_is_read(tmp_path: Path) -> None:
    """Days in any order: a history file that was imported late comes later in the log."""
    log = log_of(*days(0, 0.1, 3, 1, 0, 2, 9, 3, 3, 0.5, -400))
    told: list[int] = []
    extent = parquet.export(log, tmp_path / "deep" / "log", told.append)
    assert list(parquet.read_events(tmp_path / "deep" / "log")) == log.page_events()
    assert told == [4, 4, 3]
    assert extent == parquet.extent(tmp_path / "deep" / "log")
    assert (extent.events, extent.end) == (11, NOON + timedelta(days=9))
    assert [one.name for one in (tmp_path / "deep").iterdir()] == ["log"]


def test_a_day_is_that_of_arrival_in_utc_and_properties_are_canonical(tmp_path: Path) -> None:
    late = datetime.fromisoformat("2026-03-02T00:30:00+02:00")
    parquet.export(log_of(late, b=1, a=[2]), tmp_path / "log")
    file = tmp_path / "log" / "day=2026-03-01" / "part-0.parquet"
    table = pq.ParquetFile(file).read()
    assert table.schema.equals(parquet.schema())
    assert table.column("properties").to_pylist() == ['{"a":[2],"b":1}']
    assert pq.read_metadata(file).row_group(0).column(0).compression == "ZSTD"


def test_an_empty_log_is_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    extent = parquet.export(MemoryLog(), tmp_path / "log")
    assert extent == parquet.Extent(events=0, files=0, end=None) == parquet.extent(tmp_path / "log")
    assert list(parquet.read_events(tmp_path / "log")) == []


def test_the_valences_in_force_go_with_the_log(tmp_path: Path) -> None:
    table = ValenceTable(surveys=(SurveyScale(kind="survey", scores=(1.0,), counts=(3,)),))
    parquet.export(log_of(NOON), tmp_path / "log", valences=table)
    assert parquet.read_valences(tmp_path / "log") == table
    parquet.export(log_of(NOON), tmp_path / "prior")
    assert parquet.read_valences(tmp_path / "prior") == ValenceTable()
    assert parquet.read_valences(tmp_path) == ValenceTable()  # of another writer
    (tmp_path / "log" / "_valences.json").write_text("{")
    with pytest.raises(InvalidFile, match=r"_valences\.json:0: file: "):
        parquet.read_valences(tmp_path / "log")


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    for target in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(InvalidInput, match="it exists: name another, or remove it first"):
            parquet.export(log_of(NOON), target)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_an_export_that_fails_leaves_nothing(tmp_path: Path) -> None:
    class Failing(MemoryLog):
        def page_events(self, after: int = 0, limit: int = 10_000) -> list[Event]:
            if after:
                raise StoreUnavailable("gone")
            return log_of(*days(0, 1, 2, 3)).page_events()

    with pytest.raises(StoreUnavailable):
        parquet.export(Failing(), tmp_path / "log")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_an_error_with_the_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="folder: .*: File exists"):
        parquet.export(log_of(NOON), tmp_path / "file" / "log")


# Bad files


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """The only part of an export of two events."""
    parquet.export(log_of(*days(0, 0.01)), tmp_path / "log")
    return tmp_path / "log" / "day=2026-03-01" / "part-0.parquet"


def changed(part: Path, column: str, values: list[Any]) -> None:
    table = pq.ParquetFile(part).read()
    at = table.schema.get_field_index(column)
    field = pa.field(column, table.schema.field(at).type)
    pq.write_table(table.set_column(at, field, pa.array(values, type=field.type)), part)


def refused(part: Path) -> str:
    with pytest.raises(InvalidFile) as caught:
        list(parquet.read_events(part.parents[1]))
    return str(caught.value)


def test_a_file_that_is_no_parquet_is_named(part: Path) -> None:
    part.write_bytes(b"PAR1 nothing PAR1")
    assert refused(part).startswith(f"{part}:0: file: ")
    with pytest.raises(InvalidFile, match=r"part-0\.parquet"):
        parquet.extent(part.parents[1])


def test_a_column_that_is_missing_is_named(part: Path) -> None:
    pq.write_table(pq.ParquetFile(part).read().drop_columns(["seq"]), part)
    assert refused(part).startswith(f"{part}:0: seq: None: no such column")


@pytest.mark.parametrize("properties", ["[1]", "{", "3"])
def test_properties_that_are_no_object_are_named(part: Path, properties: str) -> None:
    changed(part, "properties", ["{}", properties])
    assert refused(part) == f"{part}:0: properties: '{properties}': write one JSON object"


def test_an_event_without_a_customer_is_named(part: Path) -> None:
    changed(part, "customer_id", ["ada", None])
    assert str(part) in refused(part)


def test_a_column_of_another_type_is_named(part: Path) -> None:
    table = pq.ParquetFile(part).read()
    at = table.schema.get_field_index("occurred_at")
    pq.write_table(table.set_column(at, "occurred_at", pa.array(["noon", "one"])), part)
    assert refused(part).startswith(f"{part}:0: file: ")


def test_an_event_that_comes_twice_is_an_error(part: Path) -> None:
    changed(part, "seq", [2, 2])
    assert "part-0.parquet:0: seq: 2: not after 2" in refused(part)


def test_a_foreign_file_is_named(part: Path) -> None:
    part.rename(part.with_name("other.parquet"))
    assert "no part of an export" in refused(part)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile, match="no such folder: give a folder that nba export"):
        list(parquet.read_events(tmp_path / "no"))


def test_another_writers_text_type_is_taken(part: Path) -> None:
    table = pq.ParquetFile(part).read()
    at = table.schema.get_field_index("name")
    wide = table.set_column(at, "name", table.column("name").cast(pa.large_string()))
    before = list(parquet.read_events(part.parents[1]))
    pq.write_table(wide, part)
    assert list(parquet.read_events(part.parents[1])) == before


def test_a_table_of_events_is_events_again() -> None:
    events = log_of(*days(0, 1)).page_events()
    assert parquet.events_of(parquet.table_of(events)) == events
    assert parquet.events_of(parquet.table_of([])) == []
    assert parquet.events_of(parquet.table_of([replace(events[0], seq=0)]))[0].seq == 0
