"""Context rows of a whole exported log, on this machine: customers in buckets, one after another.

`context_rows` is also what Spark's workers call (`features.replay.spark`): the same encoder and
the same compiled fold, so that it does not matter who computes a row.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from features.fold import Fold
from features.replay.point_in_time import ContextQuestions, EncodedLog, encode, replay
from nba.customer.context import ContextSchema
from nba.errors import InvalidInput
from nba.events.event import Event, micros
from nba.stores.parquet import check_free, events_of, parts, read_part

BUCKET = 200_000  # events whose kernel rows are in memory at a time, about
BUCKETS = 256  # files that are open at a time, at most
ROWS = 25_000  # context rows in memory at a time


@dataclass(frozen=True, slots=True)
class TimeGrid:
    """The moments at which every customer is looked at, in microseconds since 1970 UTC.

    A customer is looked at from when the log received their first event.
    """

    end_us: int
    step_us: int = 0  # counted back from the end; 0: at the end alone

    def times(self, since: Mapping[str, int]) -> tuple[np.ndarray, np.ndarray]:
        """(customers, microseconds), both (n,), by customer and time; `since` says from when."""
        names = sorted(since)
        first = np.array([since[name] for name in names], dtype=np.int64)
        known = first <= self.end_us
        steps = (self.end_us - first) // self.step_us if self.step_us else np.zeros_like(first)
        counts = np.where(known, steps + 1, 0)
        starts = np.repeat(np.cumsum(counts) - counts, counts)
        back = np.repeat(counts, counts) - 1 - (np.arange(counts.sum()) - starts)
        return np.repeat(np.array(names, dtype=object), counts), self.end_us - back * self.step_us


def context_rows(fold: Fold, events: Iterable[Event], grid: TimeGrid) -> Iterator[Any]:
    """Arrow batches of `row_schema`, from every event of some customers, in any order.

    A moment knows what had been received by then, as `ContextQuestions.at`.
    """
    since: dict[str, int] = {}
    log = encode(fold, _note_first(events, since))
    customers, times = grid.times(since)
    for start in range(0, len(times), ROWS):
        chosen = slice(start, start + ROWS)
        yield _batch(fold, log, customers[chosen], times[chosen])


def _note_first(events: Iterable[Event], since: dict[str, int]) -> Iterator[Event]:
    """The events; `since` takes when each customer's first was received."""
    for event in events:
        received = micros(event.received_at)
        since[event.customer_id] = min(received, since.get(event.customer_id, received))
        yield event


def _batch(fold: Fold, log: EncodedLog, customers: np.ndarray, times: np.ndarray) -> Any:
    import pyarrow as pa

    schema = row_schema(fold.schema)
    values, _ = replay(fold, log, ContextQuestions.at(customers, times / 1e6))
    columns = [pa.array(customers, type=pa.string()), pa.array(times).cast(schema.field(1).type)]
    columns += [pa.array(column) for column in np.ascontiguousarray(values.T)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def row_schema(schema: ContextSchema) -> Any:
    """customer_id, as_of (UTC), then the context columns; NaN where unknown."""
    import pyarrow as pa

    named = [("customer_id", pa.string()), ("as_of", pa.timestamp("us", tz="UTC"))]
    return pa.schema(named + [(column, pa.float64()) for column in schema.columns])


def replay_folder(
    fold: Fold,
    folder: Path,
    out: Path,
    grid: TimeGrid,
    events: int,
    progress: Callable[[int], None] = lambda events: None,
) -> None:
    """Write the context rows of an exported log of `events` events to the file `out`.

    Memory holds one bucket of customers. Raises InvalidFile for what cannot be read, InvalidInput
    for what cannot be written.
    """
    import pyarrow.parquet as pq

    count = min(BUCKETS, max(1, -(-events // BUCKET)))
    with new_output(out) as unfinished, TemporaryDirectory(dir=unfinished.parent) as spilled:
        with pq.ParquetWriter(unfinished, row_schema(fold.schema), compression="zstd") as writer:
            for bucket in _buckets(parts(folder), count, Path(spilled)):
                for batch in context_rows(fold, _read(bucket, progress), grid):
                    writer.write_batch(batch)


@contextmanager
def new_output(out: Path) -> Iterator[Path]:
    """A path to write to, on the same disk; becomes `out` where the block ends without an error.

    Raises InvalidInput where `out` exists or cannot be written.
    """
    check_free(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{out.name}-"
        with TemporaryDirectory(dir=out.parent, prefix=prefix, ignore_cleanup_errors=True) as work:
            unfinished = Path(work) / out.name
            yield unfinished
            unfinished.replace(out)
    except OSError as error:
        raise InvalidInput("out", str(out), error.strerror or str(error)) from None


def written_rows(out: Path) -> int:
    """How many rows a file, or the files of a folder, hold."""
    import pyarrow.parquet as pq

    files = sorted(out.glob("*.parquet")) if out.is_dir() else [out]
    return sum(pq.read_metadata(file).num_rows for file in files)


def _read(tables: Iterable[Any], progress: Callable[[int], None]) -> Iterator[Event]:
    for table in tables:
        for batch in table.to_batches(max_chunksize=10_000):
            yield from events_of(batch)
            progress(batch.num_rows)


def _buckets(files: Sequence[Path], count: int, spill: Path) -> Iterator[Iterable[Any]]:
    """The parts' tables in `count` buckets, each with all events of its customers."""
    import pyarrow as pa

    if count == 1:
        yield map(read_part, files)
        return
    with ExitStack() as stack:
        writers = None
        for file in files:
            table = read_part(file)
            if writers is None:
                paths = [spill / f"{number}.arrow" for number in range(count)]
                opened = [pa.ipc.new_stream(str(path), table.schema) for path in paths]
                writers = [stack.enter_context(stream) for stream in opened]
            bucket = _bucket_of(table.column("customer_id"), count)
            order = np.argsort(bucket, kind="stable")
            cuts = np.searchsorted(bucket[order], np.arange(count + 1))
            for number, writer in enumerate(writers):
                chosen = order[cuts[number] : cuts[number + 1]]
                if len(chosen):
                    writer.write_table(table.take(pa.array(chosen)))
    for number in range(count):
        with pa.ipc.open_stream(str(spill / f"{number}.arrow")) as reader:
            yield (pa.Table.from_batches([batch]) for batch in reader)
        (spill / f"{number}.arrow").unlink()


def _bucket_of(customers: Any, count: int) -> np.ndarray:
    """(n,) the bucket of each customer id, the same in every file."""
    coded = customers.combine_chunks().dictionary_encode()
    names = coded.dictionary.to_pylist()
    buckets = np.array([zlib.crc32(name.encode()) % count for name in names], dtype=np.int64)
    return np.asarray(buckets[coded.indices.to_numpy()])
