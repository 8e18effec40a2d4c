"""What every log promises (`nba.stores.log.Log`), held against each implementation."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from nba.decision import NO_ACTION, Candidate, Decision, Mode, Refused, Request, Stage
from nba.errors import NotFound
from nba.events import ACTION_ACCEPTED, ACTION_DECIDED, Event
from nba.stores.log import Log, Snapshot
from nba.stores.memory import MemoryLog
from nba.stores.postgres import PostgresLog

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
_numbers = count(1)


@pytest.fixture(params=[MemoryLog, PostgresLog], ids=lambda kind: kind.__name__)
def log(request: pytest.FixtureRequest) -> Iterator[Log]:
    """An empty log of each kind."""
    made: Log
    if request.param is PostgresLog:
        made = PostgresLog.open(request.getfixturevalue("postgres_url"))
    else:
        made = MemoryLog()
    yield made
    made.close()


def event(event_id: str, customer_id: str = "ada", **properties: Any) -> Event:
    return Event(
        event_id=event_id,
        customer_id=customer_id,
        name="Product Viewed",
        occurred_at=NOON - timedelta(minutes=1),
        received_at=NOON,
        properties=properties,
    )


def decision(
    customer_id: str = "ada",
    request_id: str | None = None,
    context_seq: int = 0,
    decision_id: str | None = None,
) -> Decision:
    chosen = Candidate(
        action_id="call_back",
        p_accept=0.125,
        context_weight=1.0,
        value_eur=40.0,
        lever=1.0,
        cost_eur=2.5,
        priority=2.5,
        propensity=0.9,
    )
    return Decision(
        decision_id=decision_id or f"d{next(_numbers)}",
        request=Request(
            customer_id=customer_id, channel="web", request_id=request_id, facts={"née": ["€", 1]}
        ),
        decided_at=NOON,
        mode=Mode.LIVE,
        action_id="call_back",
        treatment=None,
        propensity=0.9,
        candidates=(chosen,),
        refused=(Refused(action_id=NO_ACTION, stage=Stage.SCORE, rule="r", detail='"\\ \t'),),
        reasons=(),
        churn=None,
        known_customer=True,
        context=bytes(range(256)),
        context_schema="s",
        context_seq=context_seq,
        bundle_id=None,
        catalogue_version="c",
        policy="p",
        seed=2**63,
    )


def at_once(call: Callable[[int], Any], threads: int = 8) -> list[Any]:
    """What `call` answers to `threads` threads that are let go together."""
    gate = threading.Barrier(threads)

    def run(number: int) -> Any:
        gate.wait()
        return call(number)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(threads)))


# Events


def test_an_empty_log_has_nothing(log: Log) -> None:
    assert log.position() == 0
    assert log.page_events() == []
    assert log.page_decisions() == []
    assert log.append_events([]) == []
    assert log.append_decisions([]) == []
    assert log.events_since({}) == {}
    assert log.events_since({"ada": 0}) == {}
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
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
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


# Decisions


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
    assert found.to_json() == made.as_event().to_json().replace(b'"seq":0', b'"seq":%d' % found.seq)


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
    assert [one.event_id for one in log.outcomes(made.decision_id)] == ["0", "1"]


def test_a_decision_id_of_any_size_or_type_may_come_in_with_an_event(log: Log) -> None:
    values: list[Any] = ["", "x" * 32_000, 7, None, {"a": 1}, ["b"], True]
    answers = log.append_events(
        [event(str(number), decision_id=value) for number, value in enumerate(values)]
    )
    assert None not in answers
    assert [one.properties["decision_id"] for one in log.page_events()] == values
    assert log.outcomes("") == []


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


# Snapshots, bundles, aliases


def snapshot(seq: int, state: bytes, customer_id: str = "ada", kernel: str = "k") -> Snapshot:
    return Snapshot(customer_id=customer_id, kernel=kernel, seq=seq, state=state)


def test_a_newer_snapshot_replaces_an_older_one_only(log: Log) -> None:
    log.save_snapshots([snapshot(5, b"five")])
    log.save_snapshots([snapshot(4, b"four")])
    assert log.snapshots(["ada", "bob"], "k") == {"ada": snapshot(5, b"five")}
    log.save_snapshots([snapshot(7, b"seven\x00"), snapshot(6, b"six"), snapshot(1, b"b", "bob")])
    assert log.snapshots(["ada", "bob"], "k") == {
        "ada": snapshot(7, b"seven\x00"),
        "bob": snapshot(1, b"b", "bob"),
    }
    log.save_snapshots([])


def test_each_kernel_has_its_own_snapshots(log: Log) -> None:
    log.save_snapshots([snapshot(5, b"old"), snapshot(3, b"new", kernel="l")])
    assert log.snapshots(["ada"], "l") == {"ada": snapshot(3, b"new", kernel="l")}
    assert log.snapshots(["ada"], "m") == {}


def test_racing_snapshots_leave_the_newest(log: Log) -> None:
    names = [f"c{number}" for number in range(20)]

    def save(number: int) -> None:
        order = names[:: 1 if number % 2 else -1]
        for seq in range(5):
            log.save_snapshots([snapshot(seq * 8 + number, b"s", name) for name in order])

    at_once(save)
    assert {one.seq for one in log.snapshots(names, "k").values()} == {4 * 8 + 7}


def test_a_bundle_is_kept_as_it_was_first_saved(log: Log) -> None:
    files = {"manifest.json": b"{}", "große.bin": bytes(range(256)) * 4096, "empty": b""}
    log.save_bundle("b", files)
    log.save_bundle("b", {"manifest.json": b"other"})
    found = log.bundle("b")
    assert found is not None and (found.bundle_id, found.files) == ("b", files)
    log.save_bundle("bare", {})
    bare = log.bundle("bare")
    assert bare is not None and bare.files == {}


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
    assert [one.name for one in log.outcomes(made.decision_id)] == [ACTION_ACCEPTED]
