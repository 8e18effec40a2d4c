"""Both models of a bundle on held-out time, as they would have been served."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.bundles.bundle import Bundle
from models.predictors.predictor import finite_predictions
from nba.journey.actions import NO_ACTION
from nba.measurement.off_policy.logged_decisions import Floats
from nba.measurement.statistics.estimate import Undecided
from training.data.history import History
from training.data.time_split import check_split, split_of
from training.data.training_sets import PastDecisions, TrainingSet, churn_set
from training.fitting.fit import classification, regression
from training.gates.served import ServedBundle


class HeldOutPredictions(NamedTuple):
    """A model on held-out time: (n,) predictions beside the labels."""

    predicted: Floats
    test: TrainingSet
    is_probability: bool

    @property
    def metrics(self) -> dict[str, float]:
        """As `training.fitting.fit` has them."""
        if self.is_probability:
            return classification(self.predicted, self.test.labels)
        return regression(self.predicted, self.test)


def churn_held_out(history: History, bundle: Bundle) -> HeldOutPredictions | Undecided:
    missing = bundle.manifest.missing.get("churn")
    if bundle.churn is None or missing is not None:  # nothing, or a share that stands in
        return Undecided(reason=missing or "not in the bundle")
    data = churn_set(history, history.fold.schema.journey.churn)
    split = split_of(data, classes=True)
    refused = check_split(data, split, classes=True)
    if refused is not None:
        return refused
    test = data.part(split.test)
    return HeldOutPredictions(finite_predictions("churn", bundle.churn, test.rows), test, True)


def touchpoint_held_out(
    history: History, decided: PastDecisions, bundle: Bundle, served: ServedBundle | None
) -> HeldOutPredictions | Undecided:
    """Its scores of what was drawn, as they would have been served: corrected by the residual."""
    missing = bundle.manifest.missing.get("touchpoint")
    if bundle.touchpoint is None or missing is not None:  # nothing, or guesses that stand in
        return Undecided(reason=missing or "not in the bundle")
    schema, manifest = history.fold.schema, bundle.manifest
    decided = decided.coded_for(schema.journey, manifest.actions, manifest.action_features)
    data = decided.touchpoint_set()
    classes = bundle.touchpoint.is_probability
    split = split_of(data, classes=classes)
    refused = check_split(data, split, classes=classes)
    if refused is not None:
        return refused
    test = data.part(split.test)
    scores = finite_predictions("touchpoint", bundle.touchpoint, test.rows)
    if served is not None:
        taught = np.ones(len(decided.actions), dtype=bool)
        if decided.target != "value":
            taught = decided.actions != NO_ACTION
        codes = decided.moments.actions[taught][split.test]
        left = (codes < 0) & (decided.actions[taught][split.test] != NO_ACTION)
        corrected = served.corrected(schema, test.rows, codes, scores).mean
        scores = np.where(left, scores, corrected)  # of what left the file nothing is learned
    return HeldOutPredictions(scores, test, classes)
