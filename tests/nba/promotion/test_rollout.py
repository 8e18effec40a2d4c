"""A rollout moves stage by stage, is told in the trail, and can be taken back."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from nba.errors import InvalidInput, NotFound, StoreUnavailable
from nba.promotion.rollout import (
    ROLLOUT,
    begin,
    changes,
    end,
    make_champion,
    roll_back,
    rollout_of,
)
from nba.stores.memory.log import MemoryLog
from nba.stores.versioned import CHAMPION, version_before
from tests.fixtures.small_replica import NOON, event

WHO = {"by": "ada", "why": "spring"}


def log_with(*bundles: str, champion: str | None = None) -> MemoryLog:
    log = MemoryLog()
    for bundle in bundles:
        log.save_bundle(bundle, {})
    if champion is not None:
        log.set_alias(CHAMPION, champion, NOON)
    return log


def test_nothing_is_under_way_at_first() -> None:
    log = log_with("a", champion="a")
    assert rollout_of(log) is None and version_before(log, CHAMPION) is None and changes(log) == []


def test_a_challenger_goes_from_shadow_to_canary_to_champion() -> None:
    log = log_with("a", "b", champion="a")
    begin(log, "shadow", "b", NOON, **WHO)
    assert rollout_of(log).stage == "shadow" and log.alias(CHAMPION) == "a"
    log.append_events([event("page")])
    later = NOON + timedelta(days=1)
    begin(log, "canary", "b", later, share=0.05, version="7", **WHO)
    found = rollout_of(log)
    assert (found.stage, found.share, found.version, found.champion) == ("canary", 0.05, "7", "a")
    assert (found.since, found.since_seq) == (later, log.position())
    make_champion(log, "b", later, **WHO)
    found = rollout_of(log)
    assert (found.stage, found.champion, log.alias(CHAMPION)) == ("champion", "a", "b")
    trail = changes(log)
    assert all(one.by == "ada" and "spring" in one.why for one in trail) and len(trail) == 3
    assert all(one.before == other.after for one, other in pairwise(trail))


def test_the_first_champion_is_not_watched() -> None:
    log = log_with("a")
    assert make_champion(log, "a", NOON, **WHO) is None
    assert log.alias(CHAMPION) == "a" and rollout_of(log) is None


def test_there_is_no_shadow_of_nothing_and_none_of_the_champion() -> None:
    with pytest.raises(InvalidInput, match="no champion"):
        begin(log_with("b"), "shadow", "b", NOON, **WHO)
    with pytest.raises(InvalidInput, match="it is the champion already"):
        begin(log_with("a", champion="a"), "shadow", "a", NOON, **WHO)
    with pytest.raises(NotFound, match="'c' is not in the log"):
        begin(log_with("a", champion="a"), "shadow", "c", NOON, **WHO)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 2.0])
def test_a_canary_has_a_share_of_the_customers(share: float) -> None:
    with pytest.raises(InvalidInput, match="above 0 and below 1"):
        begin(log_with("a", "b", champion="a"), "canary", "b", NOON, share=share, **WHO)


def test_a_canary_is_taken_back_and_the_champion_stays() -> None:
    log = log_with("z", "a", "b", champion="z")
    make_champion(log, "a", NOON, **WHO)
    begin(log, "canary", "b", NOON, share=0.1, **WHO)
    assert roll_back(log, NOON, by="ada", why="complaints") == "a" == log.alias(CHAMPION)
    assert rollout_of(log) is None
    assert "complaints" in changes(log)[0].why


def test_rolling_back_leads_to_the_champion_before_and_never_to_what_was_left() -> None:
    log = log_with("a", "b", "c", champion="a")
    make_champion(log, "b", NOON, **WHO)
    make_champion(log, "c", NOON, **WHO)
    assert roll_back(log, NOON, by="ada", why="worse") == "b"
    assert rollout_of(log) is None
    assert roll_back(log, NOON, by="ada", why="worse still") == "a"
    with pytest.raises(NotFound, match="nothing to go back to"):
        roll_back(log, NOON, by="ada", why="")
    assert roll_back(log, NOON, by="ada", why="", to="c") == "c" == log.alias(CHAMPION)
    assert [alias_change.why for alias_change in log.alias_changes(CHAMPION)][1:3] == [
        "rollback: worse still",
        "rollback: worse",
    ]


def test_a_bundle_that_is_not_in_the_log_is_no_way_back() -> None:
    log = log_with("a", "b", champion="a")
    with pytest.raises(NotFound):
        roll_back(log, NOON, by="ada", why="", to="x")
    assert log.alias(CHAMPION) == "a"


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=12))
def test_way_back_is_a_stack(names: list[str]) -> None:
    log = log_with(*"abcd")
    way: list[str] = []
    for name in names:
        make_champion(log, name, NOON, **WHO)
        way = [*way[: way.index(name)], name] if name in way else [*way, name]
    while len(way) > 1:
        way.pop()
        end(log, NOON, by="ada", why="over")
        assert roll_back(log, NOON, by="ada", why="") == way[-1]
    assert version_before(log, CHAMPION) is None


def test_one_caller_at_a_time_moves_it() -> None:
    log = log_with("a", "b", champion="a")
    with log.turn(ROLLOUT), pytest.raises(StoreUnavailable, match="somebody else"):
        begin(log, "shadow", "b", NOON, **WHO)
    assert rollout_of(log) is None


def test_what_another_program_wrote_is_refused_and_named() -> None:
    log = log_with("a", champion="a")
    log.save_bundle("rollout-x", {"rollout.json": b'{"stage": "sideways"}'})
    log.set_alias(ROLLOUT, "rollout-x", NOON)
    with pytest.raises(InvalidInput, match="rollout-x"):
        rollout_of(log)


def test_a_champion_is_watched_for_its_days_and_a_shadow_never() -> None:
    log = log_with("a", "b", "c", champion="a")
    shadow = begin(log, "shadow", "b", NOON, **WHO)
    canary = begin(log, "canary", "b", NOON, share=0.5, **WHO)
    crowned = make_champion(log, "b", NOON, **WHO)
    assert crowned is not None
    days = [timedelta(days=day) for day in (0, 6.9, 7, 100)]
    assert [shadow.watched_at(NOON + day) for day in days] == [False] * 4
    assert [canary.watched_at(NOON + day) for day in days] == [True] * 4
    assert [crowned.watched_at(NOON + day) for day in days] == [True, True, False, False]
