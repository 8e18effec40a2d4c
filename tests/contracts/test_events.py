"""What every log promises of events."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, strategies as st
from msgspec.structs import replace

from nba.events.event import Event
from nba.stores.log import Log
from tests.fixtures.examples import examples
from tests.fixtures.log_records import at_once, decision, event


def test_an_empty_log_has_nothing(log: Log) -> None:
    assert log.position() == 0
    assert log.page_events() == []
    assert log.page_decisions() == []
    assert log.append_events([]) == []
    assert log.append_decisions([]) == []
    assert log.events_since({}) == {}
    assert log.events_since({"ada": 0}) == {}
    assert log.events_from({}) == log.events_from({"ada": datetime(2026, 1, 1, tzinfo=UTC)}) == {}
    assert log.events_of([]) == log.events_of(["d"]) == []
    assert log.decision("d") is None
    assert log.answered([]) == {}
    assert log.answered([("ada", "r")]) == {}
    assert log.customer_decisions("ada") == []
    assert log.outcomes("d") == []
    assert log.snapshots([], "k") == {}
    assert log.alias("champion") is None
    assert log.bundle("b") is None


def test_events_come_back_as_they_went_in(log: Log) -> None:
    sent = event(
        "1", "Zoë Ω‮\\", text='"quotes"\\n\t\n 🙂', nested={"a": [1, -2.5e-300, None, True]}
    )
    [seq] = log.append_events([sent])
    [found] = log.page_events()
    assert found.to_json() == sent.to_json().replace(b'"seq":0', b'"seq":%d' % (seq or 0))
    assert found.received_at.utcoffset() == timedelta(0)
    assert found.occurred_at.microsecond == 123456


def test_an_event_id_is_stored_once_over_calls(log: Log) -> None:
    [first] = log.append_events([event("1", note="first")])
    assert log.append_events([event("2"), event("1", note="again")])[1] is None
    assert log.append_events([event("1")]) == [None]
    assert [(one.seq, one.properties) for one in log.page_events(limit=1)] == [
        (first, {"note": "first"})
    ]


def test_the_first_of_two_equal_ids_in_one_call_wins(log: Log) -> None:
    answers = log.append_events([event("1", note="first"), event("2"), event("1", note="second")])
    assert answers[2] is None and None not in answers[:2]
    assert [one.properties for one in log.page_events()] == [{"note": "first"}, {}]


def test_seq_grows_in_the_order_of_the_call(log: Log) -> None:
    ids = [f"{number * 7919 % 1009}" for number in range(1000)]
    answers = log.append_events([event(one) for one in ids])
    assert answers == sorted(answers, key=lambda seq: seq or 0)
    assert [one.event_id for one in log.page_events()] == ids
    assert log.position() == answers[-1]


def test_pages_cover_the_log_without_overlap(log: Log) -> None:
    log.append_events([event(str(number)) for number in range(25)])
    found: list[Event] = []
    while page := log.page_events(after=found[-1].seq if found else 0, limit=10):
        assert len(page) <= 10
        found += page
    assert [one.event_id for one in found] == [str(number) for number in range(25)]


def test_events_since_gives_each_customer_what_is_new_to_him(log: Log) -> None:
    names = ["ada", "bob", "ada", "cyd", "bob", "ada"]
    seqs = [
        log.append_events([event(str(number), name)])[0] or 0 for number, name in enumerate(names)
    ]
    found = log.events_since({"ada": seqs[0], "bob": 0, "cyd": seqs[3], "nobody": 0})
    assert {name: [one.seq for one in events] for name, events in found.items()} == {
        "ada": [seqs[2], seqs[5]],
        "bob": [seqs[1], seqs[4]],
    }


def test_big_properties_and_many_events_are_kept(log: Log) -> None:
    big = {f"key {number}": "ü" * 100 for number in range(150)}
    log.append_events([event(str(number), **big) for number in range(600)])
    assert all(one.properties == big for one in log.page_events())
    assert len(log.events_since({"ada": 0})["ada"]) == 600


_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
_ids = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8)
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _texts,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(_texts, children, max_size=3),
    max_leaves=8,
)
_moments = st.datetimes(
    datetime(1990, 1, 1),
    datetime(2199, 1, 1),
    timezones=st.just(UTC),
)
_events = st.builds(
    Event,
    event_id=st.sampled_from("abc") | _ids,
    customer_id=_ids,
    name=_ids,
    occurred_at=_moments,
    received_at=_moments,
    properties=st.dictionaries(_texts | st.just("decision_id"), _json, max_size=4),
    seq=st.just(0),
)


# One log for all examples: what an example finds there belongs to the law as well.
@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(_events, max_size=6), max_size=3))
def test_any_events_with_any_repeats_come_back_once_and_in_order(
    log: Log, calls: list[list[Event]]
) -> None:
    before = log.position()
    present = {one.event_id for one in log.page_events(limit=10**6)}
    new = {}
    for call in [*calls, *calls]:
        answers = log.append_events(call)
        for one, seq in zip(call, answers, strict=True):
            assert (seq is None) == (one.event_id in present)
            if seq is not None:
                present.add(one.event_id)
                new[seq] = one
    found = log.page_events(after=before, limit=10**6)
    assert [one.seq for one in found] == sorted(new)
    assert [one.to_json() for one in found] == [
        new[one.seq].to_json().replace(b'"seq":0', b'"seq":%d' % one.seq) for one in found
    ]


# Many at once


def test_racing_events_are_stored_once(log: Log) -> None:
    def append(number: int) -> dict[str, int | None]:
        turn = [str(index) for index in range(40)][:: 1 if number % 2 else -1]
        answers: dict[str, int | None] = {}
        for start in range(0, 40, 8):
            ids = turn[start : start + 8]
            answers.update(zip(ids, log.append_events([event(one) for one in ids]), strict=True))
        return answers

    answers = at_once(append)
    stored = {one.event_id: one.seq for one in log.page_events()}
    assert len(stored) == len(log.page_events()) == 40
    for event_id, seq in stored.items():
        assert [answer[event_id] for answer in answers if answer[event_id] is not None] == [seq]


def test_a_reader_never_meets_an_event_behind_the_position_it_has_seen(log: Log) -> None:
    done = threading.Event()
    met: list[int] = []

    def read() -> None:
        while True:
            last = done.is_set()
            met.extend(one.seq for one in log.page_events(after=met[-1] if met else 0))
            if last:
                return

    def write(writer: int) -> None:
        for number in range(30):
            batch = [
                event(f"{writer}.{number}.{index}", f"c{writer}") for index in range(1 + writer)
            ]
            log.append_events(batch)
            log.append_decisions([decision(f"d{writer}", context_seq=2**60)])

    reader = threading.Thread(target=read)
    reader.start()
    try:
        at_once(write, threads=4)
    finally:
        done.set()
        reader.join()
    assert met == [one.seq for one in log.page_events()]
    assert len(met) == 30 * (1 + 2 + 3 + 4) + 4 * 30


def test_events_from_a_moment_are_those_that_occurred_then_or_later(log: Log) -> None:
    first = event("0")
    moment = first.occurred_at
    later = [replace(event(str(n)), occurred_at=moment + timedelta(hours=n)) for n in (3, 1, 2)]
    other = replace(event("9", "bob"), occurred_at=moment)
    log.append_events([first, *later, other])
    found = log.events_from({"ada": moment + timedelta(hours=2), "bob": moment, "eve": moment})
    assert {who: [e.event_id for e in own] for who, own in found.items()} == {
        "ada": ["3", "2"],  # by seq, not by time
        "bob": ["9"],
    }
    assert len(log.events_from({"ada": moment})["ada"]) == 4


def test_the_events_of_decisions_are_their_own_and_what_names_them(log: Log) -> None:
    log.append_decisions([decision(decision_id="d1")])
    named = event("o1", "bob", decision_id="d1")
    log.append_events([named, event("o2", decision_id="d2")])
    found = log.events_of(["d1", "unknown"])
    assert [e.name for e in found] == ["Action Decided", named.name]
    assert found[1:] == log.outcomes_of(["d1"])
