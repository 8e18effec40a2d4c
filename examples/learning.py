"""Learning from converted events with the parts of the house."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from features.fold import Fold
from models.trees import Trees
from nba.journey_file import load_journey
from nba.measurement.estimate import Undecided
from training.dataset import TrainingSet
from training.fit import fit_model
from training.history import History, events_from, history_of
from training.split import Split

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

    members: tuple[Trees, ...]

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
    fold = customer_folds(data.customers, seed)
    members = []
    for held in range(FOLDS):
        split = Split(learn & (fold != held), learn & (fold == held), test)
        fitted = fit_model(
            data,
            split,
            seed=seed + held,
            classes=classes,
            categorical=categorical,
            parameters={**ONE_THREAD, **(parameters or {})},
        )
        if isinstance(fitted, Undecided):
            raise ValueError(f"no model: {fitted.reason}; give more data")
        members.append(fitted.trees)
    return Bag(tuple(members))


def customer_folds(customers: np.ndarray, seed: int) -> np.ndarray:
    """(n,) a fold of each customer, the same whatever other customers there are."""
    return np.array([_draw(f"{seed}:{customer}") % FOLDS for customer in customers])


def _draw(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
