"""Commands for logs beyond one machine's database: export, replay."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nba.durations import DAY_US
from nba.errors import InvalidInput
from serving.cli.terminal.options import Json
from serving.cli.terminal.session import command_settings
from serving.console import console, print_json, progress_bar, steps

if TYPE_CHECKING:
    from nba.events.valences import ValenceTable
    from nba.stores.log import Log


class ReplayEngine(StrEnum):
    """Who brings a customer's events together."""

    LOCAL = "local"
    SPARK = "spark"


def export(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    json: Json = False,
) -> None:
    """Write the log's events as Parquet files, a folder for each day of arrival.

    The valences in force go with them, so that a replay appraises events as the service does.
    Example: `nba export warehouse/events`
    """
    from nba.stores import parquet
    from serving.replica.assembly import opened_log

    settings = command_settings()
    parquet.check_free(folder)
    with opened_log(settings) as log, progress_bar("exporting", log.position()) as advance:
        extent = parquet.export(log, folder, advance, _valences(log))
    if json:
        print_json({"folder": str(folder), "events": extent.events, "files": extent.files})
    else:
        console.print(f"{extent.events:,} events in {extent.files:,} files in {folder}")


def replay(
    folder: Annotated[Path, typer.Argument(help="A folder that nba export has written.")],
    out: Annotated[Path, typer.Option(help="Where the rows go: a file, of Spark a folder.")],
    engine: Annotated[ReplayEngine, typer.Option(help="Who does it.")] = ReplayEngine.LOCAL,
    at: Annotated[
        str | None, typer.Option(help="The moment, ISO 8601; by default the log's end.")
    ] = None,
    every_days: Annotated[
        float | None, typer.Option(min=0.01, help="Also every so many days before it.")
    ] = None,
    cores: Annotated[
        int | None, typer.Option(min=1, help="Cores that Spark takes; by default all.")
    ] = None,
    json: Json = False,
) -> None:
    """Write context rows of every customer in an exported log, as Parquet, by the serving fold.

    A row knows what had been received by its moment; a customer has rows from the arrival of their
    first event on. Example: `nba replay warehouse/events --out rows.parquet --every-days 7`
    """
    from features.fold import Fold
    from features.replay.exported_log import TimeGrid, replay_folder, written_rows
    from nba.events.event import micros
    from nba.journey_file.loader import load_journey
    from nba.stores import parquet

    if cores is not None and engine is ReplayEngine.LOCAL:
        raise InvalidInput("cores", cores, "only --engine spark takes more than one")
    end = None if at is None else _moment(at)
    settings = command_settings()
    parquet.check_free(out)
    if engine is ReplayEngine.LOCAL and out.exists():
        raise InvalidInput("out", str(out), "it exists; name a file that does not")
    fold = Fold(load_journey(settings.journey), parquet.read_valences(folder))
    extent = parquet.extent(folder)
    end = end or extent.end or datetime(1970, 1, 1, tzinfo=UTC)
    grid = TimeGrid(micros(end), round((every_days or 0) * DAY_US))
    if engine is ReplayEngine.SPARK:
        from features.replay.spark import replay_spark

        with steps("replaying", 2) as step:
            replay_spark(fold, folder, out, grid, extent.events, cores=cores, step=step)
    else:
        with progress_bar("replaying", extent.events) as advance:
            replay_folder(fold, folder, out, grid, extent.events, advance)
    rows = written_rows(out)
    if json:
        print_json(
            {
                "out": str(out),
                "engine": engine.value,
                "events": extent.events,
                "rows": rows,
                "columns": len(fold.schema.columns),
            }
        )
        return
    console.print(f"{rows:,} rows of {len(fold.schema.columns)} columns in {out}")


def _valences(log: Log) -> ValenceTable:
    """Those of the champion, the priors where there is none."""
    from nba.events.valences import VALENCES_FILE, ValenceTable, valences_from_json
    from nba.stores.versioned import CHAMPION, version_in_force

    stored = version_in_force(log, CHAMPION)
    files = stored.files if stored is not None else {}
    return valences_from_json(files[VALENCES_FILE]) if VALENCES_FILE in files else ValenceTable()


def _moment(text: str) -> datetime:
    remedy = "give an ISO 8601 time with its offset, such as 2026-01-31T09:30:00Z"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput("at", text, remedy) from None
    if moment.tzinfo is None:
        raise InvalidInput("at", text, remedy)
    return moment.astimezone(UTC)
