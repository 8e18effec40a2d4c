"""Evaluate: how good is a bundle on the latest part of the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from features.fold import Fold
from features.frame import Moments, replay
from models.bundle import Bundle
from models.policy import EpsilonGreedy
from models.touchpoint import action_rows, touchpoint_rows
from nba.decision import Candidate
from nba.errors import InvalidBundle
from nba.events import NO_ACTION
from nba.journey import JourneyFile
from nba.measurement.estimate import Estimate, Undecided
from nba.measurement.off_policy import snips, weigh
from nba.stores.log import Log
from training.dataset import Decided, churn_set, decided_set
from training.fit import classification, regression
from training.history import History, read_history
from training.split import check_split, split_by_time


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one bundle; values are EUR per decision, with 95 % intervals."""

    bundle_id: str
    churn: dict[str, float] | Undecided
    touchpoint: dict[str, float] | Undecided
    value_logged: Estimate | Undecided  # what the logged decisions were worth
    value_uniform: Estimate | Undecided  # any candidate with equal probability
    value_bundle: Estimate | Undecided  # this bundle under the journey's policy


def evaluate_on(
    fold: Fold, log: Log, bundle: Bundle, progress: Callable[[str], None] = lambda step: None
) -> Evaluation:
    """`evaluate` on the whole log. Raises InvalidBundle, StoreUnavailable."""
    progress("reading the log")
    history = read_history(fold, log)
    progress("replaying it")
    return evaluate(history, bundle)


def evaluate(history: History, bundle: Bundle) -> Evaluation:
    """Judge the bundle on the last fifth of the log's time.

    Raises InvalidBundle where it was trained on other columns than the journey file gives.
    """
    schema = history.fold.schema
    if bundle.manifest.schema_hash != schema.schema_hash:
        raise InvalidBundle(
            f"{bundle.bundle_id}: trained on {bundle.manifest.schema_hash}, the journey file gives "
            f"{schema.schema_hash}; train again"
        )
    decided = decided_set(history, schema.journey.reward)
    test = split_by_time(decided.set).test
    listed = np.array([bool(names) for names in decided.candidates], dtype=bool)
    known = test & np.isfinite(decided.propensity) & listed
    drawn = np.flatnonzero(known)
    rewards, propensity = decided.reward_eur[drawn], decided.propensity[drawn]
    uniform = np.array([1 / len(decided.candidates[n]) for n in drawn])
    return Evaluation(
        bundle_id=bundle.bundle_id,
        churn=_churn(history, bundle),
        touchpoint=_touchpoint(decided, bundle),
        value_logged=snips(weigh(propensity, propensity, rewards)),
        value_uniform=snips(weigh(uniform, propensity, rewards)),
        value_bundle=_value(history, bundle, decided, drawn),
    )


def _churn(history: History, bundle: Bundle) -> dict[str, float] | Undecided:
    if bundle.churn is None:
        return Undecided(reason=bundle.manifest.missing.get("churn", "not in the bundle"))
    data = churn_set(history, history.fold.schema.journey.churn)
    split = split_by_time(data)
    refused = check_split(data, split, classes=True)
    if refused is not None:
        return refused
    test = data.part(split.test)
    return classification(bundle.churn.predict(test.rows), test.labels)


def _touchpoint(decided: Decided, bundle: Bundle) -> dict[str, float] | Undecided:
    if bundle.touchpoint is None:
        return Undecided(reason=bundle.manifest.missing.get("touchpoint", "not in the bundle"))
    data = decided.lessons()
    classes = bundle.touchpoint.is_probability
    split = split_by_time(data)
    refused = check_split(data, split, classes=classes)
    if refused is not None:
        return refused
    test = data.part(split.test)
    predicted = bundle.touchpoint.predict(test.rows)
    return classification(predicted, test.labels) if classes else regression(predicted, test)


def _value(
    history: History, bundle: Bundle, decided: Decided, drawn: np.ndarray
) -> Estimate | Undecided:
    """Off-policy: the bundle's probability of each drawn action among its logged candidates."""
    if bundle.touchpoint is None:
        return Undecided(reason=bundle.manifest.missing.get("touchpoint", "not in the bundle"))
    if len(drawn) == 0:
        return Undecided(reason="no decision of the test period logged propensity and candidates")
    candidates = [decided.candidates[n] for n in drawn]
    scores = candidate_scores(history, bundle, decided.moments, drawn, candidates)
    journey = history.fold.schema.journey
    policy = EpsilonGreedy(journey.exploration.epsilon)
    learned = not bundle.touchpoint.is_probability
    codes = {action.id: code for code, action in enumerate(journey.actions)}
    target = np.zeros(len(drawn))
    start = 0
    for row, (n, names) in enumerate(zip(drawn, candidates, strict=True)):
        mine = scores[start : start + len(names)]
        start += len(names)
        # a candidate that is no longer in the journey file is no longer offered
        offered = [at for at, name in enumerate(names) if name in codes or name == NO_ACTION]
        priorities = [
            priority(journey, decided.factors[n].get(names[at]), names[at], mine[at], learned)
            for at in offered
        ]
        probabilities = policy.probabilities(np.array(priorities))
        order = [names[at] for at in offered]
        if decided.actions[n] in order:
            target[row] = probabilities[order.index(decided.actions[n])]
    return snips(weigh(target, decided.propensity[drawn], decided.reward_eur[drawn]))


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


def candidate_scores(
    history: History,
    bundle: Bundle,
    moments: Moments,
    chosen: np.ndarray,
    candidates: Sequence[Sequence[str]],
) -> np.ndarray:
    """The touchpoint model's score of every candidate of every chosen moment, flat."""
    assert bundle.touchpoint is not None
    journey = history.fold.schema.journey
    codes = {action.id: code for code, action in enumerate(journey.actions)}
    repeats = np.repeat(chosen, [len(names) for names in candidates])
    positions = np.array([codes.get(name, -1) for names in candidates for name in names])
    asked = Moments(
        customers=moments.customers[repeats],
        as_of=moments.as_of[repeats],
        seen_seq=moments.seen_seq[repeats],
        seen_received=moments.seen_received[repeats],
        actions=positions,
    )
    values, offered = replay(history.fold, history.rows, asked)
    actions = action_rows(journey, bundle.manifest.actions, bundle.manifest.action_features)
    return bundle.touchpoint.predict(touchpoint_rows(values, offered, actions[positions]))
