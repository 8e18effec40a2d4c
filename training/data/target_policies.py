"""Candidates of past decisions, and a model of what each of them brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.replay.point_in_time import ContextQuestions, replay
from models.predictors.touchpoint_columns import action_rows, touchpoint_rows
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
    listed: NDArray[np.bool_]  # (k,) whether it was a candidate when it was decided
    possible: NDArray[np.bool_]  # (k,) whether the log could draw it


def candidates_of(
    decided: PastDecisions,
    chosen: NDArray[np.int64],
    journey: JourneyFile,
    targets: Sequence[Sequence[Mapping[str, float]]] = (),
) -> Candidates:
    """What the chosen decisions listed, and what else the targets would draw: by target, the
    probabilities by action id of each of the chosen."""
    codes = {action.id: code for code, action in enumerate(journey.actions)}
    names: list[str] = []
    sizes: list[int] = []
    listed: list[bool] = []
    possible: list[bool] = []
    for at, n in enumerate(chosen.tolist()):
        logged, own = decided.factors[n], list(decided.candidates[n])
        more = {name: None for target in targets for name in target[at] if name not in own}
        listed += [True] * len(own) + [False] * len(more)
        possible += [name not in logged or logged[name].propensity > 0.0 for name in own]
        possible += [False] * len(more)
        names += [*own, *more]
        sizes.append(len(own) + len(more))
    return Candidates(
        decisions=chosen,
        of=np.repeat(np.arange(len(chosen)), sizes),
        names=names,
        codes=np.array([codes.get(name, -1) for name in names], dtype=np.int64),
        listed=np.array(listed, dtype=bool),
        possible=np.array(possible, dtype=bool),
    )


def candidate_rows(
    history: History,
    decided: PastDecisions,
    candidates: Candidates,
    chosen: NDArray[np.int64],
    trained: tuple[str, ...],
    features: tuple[str, ...],
) -> Floats:
    """(m, n_columns) a touchpoint model's inputs for the chosen candidates."""
    at = candidates.decisions[candidates.of[chosen]]
    return drawn_rows(history, decided, at, candidates.codes[chosen], trained, features)


def drawn_rows(
    history: History,
    decided: PastDecisions,
    at: NDArray[np.int64],
    codes: NDArray[np.int64],
    trained: tuple[str, ...],
    features: tuple[str, ...],
) -> Floats:
    """(m, n_columns) a touchpoint model's inputs for (m,) action codes in the decided at (m,)."""
    moments = decided.moments
    questions = ContextQuestions(
        customers=moments.customers[at],
        as_of=moments.as_of[at],
        seen_seq=moments.seen_seq[at],
        seen_received=moments.seen_received[at],
        actions=codes,
    )
    values, offered = replay(history.fold, history.rows, questions)
    actions = action_rows(history.fold.schema.journey, trained, features)
    return touchpoint_rows(values, offered, actions[codes])


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
