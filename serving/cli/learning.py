"""Commands that learn: train, evaluate, promote, simulate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serving.cli.app import Json, Seed, Which, app, ready, user
from serving.console import console, print_json, print_table, progress_bar, steps
from serving.reports import (
    models_json,
    print_models,
    print_values,
    values_json,
)
from serving.settings import Settings

if TYPE_CHECKING:
    from training.fit import Training
    from training.world import WorldConfig


train_app = typer.Typer(rich_markup_mode="markdown")
app.add_typer(train_app, name="train")


@train_app.callback(invoke_without_command=True)
def train(
    context: typer.Context,
    journey: Annotated[
        Path | None, typer.Option(help="A journey file to train for; none: the one in force.")
    ] = None,
    seed: Seed = 1,
    json: Json = False,
) -> None:
    """Fit churn and touchpoint models on the log and register them as challenger in MLflow.

    For a file that is to be published, `--journey FILE`, then `nba publish FILE --promote
    challenger`. `nba train emotion` and `nba train text` learn what these models see. Example:
    `nba train --seed 7`
    """
    if context.invoked_subcommand is not None:
        if json or seed != 1 or journey is not None:
            raise typer.BadParameter(f"put options after nba train {context.invoked_subcommand}")
        return
    settings = ready()
    version, result = trained(settings, seed, journey)
    if json:
        models = models_json(result.figures())
        print_json({"version": version, "bundle": result.bundle.bundle_id, **models})
        return
    print_models(result.figures())
    following = "nba evaluate, nba promote"
    if journey is not None:
        following = f'nba publish {journey} --promote {version} --why "..."'
    console.print(f"version {version} is challenger; next: {following}", soft_wrap=True)


@app.command()
def evaluate(
    which: Which = "challenger",
    json: Json = False,
) -> None:
    """Judge a bundle on the latest part of the log, and what it would have been worth there.

    Example: `nba evaluate champion`
    """
    from features.fold import Fold
    from models.registry import Registry
    from serving.assembly import journey_in_force, opened_log
    from training.evaluate import evaluate_on

    settings = ready()
    version, bundle = Registry(settings.tracking_url, settings.artifacts).load(which)
    with opened_log(settings) as log, steps("evaluating", 2) as step:
        fold = Fold(journey_in_force(settings, log), bundle.table)
        result = evaluate_on(fold, log, bundle, step)
    models = {"churn": result.churn, "touchpoint": result.touchpoint}
    values = {
        "logged": result.value_logged,
        "uniform": result.value_uniform,
        "bundle": result.value_bundle,
    }
    if json:
        found = {**models_json(models), "value_eur": values_json(values)}
        print_json({"version": version, "bundle": bundle.bundle_id, **found})
        return
    print_models(models)
    print_values(values)


@app.command()
def promote(
    which: Which = "challenger",
    json: Json = False,
) -> None:
    """Make a registered bundle the champion; running services take it up within seconds.

    Example: `nba promote 3`
    """
    from models.registry import CHAMPION

    settings = ready()
    version, bundle_id = promoted(settings, which)
    if json:
        print_json({"version": version, "bundle": bundle_id, "alias": CHAMPION})
    else:
        console.print(f"version {version} ({bundle_id}) is champion")


@app.command()
def simulate(
    history: Annotated[
        Path | None, typer.Option(help="Write the events of one world to this file.")
    ] = None,
    champion: Annotated[
        bool, typer.Option("--champion", help="Also play the service with its champion.")
    ] = False,
    customers: Annotated[int, typer.Option(min=1, help="Customers of each world.")] = 300,
    days: Annotated[float, typer.Option(min=1, help="Days that each world lasts.")] = 120.0,
    worlds: Annotated[int, typer.Option(min=1, help="Worlds to compare policies in.")] = 3,
    seed: Seed = 101,
    json: Json = False,
) -> None:
    """Play a simulated bank with known truth: compare policies in it, or write its history.

    Example: `nba simulate --champion`, or `nba simulate --history bank.jsonl --customers 3000`
    """
    from training.world import WorldConfig
    from training.world_policies import BUILT_IN, compare_policies

    config = WorldConfig(customers=customers, days=days, seed=seed)
    if history is not None:
        simulate_history(config, history, json=json)
        return
    policies = dict(BUILT_IN)
    if champion:
        from serving.cli.simulated import service_policy

        policies["champion"] = service_policy(ready())
    with steps("simulating", len(policies)) as step:
        values = compare_policies(config, range(seed, seed + worlds), policies, step)
    if json:
        print_json(values)
        return
    half = {name: 1.96 * value.stderr_eur for name, value in values.items()}
    print_table(
        f"EUR per customer against doing nothing: {worlds} worlds of {customers} customers",
        ("policy", "value", "low", "high"),
        [
            (name, value.mean_eur, value.mean_eur - half[name], value.mean_eur + half[name])
            for name, value in values.items()
        ],
    )


def trained(settings: Settings, seed: int, file: Path | None = None) -> tuple[str, Training]:
    """Train for the catalogue in force, or for the journey file given."""
    from features.fold import Fold
    from models.registry import Registry
    from nba.journey_file import load_journey
    from serving.assembly import journey_in_force, opened_log
    from training.learned import learned_table
    from training.retrain import STEPS, retrain

    given = None if file is None else load_journey(file)
    with opened_log(settings) as log, steps("training", STEPS) as step:
        fold = Fold(given or journey_in_force(settings, log), learned_table(log))
        registry = Registry(settings.tracking_url, settings.artifacts)
        return retrain(fold, log, registry, seed=seed, progress=step)


def promoted(settings: Settings, which: str) -> tuple[str, str]:
    from models.registry import CHAMPION, Registry
    from serving.assembly import journey_in_force, opened_log, utc_now
    from training.promote import promote as put_in_force

    registry = Registry(settings.tracking_url, settings.artifacts)
    with opened_log(settings) as log:
        journey, now = journey_in_force(settings, log), utc_now()
        return put_in_force(registry, log, journey, which=which, alias=CHAMPION, now=now, by=user())


def simulate_history(config: WorldConfig, path: Path, *, json: bool = False) -> None:
    """Write a world's history and say what it holds."""
    from training.world_history import write_history

    with progress_bar("simulating the bank") as advance:
        seen = 0

        def show(events: int) -> None:
            nonlocal seen
            advance(events - seen)
            seen = events

        summary = write_history(config, path, show)
    if json:
        found = {"events": summary.lines, "customers": summary.customers, "closed": summary.closed}
        print_json({"file": str(path), **found})
    else:
        console.print(f"{summary.lines:,} events of {summary.customers:,} customers")
