"""Judge a challenger gate by gate, from the log and the bundle alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
import numpy as np

from models.bundles.bundle import Bundle, Manifest, differences
from models.learning.scorers import scorer_now
from models.policies.from_journey import strategy_of
from models.residual.version import PolicyState
from nba.analytics.monitoring.sketches import customer_hashes
from nba.decisions.decision import Decision
from nba.engine.pipeline import make_pipeline
from nba.errors import NbaError, StoreUnavailable
from nba.experiments.experiment import Started
from nba.journey.sub_journeys import SubJourney
from nba.measurement.statistics.calibration import (
    MAX_ECE,
    SLOPES,
    calibration,
    calibration_bins,
    calibration_drifted,
)
from nba.measurement.statistics.estimate import Undecided
from nba.promotion.verdict import Gate, GateVerdict, gathered, undecided
from nba.stores.log import Log
from training.data.history import History, history_of
from training.fitting.estimators import EstimatorSpec
from training.fitting.fit import train
from training.fitting.options import FitOptions
from training.gates.behaviour_gate import (
    NAME as BEHAVIOUR,
    RepeatedDecisions,
    again,
    behaviour_gate,
)
from training.gates.data_gate import data_facts, data_gate, mismatches_of, reproduction_gate
from training.gates.evaluation import (
    Evaluation,
    JudgedBundle,
    champion_beside,
    judged,
)
from training.gates.held_out import HeldOutPredictions
from training.gates.limits import LIMITS, GateLimits
from training.gates.off_policy_gate import NAME as OFF_POLICY, off_policy_gate
from training.gates.served import learned_online
from training.gates.slices_gate import NAME as SLICES, Exposures, slices_gate, slices_of

CALIBRATION = "calibration"
STEPS = 4  # that `judge` reports to `progress`
NOT_RETRAINED = Undecided(reason="it was not trained again")


class GateEvidence(NamedTuple):
    """What a bundle is judged on."""

    history: History
    log: Log
    earlier: Sequence[SubJourney] = ()  # definitions that customers may still be on
    experiments: Sequence[Started] = ()  # that run
    estimators: Mapping[str, EstimatorSpec] = {}  # the deployment's own, by model


def judge(
    evidence: GateEvidence,
    bundle: Bundle,
    *,
    now: datetime,
    clock: Callable[[], float],
    champion: str | None,
    retrain: bool = True,
    limits: GateLimits = LIMITS,
    progress: Callable[[str], None] = lambda step: None,
) -> tuple[GateVerdict, Evaluation]:
    """The verdict over the bundle, and its figures.

    `champion`: the bundle in force. `clock`: seconds, of which only differences count. Raises
    InvalidBundle where the bundle reads other columns than the journey gives, StoreUnavailable.
    """
    history, log = evidence.history, evidence.log
    progress("evaluating on the latest part of the log")
    rival = champion_beside(log, bundle, history.fold.schema)
    judged_bundle = judged(history, log, bundle, champion=rival, earlier=evidence.earlier)
    progress("deciding again")
    decisions = newest(history, log, limits.replayed)
    behaviour = _behaviour(evidence, bundle, rival, decisions, clock, limits)
    progress("training again" if retrain else "not training again")
    same = trained_again(history, bundle, evidence.estimators) if retrain else NOT_RETRAINED
    progress("weighing")
    mismatches = mismatches_of(history, evidence.experiments)
    facts = data_facts(history, judged_bundle.decided, mismatches)
    gates = (
        data_gate(facts, limits),
        reproduction_gate(same, history, decisions[-limits.contexts :]),
        _off_policy(judged_bundle, limits),
        calibration_gate(of_its_models(bundle, judged_bundle.held_out)),
        _slices(history, judged_bundle, limits),
        behaviour,
    )
    verdict = GateVerdict(bundle_id=bundle.bundle_id, champion=champion, judged_at=now, gates=gates)
    return verdict, judged_bundle.evaluation


def newest(history: History, log: Log, most: int) -> list[Decision]:
    """The newest own decisions on the journey file of the history, oldest first."""
    schema = history.fold.schema
    version = schema.journey.catalogue_version()
    ids = list(history.candidates)[-most:]
    decisions = log.decisions(ids)
    return [
        decisions[decision_id]
        for decision_id in ids
        if decision_id in decisions
        and decisions[decision_id].catalogue_version == version
        and decisions[decision_id].context_schema == schema.schema_hash
    ]


def trained_again(
    history: History, bundle: Bundle, estimators: Mapping[str, EstimatorSpec]
) -> list[str] | Undecided:
    """What differs in the bundle that the data, the seed and the recipes of this one give.

    Its data are the beginning of the log that has its fingerprint. Parameters of a search are
    taken as it left them, and a deployment's estimator only from its own settings: no
    code is imported because a bundle names it.
    """
    manifest = bundle.manifest
    events = history.events_until(manifest.dataset)
    if events is None:
        reason = "what it was trained on is not the beginning of this log: events have left it"
        return Undecided(reason=reason)
    for name, note in manifest.recipes.items():
        spec = estimators.get(name)
        if note.estimator is not None and (spec is None or spec.name != note.estimator):
            return Undecided(reason=f"{name}: {note.estimator} is not in the settings")
    options = FitOptions(
        estimators={
            name: estimators[name]
            for name, note in manifest.recipes.items()
            if note.estimator is not None
        },
        parameters={name: note.parameters for name, note in manifest.recipes.items()},
        trusted=() if manifest.touchpoint is None else manifest.touchpoint.columns,
    )
    before = history_of(history.fold, events, history.candidates)
    again = train(before, seed=manifest.seed, options=options).bundle
    return differences(manifest, _as_said_by(manifest, again.manifest))


def _as_said_by(earlier: Manifest, manifest: Manifest) -> Manifest:
    """The manifest without what an earlier program did not say yet."""
    if earlier.asked is msgspec.UNSET:
        manifest = msgspec.structs.replace(manifest, asked=msgspec.UNSET)
    warm = manifest.residual
    if (
        warm is not None
        and earlier.residual is not None
        and earlier.residual.delays is msgspec.UNSET
    ):
        warm = msgspec.structs.replace(warm, delays=msgspec.UNSET)
        manifest = msgspec.structs.replace(manifest, residual=warm)
    return manifest


def of_its_models(
    bundle: Bundle, held_out: Mapping[str, HeldOutPredictions | Undecided]
) -> dict[str, HeldOutPredictions | Undecided]:
    """Without the model that was not trained: it is guessed, or nothing is predicted by it."""
    return {name: one for name, one in held_out.items() if name not in bundle.manifest.missing}


def calibration_gate(held_out: Mapping[str, HeldOutPredictions | Undecided]) -> Gate:
    """Both models on held-out time: failed where one is surely off, undecided where it may be."""
    failures: list[str] = []
    unknown: list[str] = []
    numbers: dict[str, float] = {}
    passes = []
    for name, predictions in held_out.items():
        if isinstance(predictions, Undecided):
            unknown.append(f"{name}: {predictions.reason}")
            continue
        if not predictions.is_probability:
            passes.append(f"{name} predicts a value")
            continue
        slope_and_error = calibration(
            calibration_bins(
                np.clip(predictions.predicted, 0.0, 1.0),
                predictions.test.labels,
                customer_hashes(predictions.test.customers.tolist()),
            )
        )
        if isinstance(slope_and_error, Undecided):
            unknown.append(f"{name}: {slope_and_error.reason}")
            continue
        numbers |= {
            f"{name}.ece": slope_and_error.ece,
            f"{name}.slope": slope_and_error.slope,
            f"{name}.slope_low": slope_and_error.slope_low,
            f"{name}.slope_high": slope_and_error.slope_high,
            f"{name}.brier": slope_and_error.brier,
            f"{name}.n": float(slope_and_error.n),
        }
        figures = (
            f"{name}: error {slope_and_error.ece:.3f}, slope {slope_and_error.slope:.2f} "
            f"({slope_and_error.slope_low:.2f} to {slope_and_error.slope_high:.2f})"
        )
        limits = f"at most {MAX_ECE:g} and {SLOPES[0]:g} to {SLOPES[1]:g} are wanted"
        if slope_and_error.good:
            passes.append(figures)
        elif calibration_drifted(slope_and_error):
            failures.append(f"{figures}: {limits}; calibrate again")
        else:
            unknown.append(
                f"{figures}: {limits}, and chance alone may give that with {slope_and_error.n} rows"
            )
    return gathered(CALIBRATION, failures, unknown, numbers, "; ".join(passes))


def _off_policy(judged_bundle: JudgedBundle, limits: GateLimits) -> Gate:
    if isinstance(judged_bundle.compared, Undecided):
        return undecided(OFF_POLICY, judged_bundle.compared)
    compared = judged_bundle.compared
    gate = off_policy_gate(compared.evidence, compared.champion, limits)
    numbers = {**gate.numbers, "unanswerable": float(compared.unanswerable)}
    return msgspec.structs.replace(gate, numbers=numbers)


def _slices(history: History, judged_bundle: JudgedBundle, limits: GateLimits) -> Gate:
    compared = judged_bundle.compared
    if isinstance(compared, Undecided):
        return undecided(SLICES, compared)
    rows = judged_bundle.decided.set.rows[compared.chosen]
    slices = slices_of(history.fold.schema, judged_bundle.decided.set.columns, rows)
    exposures = Exposures(compared.acts, compared.champion_acts)
    return slices_gate(compared.evidence, compared.champion, slices, exposures, limits)


def _behaviour(
    evidence: GateEvidence,
    bundle: Bundle,
    rival: Bundle | None,
    decisions: Sequence[Decision],
    clock: Callable[[], float],
    limits: GateLimits,
) -> Gate:
    try:
        own = _again(evidence, bundle, decisions, clock)
    except StoreUnavailable:
        raise
    except NbaError as error:
        return behaviour_gate(decisions, error, None, limits)
    champion = None
    if rival is not None:
        champion = _again(evidence, rival, decisions, clock, learned_online(evidence.log, rival))
    if not decisions:
        return undecided(BEHAVIOUR, "no decision of the present catalogue is in the log")
    return behaviour_gate(decisions, own, champion, limits)


def _again(
    evidence: GateEvidence,
    bundle: Bundle,
    decisions: Sequence[Decision],
    clock: Callable[[], float],
    online: PolicyState | None = None,
) -> RepeatedDecisions:
    """As it would serve now: no reward is read, so that all it knows may be used.

    Raises InvalidBundle.
    """
    schema = evidence.history.fold.schema
    scorer = scorer_now(bundle, online, schema, reasons=False)
    pipeline = make_pipeline(schema, strategy_of(schema.journey, scorer), evidence.earlier)
    return again(pipeline, decisions, clock)
