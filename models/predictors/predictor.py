"""Predictor: what scores rows, whichever library fitted it."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from models.predictors.platt_scaling import PlattScaling
from nba.errors import InvalidBundle


class Predictor(Protocol):
    """A fitted model over named columns, as serving reads it: data, never code.

    `calibration` is that of its score in log-odds, None for a regression.
    """

    @property
    def columns(self) -> tuple[str, ...]: ...

    @property
    def calibration(self) -> PlattScaling | None: ...

    @property
    def is_probability(self) -> bool: ...

    @property
    def suffix(self) -> str:
        """Of the file that holds it; it says how the file is read."""

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """(n, n_columns) float64 rows to (n,) calibrated probabilities, or to values."""

    def contributions(self, rows: np.ndarray) -> np.ndarray:
        """(n, n_columns + 1) shares of the score, the base value last."""

    def explained(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) predictions with their (n, n_columns) shares of the score."""

    def importance(self) -> dict[str, float]:
        """How much each column matters, largest first."""

    def to_bytes(self) -> bytes:
        """The file's content; the same model gives the same bytes."""


def finite_predictions(name: str, model: Predictor, rows: np.ndarray) -> np.ndarray:
    """(n,) predictions, to judge a model by.

    Raises InvalidBundle where one is no finite number: such a model does not serve.
    """
    predicted = model.predict(rows)
    wrong = ~np.isfinite(predicted)
    if wrong.any():
        raise InvalidBundle(
            f"{name}: it predicts {predicted[wrong][0]} for {np.count_nonzero(wrong)} of "
            f"{len(rows)} rows: scale its columns, or take another estimator, and train again"
        )
    return predicted
