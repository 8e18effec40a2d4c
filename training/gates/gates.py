"""Gates: the verdict over a challenger, gate by gate, from the log and the bundle alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np

from models.bundles.bundle import Bundle
from models.bundles.scorer import BundleScorer
from models.policies.from_journey import strategy_of
from models.residual.correction import residual_of_warm_start
from nba.decisions.decision import Decision
from nba.engine.pipeline import make_pipeline
from nba.engine.scorer import CalibratedScorer
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
    HeldOutPredictions,
    JudgedBundle,
    champion_beside,
    judged,
)
from training.gates.limits import LIMITS, GateLimits
from training.gates.off_policy_gate import NAME as OFF_POLICY, off_policy_gate
from training.gates.slices_gate import NAME as SLICES, Exposures, slices_gate, slices_of

CALIBRATION = "calibration"
STEPS = 4  # that `judge` tells its progress of
NOT_AGAIN = Undecided(reason="it was not trained again")


class GateEvidence(NamedTuple):
    """What a bundle is judged on, beside the log's own."""

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
    rival = champion_beside(log, bundle, history.fold.schema.schema_hash)
    found = judged(history, bundle, champion=rival)
    progress("deciding again")
    decisions = newest(history, log, limits.replayed)
    behaviour = _behaviour(evidence, bundle, rival, decisions, clock, limits)
    progress("training again" if retrain else "not training again")
    same = trained_again(history, bundle, evidence.estimators) if retrain else NOT_AGAIN
    progress("weighing")
    mismatches = mismatches_of(history, evidence.experiments)
    facts = data_facts(history, found.decided, mismatches)
    gates = (
        data_gate(facts, limits),
        reproduction_gate(bundle.bundle_id, same, history, decisions[-limits.contexts :]),
        _off_policy(found, limits),
        calibration_gate(found.held),
        _slices(history, found, limits),
        behaviour,
    )
    verdict = GateVerdict(bundle_id=bundle.bundle_id, champion=champion, judged_at=now, gates=gates)
    return verdict, found.evaluation


def newest(history: History, log: Log, most: int) -> list[Decision]:
    """The newest own decisions on the journey file of the history, oldest first."""
    schema = history.fold.schema
    version = schema.journey.catalogue_version()
    ids = list(history.candidates)[-most:]
    found = log.decisions(ids)
    return [
        found[one]
        for one in ids
        if one in found
        and found[one].catalogue_version == version
        and found[one].context_schema == schema.schema_hash
    ]


def trained_again(
    history: History, bundle: Bundle, estimators: Mapping[str, EstimatorSpec]
) -> str | Undecided:
    """The id of the bundle that the data, the seed and the recipes of this one give.

    Its data are the beginning of the log that has its fingerprint. Parameters that were searched
    for are taken as they were found, and a deployment's estimator only from its own settings: no
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
    return train(before, seed=manifest.seed, options=options).bundle.bundle_id


def calibration_gate(held: Mapping[str, HeldOutPredictions | Undecided]) -> Gate:
    """Both models on held-out time: failed where one is surely off, undecided where it may be."""
    failures: list[str] = []
    unknown: list[str] = []
    numbers: dict[str, float] = {}
    told = []
    for name, one in held.items():
        if isinstance(one, Undecided):
            unknown.append(f"{name}: {one.reason}")
            continue
        if not one.is_probability:
            told.append(f"{name} predicts a value")
            continue
        found = calibration(calibration_bins(np.clip(one.predicted, 0.0, 1.0), one.test.labels))
        if isinstance(found, Undecided):
            unknown.append(f"{name}: {found.reason}")
            continue
        numbers |= {
            f"{name}.ece": found.ece,
            f"{name}.slope": found.slope,
            f"{name}.slope_low": found.slope_low,
            f"{name}.slope_high": found.slope_high,
            f"{name}.brier": found.brier,
            f"{name}.n": float(found.n),
        }
        what = (
            f"{name}: error {found.ece:.3f}, slope {found.slope:.2f} "
            f"({found.slope_low:.2f} to {found.slope_high:.2f})"
        )
        wanted = f"at most {MAX_ECE:g} and {SLOPES[0]:g} to {SLOPES[1]:g} are wanted"
        if found.good:
            told.append(what)
        elif calibration_drifted(found):
            failures.append(f"{what}: {wanted}; calibrate again")
        else:
            unknown.append(f"{what}: {wanted}, and chance alone may give that with {found.n} rows")
    return gathered(CALIBRATION, failures, unknown, numbers, "; ".join(told))


def _off_policy(found: JudgedBundle, limits: GateLimits) -> Gate:
    if isinstance(found.compared, Undecided):
        return undecided(OFF_POLICY, found.compared)
    return off_policy_gate(found.compared.evidence, found.compared.champion, limits)


def _slices(history: History, found: JudgedBundle, limits: GateLimits) -> Gate:
    compared = found.compared
    if isinstance(compared, Undecided):
        return undecided(SLICES, compared)
    rows = found.decided.set.rows[compared.chosen]
    slices = slices_of(history.fold.schema, found.decided.set.columns, rows)
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
    other = None if rival is None else _again(evidence, rival, decisions, clock)
    if not decisions:
        return undecided(BEHAVIOUR, "no decision of the present catalogue is in the log")
    return behaviour_gate(decisions, own, other, limits)


def _again(
    evidence: GateEvidence,
    bundle: Bundle,
    decisions: Sequence[Decision],
    clock: Callable[[], float],
) -> RepeatedDecisions:
    """Raises InvalidBundle."""
    schema = evidence.history.fold.schema
    journey = schema.journey
    residual = None
    if bundle.warm is not None:
        residual = residual_of_warm_start(bundle.warm, schema, bundle.manifest.actions)
    scorer = CalibratedScorer(BundleScorer(bundle, schema, reasons=False), residual)
    pipeline = make_pipeline(schema, strategy_of(journey, scorer), evidence.earlier)
    return again(pipeline, decisions, clock)
