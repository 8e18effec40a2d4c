"""A value whose reward has terms that are known only when its window closes, predicted apart.

What is learned online are the events of the window, and never the terms: a residual on top of both
would unlearn the terms. So the events have a model, which the residual corrects, and the terms
another, whose prediction is added to what was corrected.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from models.predictors.predictor import Predictor


@dataclass(frozen=True, slots=True, eq=False)
class WithTerms:
    """The sum of two regressions over the same columns, as it is judged and explained.

    Implements `models.predictors.predictor.Predictor`; each of the two has a file of its own.
    """

    observed: Predictor  # of the events: the batch score that the residual corrects
    terms: Predictor  # of what the reward's terms add

    calibration: ClassVar[None] = None
    is_probability: ClassVar[bool] = False

    @property
    def columns(self) -> tuple[str, ...]:
        return self.observed.columns

    @property
    def suffix(self) -> str:
        return self.observed.suffix

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """(n, n_columns) float64 rows to (n,) values in EUR."""
        total: np.ndarray = self.observed.predict(rows) + self.terms.predict(rows)
        return total

    def contributions(self, rows: np.ndarray) -> np.ndarray:
        """(n, n_columns + 1) shares of the sum, the base value last."""
        total: np.ndarray = self.observed.contributions(rows) + self.terms.contributions(rows)
        return total

    def explained(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) predictions with their (n, n_columns) shares."""
        predicted, shares = self.observed.explained(rows)
        more, more_shares = self.terms.explained(rows)
        return predicted + more, shares + more_shares

    def importance(self) -> dict[str, float]:
        """Of both, largest first."""
        observed, terms = self.observed.importance(), self.terms.importance()
        total = {name: observed.get(name, 0.0) + terms.get(name, 0.0) for name in self.columns}
        return dict(sorted(total.items(), key=lambda pair: -pair[1]))

    def to_bytes(self) -> bytes:
        """Of the observed part, whose file the touchpoint model's is."""
        return self.observed.to_bytes()


def observed_part(model: Predictor) -> Predictor:
    """What the residual corrects of a model: the part whose outcomes are learned online."""
    return model.observed if isinstance(model, WithTerms) else model
