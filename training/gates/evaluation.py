"""Evaluate a bundle on the latest part of the log.

Its models by their metrics; its decisions by their off-policy value, beside that of the logged
decisions and of the champion's on the same moments. Judged is what would serve: each bundle with
what its residual had learned when that part began.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.bundles.bundle import Bundle, load_bundle
from models.bundles.fit import check_fit
from models.predictors.predictor import finite_predictions
from nba.customer.context import ContextSchema
from nba.errors import InvalidBundle
from nba.journey.sub_journeys import SubJourney
from nba.measurement.off_policy.evaluation import (
    PolicyGain,
    PolicyValue,
    policy_gain,
    policy_values,
)
from nba.measurement.off_policy.logged_decisions import (
    Overlap,
    overlap,
)
from nba.measurement.statistics.estimate import Estimate, Undecided
from nba.rewards.bounds import bounded
from nba.stores.log import Log
from nba.stores.versioned import CHAMPION, version_in_force
from training.data.history import History, number
from training.data.rewards import attribution_of
from training.data.time_split import split_by_customers, split_by_time, split_of
from training.data.training_sets import PastDecisions, decided_set
from training.gates.comparison import BundleComparison, JudgedDecisions, drawn_by
from training.gates.held_out import (
    HeldOutPredictions,
    churn_held_out,
    touchpoint_held_out,
)
from training.gates.served import (
    served_bundle,
)


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one bundle; values are EUR per decision, with 95 % intervals."""

    bundle_id: str
    churn: dict[str, float] | Undecided
    touchpoint: dict[str, float] | Undecided
    value_logged: Estimate | Undecided  # what the logged decisions were worth
    value_uniform: Estimate | Undecided  # any candidate with equal probability
    value_bundle: Estimate | Undecided  # this bundle under the journey's policy, by DR
    methods: dict[str, PolicyValue | Undecided]  # the bundle's value by each method
    overlap: Overlap | Undecided  # of the log with the bundle's decisions
    against: str  # the champion's bundle id, or `logged`: what the gain is over
    gain: PolicyGain | Undecided  # what gates read


class JudgedBundle(NamedTuple):
    """The figures with what they rest on."""

    evaluation: Evaluation
    decided: PastDecisions
    compared: BundleComparison | Undecided
    held_out: dict[str, HeldOutPredictions | Undecided]  # by model


def champion_beside(log: Log, bundle: Bundle, schema: ContextSchema) -> Bundle | None:
    """The champion, where it is another bundle and answers what the journey file asks."""
    stored = version_in_force(log, CHAMPION)
    if stored is None or stored.bundle_id == bundle.bundle_id:
        return None
    champion = load_bundle(stored.files)
    try:
        check_fit(champion, schema)
    except InvalidBundle:
        return None
    return champion if champion.touchpoint is not None else None


def evaluate(
    history: History,
    log: Log,
    bundle: Bundle,
    *,
    champion: Bundle | None = None,
    earlier: Sequence[SubJourney] = (),
    seed: int = 1,
) -> Evaluation:
    """The figures of `judged`. Raises InvalidBundle, StoreUnavailable."""
    return judged(history, log, bundle, champion=champion, earlier=earlier, seed=seed).evaluation


def judged(
    history: History,
    log: Log,
    bundle: Bundle,
    *,
    champion: Bundle | None = None,
    earlier: Sequence[SubJourney] = (),
    seed: int = 1,
) -> JudgedBundle:
    """Judge the bundle on the last fifth of the log's time, as it would have served from its
    beginning on; `log`: of which the history is, where decisions and policy versions stand.

    Raises InvalidBundle where it does not answer what the journey file asks, or predicts what is no
    finite number, StoreUnavailable.
    """
    schema = history.fold.schema
    check_fit(bundle, schema)
    risk = None if bundle.churn is None else partial(finite_predictions, "churn", bundle.churn)
    rule = bounded(schema.journey, bundle.reward_bounds).reward
    decided = decided_set(history, rule, risk)
    served = [
        None
        if each is None or each.touchpoint is None
        else served_bundle(
            history, decided, each, _begin_s(decided), online=online, earlier=earlier
        )
        for each, online in ((bundle, None), (champion, log))
    ]
    chosen = _testable(decided)
    drawn = drawn_by(history, log, decided, chosen, [each for each in served if each is not None])
    answered = np.array(
        [all(own[n] is not None for own in drawn) for n in range(len(chosen))], dtype=bool
    )
    decisions = JudgedDecisions(
        history,
        decided,
        chosen[answered],
        [[each[n] or {} for n in np.flatnonzero(answered)] for each in drawn],
        _immature(history),
        seed,
    )
    compared = decisions.compared(bundle, served[0], served[1], int((~answered).sum()))
    methods = {}
    if not isinstance(compared, Undecided):
        methods = policy_values(compared.evidence, seed=seed)
    held_out = {
        "churn": churn_held_out(history, bundle),
        "touchpoint": touchpoint_held_out(history, decided, bundle, served[0]),
    }
    evaluation = Evaluation(
        bundle_id=bundle.bundle_id,
        churn=_metrics(held_out["churn"]),
        touchpoint=_metrics(held_out["touchpoint"]),
        value_logged=_estimate(decisions.as_drawn()),
        value_uniform=_estimate(decisions.uniform()),
        value_bundle=compared if isinstance(compared, Undecided) else _estimate(methods["dr"]),
        methods=methods,
        overlap=compared if isinstance(compared, Undecided) else overlap(compared.evidence),
        against="logged" if champion is None else champion.bundle_id,
        gain=compared
        if isinstance(compared, Undecided)
        else policy_gain(compared.evidence, compared.champion, seed=seed),
    )
    return JudgedBundle(evaluation, decided, compared, held_out)


def _metrics(predictions: HeldOutPredictions | Undecided) -> dict[str, float] | Undecided:
    return predictions if isinstance(predictions, Undecided) else predictions.metrics


def _estimate(value: PolicyValue | Undecided) -> Estimate | Undecided:
    return value if isinstance(value, Undecided) else value.estimate


def _testable(decided: PastDecisions) -> NDArray[np.int64]:
    """The decisions of the test period that logged propensity and candidates."""
    listed = np.array([bool(names) for names in decided.candidates], dtype=bool)
    test = split_by_time(decided.set).test
    if split_of(decided.touchpoint_set(), classes=decided.target != "value").by == "customers":
        test &= split_by_customers(decided.set).test  # the model has seen the others
    return np.flatnonzero(test & np.isfinite(decided.propensity) & listed)


def _begin_s(decided: PastDecisions) -> float:
    """When the test period begins: what is judged has learned of nothing after it."""
    parts = (decided.set, decided.touchpoint_set())
    return min(float(part.at_s[split_by_time(part).test].min(initial=np.inf)) for part in parts)


def _immature(history: History) -> int:
    """Decisions of the whole log that count and whose reward is not complete."""
    attribution = attribution_of(history, history.fold.schema.journey.reward)
    return sum(
        credit.counted and not credit.closed and np.isfinite(number(credit.decision, "propensity"))
        for credit in attribution.credits(history.events, history.end_s)
    )
