"""Evaluate a bundle on the latest part of the log.

Its models by their metrics; its decisions by their off-policy value, beside that of the logged
decisions and of the champion's on the same moments.
"""

from __future__ import annotations

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
from nba.journey.actions import NO_ACTION
from nba.measurement.off_policy.cross_fitting import CrossFitted
from nba.measurement.off_policy.evaluation import (
    PolicyGain,
    PolicyValue,
    logged_policy_value,
    policy_gain,
    policy_values,
)
from nba.measurement.off_policy.logged_decisions import (
    Floats,
    LoggedDecisions,
    Overlap,
    immature_refusal,
    logged_decisions,
    overlap,
)
from nba.measurement.statistics.estimate import Estimate, Undecided
from nba.stores.log import Log
from nba.stores.versioned import CHAMPION, version_in_force
from training.data.history import History, number
from training.data.rewards import attribution_of
from training.data.target_policies import Candidates, candidates_of, reward_model, target_of
from training.data.time_split import check_split, split_by_time
from training.data.training_sets import PastDecisions, TrainingSet, churn_set, decided_set
from training.fitting.fit import classification, regression

NOTHING_LOGGED = Undecided(reason="no decision of the test period logged propensity and candidates")


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


class BundleComparison(NamedTuple):
    """The bundle and the champion on the same n decisions."""

    chosen: NDArray[np.int64]  # (n,) positions among the decided
    evidence: LoggedDecisions
    champion: LoggedDecisions | None  # None: it is compared with what was decided
    acts: Floats  # (n,) probability that the bundle acts at all
    champion_acts: Floats  # the same of what it is compared with


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
    return None if champion.touchpoint is None else champion


def evaluate(
    history: History, bundle: Bundle, *, champion: Bundle | None = None, seed: int = 1
) -> Evaluation:
    """The figures of `judged`. Raises InvalidBundle."""
    return judged(history, bundle, champion=champion, seed=seed).evaluation


def judged(
    history: History, bundle: Bundle, *, champion: Bundle | None = None, seed: int = 1
) -> JudgedBundle:
    """Judge the bundle on the last fifth of the log's time.

    Raises InvalidBundle where it does not answer what the journey file asks, or predicts what is no
    finite number.
    """
    schema = history.fold.schema
    check_fit(bundle, schema)
    risk = None if bundle.churn is None else partial(finite_predictions, "churn", bundle.churn)
    decided = decided_set(history, schema.journey.reward, risk)
    decisions = _Decisions(history, decided, _testable(decided), _immature(history), seed)
    compared = decisions.compared(bundle, champion)
    methods = {}
    if not isinstance(compared, Undecided):
        methods = policy_values(compared.evidence, seed=seed)
    held_out = {"churn": _churn(history, bundle), "touchpoint": _touchpoint(decided, bundle)}
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
    return np.flatnonzero(test & np.isfinite(decided.propensity) & listed)


def _immature(history: History) -> int:
    """Decisions of the whole log that count and whose reward is not complete."""
    attribution = attribution_of(history, history.fold.schema.journey.reward)
    return sum(
        credit.counted and not credit.closed and np.isfinite(number(credit.decision, "propensity"))
        for credit in attribution.credits(history.events, history.end_s)
    )


class _Decisions:
    """The decisions that bundles are evaluated on, with the reward model that they share."""

    def __init__(
        self,
        history: History,
        decided: PastDecisions,
        chosen: NDArray[np.int64],
        immature: int,
        seed: int,
    ) -> None:
        self._history, self._decided, self._seed = history, decided, seed
        self._chosen = chosen
        self._young = immature_refusal(immature, int(np.isfinite(decided.propensity).sum()))
        self._candidates: Candidates = candidates_of(decided, chosen, history.fold.schema.journey)
        self._model: CrossFitted | None = None
        if len(chosen):
            self._model = reward_model(history, decided, self._candidates, seed)

    def as_drawn(self) -> PolicyValue | Undecided:
        """The logged decisions."""
        refused = self._refused()
        return refused or logged_policy_value(self._evidence(self._uniform()), seed=self._seed)

    def uniform(self) -> PolicyValue | Undecided:
        """Any candidate with equal probability."""
        refused = self._refused()
        return refused or policy_values(self._evidence(self._uniform()), seed=self._seed)["snips"]

    def compared(self, bundle: Bundle, champion: Bundle | None) -> BundleComparison | Undecided:
        """The bundle and the champion; without one, what was decided."""
        if bundle.touchpoint is None:
            return Undecided(reason=bundle.manifest.missing.get("touchpoint", "not in the bundle"))
        refused = self._refused()
        if refused is not None:
            return refused
        target, champion_evidence = self._target(bundle), None
        acted = self._decided.actions[self._chosen] != NO_ACTION
        champion_acts = acted.astype(float)
        if champion is not None:
            champion_target = self._target(champion)
            champion_evidence, champion_acts = (
                self._evidence(champion_target),
                self._acts(champion_target),
            )
        return BundleComparison(
            self._chosen,
            self._evidence(target),
            champion_evidence,
            self._acts(target),
            champion_acts,
        )

    def _refused(self) -> Undecided | None:
        return NOTHING_LOGGED if len(self._chosen) == 0 else self._young

    def _target(self, bundle: Bundle) -> Floats:
        return target_of(self._history, bundle, self._decided, self._candidates)

    def _acts(self, target: Floats) -> Floats:
        flat = self._candidates
        acting = np.array([name != NO_ACTION for name in flat.names])
        sums = np.bincount(flat.of, weights=target * acting, minlength=len(self._chosen))
        return sums.astype(np.float64)

    def _uniform(self) -> Floats:
        sizes = np.bincount(self._candidates.of)
        return 1.0 / sizes[self._candidates.of]

    def _evidence(self, target: Floats) -> LoggedDecisions:
        """The chosen decisions with (k,) probabilities of their candidates."""
        decided, chosen, flat = self._decided, self._chosen, self._candidates
        drawn = [decided.actions[n] for n in chosen[flat.of]]
        same = np.array([name == action for name, action in zip(flat.names, drawn, strict=True)])
        possible = np.array(
            [candidate is None or candidate.propensity > 0 for candidate in flat.logged]
        )
        n = len(chosen)
        model = self._model
        return logged_decisions(
            np.bincount(flat.of, weights=target * same, minlength=n),
            decided.propensity[chosen],
            decided.reward_eur[chosen],
            decided.set.customers[chosen].astype(str),
            positive=decided.set.labels[chosen] != 0,
            supported=np.bincount(flat.of, weights=target * possible, minlength=n),
            q_logged=None if model is None else model.logged[chosen],
            q_target=None
            if model is None
            else np.bincount(flat.of, weights=target * model.offered, minlength=n),
        )


def _churn(history: History, bundle: Bundle) -> HeldOutPredictions | Undecided:
    if bundle.churn is None:
        return Undecided(reason=bundle.manifest.missing.get("churn", "not in the bundle"))
    data = churn_set(history, history.fold.schema.journey.churn)
    split = split_by_time(data)
    refused = check_split(data, split, classes=True)
    if refused is not None:
        return refused
    test = data.part(split.test)
    predicted = finite_predictions("churn", bundle.churn, test.rows)
    return HeldOutPredictions(predicted, test, True)


def _touchpoint(decided: PastDecisions, bundle: Bundle) -> HeldOutPredictions | Undecided:
    if bundle.touchpoint is None:
        return Undecided(reason=bundle.manifest.missing.get("touchpoint", "not in the bundle"))
    data = decided.touchpoint_set()
    classes = bundle.touchpoint.is_probability
    split = split_by_time(data)
    refused = check_split(data, split, classes=classes)
    if refused is not None:
        return refused
    test = data.part(split.test)
    predicted = finite_predictions("touchpoint", bundle.touchpoint, test.rows)
    return HeldOutPredictions(predicted, test, classes)
