"""Learning from converted events with the parts of the house."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from features.fold import Fold
from models.predictors.predictor import Predictor
from nba.journey_file.loader import load_journey
from nba.measurement.off_policy.cross_fitting import customer_folds
from nba.measurement.statistics.estimate import Undecided
from training.data.history import History, events_from, history_of
from training.data.time_split import Split
from training.data.training_sets import TrainingSet
from training.fitting.fit import fit_model
from training.fitting.recipe import Recipe

FOLDS = 5
ONE_THREAD = {"num_threads": 1}  # on so few rows a second thread waits more than it works


def read_events(journey: Path, events: Iterable[Mapping[str, Any]]) -> History:
    """The history in canonical events, under the journey file at `journey`.

    Raises InvalidInput for an event that the log would refuse, InvalidJourney for the file.
    """
    return history_of(Fold(load_journey(journey)), events_from(events))


@dataclass(frozen=True, slots=True, eq=False)
class Bag:
    """Trees fitted on overlapping customers; their mean is steadier than each (Breiman, 1996)."""

    members: tuple[Predictor, ...]

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """(n, n_columns) rows to (n,) mean predictions."""
        mean: np.ndarray = np.mean([trees.predict(rows) for trees in self.members], axis=0)
        return mean


def fit_bag(
    data: TrainingSet,
    learn: np.ndarray,
    test: np.ndarray,
    *,
    seed: int,
    classes: bool,
    categorical: tuple[str, ...] = (),
    parameters: Mapping[str, Any] | None = None,
) -> Bag:
    """One model per fold of customers, which it is stopped and calibrated on, of the rows `learn`.

    `learn`, `test`: masks (n,). Only metrics see the rows `test`. Raises ValueError where the
    rows do not suffice.
    """
    fold = customer_folds(data.customers, FOLDS, seed)
    recipe = Recipe(
        classes=classes,
        categorical=categorical,
        parameters={**ONE_THREAD, **(parameters or {})},
    )
    members = []
    for held in range(FOLDS):
        split = Split(learn & (fold != held), learn & (fold == held), test)
        fitted = fit_model(data, split, recipe, seed=seed + held)
        if isinstance(fitted, Undecided):
            raise ValueError(f"no model: {fitted.reason}; give more data")
        members.append(fitted.model)
    return Bag(tuple(members))
