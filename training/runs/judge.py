"""Judge a registered bundle by the gates, and keep the verdict on its MLflow run."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from features.fold import Fold
from models.bundles.registry import RegisteredBundle, Registry
from nba.experiments.registry import stored_experiments
from nba.journey.file import JourneyFile
from nba.promotion.catalogue_versions import earlier_sub_journeys
from nba.promotion.verdict import GateVerdict
from nba.stores.log import Log
from nba.stores.versioned import CHAMPION
from training.data.history import read_history
from training.fitting.fit import Training
from training.gates import gates
from training.gates.evaluation import Evaluation
from training.gates.gates import GateEvidence, judge
from training.gates.limits import GateLimits
from training.runs.promote import objections, promote
from training.runs.verdict import align, keep_verdict

STEPS = gates.STEPS + 1  # that `judge_version` reports to `progress`


def judge_version(
    log: Log,
    journey: JourneyFile,
    registered: RegisteredBundle,
    registry: Registry,
    *,
    now: datetime,
    retrain: bool,
    limits: GateLimits,
    progress: Callable[[str], None],
) -> tuple[GateVerdict, Evaluation]:
    """Judge a bundle on the whole log; MLflow's champion follows the log's on the way.

    Raises InvalidBundle, StoreUnavailable.
    """
    progress("reading the log")
    earlier = earlier_sub_journeys(log)
    history = read_history(Fold(journey, registered.bundle.table, earlier), log)
    verdict, evaluation = judge(
        GateEvidence(history, log, earlier, stored_experiments(log).running),
        registered.bundle,
        now=now,
        clock=time.perf_counter,
        champion=log.alias(CHAMPION),
        retrain=retrain,
        limits=limits,
        progress=progress,
    )
    align(registry, log)
    keep_verdict(registry, registered.version, verdict)
    return verdict, evaluation


def promote_first_champion(
    registry: Registry,
    log: Log,
    version: str,
    training: Training,
    *,
    now: datetime,
    by: str,
    progress: Callable[[str], None],
) -> GateVerdict:
    """Make what was just trained the champion, whatever the gates say of it; gives their verdict.

    Raises InvalidBundle, StoreUnavailable.
    """
    verdict, _ = judge(
        GateEvidence(training.history, log),
        training.bundle,
        now=now,
        clock=time.perf_counter,
        champion=log.alias(CHAMPION),
        retrain=False,
        progress=progress,
    )
    keep_verdict(registry, version, verdict)
    promote(
        log,
        RegisteredBundle(version, training.bundle),
        "champion",
        verdict=verdict,
        without_gates=True,
        now=now,
        by=by,
        why="anyway: the first one" if objections(verdict, "champion") else "the first one",
    )
    return verdict
