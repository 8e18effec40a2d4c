"""Experiments in the log: started, stopped and shipped, each change with who and why."""

from __future__ import annotations

from datetime import timedelta

import pytest

from nba.errors import InvalidInput, NotFound, StoreUnavailable
from nba.experiments.experiment import ArmSpec, Slot
from nba.experiments.registry import (
    EXPERIMENTS,
    named,
    note_shipped,
    start,
    stop,
    stored_experiments,
)
from nba.stores.memory.log import MemoryLog
from tests.fixtures.running_experiment import an_experiment
from tests.fixtures.small_replica import JOURNEY, NOON

WHO = {"by": "ada", "why": "to know"}


def no_such_bundle(bundle_id: str) -> None:
    raise NotFound(f"bundle {bundle_id!r} is not in the log")


START = {**WHO, "check_bundle": no_such_bundle}


def test_nothing_was_started_at_first() -> None:
    assert stored_experiments(MemoryLog()).started == ()


def test_each_change_is_in_the_audit_trail() -> None:
    log = MemoryLog()
    start(log, an_experiment("one", share=0.4), JOURNEY, NOON, **START)
    start(
        log,
        an_experiment("two", share=0.6),
        JOURNEY,
        NOON,
        by="bob",
        why="also",
        check_bundle=no_such_bundle,
    )
    note_shipped(log, "one", "b", NOON, by="ada", why="its evidence")
    stop(log, "one", NOON + timedelta(days=1), by="bob", why="shipped")
    found = stored_experiments(log)
    assert [one.experiment.id for one in found.running] == ["two"]
    one = named(found, "one")
    assert (one.shipped, one.ended_at, one.tuning_n) == ("b", NOON + timedelta(days=1), 1_000)
    changes = [(change.by, change.why) for change in log.alias_changes(EXPERIMENTS)]
    assert changes == [
        ("bob", "stop one: shipped"),
        ("ada", "ship one.b: its evidence"),
        ("bob", "start two: also"),
        ("ada", "start one: to know"),
    ]


def test_a_place_in_a_layer_is_fixed_and_free_again_afterwards() -> None:
    log = MemoryLog()
    first = start(log, an_experiment("one", share=0.4), JOURNEY, NOON, **START)
    second = start(log, an_experiment("two", share=0.6), JOURNEY, NOON, **START)
    assert (first.slots, second.slots) == ((Slot(0.0, 0.4),), (Slot(0.4, 1.0),))
    with pytest.raises(InvalidInput, match=r"share: 0.1: 0.0% of the layer is free"):
        start(log, an_experiment("three", share=0.1), JOURNEY, NOON, **START)
    stop(log, "one", NOON, **WHO)
    third = start(log, an_experiment("three", share=0.3), JOURNEY, NOON, **START)
    assert third.slots == (Slot(0.0, 0.3),)
    beside = start(log, an_experiment("four", layer="other"), JOURNEY, NOON, **START)
    assert beside.slots == (Slot(0.0, 1.0),)


def test_what_is_impossible_is_refused_and_changes_nothing() -> None:
    log = MemoryLog()
    start(log, an_experiment("one"), JOURNEY, NOON, **START)
    before = log.alias(EXPERIMENTS)
    with pytest.raises(InvalidInput, match="was started before"):
        start(log, an_experiment("one"), JOURNEY, NOON, **START)
    arms = [ArmSpec("a", 0.5), ArmSpec("b", 0.5, bundle="bundle-x")]
    with pytest.raises(NotFound, match="'bundle-x' is not in the log"):
        start(log, an_experiment("two", arms=arms, layer="x"), JOURNEY, NOON, **START)
    with pytest.raises(NotFound, match="did you mean 'one'"):
        stop(log, "oned", NOON, **WHO)
    stop(log, "one", NOON, **WHO)
    ended = log.alias(EXPERIMENTS)
    with pytest.raises(InvalidInput, match="it ended at 2026-03-01 12:00"):
        stop(log, "one", NOON, **WHO)
    assert log.alias(EXPERIMENTS) == ended != before


def test_two_who_start_at_once_do_not_lose_one_another() -> None:
    log = MemoryLog()
    with log.turn(EXPERIMENTS) as mine:
        assert mine
        with pytest.raises(StoreUnavailable, match="somebody else is changing"):
            start(log, an_experiment(), JOURNEY, NOON, **START)
    start(log, an_experiment(), JOURNEY, NOON, **START)


def test_a_set_of_another_version_is_said_to_be_one() -> None:
    log = MemoryLog()
    log.save_bundle("experiments-old", {"experiments.json": b'{"started": 3}'})
    log.set_alias(EXPERIMENTS, "experiments-old", NOON)
    with pytest.raises(InvalidInput, match="written by another program version"):
        stored_experiments(log)
