"""Commands that report: friction."""

from __future__ import annotations

import typer

from serving.cli.app import Json, app, ready
from serving.console import print_json, steps
from serving.reports import friction_json, print_friction

report_app = typer.Typer(rich_markup_mode="markdown", no_args_is_help=True)
app.add_typer(report_app, name="report", help="What the log says, with intervals.")


@report_app.command()
def friction(json: Json = False) -> None:
    """Say whether friction accumulates here, blocks, or only marks unhappy customers.

    Example: `nba report friction`
    """
    from features.fold import Fold
    from nba.journey_file import load_journey
    from nba.measurement.friction import friction as measure
    from nba.measurement.signs import loss_by_sign
    from serving.assembly import opened_log
    from training.history import read_history
    from training.learned import learned_table
    from training.visits import visits_of

    settings = ready()
    journey = load_journey(settings.journey)
    with opened_log(settings) as log, steps("measuring friction", 2) as step:
        step("reading the log")
        visits = visits_of(read_history(Fold(journey, learned_table(log)), log))
        step("testing")
        found, rates = measure(visits), loss_by_sign(visits)
    stages = [stage.id for _, _, stage in journey.stages()]
    if json:
        print_json(friction_json(found, rates, stages))
    else:
        print_friction(found, rates, stages)
