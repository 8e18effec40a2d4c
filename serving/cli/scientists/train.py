"""Commands that learn: train, simulate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serving.cli.terminal.options import Json, Seed
from serving.cli.terminal.session import command_settings
from serving.console import console, print_json, steps
from serving.settings import Settings

if TYPE_CHECKING:
    from training.fitting.fit import Training
    from training.fitting.options import FitOptions


train_app = typer.Typer(rich_markup_mode="markdown")


@train_app.callback(invoke_without_command=True)
def train(
    context: typer.Context,
    journey: Annotated[
        Path | None, typer.Option(help="A journey file to train for; none: the one in force.")
    ] = None,
    log: Annotated[
        Path | None, typer.Option(help="Train on a folder of nba export, not on the database.")
    ] = None,
    trials: Annotated[
        int, typer.Option(min=0, help="Search LightGBM's parameters: trials in all, per model.")
    ] = 0,
    uplift: Annotated[
        bool, typer.Option("--uplift", help="Also compare each action with no action.")
    ] = False,
    trust: Annotated[
        list[str] | None, typer.Option(help="A column that may tell the label by itself.")
    ] = None,
    seed: Seed = 1,
    json: Json = False,
) -> None:
    """Fit churn and touchpoint models on the log and register them as challenger in MLflow.

    A search that was stopped goes on from where it was. A log of `nba export` does not hold what
    else our own decisions could have drawn, so that uplift there is of imported decisions alone.
    For a file that is to be published, `--journey FILE`, then `nba publish FILE --promote
    challenger`. `nba train emotion` and `nba train text` learn what these models see. Example:
    `nba train --trials 30 --seed 7`
    """
    from serving.cli.scientists.training_tables import print_training, training_json

    if context.invoked_subcommand is not None:
        if any((json, seed != 1, journey, log, trials, uplift, trust)):
            raise typer.BadParameter(f"put options after nba train {context.invoked_subcommand}")
        return
    settings = command_settings()
    options = training_options(settings, trials=trials, trusted=trust or (), uplift=uplift)
    version, result = trained(settings, seed, journey, folder=log, options=options)
    if json:
        figures = training_json(result)
        print_json({"version": version, "bundle": result.bundle.bundle_id, **figures})
        return
    print_training(result)
    following = "nba evaluate, nba promote"
    if journey is not None:
        following = f'nba publish {journey} --promote {version} --why "..."'
    console.print(f"version {version} is challenger; next: {following}", soft_wrap=True)


def training_options(
    settings: Settings, *, trials: int = 0, trusted: Sequence[str] = (), uplift: bool = False
) -> FitOptions:
    """What the settings and the command line ask of a training.

    Raises InvalidInput for an estimator that cannot be imported.
    """
    from training.fitting.estimators import load_estimator
    from training.fitting.options import MODELS, FitOptions

    named = {name: getattr(settings, f"{name}_estimator") for name in MODELS}
    settings.home.mkdir(parents=True, exist_ok=True)
    return FitOptions(
        trials=trials,
        searches=settings.home / "searches.db",
        estimators={
            name: load_estimator(f"NBA_{name.upper()}_ESTIMATOR", value)
            for name, value in named.items()
            if value is not None
        },
        trusted=tuple(trusted),
        uplift=uplift,
    )


def trained(
    settings: Settings,
    seed: int,
    file: Path | None = None,
    *,
    folder: Path | None = None,
    options: FitOptions | None = None,
) -> tuple[str, Training]:
    """Train for the catalogue in force, or for the journey file given, on the log in the database
    or on an exported one; gives the version and what was trained."""
    from features.fold import Fold
    from models.bundles.registry import Registry
    from nba.journey_file.loader import load_journey
    from nba.stores.parquet import read_valences
    from serving.replica.assembly import journey_in_force, opened_log
    from training.emotion.learned import learned_table
    from training.runs.retrain import retrain, retrain_folder

    chosen = options or training_options(settings)
    journey = None if file is None else load_journey(file)
    if folder is not None:
        with steps("training", chosen.steps) as step:
            fold = Fold(journey or load_journey(settings.journey), read_valences(folder))
            registry = Registry(settings.tracking_url, settings.artifacts)
            return retrain_folder(fold, folder, registry, seed=seed, options=chosen, progress=step)
    with opened_log(settings) as log, steps("training", chosen.steps) as step:
        fold = Fold(journey or journey_in_force(settings, log), learned_table(log))
        registry = Registry(settings.tracking_url, settings.artifacts)
        return retrain(fold, log, registry, seed=seed, options=chosen, progress=step)
