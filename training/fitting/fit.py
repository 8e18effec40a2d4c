"""Fit: a history becomes a bundle with its figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from features.replay.point_in_time import ContextQuestions
from models.bundles.bundle import Bundle
from models.predictors.platt_scaling import expected_calibration_error
from models.predictors.predictor import Predictor, finite_predictions
from models.predictors.touchpoint_columns import ACTION
from models.residual.warm_start import WarmStart
from nba.errors import InvalidInput, did_you_mean
from nba.journey.goals import RewardRule
from nba.measurement.statistics.estimate import Undecided
from training.data.fractional_labels import split_rows
from training.data.history import History
from training.data.rewards import learned_rule
from training.data.time_split import Split, check_split, split_of
from training.data.training_sets import (
    PastDecisions,
    TrainingSet,
    churn_set,
    decided_set,
)
from training.diagnostics.leakage import Leakage, find_leaks
from training.diagnostics.slices import Slice, slices
from training.diagnostics.uplift import Uplift, uplift_of
from training.fitting.bundle import BundlePart, bundle_of, churn_in_place, touchpoint_in_place
from training.fitting.options import MODELS, FitOptions
from training.fitting.recipe import Recipe
from training.fitting.search import Search, search
from training.fitting.warm_start import warm_start


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """One model with the rows that it was judged on."""

    model: Predictor
    metrics: dict[str, float]
    test: TrainingSet
    predicted: np.ndarray  # (n_test,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a model came about, and where it holds."""

    recipe: Recipe
    leakage: Leakage | None = None  # None: too few rows to look
    search: Search | None = None
    slices: tuple[Slice, ...] = ()  # everybody is the first


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """A bundle with all that its report needs."""

    bundle: Bundle
    churn: Fitted | Undecided
    touchpoint: Fitted | Undecided
    decided: PastDecisions
    history: History
    reports: Mapping[str, Report]  # by model
    uplift: tuple[Uplift, ...] | Undecided | None  # None: not asked for

    @property
    def models(self) -> dict[str, Fitted | Undecided]:
        """By name what was fitted, or why nothing was."""
        return dict(zip(MODELS, (self.churn, self.touchpoint), strict=True))

    @property
    def recipes(self) -> dict[str, Recipe]:
        """By name how each was fitted, for whoever fits it again."""
        return {name: report.recipe for name, report in self.reports.items()}

    def figures(self) -> dict[str, dict[str, float] | Undecided]:
        """Per model its metrics on later time, or why there is none."""
        return {
            name: fitted if isinstance(fitted, Undecided) else fitted.metrics
            for name, fitted in self.models.items()
        }


def train(
    history: History,
    *,
    seed: int,
    options: FitOptions | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> Training:
    """Fit both models on the history. The same history, seed and options give the same bundle.

    Where one of the two cannot be fitted, guesses stand in for it (`training.fitting.bundle`).

    Raises InvalidInput for an option that names no column, and for an estimator that cannot serve.
    """
    chosen = options or FitOptions()
    journey = history.fold.schema.journey
    recipes = _recipes(journey.reward.target == "response", chosen)
    fitting = _Fitting(history, seed, chosen, progress)
    progress("replaying the log for churn")
    churn_data = churn_set(history, journey.churn)
    churn_questions = ContextQuestions.at(churn_data.customers, churn_data.at_s)
    churn, churn_report = fitting.model("churn", churn_data, churn_questions, recipes["churn"])
    progress("replaying the log for decisions")
    risk = None if isinstance(churn, Undecided) else churn.model.predict
    rule = learned_rule(history, risk)
    decided = decided_set(history, rule, risk)
    _check_trusted(chosen, decided.set.columns)
    touchpoint, touchpoint_report = fitting.model(
        "touchpoint", decided.touchpoint_set(), decided.touchpoint_moments(), recipes["touchpoint"]
    )
    uplift = None
    if chosen.uplift:
        progress("comparing actions with no action")
        uplift = uplift_of(history, decided, seed=seed)
    reports = dict(zip(MODELS, (churn_report, touchpoint_report), strict=True))
    fitted = dict(zip(MODELS, (churn, touchpoint), strict=True))
    warm = None
    if isinstance(touchpoint, Fitted):
        warm = warm_start(history, decided, touchpoint.model, rule)
    parts, warm = _parts(history, fitted, churn_data, warm, rule)
    notes = {name: note for name in MODELS if (note := reports[name].recipe.note) is not None}
    bundle = bundle_of(history, seed, parts, notes, warm, rule)
    return Training(bundle, churn, touchpoint, decided, history, reports, uplift)


@dataclass(frozen=True, slots=True)
class _Fitting:
    """What both models are fitted with."""

    history: History
    seed: int
    options: FitOptions
    progress: Callable[[str], None]

    def model(
        self, name: str, data: TrainingSet, moments: ContextQuestions, recipe: Recipe
    ) -> tuple[Fitted | Undecided, Report]:
        """Check the rows, search where trials are set, fit, and measure the model by slice."""
        self.progress(f"fitting the {name} model")
        split = split_of(data, classes=recipe.classes)
        refused = check_split(data, split, classes=recipe.classes)
        if refused is not None:
            return refused, Report(recipe=recipe)
        leakage = find_leaks(
            self.history,
            data,
            moments,
            split,
            classes=recipe.classes,
            seed=self.seed,
            trusted=self.options.trusted,
        )
        if leakage.refusal is not None:
            return Undecided(reason=leakage.refusal), Report(recipe=recipe, leakage=leakage)
        searched = None
        if self.options.trials and recipe.estimator is None:
            searched = search(
                data,
                split,
                recipe,
                name=name,
                seed=self.seed,
                trials=self.options.trials,
                file=self.options.searches,
                progress=self.progress,
            )
            recipe = replace(recipe, parameters={**recipe.parameters, **searched.parameters})
        fitted = fit_model(data, split, recipe, seed=self.seed)
        if isinstance(fitted, Undecided):
            return fitted, Report(recipe=recipe, leakage=leakage, search=searched)
        schema = self.history.fold.schema
        parts = slices(
            schema, fitted.test, fitted.predicted, classes=recipe.classes, seed=self.seed
        )
        return fitted, Report(recipe=recipe, leakage=leakage, search=searched, slices=parts)


def fit_model(data: TrainingSet, split: Split, recipe: Recipe, *, seed: int) -> Fitted | Undecided:
    """One model, fitted, stopped and calibrated on earlier time and judged on the latest.

    Raises InvalidInput for an estimator that cannot be fitted or served, InvalidBundle where its
    predictions are no finite numbers.
    """
    refused = check_split(data, split, classes=recipe.classes)
    if refused is not None:
        return refused
    model = recipe.fit(data, split.fit, split.held, seed=seed)
    test = data.part(split.test)
    predicted = finite_predictions("the model", model, test.rows)
    judged = classification(predicted, test.labels) if recipe.classes else None
    metrics = judged or regression(predicted, test)
    metrics["rows_fit"] = float(split.fit.sum())
    metrics["rows_test"] = float(len(test.labels))
    if split.by == "customers":
        metrics["by_customers"] = 1.0
    return Fitted(model, metrics, test, predicted)


def classification(predicted: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """AUC, Brier score, log loss, calibration error and base rate of (n,) probabilities.

    Of labels between 0 and 1, AUC and log loss are those of `split_rows`.
    """
    from sklearn.metrics import log_loss, roc_auc_score

    rows, classes, weights = split_rows(labels)
    return {
        "auc": float(roc_auc_score(classes, predicted[rows], sample_weight=weights)),
        "brier": float(np.mean((predicted - labels) ** 2)),
        "log_loss": float(log_loss(classes, predicted[rows], sample_weight=weights)),
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


def _recipes(response: bool, options: FitOptions) -> dict[str, Recipe]:
    def recipe(name: str, classes: bool, categorical: tuple[str, ...]) -> Recipe:
        return Recipe(
            classes=classes,
            categorical=categorical,
            parameters=options.parameters.get(name, {}),
            estimator=options.estimators.get(name),
        )

    return {
        "churn": recipe("churn", True, ()),
        "touchpoint": recipe("touchpoint", response, (ACTION,)),
    }


def _check_trusted(options: FitOptions, columns: tuple[str, ...]) -> None:
    for column in options.trusted:
        if column not in columns:
            raise InvalidInput("trust", column, did_you_mean(column, columns))


def _parts(
    history: History,
    fitted: Mapping[str, Fitted | Undecided],
    churn_data: TrainingSet,
    warm: WarmStart | None,
    rule: RewardRule,
) -> tuple[dict[str, BundlePart], WarmStart | None]:
    """What was fitted, and guesses in place of the one model that was not."""
    parts = {
        name: BundlePart(None, {}, each.reason)
        if isinstance(each, Undecided)
        else BundlePart(each.model, each.metrics)
        for name, each in fitted.items()
    }
    churn, touchpoint = fitted["churn"], fitted["touchpoint"]
    if isinstance(churn, Undecided) and isinstance(touchpoint, Fitted):
        parts["churn"] = churn_in_place(history, churn_data, churn)
    if isinstance(touchpoint, Undecided) and isinstance(churn, Fitted):
        parts["touchpoint"], warm = touchpoint_in_place(history, rule, touchpoint)
    return parts, warm
