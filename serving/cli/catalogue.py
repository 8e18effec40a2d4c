"""Commands that change what governs: publish, rollback, changes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from serving.cli.app import Json, app, ready, user
from serving.console import console, print_json, print_table

By = Annotated[str, typer.Option(help="Who does it; none: the user of this machine.")]


@app.command()
def publish(
    file: Annotated[Path, typer.Argument(help="A journey file.")],
    why: Annotated[str, typer.Option(help="What for; kept in the audit trail.")],
    by: By = "",
    json: Json = False,
) -> None:
    """Put a journey file in force: running services take it up within seconds.

    From then on it counts, and NBA_JOURNEY's file does not. Example:
    `nba publish examples/bank/journey.yaml --why "spring campaign"`
    """
    from nba.journey_file import load_journey
    from serving import catalogue
    from serving.assembly import opened_log, utc_now

    journey = load_journey(file)
    with opened_log(ready()) as log:
        before = log.alias(catalogue.IN_FORCE)
        version = catalogue.publish(log, journey, utc_now(), by=by or user(), why=why)
    if json:
        print_json({"version": version, "before": before})
        return
    console.print(f"{version} is in force" + (f", before it {before}" if before else ""))


@app.command()
def rollback(
    to: Annotated[str | None, typer.Argument(help="A version; none: the one before.")] = None,
    why: Annotated[str, typer.Option(help="What for; kept in the audit trail.")] = "",
    by: By = "",
    json: Json = False,
) -> None:
    """Put an earlier journey file in force again.

    Example: `nba rollback --why "too many calls"`
    """
    from serving import catalogue
    from serving.assembly import opened_log, utc_now

    with opened_log(ready()) as log:
        version = catalogue.roll_back(log, utc_now(), by=by or user(), why=why, to=to)
    if json:
        print_json({"version": version})
        return
    console.print(f"{version} is in force")


@app.command()
def changes(json: Json = False) -> None:
    """Who put which journey file and which models in force, newest first.

    Example: `nba changes`
    """
    from models.registry import CHAMPION
    from serving import catalogue
    from serving.assembly import opened_log

    with opened_log(ready()) as log:
        found = [*catalogue.changes(log), *log.alias_changes(CHAMPION, catalogue.REMEMBERED)]
    found.sort(key=lambda change: change.at, reverse=True)
    if json:
        print_json(found)
        return
    print_table(
        "Changes",
        ("at", "what", "from", "to", "by", "why"),
        [
            (
                one.at.isoformat(timespec="seconds"),
                one.alias,
                one.before,
                one.after,
                one.by,
                one.why,
            )
            for one in found
        ],
    )
