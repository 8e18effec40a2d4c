"""A bundle of what was fitted, with guesses in place of the one model that could not be.

Either model alone serves. Without a touchpoint model an action's score is what the journey file
guesses of it, corrected by what is learned online, as before the first training. Without a churn
model everybody's risk is the share of the rows in which a customer left, where leaving is an event;
where it is silence nobody's risk is known. What is missing is said in the manifest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from models.bundles.bundle import (
    FORMAT,
    Bundle,
    Manifest,
    RecipeNote,
    part,
    terms_part,
    valences_hash,
)
from models.bundles.prior import guesses, prior_warm_start
from models.predictors.guesses import Guesses
from models.predictors.predictor import Predictor
from models.residual.warm_start import WarmStart
from nba.journey.goals import RewardRule
from nba.measurement.statistics.estimate import Undecided
from nba.rewards.terms import score_definition
from training.data.history import History
from training.data.training_sets import TrainingSet, action_features, trained_actions

LEAST_LEFT = 10  # rows in which a customer left, before their share is a risk


class BundlePart(NamedTuple):
    """One model, fitted or guessed."""

    model: Predictor | None
    metrics: dict[str, float]
    missing: str | None = None  # why it was not fitted


def churn_in_place(history: History, data: TrainingSet, why: Undecided) -> BundlePart:
    """Without a churn model: the share of the rows of those who left within the horizon."""
    rule = history.fold.schema.journey.churn
    if rule.event is None or data.labels.sum() < LEAST_LEFT:
        return BundlePart(None, {}, why.reason)
    risk = float(data.labels.mean())
    model = Guesses(tuple(history.fold.schema.columns), (risk,), is_probability=True)
    missing = f"{why.reason}; everybody's risk is {risk:.3g}, the share who left"
    return BundlePart(model, {}, missing)


def touchpoint_in_place(
    history: History, rule: RewardRule, why: Undecided
) -> tuple[BundlePart, WarmStart]:
    """Without a touchpoint model: the guesses of the journey file, and where learning begins."""
    schema = history.fold.schema
    journey = msgspec.structs.replace(schema.journey, reward=rule)
    missing = f"{why.reason}; the guesses of the journey file stand in, and are learned on"
    return BundlePart(guesses(schema), {}, missing), prior_warm_start(journey)


def bundle_of(
    history: History,
    seed: int,
    parts: Mapping[str, BundlePart],
    recipes: Mapping[str, RecipeNote],
    warm: WarmStart | None,
    rule: RewardRule,
) -> Bundle:
    """The bundle of these parts, churn and touchpoint by name."""
    schema = history.fold.schema
    journey = schema.journey
    entries = {
        name: None if each.model is None else part(name, each.model, each.metrics)
        for name, each in parts.items()
    }
    churn, touchpoint = parts["churn"].model, parts["touchpoint"].model
    manifest = Manifest(
        format=FORMAT,
        schema_hash=schema.schema_hash,
        catalogue_version=journey.catalogue_version(),
        target=journey.reward.target,
        horizon_days=journey.churn.horizon_days,
        actions=trained_actions(history),
        action_features=() if isinstance(touchpoint, Guesses) else action_features(history),
        dataset=history.fingerprint(),
        seed=seed,
        churn=entries["churn"],
        touchpoint=entries["touchpoint"],
        valences=valences_hash(schema.table),
        missing={name: each.missing for name, each in parts.items() if each.missing is not None},
        recipes=dict(recipes),
        residual=None if warm is None else warm.part(),
        terms=terms_part(touchpoint),
        asked=score_definition(journey),
        reward_bounds=rule.bounds
        if journey.reward.bounds is None and rule.bounds is not None
        else msgspec.UNSET,
    )
    return Bundle(manifest, churn, touchpoint, schema.table, warm)
