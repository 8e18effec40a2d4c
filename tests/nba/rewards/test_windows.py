"""Windows: in what parts a reward comes, and when."""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from nba.durations import DAY_S
from nba.journey.goals import Bounds
from tests.fixtures.small_replica import NOON
from tests.nba.rewards.test_attribution import (
    NOON_S,
    VALUE,
    attribution,
    credits,
    decided,
    paid,
    told,
)


def test_a_reward_comes_in_parts_when_they_are_received() -> None:
    rule = attribution(VALUE)
    early = replace(paid(10, 1), received_at=NOON + timedelta(days=3))
    (credit,) = credits(rule, decided(), early, paid(5, 2))
    assert credit.reward == 15.0
    assert [((one.at_s - NOON_S) / DAY_S, one.amount) for one in credit.arrivals] == [
        (2.0, 5.0),
        (3.0, 10.0),
    ]
    (credit,) = credits(attribution(), decided(), *(told("Action Accepted", n) for n in (2, 1, 3)))
    assert [((one.at_s - NOON_S) / DAY_S, one.amount) for one in credit.arrivals] == [(1.0, 1.0)]


def test_what_was_received_after_its_window_came_when_it_occurred() -> None:
    """As in an import, which says nothing of how long rewards take to be known."""
    late = replace(told("Action Accepted", 2), received_at=NOON + timedelta(days=90))
    (credit,) = credits(attribution(), decided(), late)
    assert [(one.at_s - NOON_S) / DAY_S for one in credit.arrivals] == [2.0]


def test_the_parts_are_the_reward_less_silence_however_many_they_are() -> None:
    rule = attribution(replace(VALUE, default=-2.0, bounds=Bounds(low=-5.0, high=50.0)))
    (credit,) = credits(rule, decided(), *(paid(1, 0.01 * n) for n in range(1, 101)))
    assert rule.silence("card_offer") == -2.0 and len(credit.arrivals) <= 32
    assert sum(one.amount for one in credit.arrivals) == credit.reward + 2.0 == 52.0
    (silent,) = credits(rule, decided())
    assert silent.arrivals == () and silent.reward == -2.0
