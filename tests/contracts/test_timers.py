"""What every log promises of timers, cursors and turns."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from nba.events.names import SUB_JOURNEY_ENTERED, TIMER_FIRED
from nba.stores.log import Log
from tests.fixtures.log_records import NOON, at_once, decision, guarded, move, timer

SECOND = timedelta(seconds=1)


def test_a_timer_fires_once_it_is_due_and_never_again(log: Log) -> None:
    log.append_guarded([guarded("1", timers=(timer("t", NOON + SECOND),))])
    assert log.fire_timers(NOON) == []
    [fired] = log.fire_timers(NOON + 2 * SECOND)
    assert log.page_events()[-1] == fired
    assert (fired.event_id, fired.customer_id, fired.name) == ("timer:t", "ada", TIMER_FIRED)
    assert fired.properties == {"timer_id": "t"}
    assert fired.occurred_at == fired.received_at == NOON + 2 * SECOND
    assert fired.seq == log.position() == 2
    assert log.fire_timers(NOON + 3 * SECOND) == []


def test_the_moves_of_a_decision_set_their_timers(log: Log) -> None:
    made = decision(moves=(move(1, SUB_JOURNEY_ENTERED, NOON, NOON + SECOND),))
    log.append_decisions([made])
    log.append_decisions([made])
    first, second = (one.timer_id for one in made.timers)
    assert [fire_timer.properties["timer_id"] for fire_timer in log.fire_timers(NOON)] == [first]
    assert [fire_timer.properties["timer_id"] for fire_timer in log.fire_timers(NOON + SECOND)] == [
        second
    ]


def test_the_same_step_sets_its_timer_once(log: Log) -> None:
    twice = (timer("t"), timer("t", NOON + SECOND))
    log.append_guarded([guarded("1", timers=twice)])
    log.append_guarded([guarded("2", seen_seq=log.position(), timers=twice)])
    assert len(log.fire_timers(NOON)) == 1
    log.append_guarded([guarded("3", seen_seq=log.position(), timers=twice)])
    assert log.fire_timers(NOON + SECOND) == []  # its event is in the log


def test_timers_fire_in_the_order_in_which_they_are_due(log: Log) -> None:
    timers = tuple(timer(str(number), NOON + number % 3 * SECOND) for number in range(7))
    log.append_guarded([guarded("1", timers=timers)])
    first = log.fire_timers(NOON + 2 * SECOND, limit=4)
    rest = log.fire_timers(NOON + 2 * SECOND)
    assert [one.properties["timer_id"] for one in [*first, *rest]] == list("0361425")
    assert [one.seq for one in [*first, *rest]] == [event.seq for event in log.page_events()[1:]]


def test_timers_fire_exactly_once_whoever_fires_them(another: Callable[[], Log]) -> None:
    logs = [another(), another()]
    names = [str(number) for number in range(200)]
    logs[0].append_guarded([guarded("1", timers=tuple(timer(name) for name in names))])

    def fire(thread: int) -> list[str]:
        fired = []
        for _ in range(200):
            fired += [
                fire_timer.properties["timer_id"]
                for fire_timer in logs[thread % 2].fire_timers(NOON, 7)
            ]
        return fired

    fired = [one for answer in at_once(fire) for one in answer]
    assert sorted(fired) == sorted(names)
    stored = [event for event in logs[0].page_events() if event.name == TIMER_FIRED]
    assert sorted(one.properties["timer_id"] for one in stored) == sorted(names)


# Cursors


def test_a_cursor_is_where_it_was_saved_and_never_goes_back(log: Log) -> None:
    assert log.cursor("conductor") == 0
    log.save_cursor("conductor", 5)
    log.save_cursor("conductor", 3)
    log.save_cursor("learner", 2)
    assert (log.cursor("conductor"), log.cursor("learner")) == (5, 2)


def test_racing_readers_leave_the_furthest_cursor(log: Log) -> None:
    at_once(lambda number: [log.save_cursor("c", seq) for seq in range(number, 80, 8)])
    assert log.cursor("c") == 79


# Turns


def test_a_turn_is_one_holders_at_a_time_and_free_afterwards(another: Callable[[], Log]) -> None:
    mine, theirs = another(), another()
    for _ in range(2):
        with mine.turn("conductor") as first, theirs.turn("conductor") as second:
            assert (first, second) == (True, False)
            with theirs.turn("learner") as other:
                assert other
    with theirs.turn("conductor") as second:
        assert second


def test_a_turn_is_free_after_an_error(log: Log) -> None:
    try:
        with log.turn("conductor"):
            raise LookupError
    except LookupError:
        pass
    with log.turn("conductor") as mine:
        assert mine


def test_of_racing_threads_one_has_the_turn(log: Log) -> None:
    holders: list[int] = []
    most: list[int] = []

    def take(number: int) -> int:
        taken = 0
        for _ in range(10):
            with log.turn("conductor") as mine:
                if mine:
                    holders.append(number)
                    most.append(len(holders))
                    log.position()
                    holders.remove(number)
                    taken += 1
        return taken

    assert sum(at_once(take)) >= 1
    assert set(most) == {1}


def test_the_log_goes_on_while_a_turn_is_held(log: Log) -> None:
    with log.turn("conductor"):
        assert log.append_guarded([guarded("1")]) == [True]
