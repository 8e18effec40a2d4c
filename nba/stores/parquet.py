"""The log as Parquet: what `nba export` writes and a replay outside of the database reads.

A folder `day=YYYY-MM-DD` holds what was received on that day (UTC). The files `part-N.parquet` of
all days together are page N of the log: a reader who takes page after page, and each by `seq`,
has the log in its order with one page in memory. `_valences.json` holds the valences in force.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from nba.errors import InvalidBundle, InvalidFile, InvalidInput
from nba.events.event import Event, from_micros, micros
from nba.events.valences import VALENCES_FILE, ValenceTable, valences_from_json, valences_json
from nba.stores.log import Log
from nba.stores.pages import event_pages

PAGE = 50_000  # events in one page
NAMES = ("event_id", "customer_id", "name", "occurred_at", "received_at", "seq", "properties")
_PART = re.compile(r"day=\d{4}-\d{2}-\d{2}/part-(\d+)\.parquet")
_VALENCES = f"_{VALENCES_FILE}"  # readers of Parquet folders pass over what begins so
_EXPORT = "give a folder that nba export has written"


class Extent(msgspec.Struct, frozen=True, kw_only=True):
    """What an exported log holds."""

    events: int
    files: int
    end: datetime | None  # the last `received_at`, UTC; None for an empty log


@cache
def schema() -> Any:
    """The columns of every part; `properties` is canonical JSON."""
    import pyarrow as pa

    time = pa.timestamp("us", tz="UTC")
    types = (*[pa.string()] * 3, time, time, pa.int64(), pa.string())
    columns = zip(NAMES, types, strict=True)
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in columns])


def export(
    log: Log,
    folder: Path,
    progress: Callable[[int], None] = lambda events: None,
    valences: ValenceTable | None = None,
) -> Extent:
    """Write the whole log to `folder`, at once or not at all; `progress` is told of each page.

    Raises InvalidInput where the folder holds something or cannot be written, StoreUnavailable.
    """
    check_free(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as work:
            made = Path(work) / "log"
            made.mkdir()
            (made / _VALENCES).write_bytes(valences_json(valences or ValenceTable()))
            extent = _write(log, made, progress)
            made.replace(folder)
    except OSError as error:
        raise InvalidInput("folder", str(folder), error.strerror or str(error)) from None
    return extent


def read_valences(folder: Path) -> ValenceTable:
    """The valences that an export came with, the priors where it has none. Raises InvalidFile."""
    file = folder / _VALENCES
    try:
        return valences_from_json(file.read_bytes()) if file.exists() else ValenceTable()
    except (OSError, InvalidBundle) as error:
        raise InvalidFile(str(file), 0, "file", file.name, str(error)) from None


def check_free(target: Path) -> None:
    """Raise InvalidInput unless `target` does not exist, or is an empty folder."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InvalidInput("folder", str(target), "it exists: name another, or remove it first")


def _write(log: Log, folder: Path, progress: Callable[[int], None]) -> Extent:
    events, files, end = 0, 0, None
    for number, page in enumerate(event_pages(log, size=PAGE, progress=progress)):
        days: dict[str, list[Event]] = defaultdict(list)
        for event in page:
            received = event.received_at.astimezone(UTC)
            end = received if end is None else max(end, received)
            days[f"{received:%Y-%m-%d}"].append(event)
        for day, received_then in days.items():
            write_part(folder, day, number, table_of(received_then))
        events += len(page)
        files += len(days)
    return Extent(events=events, files=files, end=end)


def write_part(folder: Path, day: str, number: int, table: Any) -> None:
    """Write what was received on `day` (YYYY-MM-DD) of page `number`: a table of `schema`."""
    import pyarrow.parquet as pq

    day_folder = folder / f"day={day}"
    day_folder.mkdir(exist_ok=True)
    pq.write_table(table, day_folder / f"part-{number}.parquet", compression="zstd")


def table_of(events: Sequence[Event]) -> Any:
    """The events as an Arrow table of `schema`."""
    import pyarrow as pa

    columns = [
        [event.event_id for event in events],
        [event.customer_id for event in events],
        [event.name for event in events],
        [micros(event.occurred_at) for event in events],
        [micros(event.received_at) for event in events],
        [event.seq for event in events],
        [msgspec.json.encode(event.properties, order="deterministic").decode() for event in events],
    ]
    arrays = [
        pa.array(column, type=field.type) for column, field in zip(columns, schema(), strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema())


def events_of(table: Any) -> list[Event]:
    """The inverse of `table_of`, for a table or a batch. Raises InvalidInput."""
    import pyarrow as pa

    read = []
    for field in schema():
        column = table.column(field.name)
        if column.null_count:
            raise InvalidInput(field.name, None, "every event has one: export the log again")
        is_time = pa.types.is_timestamp(field.type)
        read.append((column.cast(pa.int64()) if is_time else column).to_pylist())
    events = []
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    for event_id, customer_id, name, occurred, received, seq, properties in zip(*read, strict=True):
        try:
            decoded = decode(properties)
        except msgspec.MsgspecError:
            raise InvalidInput("properties", properties, "write one JSON object") from None
        events.append(
            Event(
                event_id=event_id,
                customer_id=customer_id,
                name=name,
                occurred_at=from_micros(occurred),
                received_at=from_micros(received),
                properties=decoded,
                seq=seq,
            )
        )
    return events


def read_events(folder: Path) -> Iterator[Event]:
    """The exported events in the order of the log. Raises InvalidFile."""
    last = 0
    for number, files in _pages(folder):
        page: list[Event] = []
        for file in files:
            try:
                page += events_of(read_part(file))
            except InvalidFile:
                raise
            except InvalidInput as error:
                raise InvalidFile.at(str(file), 0, error) from None
        page.sort(key=lambda event: event.seq)
        for event in page:
            if event.seq <= last:
                where = f"{folder}/*/part-{number}.parquet"
                raise InvalidFile(where, 0, "seq", event.seq, f"not after {last}: export again")
            last = event.seq
            yield event


def parts(folder: Path) -> list[Path]:
    """Every file of an exported log, page by page. Raises InvalidFile."""
    return [file for _, files in _pages(folder) for file in files]


def read_part(file: Path, columns: Sequence[str] = NAMES) -> Any:
    """Some columns of one file as a table. Raises InvalidFile where it is not of `schema`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = pa.schema([schema().field(name) for name in columns])
    try:
        with pq.ParquetFile(file) as opened:
            missing = set(columns) - set(opened.schema_arrow.names)
            if missing:
                raise InvalidFile(str(file), 0, min(missing), None, f"no such column: {_EXPORT}")
            return opened.read(columns=list(columns)).cast(wanted)
    except (OSError, ValueError, pa.ArrowException) as error:
        why = " ".join(str(error).split())[:200]
        raise InvalidFile(str(file), 0, "file", file.name, f"{why}: {_EXPORT}") from None


def extent(folder: Path) -> Extent:
    """How much an exported log holds, and when it ends. Raises InvalidFile."""
    import pyarrow.compute as pc

    events, files, end = 0, parts(folder), None
    for file in files:
        table = read_part(file, ("received_at",))
        latest = pc.max(table.column("received_at")).cast("int64").as_py()
        events += table.num_rows
        end = max((time for time in (end, latest) if time is not None), default=None)
    ended = None if end is None else from_micros(end)
    return Extent(events=events, files=len(files), end=ended)


def _pages(folder: Path) -> list[tuple[int, list[Path]]]:
    if not folder.is_dir():
        raise InvalidFile(str(folder), 0, "folder", folder.name, f"no such folder: {_EXPORT}")
    pages: dict[int, list[Path]] = defaultdict(list)
    for file in sorted(folder.rglob("*.parquet")):
        named = _PART.fullmatch(file.relative_to(folder).as_posix())
        if named is None:
            raise InvalidFile(str(file), 0, "file", file.name, f"no part of an export: {_EXPORT}")
        pages[int(named[1])].append(file)
    return sorted(pages.items())
