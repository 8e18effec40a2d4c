"""Retrain: fit on the log and register what came out, with all that its reader wants to see."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import msgspec
import pandas as pd

from features.fold import Fold
from models.bundles.mlflow_runs import ModelRun, table_json
from models.bundles.registry import Registry
from nba.measurement.statistics.estimate import Estimate, Undecided
from nba.stores.log import Log
from training.data.history import History, history_of, read_history
from training.fitting.fit import Fitted, Report, Training, train
from training.fitting.options import STEPS, FitOptions
from training.runs.charts import (
    calibration_picture,
    importance_picture,
    uplift_picture,
    weeks_picture,
)
from training.runs.code_version import code_version
from training.runs.model_card import model_card

__all__ = ["STEPS", "folder_history", "register", "retrain", "retrain_folder"]
EXAMPLE_ROWS = 5


def retrain(
    fold: Fold,
    log: Log,
    registry: Registry,
    *,
    seed: int,
    options: FitOptions | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> tuple[str, Training]:
    """Train on the whole log and register the bundle as challenger; gives its version.

    Raises StoreUnavailable, InvalidInput for an option that does not fit.
    """
    progress("reading the log")
    return _trained(read_history(fold, log), registry, seed, options, progress)


def retrain_folder(
    fold: Fold,
    folder: Path,
    registry: Registry,
    *,
    seed: int,
    options: FitOptions | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> tuple[str, Training]:
    """The same on a log that `nba export` has written.

    Raises InvalidFile for a folder that it has not, StoreUnavailable, InvalidInput.
    """
    progress("reading the exported log")
    return _trained(folder_history(fold, folder), registry, seed, options, progress)


def folder_history(fold: Fold, folder: Path) -> History:
    """The history in a log that `nba export` has written, which holds no candidates of our own
    decisions. Raises InvalidFile for a folder that it has not written."""
    from nba.stores.parquet import events_of, parts, read_part

    events = [event for file in parts(folder) for event in events_of(read_part(file))]
    events.sort(key=lambda event: event.seq)
    return history_of(fold, events)


def _trained(
    history: History,
    registry: Registry,
    seed: int,
    options: FitOptions | None,
    progress: Callable[[str], None],
) -> tuple[str, Training]:
    training = train(history, seed=seed, options=options, progress=progress)
    progress("registering in MLflow")
    return register(training, registry), training


def register(training: Training, registry: Registry) -> str:
    """Register a trained bundle as challenger; gives its version. Raises StoreUnavailable."""
    manifest = training.bundle.manifest
    data = training.decided.set
    code = code_version()
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
            "code_version": code,
        },
        metrics={
            f"{name}.{metric}": value
            for name, fitted in training.models.items()
            if isinstance(fitted, Fitted)
            for metric, value in fitted.metrics.items()
        }
        | _uplift_metrics(training),
        tags={f"missing.{name}": why for name, why in manifest.missing.items()}
        | ({"uplift": training.uplift.reason} if isinstance(training.uplift, Undecided) else {}),
        pictures=_uplift_pictures(training),
        journey=msgspec.json.format(msgspec.json.encode(training.history.fold.schema.journey)),
        models={
            name: _model_run(name, fitted, training.reports[name], training, code)
            for name, fitted in training.models.items()
        },
        card=model_card(training, code),
    )


def _model_run(
    name: str, fitted: Fitted | Undecided, report: Report, training: Training, code: str
) -> ModelRun:
    manifest = training.bundle.manifest
    recipe = report.recipe
    params = {
        "seed": manifest.seed,
        "dataset": manifest.dataset,
        "code_version": code,
        "estimator": "lightgbm" if recipe.estimator is None else recipe.estimator.name,
        **recipe.parameters,
    }
    tags = {"model": name, "bundle_id": training.bundle.bundle_id}
    metrics: dict[str, float] = {}
    files = {"slices.json": _slices_json(report)}
    if report.leakage is not None:
        leakage = report.leakage
        tags["leakage"] = leakage.refusal or "none found"
        tags |= {f"leakage.trusted.{leak.column}": leak.text for leak in leakage.trusted}
        tags["leakage.strongest_column"] = leakage.strongest
        metrics |= {"leakage.found": len(leakage.leaks), "leakage.strongest": leakage.strength}
    if report.search is not None:
        params |= {"trials": report.search.trials, "study": report.search.name}
        metrics |= {
            "search.loss": report.search.loss,
            "search.default_loss": report.search.default_loss,
        }
    if isinstance(fitted, Undecided):
        tags["missing"] = fitted.reason
    else:
        metrics |= fitted.metrics | _bounds(report)
        if name == "touchpoint" and (cut := training.decided.cut) is not None:
            tags["rewards"] = cut.sentence
            metrics |= {"rewards.above": cut.above, "rewards.below": cut.below}
        files |= _pictures(name, fitted, manifest.target)
    finite = {key: float(value) for key, value in metrics.items() if math.isfinite(value)}
    return ModelRun(params=params, metrics=finite, tags=tags, files=files)


def _bounds(report: Report) -> dict[str, float]:
    """The intervals of the figures over everybody."""
    if not report.slices or isinstance(report.slices[0].figures, Undecided):
        return {}
    figures = report.slices[0].figures.items()
    return {
        f"{name}.{end}": value
        for name, estimate in figures
        for end, value in (("low", estimate.low), ("high", estimate.high))
    }


def _slices_json(report: Report) -> bytes:
    rows: list[tuple[object, ...]] = []
    for part in report.slices:
        if isinstance(part.figures, Undecided):
            rows.append((part.name, part.rows, None, None, None, None, part.figures.reason))
            continue
        for name, estimate in part.figures.items():
            rows.append((part.name, part.rows, name, *_cells(estimate), None))
    columns = ("slice", "rows", "figure", "value", "low", "high", "undecided")
    return table_json(columns, rows)


def _cells(estimate: Estimate) -> tuple[float | None, ...]:
    numbers = (estimate.value, estimate.low, estimate.high)
    return tuple(number if math.isfinite(number) else None for number in numbers)


def _pictures(name: str, fitted: Fitted, target: str) -> dict[str, bytes]:
    unit = "EUR" if name == "touchpoint" and target == "value" else ""
    test = fitted.test
    pictures = {
        "importance": importance_picture(fitted.model, f"{name}: what it looks at"),
        "weeks": weeks_picture(
            fitted.predicted,
            test.labels,
            test.at_s,
            title=f"{name}: later time, week by week",
            unit=unit,
        ),
    }
    if fitted.model.is_probability:
        pictures["calibration"] = calibration_picture(
            fitted.predicted, test.labels, f"{name}: calibration on later time"
        )
    return {f"pictures/{name}_{what}.png": content for what, content in pictures.items()}


def _uplift_metrics(training: Training) -> dict[str, float]:
    effects = training.uplift
    if effects is None or isinstance(effects, Undecided):
        return {}
    return {
        f"uplift.{uplift.action}.{name}{end}": value
        for uplift in effects
        if not isinstance(uplift.figures, Undecided)
        for name, estimate in (("effect", uplift.figures.effect), ("qini", uplift.figures.qini))
        for end, value in (("", estimate.value), (".low", estimate.low), (".high", estimate.high))
    }


def _uplift_pictures(training: Training) -> dict[str, bytes]:
    effects = training.uplift
    if effects is None or isinstance(effects, Undecided):
        return {}
    curves = {
        uplift.action: uplift.figures
        for uplift in effects
        if not isinstance(uplift.figures, Undecided)
    }
    if not curves:
        return {}
    return {"uplift.png": uplift_picture(curves, effects[0].outcome)}
