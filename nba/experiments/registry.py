"""The experiments in the log: what was started, by whom, and what became of it.

The whole set is kept under the hash of its content, as a bundle of one file, and `experiments` is
an alias like `champion`: so every change is in the audit trail, and replicas take it up as they
take up a bundle.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from msgspec.structs import replace

from nba.errors import InvalidInput, NotFound, did_you_mean
from nba.experiments.checks import check_beside
from nba.experiments.experiment import (
    Experiment,
    ExperimentSet,
    Slot,
    Started,
    free_slots,
    taken_slots,
)
from nba.journey.file import JourneyFile
from nba.measurement.statistics.confidence_sequences import TUNING_N
from nba.stores.log import Log
from nba.stores.versioned import VersionedRecord

EXPERIMENTS = "experiments"  # the alias, the turn in which it is changed, and what ids begin with
_SETS = VersionedRecord(
    alias=EXPERIMENTS,
    file="experiments.json",
    kind=ExperimentSet,
    change="changing the experiments",
)


def stored_experiments(log: Log) -> ExperimentSet:
    """Every experiment that was started.

    Raises InvalidInput where this program does not read them any more, StoreUnavailable.
    """
    return _SETS.in_force(log) or ExperimentSet()


def named(experiments: ExperimentSet, experiment_id: str) -> Started:
    """The one of this id. Raises NotFound."""
    started = experiments.named(experiment_id)
    if started is None:
        remedy = did_you_mean(experiment_id, [known.experiment.id for known in experiments.started])
        raise NotFound(f"experiment {experiment_id!r} was never started: {remedy}")
    return started


def room_for(experiment: Experiment, experiments: ExperimentSet) -> tuple[Slot, ...]:
    """Its place in its layer, beside those that run; of one whose arms are actions: none.

    Raises InvalidInput where there is no room, or another changes the same.
    """
    for wrong in check_beside(experiment, experiments.started):
        raise wrong
    if experiment.allocation == "bandit":
        return ()
    return free_slots(experiment.share, taken_slots(experiments.running, experiment.layer))


def start(
    log: Log,
    experiment: Experiment,
    journey: JourneyFile,
    now: datetime,
    *,
    by: str,
    why: str,
    check_bundle: Callable[[str], None],
) -> Started:
    """Start it: services take it up within seconds. Its place in the layer is fixed from here on.

    `experiment` has passed `check_experiment` with this journey, the one in force;
    `check_bundle` raises for an arm's bundle that cannot serve. Raises InvalidInput where its
    layer has no room or another experiment changes the same, StoreUnavailable.
    """
    for arm in experiment.arms:
        if arm.bundle is not None:
            check_bundle(arm.bundle)
    with _SETS.turn(log):
        experiments = stored_experiments(log)
        slots = room_for(experiment, experiments)
        started = Started(
            experiment=experiment,
            slots=slots,
            started_at=now,
            tuning_n=experiment.tuning_n or experiment.customers or TUNING_N,
            by=by,
            why=why,
            catalogue_version=journey.catalogue_version(),
        )
        why = f"start {experiment.id}: {why}"
        _SETS.save(log, experiments.with_started(started), now, by=by, why=why)
    return started


def stop(log: Log, experiment_id: str, now: datetime, *, by: str, why: str) -> Started:
    """End it: its customers are decided like everybody again. It is kept, with its end.

    Raises NotFound; InvalidInput where it has ended, StoreUnavailable.
    """

    with _SETS.turn(log):
        experiments = stored_experiments(log)
        started = named(experiments, experiment_id)
        if started.ended_at is not None:
            raise InvalidInput("experiment", experiment_id, f"it ended at {started.ended_at:%F %R}")
        ended = replace(started, ended_at=now)
        why = f"stop {experiment_id}: {why}"
        _SETS.save(log, experiments.with_started(ended), now, by=by, why=why)
    return ended


def note_shipped(
    log: Log, experiment_id: str, arm: str, now: datetime, *, by: str, why: str
) -> Started:
    """Note which arm is to become how everybody is decided; it runs until it is stopped.

    Raises NotFound, StoreUnavailable.
    """
    with _SETS.turn(log):
        experiments = stored_experiments(log)
        shipped = replace(named(experiments, experiment_id), shipped=arm)
        why = f"ship {experiment_id}.{arm}: {why}"
        _SETS.save(log, experiments.with_started(shipped), now, by=by, why=why)
    return shipped
