"""Search: LightGBM's parameters by Optuna's TPE, which goes on where a killed search stopped.

A trial is fitted on the earliest rows and judged on the held ones; the test rows stay unseen. The
first trial is the default, so that a search never ends behind it on the held rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from models.predictors.lightgbm_trees import PARAMETERS
from nba.randomization import seed_of
from training.data.time_split import Split
from training.data.training_sets import TrainingSet
from training.fitting.recipe import Recipe

if TYPE_CHECKING:
    import optuna

_SPACE = 1  # raised when the space below changes


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a search."""

    name: str  # of the study
    parameters: dict[str, float | int]
    trials: int
    loss: float  # of the best trial on the held rows: log loss, or squared error
    default_loss: float  # of the default parameters there


def search(
    data: TrainingSet,
    split: Split,
    recipe: Recipe,
    *,
    name: str,
    seed: int,
    trials: int,
    file: Path | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> Search:
    """Up to `trials` trials in all, those of earlier calls included.

    Each trial draws from a sampler of its own, seeded by its number, so that a search that was
    killed and taken up again ends where an undisturbed one does (TPE: Bergstra et al., Algorithms
    for Hyper-Parameter Optimization, NeurIPS 2011, section 4). `name` is joined by the seed and a
    hash of the rows: another training set is another study. Raises InvalidInput where the file
    cannot be used.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study_name = f"{name}-{_fingerprint(data, split)}-seed{seed}-space{_SPACE}"
    study = optuna.create_study(
        storage=None if file is None else f"sqlite:///{file.resolve()}",
        study_name=study_name,
        direction="minimize",
        load_if_exists=True,
    )
    complete = optuna.trial.TrialState.COMPLETE
    for killed in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(killed.number, state=optuna.trial.TrialState.FAIL)
    done = study.get_trials(deepcopy=False, states=(complete,))
    for number in range(len(done)):
        progress(f"{name}: trial {number + 1} of {trials}, done before")
    for number in range(len(done), trials):
        progress(f"{name}: trial {number + 1} of {trials}")
        chance = seed_of(seed, "trial", name, number) % 2**32
        study.sampler = optuna.samplers.TPESampler(seed=chance)
        if number == 0:
            study.enqueue_trial({key: PARAMETERS[key] for key in _DEFAULTS})
        trial = study.ask()
        tried = replace(recipe, parameters={**recipe.parameters, **_suggested(trial)})
        study.tell(trial, _loss(data, split, tried, seed=seed))
    counted = study.get_trials(deepcopy=False, states=(complete,))
    best = min(counted, key=lambda trial: (trial.value or 0.0, trial.number))
    first = min(counted, key=lambda trial: trial.number)
    return Search(
        name=study_name,
        parameters=dict(best.params),
        trials=len(counted),
        loss=float(best.value or 0.0),
        default_loss=float(first.value or 0.0),
    )


_DEFAULTS = (
    "learning_rate",
    "num_leaves",
    "max_depth",
    "min_data_in_leaf",
    "feature_fraction",
    "bagging_fraction",
    "lambda_l2",
    "cat_smooth",
)


def _suggested(trial: optuna.Trial) -> dict[str, Any]:
    """Around our defaults: deeper trees are slower to explain, so that depth ends at 8."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.2, log=True),
        "num_leaves": trial.suggest_int("num_leaves", 4, 48, log=True),
        "max_depth": trial.suggest_int("max_depth", 3, 8),
        "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 10, 200, log=True),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.2, 1.0),
        "bagging_fraction": trial.suggest_float("bagging_fraction", 0.5, 1.0),
        "lambda_l2": trial.suggest_float("lambda_l2", 0.01, 50.0, log=True),
        "cat_smooth": trial.suggest_float("cat_smooth", 1.0, 100.0, log=True),
    }


def _loss(data: TrainingSet, split: Split, recipe: Recipe, *, seed: int) -> float:
    """Of the held rows: log loss, or mean squared error."""
    model = recipe.fit(data, split.fit, split.held, seed=seed)
    predicted, labels = model.predict(data.rows[split.held]), data.labels[split.held]
    if not recipe.classes:
        return float(np.mean((predicted - labels) ** 2))
    sure = np.clip(predicted, 1e-9, 1 - 1e-9)
    return float(-np.mean(labels * np.log(sure) + (1 - labels) * np.log1p(-sure)))


def _fingerprint(data: TrainingSet, split: Split) -> str:
    digest = hashlib.sha256("\n".join(data.columns).encode())
    for part in (data.rows, data.labels, split.fit, split.held):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:16]
