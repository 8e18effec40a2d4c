"""A deployment's own estimator, of scikit-learn's API, in place of one of our models.

It is named by a setting, `my_package.my_module:make_estimator`, and imported for training alone.
What is served is exported: LightGBM's and histogram boosting's trees as LightGBM text, the rest as
ONNX; an export whose predictions differ from the estimator's own is refused.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from models.predictors.histogram_trees import histogram_text
from models.predictors.lightgbm_trees import Trees, recalibrated, trees_from_text
from models.predictors.onnx_graph import OnnxModel, readable
from models.predictors.platt_scaling import PlattScaling, fit_platt_scaling
from models.predictors.predictor import Predictor, finite_predictions
from nba.errors import InvalidInput
from training.data.fractional_labels import is_fractional, split_rows
from training.fitting.onnx_export import onnx_graph

TOLERANCE = 1e-4  # largest difference of a prediction: of a probability, or of a value's spread
_IMPUTE = (
    "a context holds NaN where nothing is known: begin with SimpleImputer, or take an estimator "
    "that reads NaN, such as HistGradientBoostingClassifier"
)


@dataclass(frozen=True, slots=True)
class EstimatorSpec:
    """Where an estimator comes from: its name in the settings, and what makes it, unfitted.

    `make` is called without arguments, or with `columns` where it has a parameter of that name.
    """

    name: str
    make: Callable[..., Any]

    def unfitted(self, columns: Sequence[str], *, seed: int) -> Any:
        """An unfitted estimator, with every `random_state` that was left open set to the seed."""
        takes_columns = "columns" in inspect.signature(self.make).parameters
        estimator = self.make(columns=tuple(columns)) if takes_columns else self.make()
        if not hasattr(estimator, "fit") or not hasattr(estimator, "get_params"):
            remedy = "return an unfitted estimator of scikit-learn's API"
            raise InvalidInput(self.name, type(estimator).__name__, remedy)
        parameters = estimator.get_params(deep=True)
        open_seeds = {
            name: seed
            for name in sorted(parameters)
            if name.split("__")[-1] == "random_state" and parameters[name] is None
        }
        return estimator.set_params(**open_seeds) if open_seeds else estimator


def load_estimator(setting: str, value: str) -> EstimatorSpec:
    """What `value`, `package.module:name`, stands for; modules of the current folder count.

    Raises InvalidInput naming the setting where there is no such thing.
    """
    module, _, name = value.partition(":")
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.append(here)
    try:
        target: Any = import_module(module)
        for part in name.split("."):
            target = getattr(target, part)
    except (ImportError, AttributeError, ValueError) as error:
        remedy = f"{error}; name a callable as my_package.my_module:make_estimator"
        raise InvalidInput(setting, value, remedy) from error
    finally:
        if added:
            sys.path.remove(here)
    if not callable(target):
        raise InvalidInput(setting, value, "name a callable that returns an estimator")
    return EstimatorSpec(value, target)


def fit_estimator(
    spec: EstimatorSpec,
    rows: np.ndarray,
    labels: np.ndarray,
    held_rows: np.ndarray,
    held_labels: np.ndarray,
    *,
    columns: Sequence[str],
    seed: int,
    classes: bool,
) -> Predictor:
    """Fit on `rows` (n, n_columns), export, and calibrate on the held rows, which come later.

    Rows are given as `models.predictors.onnx_graph.readable` makes them, and a column that is
    unknown in every row as 0, so that imputers and binners have a value. A classifier gets labels
    between 0 and 1 as weighted rows. Raises InvalidInput where the estimator cannot be fitted on
    NaN or on weights, cannot be exported, or predicts otherwise once exported.
    """
    estimator = spec.unfitted(columns, seed=seed)
    if classes and not hasattr(estimator, "predict_proba"):
        remedy = "the labels lie between 0 and 1: take a classifier with predict_proba"
        raise InvalidInput(spec.name, type(estimator).__name__, remedy)
    features = readable(rows).astype(float)
    features[:, np.isnan(rows).all(axis=0)] = 0.0
    try:
        if not classes:
            estimator.fit(features, labels)
        elif not is_fractional(labels):
            estimator.fit(features, labels.astype(np.int64))
        else:
            split = split_rows(labels)
            weights = {_weights_parameter(estimator, spec): split.weights}
            estimator.fit(features[split.rows], split.classes, **weights)
    except ValueError as error:
        if "NaN" not in str(error):
            raise
        raise InvalidInput(spec.name, type(estimator).__name__, _IMPUTE) from error
    exported = _exported(estimator, spec, features, held_rows, columns, classes=classes)
    _check_parity(estimator, exported, spec, readable(held_rows).astype(float), classes=classes)
    if not classes:
        return exported
    if isinstance(exported, Trees):
        return recalibrated(exported, held_rows, held_labels)
    finite_predictions(spec.name, exported, held_rows)
    scaling = fit_platt_scaling(exported.scores(held_rows), held_labels)
    return OnnxModel(exported.to_bytes(), columns, scaling)


def _weights_parameter(estimator: Any, spec: EstimatorSpec) -> str:
    """What `fit` takes the rows' weights by; a pipeline hands it on to its last step."""
    from sklearn.pipeline import Pipeline
    from sklearn.utils.validation import has_fit_parameter

    prefix = ""
    while isinstance(estimator, Pipeline):
        name, estimator = estimator.steps[-1]
        prefix += f"{name}__"
    if not has_fit_parameter(estimator, "sample_weight"):
        remedy = (
            "rewards between 0 and 1 are fitted as weighted rows, and its fit takes no "
            "sample_weight: take one that does, such as HistGradientBoostingClassifier"
        )
        raise InvalidInput(spec.name, type(estimator).__name__, remedy)
    return f"{prefix}sample_weight"


def _exported(
    estimator: Any,
    spec: EstimatorSpec,
    rows: np.ndarray,
    held_rows: np.ndarray,
    columns: Sequence[str],
    *,
    classes: bool,
) -> Trees | OnnxModel:
    """The fitted estimator as data, not yet calibrated."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    identity = PlattScaling() if classes else None
    if hasattr(estimator, "booster_"):
        text = estimator.booster_.model_to_string()
        if classes and "objective=binary" not in text:
            raise InvalidInput(spec.name, estimator.objective_, "take the objective binary")
        return trees_from_text(text, columns, identity)
    if isinstance(estimator, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
        return trees_from_text(
            histogram_text(estimator, columns, probability=classes), columns, identity
        )
    content = onnx_graph(estimator, spec.name, rows, held_rows, columns, classes=classes)
    return OnnxModel(content, columns, identity)


def _check_parity(
    estimator: Any, exported: Predictor, spec: EstimatorSpec, rows: np.ndarray, *, classes: bool
) -> None:
    own = estimator.predict_proba(rows)[:, 1] if classes else np.ravel(estimator.predict(rows))
    scale = 1.0 if classes else max(1.0, float(np.std(own)))
    apart = np.abs(exported.predict(rows) - own) / scale
    worst = int(np.argmax(apart))
    if not apart[worst] <= TOLERANCE:
        raise InvalidInput(
            spec.name,
            type(estimator).__name__,
            f"exported, it predicts {exported.predict(rows[[worst]])[0]:.6g} where it predicted "
            f"{own[worst]:.6g} itself: further apart than {TOLERANCE:g}. {_IMPUTE}",
        )
