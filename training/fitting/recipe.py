"""The recipe of one model: everything that fits it again the same way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.bundles.bundle import RecipeNote
from models.predictors.lightgbm_trees import fit_trees
from models.predictors.predictor import Predictor
from models.predictors.with_terms import WithTerms
from training.data.training_sets import TrainingSet
from training.fitting.estimators import EstimatorSpec, fit_estimator


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """LightGBM with `parameters` in place of the defaults, or the deployment's own estimator.

    `classes`: the labels are 0 or 1, and the model's answer is their probability.
    `categorical`: the columns that hold codes, beside those that the data say.
    """

    classes: bool
    categorical: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    estimator: EstimatorSpec | None = None

    @property
    def note(self) -> RecipeNote | None:
        """For the manifest; None: the default."""
        if self.estimator is not None:
            return RecipeNote(estimator=self.estimator.name)
        return RecipeNote(parameters=dict(self.parameters)) if self.parameters else None

    def fit(self, data: TrainingSet, fit: np.ndarray, held: np.ndarray, *, seed: int) -> Predictor:
        """Fit on the rows `fit`, stop and calibrate on the rows `held`: masks (n,).

        Raises InvalidInput for an estimator that cannot be fitted or served.
        """
        if data.terms is None:
            return self._fit(data, data.labels, fit, held, seed=seed)
        return WithTerms(
            self._fit(data, data.observed, fit, held, seed=seed),
            self._fit(data, data.terms, fit, held, seed=seed),
        )

    def _fit(
        self,
        data: TrainingSet,
        labels: np.ndarray,
        fit: np.ndarray,
        held: np.ndarray,
        *,
        seed: int,
    ) -> Predictor:
        parts = (data.rows[fit], labels[fit], data.rows[held], labels[held])
        if self.estimator is not None:
            return fit_estimator(
                self.estimator, *parts, columns=data.columns, seed=seed, classes=self.classes
            )
        return fit_trees(
            *parts,
            columns=data.columns,
            seed=seed,
            probability=self.classes,
            categorical=self.categorical,
            parameters=self.parameters,
        )
