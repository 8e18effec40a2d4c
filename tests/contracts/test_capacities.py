"""What every log promises of shared capacities, and of events under a guard."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, given, strategies as st

from nba.decisions.decision import CapacityTaken, Decision
from nba.stores.log import GuardedEvents, Log
from nba.stores.memory.log import MemoryLog
from tests.fixtures.examples import examples
from tests.fixtures.log_records import NOON, at_once, decision, event, guarded, timer, use

POST = ("post", "2026-03")


def test_what_decisions_take_of_a_capacity_adds_up(log: Log) -> None:
    assert log.used([]) == {}
    assert log.used([POST]) == {}
    log.append_decisions([decision("ada", uses=(use(2.5),)), decision("bob", uses=(use(4),))])
    log.append_decisions([decision("cyd", uses=(use(1), use(7, 7, "calls", "2026-W09")))])
    calls = ("calls", "2026-W09")
    assert log.used([POST, calls, ("calls", "2026-W10")]) == {POST: 7.5, calls: 7.0}


def test_a_decision_for_which_there_is_no_room_is_refused(log: Log) -> None:
    log.append_decisions([decision("ada", uses=(use(9),))])
    more, rest = decision("bob", uses=(use(2),)), decision("bob", uses=(use(1),))
    assert log.append_decisions([more]) == [None]
    assert log.append_decisions([rest]) == [rest]
    assert log.used([POST]) == {POST: 10.0}
    assert log.decision(more.decision_id) is None


def test_earlier_decisions_of_the_same_call_count(log: Log) -> None:
    made = [decision(f"c{number}", uses=(use(4),)) for number in range(4)]
    small = decision("small", uses=(use(2),))
    answers = log.append_decisions([*made, small])
    assert answers == [made[0], made[1], None, None, small]
    assert log.used([POST]) == {POST: 10.0}


def test_a_decision_stands_only_while_what_it_could_have_drawn_is_to_be_had(log: Log) -> None:
    drew_another = decision("ada", watched=(use(1),))
    assert log.append_decisions([drew_another]) == [drew_another]
    assert log.used([POST]) == {}
    log.append_decisions([decision("bob", uses=(use(10),))])
    assert log.append_decisions([decision("cyd", watched=(use(1),))]) == [None]
    last, too_late = decision("dan", uses=(use(0),)), decision("eve", watched=(use(0.5),))
    assert log.append_decisions([last, too_late]) == [last, None]


def test_a_decision_takes_of_all_its_capacities_or_of_none(log: Log) -> None:
    full = use(1, 0.5, "calls")
    assert log.append_decisions([decision(uses=(use(1), full))]) == [None]
    assert log.append_decisions([decision(uses=(use(6), use(6)))]) == [None]
    assert log.used([POST, ("calls", "2026-03")]) == {}


def test_a_repeated_decision_takes_once(log: Log) -> None:
    made = decision(request_id="r", uses=(use(3),))
    again = decision(request_id="r", uses=(use(3),))
    assert log.append_decisions([made]) == log.append_decisions([made, again, again])[:1] == [made]
    assert log.used([POST]) == {POST: 3.0}


def test_another_most_counts_from_the_next_decision_on(log: Log) -> None:
    log.append_decisions([decision("ada", uses=(use(8),))])
    wider = decision("bob", uses=(use(8, 20),))
    assert log.append_decisions([wider]) == [wider]
    assert log.append_decisions([decision("cyd", uses=(use(1, 10),))]) == [None]


def test_what_takes_nothing_always_has_room(log: Log) -> None:
    log.append_decisions([decision("ada", uses=(use(10),))])
    free = decision("bob", uses=(use(0),))
    assert log.append_decisions([free]) == [free]


@pytest.mark.parametrize("per_call", [1, 5])
def test_racing_decisions_never_pass_the_most(another: Callable[[], Log], per_call: int) -> None:
    logs = [another(), another()]

    def ask(thread: int) -> list[Decision | None]:
        answers: list[Decision | None] = []
        for call in range(12):
            names = [f"{thread}.{call}.{number}" for number in range(per_call)]
            answers += logs[thread % 2].append_decisions(
                [decision(name, uses=(use(1),)) for name in names]
            )
        return answers

    answers = [one for answer in at_once(ask) for one in answer]
    assert len(answers) == 8 * 12 * per_call
    assert len([answer for answer in answers if answer is not None]) == 10
    assert logs[0].used([POST]) == {POST: 10.0}
    assert len(logs[0].page_decisions()) == 10


def test_guarded_events_and_decisions_share_a_capacity(another: Callable[[], Log]) -> None:
    logs = [another(), another()]

    def ask(thread: int) -> int:
        taken = 0
        for call in range(12):
            name = f"{thread}.{call}"
            if thread % 2:
                taken += logs[0].append_guarded([guarded(name, name, uses=(use(1),))]) == [True]
            else:
                taken += logs[1].append_decisions([decision(name, uses=(use(1),))]) != [None]
        return taken

    assert sum(at_once(ask)) == 10
    assert logs[0].used([POST]) == {POST: 10.0}


# Events under a guard


def test_guarded_events_are_appended_where_the_log_is_as_it_was_seen(log: Log) -> None:
    [seen] = log.append_events([event("1")])
    log.append_events([event("2", "bob")])
    both = guarded("4", seen_seq=seen or 0, events=(event("3"), event("4")), uses=(use(2),))
    assert log.append_guarded([both]) == [True]
    assert [one.event_id for one in log.page_events()] == ["1", "2", "3", "4"]
    assert log.used([POST]) == {POST: 2.0}


def test_guarded_events_on_an_older_log_are_refused(log: Log) -> None:
    log.append_events([event("1")])
    late = guarded("2", uses=(use(1),), timers=(timer("t"),))
    assert log.append_guarded([late]) == [False]
    assert len(log.page_events()) == 1
    assert log.used([POST]) == {}
    assert log.fire_timers(NOON) == []


def test_guarded_events_for_which_there_is_no_room_are_refused(log: Log) -> None:
    appends = [guarded(name, name, uses=(use(6),)) for name in "abc"]
    assert log.append_guarded(appends) == [True, False, False]
    assert [one.event_id for one in log.page_events()] == ["a"]


def test_guarded_events_that_were_stored_before_take_nothing_again(log: Log) -> None:
    once = guarded("1", uses=(use(6),))
    assert log.append_guarded([once, once]) == [True, True]
    assert log.append_guarded([once]) == [True]
    assert log.used([POST]) == {POST: 6.0}
    assert len(log.page_events()) == 1


def test_the_first_guarded_append_of_a_customer_moves_her_log_on(log: Log) -> None:
    assert log.append_guarded([guarded("1"), guarded("2"), guarded("3", "bob")]) == [
        *(True, False, True)
    ]
    assert log.append_guarded([]) == []


def test_of_racing_guarded_appends_one_is_stored(log: Log) -> None:
    answers = at_once(lambda number: log.append_guarded([guarded(str(number))])[0])
    assert sorted(answers) == [False] * 7 + [True]
    assert len(log.page_events()) == 1


# Laws

_uses = st.builds(
    CapacityTaken,
    capacity=st.sampled_from(["post", "calls"]),
    period=st.sampled_from(["w1", "w2"]),
    amount=st.sampled_from([0.0, 0.1, 1.0, 2.0]),
    most=st.sampled_from([1.0, 2.5, 3.0]),
)
_wanted = st.lists(
    st.tuples(st.sampled_from("abc"), st.booleans(), st.lists(_uses, max_size=3).map(tuple)),
    max_size=8,
)
_keys = [(capacity, period) for capacity in ("post", "calls") for period in ("w1", "w2")]


def _guarded(wanted: Sequence[tuple[str, bool, tuple[CapacityTaken, ...]]]) -> list[GuardedEvents]:
    return [
        guarded(f"{number // 2 if repeat else number}", customer, uses=uses)
        for number, (customer, repeat, uses) in enumerate(wanted)
    ]


@examples(150)
@given(_wanted)
def test_one_call_stores_what_its_appends_would_store_one_after_the_other(
    wanted: list[tuple[str, bool, tuple[CapacityTaken, ...]]],
) -> None:
    together, apart = MemoryLog(), MemoryLog()
    made = [decision(customer, uses=uses) for customer, _, uses in wanted]
    answers = together.append_decisions(made)
    assert answers == [apart.append_decisions([one])[0] for one in made]
    events = [one for one in _guarded(wanted)]
    assert together.append_guarded(events) == [apart.append_guarded([one])[0] for one in events]
    assert together.used(_keys) == apart.used(_keys)
    assert together.page_events() == apart.page_events()


@examples(40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_wanted, max_size=3))
def test_every_log_answers_as_the_one_in_memory(
    log: Log, calls: list[list[tuple[str, bool, tuple[CapacityTaken, ...]]]]
) -> None:
    model, names = MemoryLog(), f"{log.position()}:"
    periods = [(f"{names}{capacity}", period) for capacity, period in _keys]
    for call in calls:
        made = [
            decision(names + customer, uses=tuple(_own(names, one) for one in uses))
            for customer, _, uses in call
        ]
        assert log.append_decisions(made) == model.append_decisions(made)
        assert log.used(periods) == model.used(periods)


def _own(names: str, one: CapacityTaken) -> CapacityTaken:
    return use(one.amount, one.most, names + one.capacity, one.period)
