"""The command that takes event files in: ingest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from serving.cli.terminal.options import Json
from serving.cli.terminal.session import command_settings
from serving.console import print_json, progress_bar


def ingest(
    files: Annotated[list[Path], typer.Argument(help="Event files, JSON lines, plain or .gz.")],
    json: Json = False,
) -> None:
    """Append event files to the log; an event that is there already is skipped.

    Lines that cannot be taken are listed, and the exit code is 1. Example:
    `nba ingest .nba/history.jsonl`
    """
    from nba.customer.context import ContextSchema
    from nba.journey_file.loader import load_journey
    from serving.jobs.event_import import check_files, import_files
    from serving.replica.assembly import opened_log
    from serving.replica.replica import text_model
    from serving.reports.tables import print_import

    check_files(files)
    settings = command_settings()
    journey = load_journey(settings.journey)
    with opened_log(settings) as log, progress_bar("ingesting") as advance:
        in_force = text_model(log)
        result = import_files(log, ContextSchema(journey), files, advance, text_model=in_force)
    if json:
        print_json(result)
    else:
        print_import(result)
    if result.rejected_lines:
        raise typer.Exit(1)
