"""Commands that operate: check, ingest, decide, serve, migrate, stop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serving.cli.app import Json, app, ready
from serving.console import console, print_json, print_table, progress_bar
from serving.reports.tables import print_answer, print_batch, print_import, print_unmapped

if TYPE_CHECKING:
    from nba.journey.file import JourneyFile
    from nba.measurement.statistics.estimate import Undecided
    from serving.jobs.batch_decisions import BatchAsk
    from serving.replica.replica import Replica
    from serving.reports.rehearsal import Rehearsal


@app.command()
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


def _check_against(journey: JourneyFile, against: str, days: float | None, *, json: bool) -> None:
    """What differs, and where the last `days` are asked for, who would have got what."""
    from nba.journey_file.diff import diff
    from nba.journey_file.loader import load_journey
    from nba.promotion.catalogue_versions import stored_journey
    from serving.replica.assembly import journey_in_force, opened_log
    from serving.reports.rehearsal import rehearse_on
    from serving.reports.rehearsal_tables import (
        changes_json,
        print_changes,
        print_rehearsal,
        rehearsal_json,
    )

    rehearsal: Rehearsal | Undecided | None = None
    in_log = against == "live" or against.startswith("catalogue-")
    if in_log or days is not None:
        settings = ready()
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
        found = {} if rehearsal is None else {"rehearsal": rehearsal_json(rehearsal)}
        versions = {"old": old.catalogue_version(), "new": journey.catalogue_version()}
        print_json({"versions": versions, "changes": changes_json(changes), **found})
        return
    print_changes(changes)
    if rehearsal is not None:
        print_rehearsal(rehearsal)


@app.command()
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
    customer_id: Annotated[str | None, typer.Argument(help="Whom to decide for.")] = None,
    channel: Annotated[str | None, typer.Option(help="The channel that asks.")] = None,
    placement: Annotated[str | None, typer.Option(help="The touchpoint that asks.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Log nothing.")] = False,
    batch: Annotated[
        Path | None,
        typer.Option(help="Decide for many, into Parquet files in this folder; goes on there."),
    ] = None,
    customers: Annotated[
        Path | None,
        typer.Option(help="With --batch: a file of customer ids, one a line; none: everybody."),
    ] = None,
    deferred: Annotated[
        bool, typer.Option("--deferred", help="With --batch: decisions count when activated.")
    ] = False,
    whole: Annotated[
        bool, typer.Option("--whole", help="With --batch: also each decision as JSON.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option(min=0, help="With --batch: seed of all draws.")
    ] = None,
    json: Json = False,
) -> None:
    """Decide on the log as it is, without a running service: for one customer, or for a base.

    A batch that was cut short goes on where it was, with the same words. Example:
    `nba decide c000017 --channel web --dry-run`, `nba decide --batch tonight --channel email`
    """
    from nba.decisions.request import Request
    from nba.errors import InvalidInput
    from serving.api.answers import decide_answer
    from serving.jobs.batch_decisions import BatchAsk
    from serving.replica.assembly import assemble

    if (customer_id is None) == (batch is None):
        raise InvalidInput("customer", customer_id, "name one customer, or a folder with --batch")
    if batch is None and (customers is not None or deferred or whole or seed is not None):
        raise InvalidInput("customer", customer_id, "these options need --batch")
    settings = ready()
    replica = assemble(settings)
    try:
        if batch is not None:
            ask = BatchAsk(
                channel=channel,
                placement=placement,
                deferred=deferred,
                dry_run=dry_run,
                whole=whole,
                seed=seed,
            )
            _decide_batch(replica, batch, ask, customers, json=json)
            return
        request = Request(customer_id=str(customer_id), channel=channel, placement=placement)
        (decision,) = (replica.rehearse if dry_run else replica.decide)([request])
    finally:
        replica.close()
    answer = decide_answer(decision, replica.fold.schema, logged=not dry_run)
    if json:
        print_json(answer)
        return
    print_answer(answer)


def _decide_batch(
    replica: Replica, folder: Path, ask: BatchAsk, customers: Path | None, *, json: bool
) -> None:
    from serving.jobs.batch_decisions import customers_in, customers_of, run_batch

    with progress_bar("deciding") as advance:
        done = run_batch(
            replica,
            folder,
            ask,
            lambda: customers_in(replica.log) if customers is None else customers_of(customers),
            advance,
        )
    if json:
        print_json(done)
    else:
        print_batch(done)


@app.command()
def serve() -> None:
    """Serve the doors until SIGTERM or Ctrl-C; what was accepted is finished first.

    Example: `NBA_PORT=8080 nba serve`
    """
    from serving.jobs.server import serve_until_stopped

    settings = ready()
    code = serve_until_stopped(settings)
    raise typer.Exit(code)


@app.command()
def migrate() -> None:
    """Bring the database's tables to this program's version; back up first.

    Example: `NBA_DATABASE_URL=postgresql://user@host/nba nba migrate`
    """
    from nba.stores.postgres import schema
    from serving.replica.assembly import database_url

    settings = ready()
    url = database_url(settings)
    schema.migrate(url)
    console.print(f"the tables are of revision {schema.HEAD}")


@app.command()
def stop() -> None:
    """Stop the private PostgreSQL, where a killed service has left it running.

    Example: `nba stop`
    """
    from nba.stores.postgres import embedded

    settings = ready()
    stopped = embedded.stop(settings.home)
    console.print("stopped" if stopped else "nothing was running")
