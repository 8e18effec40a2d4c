"""The command that plays the whole loop: demo."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace

from serving.cli.scientists.simulate import simulate_history
from serving.cli.scientists.train import trained
from serving.cli.scientists.verdicts import first_champion
from serving.cli.terminal.options import Seed
from serving.cli.terminal.session import command_settings
from serving.console import console, progress_bar, steps
from serving.settings import Settings

if TYPE_CHECKING:
    from serving.jobs.demo import DemoHome
    from training.simulation.world import WorldConfig


def demo(
    customers: Annotated[int, typer.Option(min=1000, help="Customers of the history.")] = 2_500,
    seed: Seed = 1,
) -> None:
    """Play the whole loop: a simulated bank's history, models, the service, live customers.

    A second run reuses the history and the champion. Example: `nba demo --seed 3`
    """
    from serving.jobs.demo import (
        DemoHome,
        demo_settings,
        next_steps,
        play,
        print_decisions,
        replay,
        visitors,
    )
    from serving.jobs.server import running
    from serving.replica.assembly import utc_now
    from serving.reports.tables import print_document
    from training.simulation.history import frustrated_customer

    settings = demo_settings(command_settings(), seed)
    _prepare_demo(settings, DemoHome(customers=customers, seed=seed))
    now = utc_now()
    run = f"live-{now:%m%d%H%M%S}"
    frustrated = frustrated_customer(f"{run}-searching", now - timedelta(minutes=3))
    with steps("service", 3) as step:
        step("starting")
        with running(settings, settings.home / "service.log") as url:
            step("playing live customers over HTTP")
            played = play(url, visitors(now, run, frustrated))
            again = replay(url, played[0][1])
            step("finishing what it accepted")
    print_decisions(played)
    first = played[0][1]
    governed = [rule for rule in first.filtered_by_rule or () if rule.stage != "available"]
    print_document(replace(first, filtered_by_rule=governed))
    equal = "equal, byte for byte" if again.equal else f"different in {', '.join(again.differs)}"
    console.print(f"replayed from what it logged: {equal}", highlight=False)
    console.print(next_steps(settings), highlight=False, soft_wrap=True)


def _prepare_demo(settings: Settings, wanted: DemoHome) -> None:
    """History, models and champion, each only where this home does not have them yet."""
    from nba.customer.context import ContextSchema
    from nba.journey_file.loader import load_journey
    from nba.stores.versioned import CHAMPION
    from serving.jobs.demo import begin, finished
    from serving.jobs.event_import import import_files
    from serving.replica.assembly import opened_log
    from serving.reports.tables import print_import, print_models

    schema = ContextSchema(load_journey(settings.journey))
    history = settings.home / "history.jsonl"
    with opened_log(settings) as log:
        if begin(settings.home, wanted, log.position()) == log.alias(CHAMPION) is not None:
            console.print(f"reusing the history and the champion in {settings.home}")
            return
        if not history.exists():
            part = history.with_suffix(".part")
            simulate_history(_demo_world(wanted), part, json=False)
            part.rename(history)
        with progress_bar("ingesting") as advance:
            result = import_files(log, schema, [history], advance)
        print_import(result)
        version, training = trained(settings, wanted.seed)
        print_models(training.figures())
        bundle_id = first_champion(settings, log, version, training)
        finished(settings.home, wanted, bundle_id)


def _demo_world(wanted: DemoHome) -> WorldConfig:
    from serving.replica.assembly import utc_now
    from training.simulation.world import WorldConfig

    days = 120.0
    today = utc_now().replace(hour=0, minute=0, second=0, microsecond=0)
    start = today - timedelta(days=days)
    return WorldConfig(customers=wanted.customers, days=days, start=start, seed=wanted.seed)
