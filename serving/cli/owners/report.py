"""Commands that report: friction, rules, shadow."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from serving.cli.terminal.options import Json, Seed
from serving.cli.terminal.session import command_settings
from serving.console import console, print_json, progress_bar, steps

report_app = typer.Typer(
    rich_markup_mode="markdown",
    no_args_is_help=True,
    help="What the log says, with intervals. Example: `nba report friction`",
)
Days = Annotated[float, typer.Option(min=0.01, help="Of the last so many days.")]


@report_app.command()
def friction(seed: Seed = 1, json: Json = False) -> None:
    """Say whether friction accumulates here, blocks, or only marks unhappy customers.

    Example: `nba report friction`
    """
    from features.fold import Fold
    from nba.journey_file.loader import load_journey
    from serving.replica.assembly import opened_log
    from serving.reports.tables import friction_json, print_friction
    from training.data.history import read_history
    from training.emotion.friction import report_friction
    from training.emotion.learned import learned_table

    settings = command_settings()
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


@report_app.command()
def rules(days: Days = 30.0, seed: Seed = 1, json: Json = False) -> None:
    """Put a price on every rule, limit, lever and weight, by the model and from rewards.

    Example: `nba report rules --days 7`
    """
    from models.policies.from_journey import ExplorationPolicies
    from nba.analytics.rules.prices import PAGE, report_rules
    from nba.promotion.catalogue_versions import COMMAND, earlier_sub_journeys
    from nba.stores.pages import decision_pages
    from serving.replica.assembly import assemble
    from serving.reports.rule_tables import print_rules, rules_json
    from training.data.history import read_history
    from training.data.rule_rewards import mature_rewards

    replica = assemble(command_settings(), by=COMMAND)
    try:
        with progress_bar("reading the log") as advance:
            rewards = mature_rewards(read_history(replica.engine.fold, replica.log, advance))
        with progress_bar("deciding again") as advance:
            report = report_rules(
                decision_pages(replica.log, size=PAGE, progress=advance),
                replica.engine.fold.schema,
                replica.engine.pipeline.strategy,
                ExplorationPolicies([action.id for action in replica.engine.journey.actions]),
                rewards=rewards,
                earlier=earlier_sub_journeys(replica.log),
                since=replica.now() - timedelta(days=days),
                seed=seed,
            )
    finally:
        replica.close()
    if json:
        print_json(rules_json(report))
    else:
        print_rules(report)


@report_app.command()
def shadow(days: Days = 30.0, json: Json = False) -> None:
    """Say how often decisions in shadow mode are the other system's, by channel.

    Example: `nba report shadow --days 14`
    """
    from nba.analytics.rules.shadow_agreement import report_shadow
    from nba.stores.pages import decision_pages
    from serving.replica.assembly import opened_log, utc_now
    from serving.reports.rule_tables import print_shadow, shadow_json

    with opened_log(command_settings()) as log, progress_bar("reading decisions") as advance:
        report = report_shadow(
            decision_pages(log, since=utc_now() - timedelta(days=days), progress=advance)
        )
    if json:
        print_json(shadow_json(report))
    else:
        print_shadow(report)
