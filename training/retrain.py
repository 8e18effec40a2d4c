"""Retrain: fit on the log and register what came out, with all that its reader wants to see."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pandas as pd

from features.fold import Fold
from models.registry import Registry
from nba.measurement.estimate import Undecided
from nba.stores.log import Log
from training.fit import Fitted, Training, train
from training.history import read_history
from training.pictures import calibration_picture, importance_picture

EXAMPLE_ROWS = 5


STEPS = 6  # that `retrain` tells its progress of


def retrain(
    fold: Fold,
    log: Log,
    registry: Registry,
    *,
    seed: int,
    progress: Callable[[str], None] = lambda step: None,
) -> tuple[str, Training]:
    """Train on the whole log and register the bundle as challenger; gives its version.

    Raises StoreUnavailable.
    """
    progress("reading the log")
    history = read_history(fold, log)
    training = train(history, seed=seed, progress=progress)
    progress("registering in MLflow")
    return register(training, registry), training


def register(training: Training, registry: Registry) -> str:
    """Register a trained bundle as challenger; gives its version. Raises StoreUnavailable."""
    manifest = training.bundle.manifest
    data = training.decided.set
    return registry.save(
        training.bundle,
        example=pd.DataFrame(data.rows[:EXAMPLE_ROWS], columns=list(data.columns)),
        params={
            "seed": manifest.seed,
            "target": manifest.target,
            "horizon_days": manifest.horizon_days,
            "dataset": manifest.dataset,
            "schema_hash": manifest.schema_hash,
            "catalogue_version": manifest.catalogue_version,
            "events": len(training.history.events),
        },
        metrics=_metrics(training),
        tags={f"missing.{name}": why for name, why in manifest.missing.items()},
        pictures=_pictures(training),
        journey=msgspec.json.format(msgspec.json.encode(training.history.fold.schema.journey)),
    )


def _models(training: Training) -> dict[str, Fitted | Undecided]:
    return {"churn": training.churn, "touchpoint": training.touchpoint}


def _metrics(training: Training) -> dict[str, float]:
    return {
        f"{name}.{metric}": value
        for name, fitted in _models(training).items()
        if isinstance(fitted, Fitted)
        for metric, value in fitted.metrics.items()
    }


def _pictures(training: Training) -> dict[str, bytes]:
    pictures: dict[str, bytes] = {}
    for name, fitted in _models(training).items():
        if isinstance(fitted, Undecided):
            continue
        pictures[f"{name}_importance.png"] = importance_picture(fitted.trees, f"{name}: gain")
        if fitted.trees.is_probability:
            pictures[f"{name}_calibration.png"] = calibration_picture(
                fitted.predicted, fitted.test.labels, f"{name}: calibration on later time"
            )
    return pictures
