"""Fit: a history becomes a bundle with its figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.bundle import FORMAT, Bundle, Manifest, Part, part, valences_hash
from models.calibration import expected_calibration_error
from models.touchpoint import ACTION
from models.trees import Trees, fit_trees
from nba.measurement.estimate import Undecided
from training.dataset import (
    Decided,
    TrainingSet,
    action_features,
    churn_set,
    decided_set,
    trained_actions,
)
from training.history import History
from training.split import Split, check_split, split_by_time


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """One model with the rows that it was judged on."""

    trees: Trees
    metrics: dict[str, float]
    test: TrainingSet
    predicted: np.ndarray  # (n_test,)


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """A bundle with all that its report needs."""

    bundle: Bundle
    churn: Fitted | Undecided
    touchpoint: Fitted | Undecided
    decided: Decided
    history: History

    def figures(self) -> dict[str, dict[str, float] | Undecided]:
        """Per model its metrics on later time, or why there is none."""
        return {
            name: fitted if isinstance(fitted, Undecided) else fitted.metrics
            for name, fitted in (("churn", self.churn), ("touchpoint", self.touchpoint))
        }


def train(
    history: History, *, seed: int, progress: Callable[[str], None] = lambda step: None
) -> Training:
    """Fit both models on the history. The same history and seed give the same bundle."""
    journey = history.fold.schema.journey
    progress("replaying the log for churn")
    churn_data = churn_set(history, journey.churn)
    progress("fitting the churn model")
    churn = fit_model(churn_data, split_by_time(churn_data), seed=seed, classes=True)
    progress("replaying the log for decisions")
    decided = decided_set(history, journey.reward)
    lessons = decided.lessons()
    progress("fitting the touchpoint model")
    touchpoint = fit_model(
        lessons,
        split_by_time(lessons),
        seed=seed,
        classes=journey.reward.target == "response",
        categorical=(ACTION,),
    )
    missing = {
        name: fitted.reason
        for name, fitted in (("churn", churn), ("touchpoint", touchpoint))
        if isinstance(fitted, Undecided)
    }
    manifest = Manifest(
        format=FORMAT,
        schema_hash=history.fold.schema.schema_hash,
        catalogue_version=journey.catalogue_version(),
        target=journey.reward.target,
        horizon_days=journey.churn.horizon_days,
        actions=trained_actions(history),
        action_features=action_features(history),
        dataset=history.fingerprint(),
        seed=seed,
        churn=_part("churn", churn),
        touchpoint=_part("touchpoint", touchpoint),
        valences=valences_hash(history.fold.schema.table),
        missing=missing,
    )
    bundle = Bundle(manifest, _trees(churn), _trees(touchpoint), history.fold.schema.table)
    return Training(bundle, churn, touchpoint, decided, history)


def fit_model(
    data: TrainingSet,
    split: Split,
    *,
    seed: int,
    classes: bool,
    categorical: tuple[str, ...] = (),
    parameters: Mapping[str, Any] | None = None,
) -> Fitted | Undecided:
    """One model, fitted, stopped and calibrated on earlier time and judged on the latest.

    `parameters`: LightGBM's, in place of those of `models.trees.PARAMETERS`.
    """
    refused = check_split(data, split, classes=classes)
    if refused is not None:
        return refused
    trees = fit_trees(
        data.rows[split.fit],
        data.labels[split.fit],
        data.rows[split.held],
        data.labels[split.held],
        columns=data.columns,
        seed=seed,
        probability=classes,
        categorical=categorical,
        parameters=parameters,
    )
    test = data.part(split.test)
    predicted = trees.predict(test.rows)
    metrics = classification(predicted, test.labels) if classes else regression(predicted, test)
    metrics["rows_fit"] = float(split.fit.sum())
    metrics["rows_test"] = float(len(test.labels))
    return Fitted(trees, metrics, test, predicted)


def classification(predicted: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """AUC, Brier score, log loss, calibration error and base rate of (n,) probabilities."""
    from sklearn.metrics import log_loss, roc_auc_score

    return {
        "auc": float(roc_auc_score(labels, predicted)),
        "brier": float(np.mean((predicted - labels) ** 2)),
        "log_loss": float(log_loss(labels > 0.5, predicted)),
        "ece": expected_calibration_error(predicted, labels),
        "base_rate": float(labels.mean()),
    }


def regression(predicted: np.ndarray, test: TrainingSet) -> dict[str, float]:
    """Root mean squared error, the same of the mean alone, and the mean, in EUR."""
    residual = predicted - test.labels
    return {
        "rmse_eur": float(np.sqrt(np.mean(residual**2))),
        "rmse_mean_eur": float(np.std(test.labels)),
        "mean_eur": float(test.labels.mean()),
    }


def _part(name: str, fitted: Fitted | Undecided) -> Part | None:
    return None if isinstance(fitted, Undecided) else part(name, fitted.trees, fitted.metrics)


def _trees(fitted: Fitted | Undecided) -> Trees | None:
    return None if isinstance(fitted, Undecided) else fitted.trees
