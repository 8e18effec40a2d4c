"""Commands that operate: check, ingest, decide, serve, migrate, stop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from serving.cli.app import Json, app, ready
from serving.console import console, print_json, print_table, progress_bar
from serving.reports import print_answer, print_import, print_unmapped


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A journey file.")],
    log: Annotated[
        bool, typer.Option("--log", help="Also list the log's events that it does not map.")
    ] = False,
    json: Json = False,
) -> None:
    """Check a journey file and print what it says.

    Example: `nba check examples/bank/journey.yaml --log`
    """
    from nba.journey_file import load_journey
    from nba.journey_summary import summarise

    journey = load_journey(file)
    sections = summarise(journey)
    unmapped: dict[str, int] = {}
    if log:
        from nba.context import ContextSchema
        from serving.assembly import opened_log
        from serving.importing import unmapped_events

        with opened_log(ready()) as held, progress_bar("reading the log") as advance:
            unmapped = unmapped_events(held, ContextSchema(journey), advance)
    if json:
        tables = {
            s.title: [dict(zip(s.columns, row, strict=True)) for row in s.rows] for s in sections
        }
        found = {"unmapped": unmapped} if log else {}
        version = journey.catalogue_version()
        print_json({"file": str(file), "version": version, "sections": tables, **found})
        return
    for section in sections:
        print_table(section.title, section.columns, section.rows)
    print_unmapped(unmapped)


@app.command()
def ingest(
    files: Annotated[list[Path], typer.Argument(help="Event files, JSON lines, plain or .gz.")],
    json: Json = False,
) -> None:
    """Append event files to the log; an event that is there already is skipped.

    Lines that cannot be taken are listed, and the exit code is 1. Example:
    `nba ingest .nba/history.jsonl`
    """
    from nba.context import ContextSchema
    from nba.journey_file import load_journey
    from serving.assembly import opened_log, text_model
    from serving.importing import check_files, import_files

    check_files(files)
    settings = ready()
    journey = load_journey(settings.journey)
    with opened_log(settings) as log, progress_bar("ingesting") as advance:
        words = text_model(log)
        result = import_files(log, ContextSchema(journey), files, advance, words=words)
    if json:
        print_json(result)
    else:
        print_import(result)
    if result.rejected_lines:
        raise typer.Exit(1)


@app.command()
def decide(
    customer_id: Annotated[str, typer.Argument(help="Whom to decide for.")],
    channel: Annotated[str | None, typer.Option(help="The channel that asks.")] = None,
    placement: Annotated[str | None, typer.Option(help="The touchpoint that asks.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Log nothing.")] = False,
    json: Json = False,
) -> None:
    """Decide for one customer on the log as it is, without a running service.

    Example: `nba decide c000017 --channel web --dry-run`
    """
    from nba.decision import Request
    from serving.answers import decide_answer
    from serving.assembly import assemble

    settings = ready()
    house = assemble(settings)
    try:
        request = Request(customer_id=customer_id, channel=channel, placement=placement)
        (decision,) = (house.rehearse if dry_run else house.decide)([request])
    finally:
        house.close()
    answer = decide_answer(decision, house.fold.schema, logged=not dry_run)
    if json:
        print_json(answer)
        return
    print_answer(answer)


@app.command()
def serve() -> None:
    """Serve the doors until SIGTERM or Ctrl-C; what was accepted is finished first.

    Example: `NBA_PORT=8080 nba serve`
    """
    from serving.server import serve_until_stopped

    settings = ready()
    code = serve_until_stopped(settings)
    raise typer.Exit(code)


@app.command()
def migrate() -> None:
    """Bring the database's tables to this program's version; back up first.

    Example: `NBA_DATABASE_URL=postgresql://user@host/nba nba migrate`
    """
    from nba.stores import schema
    from serving.assembly import database_url

    settings = ready()
    url = database_url(settings)
    schema.migrate(url)
    console.print(f"the tables are of revision {schema.HEAD}")


@app.command()
def stop() -> None:
    """Stop the private PostgreSQL, where a killed service has left it running.

    Example: `nba stop`
    """
    from nba.stores import embedded

    settings = ready()
    stopped = embedded.stop(settings.home)
    console.print("stopped" if stopped else "nothing was running")
