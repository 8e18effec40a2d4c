"""LightGBM trees over named columns, kept as text: the predictor of both models by default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from models.predictors.platt_scaling import PlattScaling, fit_platt_scaling

if TYPE_CHECKING:
    import lightgbm

PARAMETERS: dict[str, Any] = {
    # small trees: as good here as large ones, and explained (TreeSHAP) in a fifth of the time
    "learning_rate": 0.07,
    "num_leaves": 8,
    "max_depth": 4,
    "min_data_in_leaf": 40,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "max_cat_to_onehot": 8,
    "cat_smooth": 20.0,
    "verbosity": -1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 2,  # the trees are the same with any number
}
SUFFIX = ".txt"
MAX_ROUNDS = 400
PATIENCE = 30


@dataclass(frozen=True, slots=True, eq=False)
class Trees:
    """A LightGBM booster, its columns, and the calibration of its score (None: a regression).

    Implements `models.predictors.predictor.Predictor`.
    """

    columns: tuple[str, ...]
    booster: lightgbm.Booster
    calibration: PlattScaling | None

    suffix: ClassVar[str] = SUFFIX

    @property
    def is_probability(self) -> bool:
        return self.calibration is not None

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """(n, n_columns) float64 rows to (n,) calibrated probabilities, or to values."""
        if len(rows) == 0:
            return np.empty(0)
        scores = np.asarray(
            self.booster.predict(rows, raw_score=self.is_probability, num_threads=1)
        )
        return scores if self.calibration is None else self.calibration.probability(scores)

    def contributions(self, rows: np.ndarray) -> np.ndarray:
        """(n, n_columns + 1) additive shares of the score, the base value last.

        TreeSHAP: Lundberg et al., Nature Machine Intelligence 2020, section 2.
        """
        shares = np.asarray(self.booster.predict(rows, pred_contrib=True, num_threads=1))
        return shares if self.calibration is None else shares * self.calibration.slope

    def explained(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) predictions with their (n, n_columns) shares, in one pass over the trees."""
        shares = self.contributions(rows)
        scores = shares.sum(axis=1)
        if self.calibration is None:
            return scores, shares[:, :-1]
        unscaled = scores / self.calibration.slope
        return self.calibration.probability(unscaled), shares[:, :-1]

    def importance(self) -> dict[str, float]:
        """Total gain by column, largest first."""
        gains = self.booster.feature_importance(importance_type="gain")
        pairs = sorted(zip(self.columns, gains, strict=True), key=lambda pair: -pair[1])
        return {column: float(gain) for column, gain in pairs}

    def to_text(self) -> str:
        """The booster in LightGBM's own text format."""
        return str(self.booster.model_to_string())

    def to_bytes(self) -> bytes:
        return self.to_text().encode()


def trees_from_text(text: str, columns: Sequence[str], calibration: PlattScaling | None) -> Trees:
    """The trees that `Trees.to_text` wrote; runs no code of the file's."""
    import lightgbm

    booster = lightgbm.Booster(model_str=text)
    return Trees(columns=tuple(columns), booster=booster, calibration=calibration)


def fit_trees(
    rows: np.ndarray,
    labels: np.ndarray,
    held_rows: np.ndarray,
    held_labels: np.ndarray,
    *,
    columns: Sequence[str],
    seed: int,
    probability: bool = True,
    categorical: Sequence[str] = (),
    parameters: Mapping[str, Any] | None = None,
) -> Trees:
    """Fit on `rows` (n, n_columns), stop early and calibrate on the held-out rows, which
    come later. Labels of a `probability` lie between 0 and 1, shares included.

    The same rows and seed give the same text on one machine type.
    """
    import lightgbm

    objective, metric = _loss(labels, held_labels) if probability else ("regression", "l2")
    settings = {
        **PARAMETERS,
        **(parameters or {}),
        "objective": objective,
        "metric": metric,
        "seed": seed,
    }
    names = [column.replace(".", "__") for column in columns]
    categories = [names[list(columns).index(column)] for column in categorical]
    training = lightgbm.Dataset(rows, labels, feature_name=names, categorical_feature=categories)
    validation = lightgbm.Dataset(held_rows, held_labels, reference=training)
    booster = lightgbm.train(
        settings,
        training,
        num_boost_round=MAX_ROUNDS,
        valid_sets=[validation],
        callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
    )
    best = max(1, booster.best_iteration)
    text = booster.model_to_string(num_iteration=best)
    trees = trees_from_text(text, columns, PlattScaling() if probability else None)
    return recalibrated(trees, held_rows, held_labels) if probability else trees


def _loss(labels: np.ndarray, held_labels: np.ndarray) -> tuple[str, str]:
    """LightGBM's objective and metric. `binary` takes every label above 0 for a 1; of labels 0 and
    1 alone `cross_entropy` is the same loss, and rounds otherwise."""
    classes = all(np.isin(part, (0.0, 1.0)).all() for part in (labels, held_labels))
    return ("binary", "binary_logloss") if classes else ("cross_entropy", "cross_entropy")


def recalibrated(trees: Trees, held_rows: np.ndarray, held_labels: np.ndarray) -> Trees:
    """The same trees calibrated on the held-out rows."""
    scores = np.asarray(trees.booster.predict(held_rows, raw_score=True, num_threads=1))
    return Trees(trees.columns, trees.booster, fit_platt_scaling(scores, held_labels))
