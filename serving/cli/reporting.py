"""Commands that report: friction."""

from __future__ import annotations

import typer

from serving.cli.app import Json, Seed, app, ready
from serving.console import console, print_json, steps
from serving.reports import friction_json, print_friction

report_app = typer.Typer(rich_markup_mode="markdown", no_args_is_help=True)
app.add_typer(
    report_app,
    name="report",
    help="What the log says, with intervals. Example: `nba report friction`",
)


@report_app.command()
def friction(seed: Seed = 1, json: Json = False) -> None:
    """Say whether friction accumulates here, blocks, or only marks unhappy customers.

    Example: `nba report friction`
    """
    from features.fold import Fold
    from nba.journey_file import load_journey
    from serving.assembly import opened_log
    from training.friction import report_friction
    from training.history import read_history
    from training.learned import learned_table

    settings = ready()
    journey = load_journey(settings.journey)
    with opened_log(settings) as log, steps("measuring friction", 2) as step:
        step("reading the log")
        history = read_history(Fold(journey, learned_table(log)), log)
        step("testing")
        report = report_friction(history, seed=seed)
    stages = [stage.id for _, _, stage in journey.stages()]
    if json:
        print_json(
            friction_json(report.friction, report.rates, stages) | {"valences": report.valences}
        )
    else:
        print_friction(report.friction, report.rates, stages)
        console.print(f"valences: {report.valences}", highlight=False)
