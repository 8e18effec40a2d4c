"""The command that decides on the log as it is: decide."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nba.errors import InvalidInput
from serving.cli.terminal.options import Json
from serving.cli.terminal.session import command_settings
from serving.console import console, print_json, progress_bar

if TYPE_CHECKING:
    from serving.jobs.batch_decisions import BatchOptions
    from serving.replica.replica import Replica


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

    A batch logs its decisions as live ones: they count for caps and are learned from. With
    --dry-run it logs nothing. One that was cut short goes on where it was, with the same words.
    Example:
    `nba decide c000017 --channel web --dry-run`, `nba decide --batch tonight --channel email`
    """
    from nba.decisions.request import Request
    from nba.promotion.catalogue_versions import COMMAND
    from serving.api.answers import decide_answer
    from serving.jobs.batch_decisions import BatchOptions
    from serving.replica.assembly import assemble
    from serving.reports.tables import print_answer

    if (customer_id is None) == (batch is None):
        raise InvalidInput("customer", customer_id, "name one customer, or a folder with --batch")
    if batch is None and (customers is not None or deferred or whole or seed is not None):
        raise InvalidInput("customer", customer_id, "these options need --batch")
    settings = command_settings()
    replica = assemble(settings, by=COMMAND)
    try:
        if batch is not None:
            ask = BatchOptions(
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
        engine = replica.engine
        engine.pipeline.check(request)
        decide = engine.decider.draw if dry_run else engine.decider.decide
        (decision,) = decide([request], replica.now(), replica.chance)
    finally:
        replica.close()
    answer = decide_answer(decision, engine.fold.schema, dry_run=dry_run)
    if json:
        print_json(answer)
        return
    print_answer(answer)


def _decide_batch(
    replica: Replica, folder: Path, ask: BatchOptions, customers: Path | None, *, json: bool
) -> None:
    from serving.jobs.batch_decisions import customers_in, customers_of, run_batch
    from serving.reports.tables import print_batch

    if not (ask.dry_run or json):
        console.print("decisions are logged as live ones; --dry-run logs nothing")
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
