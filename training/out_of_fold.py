"""Out-of-fold predictions: what the model says of each row without having seen its customer.

What learns on top of a model must see predictions as honest as those of new customers: in-sample
ones are too sharp, and the residual that they leave is not the one that serving meets.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nba.measurement.estimate import Undecided
from training.dataset import TrainingSet
from training.recipe import Recipe
from training.split import check_parts

FOLDS = 5
HELD = 5  # one in so many of the other customers stops and calibrates


def out_of_fold(
    data: TrainingSet,
    recipe: Recipe,
    *,
    seed: int,
    folds: int = FOLDS,
    progress: Callable[[int], None] = lambda fold: None,
) -> np.ndarray | Undecided:
    """(n,) predictions by models fitted and calibrated on other customers, as `recipe` says.

    The customers are dealt into `folds` by the seed. A row of one fold is predicted by a model
    that was fitted on four fifths of the customers of the other folds, and stopped and
    calibrated on the last fifth (cross-fitting: Chernozhukov et al., Double/debiased machine
    learning, The Econometrics Journal 2018, definition 3.2, with the clusters being customers).
    `progress` is told of each finished fold. Undecided where a fold has too few rows.
    """
    names, codes = np.unique(data.customers.astype(str), return_inverse=True)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(names))
    fold_of = np.empty(len(names), dtype=np.int64)
    fold_of[order] = np.arange(len(names)) % folds
    calibrates = np.empty(len(names), dtype=bool)
    calibrates[order] = (np.arange(len(names)) // folds) % HELD == 0
    predicted = np.full(len(data.labels), np.nan)
    for fold in range(folds):
        asked = fold_of[codes] == fold
        held = ~asked & calibrates[codes]
        parts = {"fit": ~asked & ~held, "held": held}
        refused = check_parts(data, parts, classes=recipe.classes)
        if refused is not None:
            return Undecided(reason=f"without one fold in {folds}: {refused.reason}")
        model = recipe.fit(data, *parts.values(), seed=seed)
        predicted[asked] = model.predict(data.rows[asked])
        progress(fold)
    return predicted
