"""Targets: what a bundle would draw among the candidates of past decisions, and its own worth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.replay.point_in_time import ContextQuestions, replay
from models.bundles.bundle import Bundle
from models.policies.from_journey import exploration_policy_of
from models.predictors.predictor import finite_predictions
from models.predictors.touchpoint_columns import action_rows, touchpoint_rows
from nba.decisions.candidate import Candidate
from nba.engine.policy import Worth
from nba.journey.actions import NO_ACTION
from nba.journey.file import JourneyFile
from nba.measurement.off_policy.cross_fitting import (
    CandidateRows,
    CrossFitted,
    Regressor,
    cross_fit,
)
from nba.measurement.off_policy.logged_decisions import Floats
from training.data.history import History
from training.data.training_sets import PastDecisions, action_features, trained_actions

MIN_CUSTOMERS = 30  # for a reward model
FOLDS = 3  # of customers; more leave more to learn from, and take longer


class Candidates(NamedTuple):
    """The candidates of n past decisions, flat: k of them."""

    decisions: NDArray[np.int64]  # (n,) positions among the decided
    of: NDArray[np.int64]  # (k,) from 0 to n - 1
    names: list[str]  # (k,) action ids
    codes: NDArray[np.int64]  # (k,) positions in the journey file, -1 for what is not in it
    logged: list[Candidate | None]  # (k,) with their factors, None of imported decisions

    @property
    def drawn(self) -> list[slice]:
        """(n,) where the candidates of each decision stand."""
        ends = np.cumsum(np.bincount(self.of, minlength=len(self.decisions)))
        return [slice(a, b) for a, b in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)]


def candidates_of(
    decided: PastDecisions, chosen: NDArray[np.int64], journey: JourneyFile
) -> Candidates:
    """The logged candidates of the chosen decisions."""
    codes = {action.id: code for code, action in enumerate(journey.actions)}
    names = [name for n in chosen for name in decided.candidates[n]]
    return Candidates(
        decisions=chosen,
        of=np.repeat(np.arange(len(chosen)), [len(decided.candidates[n]) for n in chosen]),
        names=names,
        codes=np.array([codes.get(name, -1) for name in names], dtype=np.int64),
        logged=[decided.factors[n].get(name) for n in chosen for name in decided.candidates[n]],
    )


def target_of(
    history: History, bundle: Bundle, decided: PastDecisions, candidates: Candidates
) -> Floats:
    """(k,) the probability of each candidate under the bundle and the journey file's exploration.

    A candidate that has left the journey file is no longer offered. How unsure a worth is, is as it
    was logged: what the online learner knows is re-anchored on a new bundle.
    """
    assert bundle.touchpoint is not None
    journey = history.fold.schema.journey
    positions = np.arange(len(candidates.names))
    inputs = candidate_rows(
        history,
        decided,
        candidates,
        positions,
        bundle.manifest.actions,
        bundle.manifest.action_features,
    )
    scores = finite_predictions("touchpoint", bundle.touchpoint, inputs)
    learned = not bundle.touchpoint.is_probability
    policy = exploration_policy_of(journey.exploration, [action.id for action in journey.actions])
    probabilities = np.zeros(len(candidates.names))
    for where in candidates.drawn:
        offered = [
            at
            for at in range(where.start, where.stop)
            if candidates.codes[at] >= 0 or candidates.names[at] == NO_ACTION
        ]
        worths = [
            _worth(journey, candidates.logged[at], candidates.names[at], scores[at], learned)
            for at in offered
        ]
        mean, spread, gain = (np.array(column, dtype=float) for column in zip(*worths, strict=True))
        worth = Worth(
            codes=candidates.codes[offered],
            mean_eur=mean,
            spread_eur=spread,
            gain_eur=gain,
            exposures=float(len(decided.actions)),
        )
        probabilities[offered] = policy.probabilities(worth)
    return probabilities


def _worth(
    journey: JourneyFile, logged: Candidate | None, name: str, score: float, learned: bool
) -> tuple[float, float, float]:
    """(mean, spread, gain) in EUR of a candidate under another score."""
    mean = priority(journey, logged, name, score, learned)
    spread = 0.0 if logged is None else logged.spread_eur
    if learned:
        return mean, spread, 1.0
    if name == NO_ACTION:
        return mean, spread, 0.0
    factor = 1.0 if logged is None else logged.context_weight * logged.lever
    return mean, spread, factor * _value_eur(journey, logged, name)


def _value_eur(journey: JourneyFile, logged: Candidate | None, name: str) -> float:
    if logged is not None:
        return logged.value_eur + logged.retention_eur
    return next(action.value_eur for action in journey.actions if action.id == name)


def priority(
    journey: JourneyFile, logged: Candidate | None, name: str, score: float, learned: bool
) -> float:
    """What a candidate is worth under another score: with the factors that were logged for it,
    or, of an imported decision, with those that the journey file declares."""
    action = next((action for action in journey.actions if action.id == name), None)
    if action is None:  # no_action
        return journey.no_action_value_eur + (score if learned else 0.0)
    if logged is None:
        worth = score * (1.0 if learned else action.value_eur)
        return worth - action.cost_eur
    value = 1.0 if learned else logged.value_eur + logged.retention_eur
    weight = logged.context_weight * logged.lever
    return score * value * weight - logged.cost_eur - logged.annoyance_eur


def candidate_rows(
    history: History,
    decided: PastDecisions,
    candidates: Candidates,
    chosen: NDArray[np.int64],
    trained: tuple[str, ...],
    features: tuple[str, ...],
) -> Floats:
    """(m, n_columns) a touchpoint model's inputs for the chosen candidates."""
    moments = decided.moments
    at = candidates.decisions[candidates.of[chosen]]
    questions = ContextQuestions(
        customers=moments.customers[at],
        as_of=moments.as_of[at],
        seen_seq=moments.seen_seq[at],
        seen_received=moments.seen_received[at],
        actions=candidates.codes[chosen],
    )
    values, offered = replay(history.fold, history.rows, questions)
    actions = action_rows(history.fold.schema.journey, trained, features)
    return touchpoint_rows(values, offered, actions[candidates.codes[chosen]])


def reward_model(
    history: History, decided: PastDecisions, candidates: Candidates, seed: int
) -> CrossFitted | None:
    """What the decided and their candidates are expected to bring, in EUR, cross-fitted.

    (n_decided,) of what was drawn and (k,) of the candidates, by models that have not seen the
    customer. None where there are too few customers to leave some out.
    """
    customers = decided.set.customers.astype(str)
    if len(np.unique(customers)) < MIN_CUSTOMERS:
        return None
    trained, features = trained_actions(history), action_features(history)

    def rows(chosen: NDArray[np.int64]) -> Floats:
        return candidate_rows(history, decided, candidates, chosen, trained, features)

    return cross_fit(
        lambda fold: boosted(seed + fold),
        decided.set.rows,
        decided.reward_eur,
        customers,
        CandidateRows(candidates.decisions[candidates.of], rows),
        folds=FOLDS,
        seed=seed,
    )


def boosted(seed: int) -> Regressor:
    """A small gradient-boosted regression: the reward model of off-policy evaluation."""
    return _Boosted(seed)


class _Boosted:
    """scikit-learn's, on the columns that have something to split on."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def fit(self, rows: Floats, rewards: Floats) -> _Boosted:
        from sklearn.ensemble import HistGradientBoostingRegressor

        low, high = np.fmin.reduce(rows, axis=0), np.fmax.reduce(rows, axis=0)
        self._columns = np.flatnonzero(low < high)
        self._model = HistGradientBoostingRegressor(
            max_iter=50,
            learning_rate=0.1,
            max_leaf_nodes=8,
            min_samples_leaf=40,
            l2_regularization=5.0,
            early_stopping=False,
            random_state=self._seed,
        ).fit(rows[:, self._columns], rewards)
        return self

    def predict(self, rows: Floats) -> Floats:
        predicted: Floats = self._model.predict(rows[:, self._columns])
        return predicted
