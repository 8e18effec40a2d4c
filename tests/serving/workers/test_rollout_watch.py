"""The service watches what is rolled out, one replica at a time, and takes it back."""

from __future__ import annotations

import logging

import pytest

from nba.promotion.guardrails import BY, Keep, RollBack
from nba.promotion.rollout import changes, end, rollout_of
from nba.stores.versioned import CHAMPION
from serving.workers.rollout_watch import TURN, RolloutWatch
from tests.fixtures.small_replica import engine_of
from tests.nba.promotion.test_guardrails import BAD, GOOD, TWIN, Drill


def watching(drill: Drill) -> RolloutWatch:
    return RolloutWatch(drill.log, lambda: engine_of(drill.replica), lambda: drill.now)


def test_a_bad_canary_is_gone_after_some_looks(caplog: pytest.LogCaptureFixture) -> None:
    drill = Drill()
    watch = watching(drill)
    assert watch.look() is None
    drill.canary(BAD)
    with caplog.at_level(logging.WARNING, "nba.serving"):
        for _ in range(8):
            drill.wave()
            assert watch.step() is False
            if rollout_of(drill.log) is None:
                break
    assert rollout_of(drill.log) is None and changes(drill.log)[0].by == BY
    assert drill.log.alias(CHAMPION) == "good"
    assert "canary of bad ends" in caplog.text
    assert watch.look() is None


def test_only_one_replica_looks_at_a_time() -> None:
    drill = Drill()
    drill.canary(BAD)
    drill.wave(600)
    watch = watching(drill)
    with drill.log.turn(TURN):
        watch.step()
    assert rollout_of(drill.log) is not None
    watch.step()
    assert rollout_of(drill.log) is None


def test_another_rollout_is_watched_from_its_own_beginning() -> None:
    drill = Drill()
    watch = watching(drill)
    drill.canary(TWIN)
    drill.wave(300)
    assert isinstance(watch.look(), Keep)
    end(drill.log, drill.now, by="ada", why="enough")
    drill.canary(BAD)
    found = watch.look()
    assert isinstance(found, Keep) and "0 customers with it" in found.sentence


def test_a_champion_before_that_cannot_be_read_is_not_compared() -> None:
    drill = Drill()
    watch = watching(drill)
    drill.promote(BAD, before=GOOD)
    drill.wave(600)
    found = watch.look()
    assert isinstance(found, Keep) and "does not read the same contexts" in found.sentence
    assert not isinstance(found, RollBack)
