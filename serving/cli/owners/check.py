"""The command that checks a journey file, and compares it with another version: check."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serving.cli.terminal.options import Json
from serving.cli.terminal.session import command_settings
from serving.console import print_json, print_table, progress_bar

if TYPE_CHECKING:
    from nba.journey.file import JourneyFile
    from nba.measurement.statistics.estimate import Undecided
    from training.rehearsal.rehearsal import Rehearsal


def check(
    file: Annotated[Path, typer.Argument(help="A journey file.")],
    log: Annotated[
        bool, typer.Option("--log", help="Also list the log's events that it does not map.")
    ] = False,
    against: Annotated[
        str | None,
        typer.Option(help="What differs from this: a file, a version in the log, or `live`."),
    ] = None,
    days: Annotated[
        float,
        typer.Option(min=0.01, help="With --against and --log: of so many days, rehearsed."),
    ] = 1.0,
    json: Json = False,
) -> None:
    """Check a journey file and print what it says.

    With --against, what differs from another version; with --log too, who would have got what on
    the log's last day. Example: `nba check examples/bank/journey.yaml --against live --log`
    """
    from nba.journey_file.loader import load_journey
    from nba.journey_file.summary import summarise
    from serving.reports.tables import print_unmapped

    journey = load_journey(file)
    if against is not None:
        _check_against(journey, against, days if log else None, json=json)
        return
    sections = summarise(journey)
    unmapped: dict[str, int] = {}
    if log:
        from nba.customer.context import ContextSchema
        from serving.jobs.event_import import unmapped_events
        from serving.replica.assembly import opened_log

        with (
            opened_log(command_settings()) as events_log,
            progress_bar("reading the log") as advance,
        ):
            unmapped = unmapped_events(events_log, ContextSchema(journey), advance)
    if json:
        tables = {
            s.title: [dict(zip(s.columns, row, strict=True)) for row in s.rows] for s in sections
        }
        of_log = {"unmapped": unmapped} if log else {}
        version = journey.catalogue_version()
        print_json({"file": str(file), "version": version, "sections": tables, **of_log})
        return
    for section in sections:
        print_table(section.title, section.columns, section.rows)
    print_unmapped(unmapped)


def _check_against(journey: JourneyFile, against: str, days: float | None, *, json: bool) -> None:
    """Print what differs, and with `days` who would have got what in the last of them."""
    from nba.journey_file.diff import diff
    from nba.journey_file.loader import load_journey
    from nba.promotion.catalogue_versions import stored_journey
    from serving.cli.owners.rehearsal_tables import (
        changes_json,
        print_changes,
        print_rehearsal,
        rehearsal_json,
    )
    from serving.replica.assembly import journey_in_force, opened_log
    from training.rehearsal.rehearsal import rehearse_on

    rehearsal: Rehearsal | Undecided | None = None
    in_log = against == "live" or against.startswith("catalogue-")
    if in_log or days is not None:
        settings = command_settings()
        with opened_log(settings) as log:
            if against == "live":
                old = journey_in_force(settings, log)
            else:
                old = stored_journey(log, against) if in_log else load_journey(Path(against))
            if days is not None:
                with progress_bar("deciding again") as advance:
                    rehearsal = rehearse_on(log, old, journey, days, advance)
    else:
        old = load_journey(Path(against))
    changes = diff(old, journey)
    if json:
        of_log = {} if rehearsal is None else {"rehearsal": rehearsal_json(rehearsal)}
        versions = {"old": old.catalogue_version(), "new": journey.catalogue_version()}
        print_json({"versions": versions, "changes": changes_json(changes), **of_log})
        return
    print_changes(changes)
    if rehearsal is not None:
        print_rehearsal(rehearsal)
