"""What every log promises of decisions, and of what comes of them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from nba.decisions.decision import Decision
from nba.events.event import Event
from nba.events.names import ACTION_ACCEPTED, ACTION_DECIDED, SUB_JOURNEY_ENTERED, SUB_JOURNEY_MOVED
from nba.stores.log import Log
from tests.fixtures.log_records import NOON, at_once, decision, event, move, use


def test_a_decision_comes_back_byte_for_byte(log: Log) -> None:
    made = decision(request_id="r")
    assert log.append_decisions([made]) == [made]
    found = log.decision(made.decision_id)
    assert found is not None and found.to_json() == made.to_json()
    assert log.answered([("ada", "r"), ("ada", "s"), ("bob", "r")]) == {("ada", "r"): made}
    assert log.page_decisions() == [(log.position(), made)]


def test_a_decision_is_an_event_of_its_customer(log: Log) -> None:
    made = decision()
    log.append_decisions([made])
    [found] = log.events_since({"ada": 0})["ada"]
    assert found.name == ACTION_DECIDED
    assert found.seq == log.position()
    [sent] = made.as_events()
    assert found.to_json() == sent.to_json().replace(b'"seq":0', b'"seq":%d' % found.seq)


def test_a_repeated_request_id_is_answered_with_the_earlier_decision(log: Log) -> None:
    first = decision(request_id="r")
    log.append_decisions([first])
    again = decision(request_id="r", context_seq=log.position())
    assert log.append_decisions([again]) == [first]
    assert log.decision(again.decision_id) is None
    assert len(log.page_events()) == 1


def test_a_request_id_is_the_customers_own(log: Log) -> None:
    ada, bob = decision("ada", "r"), decision("bob", "r")
    assert log.append_decisions([ada, bob]) == [ada, bob]


def test_requests_without_an_id_are_never_repeats(log: Log) -> None:
    first = decision()
    log.append_decisions([first])
    second = decision(context_seq=log.position())
    assert log.append_decisions([second]) == [second]


def test_a_decision_on_an_old_context_is_refused(log: Log) -> None:
    log.append_events([event("1"), event("2", "bob")])
    seen = log.events_since({"ada": 0})["ada"][-1].seq
    log.append_events([event("3")])
    stale = decision(context_seq=seen)
    assert log.append_decisions([stale]) == [None]
    assert log.decision(stale.decision_id) is None
    fresh = decision(context_seq=log.position())
    assert log.append_decisions([fresh]) == [fresh]


def test_other_customers_do_not_make_a_context_old(log: Log) -> None:
    [seen] = log.append_events([event("1")])
    log.append_events([event("2", "bob")])
    made = decision(context_seq=seen or 0)
    assert log.append_decisions([made]) == [made]


def test_one_call_stores_one_decision_per_customer(log: Log) -> None:
    first, second, repeat = decision(request_id="r"), decision(request_id="s"), decision()
    again = decision(request_id="r")
    bob = decision("bob")
    answers = log.append_decisions([first, second, again, repeat, bob])
    assert answers == [first, None, first, None, bob]
    assert [made for _, made in log.page_decisions()] == [first, bob]


def test_a_refused_decision_does_not_stand_in_the_way_of_the_next(log: Log) -> None:
    log.append_events([event("1")])
    stale, fresh = decision(context_seq=0), decision(context_seq=log.position())
    assert log.append_decisions([stale, fresh]) == [None, fresh]


def test_a_retried_decision_is_stored_once(log: Log) -> None:
    made = decision()
    assert log.append_decisions([made]) == [made]
    assert log.append_decisions([made]) == [made]
    assert log.append_decisions([made, made]) == [made, made]
    assert len(log.page_decisions()) == len(log.page_events()) == 1


def test_a_decision_id_of_another_customer_is_refused(log: Log) -> None:
    log.append_decisions([decision("ada", decision_id="x")])
    assert log.append_decisions([decision("bob", decision_id="x")]) == [None]
    assert (
        log.append_decisions([decision("cyd", decision_id="y"), decision("eve", decision_id="y")])[
            1
        ]
        is None
    )


def test_an_event_that_took_the_decisions_event_id_refuses_it(log: Log) -> None:
    log.append_events([event("decision:x")])
    assert log.append_decisions([decision("bob", decision_id="x")]) == [None]
    assert log.page_decisions() == []


def test_decisions_are_paged_in_the_order_of_commit(log: Log) -> None:
    made = [decision(f"customer {number}") for number in range(7)]
    for one in made:
        log.append_decisions([one])
        log.append_events([event(f"between {one.decision_id}")])
    first = log.page_decisions(limit=3)
    rest = log.page_decisions(after=first[-1][0])
    assert [one for _, one in [*first, *rest]] == made
    assert [seq for seq, _ in [*first, *rest]] == [
        one.seq for one in log.page_events() if one.name == ACTION_DECIDED
    ]


def test_a_customers_decisions_are_listed_newest_first(log: Log) -> None:
    made = []
    for _ in range(3):
        made += log.append_decisions([decision(context_seq=log.position())])
    log.append_decisions([decision("bob")])
    assert log.customer_decisions("ada") == made[::-1]
    assert log.customer_decisions("ada", limit=2) == made[:0:-1]


def test_outcomes_are_the_events_that_name_the_decision(log: Log) -> None:
    made = decision()
    log.append_decisions([made])
    named = [event(str(number), decision_id=made.decision_id) for number in range(2)]
    other = [event("5", decision_id="other"), event("6"), event("7", decision_id=8)]
    log.append_events([*other, *named])
    assert [outcome.event_id for outcome in log.outcomes(made.decision_id)] == ["0", "1"]


def test_several_decisions_are_read_at_once_with_what_names_them(log: Log) -> None:
    made = [decision("ada"), decision("bob"), decision("cyd")]
    log.append_decisions(made)
    for number in range(6):  # of anybody, in turn
        log.append_events([event(str(number), decision_id=made[number % 3].decision_id)])
    asked = [made[0].decision_id, made[2].decision_id, "unknown"]
    assert log.decisions(asked) == {one.decision_id: one for one in (made[0], made[2])}
    assert [one.event_id for one in log.outcomes_of(asked)] == ["0", "2", "3", "5"]
    assert (log.decisions([]), log.outcomes_of([])) == ({}, [])


def test_a_decision_id_of_any_size_or_type_may_come_in_with_an_event(log: Log) -> None:
    values: list[Any] = ["", "x" * 32_000, 7, None, {"a": 1}, ["b"], True]
    answers = log.append_events(
        [event(str(number), decision_id=value) for number, value in enumerate(values)]
    )
    assert None not in answers
    assert [one.properties["decision_id"] for one in log.page_events()] == values
    assert log.outcomes("") == []


def test_an_accepted_action_is_an_outcome(log: Log) -> None:
    made = decision()
    log.append_decisions([made])
    told = Event(
        event_id="o",
        customer_id="ada",
        name=ACTION_ACCEPTED,
        occurred_at=NOON,
        received_at=NOON,
        properties={"decision_id": made.decision_id, "value": 1},
    )
    log.append_events([told])
    assert [outcome.name for outcome in log.outcomes(made.decision_id)] == [ACTION_ACCEPTED]


# Many at once


def test_racing_requests_get_one_answer(log: Log) -> None:
    for number in range(10):
        seen = log.position()

        def ask(_: int, key: str = f"r{number}", seen: int = seen) -> Decision | None:
            return log.append_decisions([decision(request_id=key, context_seq=seen)])[0]

        answers = at_once(ask)
        assert len({answer.decision_id for answer in answers}) == 1
    assert len(log.page_decisions()) == len(log.page_events()) == 10


def test_of_racing_decisions_on_one_context_one_is_stored(log: Log) -> None:
    answers = at_once(lambda _: log.append_decisions([decision()])[0])
    assert len([answer for answer in answers if answer is not None]) == 1
    assert len(log.page_decisions()) == 1


# Moves in sub-journeys


def test_the_moves_of_a_decision_are_events_before_its_own(log: Log) -> None:
    moves = (move(1, SUB_JOURNEY_ENTERED), move(2, SUB_JOURNEY_MOVED))
    made = decision(moves=moves)
    log.append_decisions([decision("bob"), made])
    found = log.events_since({"ada": 0})["ada"]
    assert [one.event_id for one in found] == [
        "sub-journey:episode:1",
        "sub-journey:episode:2",
        f"decision:{made.decision_id}",
    ]
    assert [replace(one, seq=0) for one in found] == list(made.as_events())
    assert log.page_decisions()[-1] == (found[-1].seq, made)
    assert log.position() == found[-1].seq


def test_a_move_that_the_log_holds_is_not_appended_again(log: Log) -> None:
    log.append_decisions([decision(moves=(move(1, SUB_JOURNEY_ENTERED),))])
    again = decision(context_seq=log.position(), moves=(move(1, SUB_JOURNEY_ENTERED),))
    assert log.append_decisions([again]) == [again]
    names = [one.name for one in log.page_events()]
    assert names == [SUB_JOURNEY_ENTERED, ACTION_DECIDED, ACTION_DECIDED]


def test_a_refused_decision_leaves_neither_moves_nor_timers_nor_deliveries(log: Log) -> None:
    log.append_events([event("1")])
    entered = move(1, SUB_JOURNEY_ENTERED, NOON)
    stale = decision(outbound=True, moves=(entered,), uses=(use(1),))
    assert log.append_decisions([stale]) == [None]
    assert len(log.page_events()) == 1
    assert log.fire_timers(NOON) == []
    assert log.deliveries("waiting") == []
    assert log.used([("post", "2026-03")]) == {}
