"""Context rows of an exported log on Spark: the shuffle is Spark's, the fold is ours.

Every customer's events come together and in order; workers encode them and call the same compiled
kernel as online, so that the rows are those of `features.replay.exported_log` bit for bit.
`nba replay --engine spark` runs it on this machine; on a cluster, call `context_frame` with the
cluster's own session: its workers need this package.
"""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import msgspec

from features.fold import Fold
from features.replay.exported_log import BUCKET, TimeGrid, context_rows, new_output
from nba.errors import InvalidInput
from nba.events.valences import ValenceTable
from nba.journey.file import JourneyFile
from nba.stores.parquet import events_of

BATCH = 20_000  # events that Spark hands a worker at a time
LOOPBACK = "127.0.0.1"
EVENTS = (
    "event_id string, customer_id string, name string, occurred_at timestamp, "
    "received_at timestamp, seq long, properties string"
)
_NO_SPARK = "pyspark is not in this environment: run make spark, or take --engine local"
_NO_JAVA = "Spark needs Java 17 or later, as JAVA_HOME or on the PATH; or take --engine local"


def replay_spark(
    fold: Fold,
    folder: Path,
    out: Path,
    grid: TimeGrid,
    events: int,
    *,
    cores: int | None = None,
    step: Callable[[str], None] = lambda name: None,
) -> None:
    """Write the context rows of an exported log of `events` events to the folder `out`.

    `cores`: of this machine, by default all. Raises InvalidInput where pyspark or Java is missing,
    where `out` cannot be written, and where Spark fails.
    """
    check_spark()
    from pyspark.errors import PySparkException

    # two for each core, so that one heavy customer does not keep the others waiting
    partitions = max(2 * (cores or os.cpu_count() or 1), -(-events // BUCKET))
    with new_output(out) as unfinished:
        step("starting Spark")
        with session(cores, unfinished.parent) as spark:
            step("shuffle and fold")
            read = spark.read.schema(EVENTS).parquet(str(folder.absolute()))
            rows = context_frame(read, fold, grid, partitions)
            try:
                rows.write.option("compression", "zstd").parquet(str(unfinished.absolute()))
            except PySparkException as error:
                raise InvalidInput("folder", str(folder), _reason(error)) from None


def context_frame(events: Any, fold: Fold, grid: TimeGrid, partitions: int) -> Any:
    """The DataFrame of context rows, from one with the columns of an exported log."""
    from pyspark.sql.types import DoubleType, StringType, StructField, StructType, TimestampType

    fields = [StructField("customer_id", StringType()), StructField("as_of", TimestampType())]
    fields += [StructField(column, DoubleType()) for column in fold.schema.columns]
    journey = msgspec.json.encode(fold.schema.journey)
    table = msgspec.json.encode(fold.schema.table)
    columns = [part.split()[0] for part in EVENTS.split(", ")]
    return (
        events.select(*columns)
        .repartition(partitions, "customer_id")
        .sortWithinPartitions("customer_id", "occurred_at", "seq")
        .mapInArrow(partial(fold_sorted, journey, table, grid), StructType(fields))
    )


def fold_sorted(
    journey: bytes, table: bytes, grid: TimeGrid, batches: Iterator[Any]
) -> Iterator[Any]:
    """What a worker does: batches sorted by customer become batches of context rows.

    The last customer of each batch is held back until the next one shows that their events
    are complete.
    """
    fold = _fold(journey, table)
    pending: list[Any] = []
    for batch in batches:
        if not batch.num_rows:
            continue
        customers = batch.column("customer_id")
        cut = customers.index(customers[-1]).as_py()
        if cut or (pending and pending[0].column("customer_id")[0] != customers[0]):
            yield from context_rows(fold, _events([*pending, batch.slice(0, cut)]), grid)
            pending = []
        pending.append(batch.slice(cut))
    if pending:
        yield from context_rows(fold, _events(pending), grid)


def _events(batches: list[Any]) -> Iterator[Any]:
    for batch in batches:
        yield from events_of(batch)


@cache
def _fold(journey: bytes, table: bytes) -> Fold:
    """The fold that the bytes stand for; once in each worker."""
    return Fold(
        msgspec.json.decode(journey, type=JourneyFile),
        msgspec.json.decode(table, type=ValenceTable),
    )


def check_spark() -> None:
    """Raise InvalidInput, with the remedy, where pyspark or Java is missing."""
    try:
        import pyspark  # noqa: F401
    except ImportError:
        raise InvalidInput("engine", "spark", _NO_SPARK) from None
    home = os.environ.get("JAVA_HOME")
    if not (Path(home, "bin", "java").exists() if home else shutil.which("java")):
        raise InvalidInput("engine", "spark", _NO_JAVA)


@contextmanager
def session(cores: int | None, scratch: Path) -> Iterator[Any]:
    """A Spark of this machine alone: it listens on loopback, and leaves nothing behind.

    Raises InvalidInput where it does not start.
    """
    from pyspark.errors import PySparkRuntimeError
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", LOOPBACK)
    options = {
        "spark.driver.host": LOOPBACK,
        "spark.driver.bindAddress": LOOPBACK,
        "spark.log.level": "ERROR",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.memory": "2g",
        "spark.local.dir": str(scratch / "spark"),
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(BATCH),
    }
    builder = SparkSession.builder.master(f"local[{cores or '*'}]").appName("nba replay")
    with warnings.catch_warnings():  # of pandas 3, which nothing here goes through
        warnings.simplefilter("ignore", FutureWarning)
        try:
            spark = builder.config(map=options).getOrCreate()
        except PySparkRuntimeError:
            raise InvalidInput("engine", "spark", f"it did not start: {_NO_JAVA}") from None
        try:
            yield spark
        finally:
            spark.stop()


def _reason(error: Exception) -> str:
    """The line of a worker's or of Spark's error that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    ours = [line for line in lines if line.startswith("nba.errors.")]
    return (ours or lines or [type(error).__name__])[0][:300]
