"""The experiments in the log: what was started, by whom, and what became of it.

The whole set is kept under the hash of its content, as a bundle of one file, and `experiments` is
an alias like `champion`: so every change is in the audit trail, and replicas take it up as they
take up a bundle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import msgspec
from msgspec.structs import replace

from nba.errors import InvalidInput, NotFound, StoreUnavailable, did_you_mean
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

EXPERIMENTS = "experiments"  # the alias, the turn in which it is changed, and what ids begin with
FILE = "experiments.json"


def stored_experiments(log: Log) -> ExperimentSet:
    """Every experiment that was started.

    Raises InvalidInput where this program does not read them any more, StoreUnavailable.
    """
    version = log.alias(EXPERIMENTS)
    if version is None:
        return ExperimentSet()
    stored = log.bundle(version)
    content = stored.files.get(FILE, b"") if stored is not None else b""
    try:
        return msgspec.json.decode(content, type=ExperimentSet)
    except msgspec.DecodeError as error:
        raise InvalidInput(version, FILE, f"written by another program version: {error}") from None


def named(experiments: ExperimentSet, experiment_id: str) -> Started:
    """The one of this id. Raises NotFound."""
    found = experiments.named(experiment_id)
    if found is None:
        remedy = did_you_mean(experiment_id, [one.experiment.id for one in experiments.started])
        raise NotFound(f"experiment {experiment_id!r} was never started: {remedy}")
    return found


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
    with _changing(log) as save:
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
        save(experiments.with_one(started), now, by, f"start {experiment.id}: {why}")
    return started


def stop(log: Log, experiment_id: str, now: datetime, *, by: str, why: str) -> Started:
    """End it: its customers are decided like everybody again. It is kept, with its end.

    Raises NotFound; InvalidInput where it has ended, StoreUnavailable.
    """

    def ended(one: Started) -> Started:
        if one.ended_at is not None:
            raise InvalidInput("experiment", experiment_id, f"it ended at {one.ended_at:%F %R}")
        return replace(one, ended_at=now)

    return _changed(log, experiment_id, now, by, f"stop {experiment_id}: {why}", ended)


def note_shipped(
    log: Log, experiment_id: str, arm: str, now: datetime, *, by: str, why: str
) -> Started:
    """Note which arm is to become how everybody is decided; it runs until it is stopped.

    Raises NotFound, StoreUnavailable.
    """
    return _changed(
        *(log, experiment_id, now, by, f"ship {experiment_id}.{arm}: {why}"),
        lambda one: replace(one, shipped=arm),
    )


def _changed(
    log: Log,
    experiment_id: str,
    now: datetime,
    by: str,
    why: str,
    change: Callable[[Started], Started],
) -> Started:
    with _changing(log) as save:
        experiments = stored_experiments(log)
        one = named(experiments, experiment_id)
        found = change(one)
        save(experiments.with_one(found), now, by, why)
    return found


Save = Callable[[ExperimentSet, datetime, str, str], None]


@contextmanager
def _changing(log: Log) -> Iterator[Save]:
    """What saves the set, for one caller at a time in the whole deployment."""

    def save(experiments: ExperimentSet, now: datetime, by: str, why: str) -> None:
        content = msgspec.json.encode(experiments, order="deterministic")
        version = f"{EXPERIMENTS}-{hashlib.sha256(content).hexdigest()[:16]}"
        log.save_bundle(version, {FILE: content})
        log.set_alias(EXPERIMENTS, version, now, by=by, why=why)

    with log.turn(EXPERIMENTS) as mine:
        if not mine:
            raise StoreUnavailable("somebody else is changing the experiments now; try again")
        yield save
