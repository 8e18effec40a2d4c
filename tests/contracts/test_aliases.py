"""What every log promises of aliases and their trail."""

from __future__ import annotations

from datetime import timedelta

import pytest

from nba.errors import NotFound
from nba.stores.log import AliasChange, Log
from tests.fixtures.log_records import NOON, at_once


def test_an_alias_points_at_the_bundle_it_was_last_set_to(log: Log) -> None:
    log.save_bundle("b", {})
    log.save_bundle("c", {})
    log.set_alias("champion", "b", NOON)
    log.set_alias("champion", "c", NOON)
    log.set_alias("challenger", "b", NOON)
    assert (log.alias("champion"), log.alias("challenger")) == ("c", "b")


def test_an_alias_needs_a_saved_bundle(log: Log) -> None:
    with pytest.raises(NotFound, match=r"bundle 'gone' is not saved; save it before pointing"):
        log.set_alias("champion", "gone", NOON)
    assert log.alias("champion") is None


def test_an_alias_keeps_its_history_newest_first(log: Log) -> None:
    log.save_bundle("b", {})
    log.save_bundle("c", {})
    assert log.alias_changes("champion") == []
    later = NOON + timedelta(hours=1)
    log.set_alias("champion", "b", NOON)
    log.set_alias("challenger", "b", NOON)
    log.set_alias("champion", "c", later, by="ada", why="12 % more value, p = 0.003")
    log.set_alias("champion", "c", later, by="bob")
    assert log.alias_changes("champion") == [
        AliasChange(alias="champion", before="c", after="c", at=later, by="bob", why=""),
        AliasChange(
            alias="champion",
            before="b",
            after="c",
            at=later,
            by="ada",
            why="12 % more value, p = 0.003",
        ),
        AliasChange(alias="champion", before=None, after="b", at=NOON, by="", why=""),
    ]
    assert len(log.alias_changes("champion", limit=2)) == 2


def test_a_refused_change_leaves_no_trace(log: Log) -> None:
    log.save_bundle("b", {})
    log.set_alias("champion", "b", NOON)
    with pytest.raises(NotFound):
        log.set_alias("champion", "gone", NOON)
    assert [alias_change.after for alias_change in log.alias_changes("champion")] == ["b"]


def test_racing_changes_leave_a_chain(log: Log) -> None:
    for number in range(8):
        log.save_bundle(str(number), {})
    at_once(lambda number: log.set_alias("champion", str(number), NOON))
    changes = log.alias_changes("champion")[::-1]
    assert [change.before for change in changes] == [
        None,
        *(change.after for change in changes[:-1]),
    ]
    assert changes[-1].after == log.alias("champion")
    assert len(changes) == 8
