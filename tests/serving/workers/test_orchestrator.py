"""The conductor: who is attended to, what a crash loses (nothing), and when it comes to rest."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from nba.stores.memory.log import MemoryLog
from serving.workers.orchestrator import OrchestratorPass, begin, conduct
from tests.fixtures.log_records import NOON, decision, event, guarded, timer
from tests.fixtures.orchestrated_party import MINUTE, Party, noon


@pytest.fixture
def log(log: MemoryLog) -> MemoryLog:
    """A log in which the orchestrator has begun."""
    begin(log)
    return log


def test_an_idle_pass_rests(log: MemoryLog) -> None:
    party = Party(log)
    assert conduct(log, party.advance_sub_journeys, party.deliver, noon) == OrchestratorPass()
    assert OrchestratorPass().rests
    assert party.calls == []


def test_everybody_whom_the_log_has_touched_is_attended_to_once(log: MemoryLog) -> None:
    party = Party(log)
    log.append_events([event(str(number), f"c{number % 3}") for number in range(9)])
    done = conduct(log, party.advance_sub_journeys, party.deliver, noon)
    assert done == OrchestratorPass(events=9, attended=3)
    assert party.calls == [["c0", "c1", "c2"]]
    assert conduct(log, party.advance_sub_journeys, party.deliver, noon).rests
    log.append_events([event("9", "c1")])
    assert conduct(log, party.advance_sub_journeys, party.deliver, noon) == OrchestratorPass(
        events=1, attended=1
    )
    assert party.calls[1:] == [["c1"]]


def test_pages_and_chunks_cover_the_tail(log: MemoryLog) -> None:
    party = Party(log)
    log.append_events([event(str(number), f"c{number}") for number in range(23)])
    done = conduct(log, party.advance_sub_journeys, party.deliver, noon, page=7, chunk=3)
    assert done == OrchestratorPass(events=23, attended=23)
    assert max(len(call) for call in party.calls) == 3
    assert set(party.attended) == {f"c{number}" for number in range(23)}


def test_a_long_tail_takes_several_passes_with_deliveries_in_between(log: MemoryLog) -> None:
    party = Party(log)
    log.append_decisions([decision("out", outbound=True)])
    log.append_events([event(str(number), f"c{number}") for number in range(50)])
    first = conduct(log, party.advance_sub_journeys, party.deliver, noon, page=2)
    assert first == OrchestratorPass(events=20, attended=20, tried=1, behind=31)
    assert not first.rests
    while not conduct(log, party.advance_sub_journeys, party.deliver, noon, page=2).rests:
        pass
    assert len(party.attended) == 51


def test_a_due_timer_brings_its_customer_to_attention_in_the_same_pass(log: MemoryLog) -> None:
    log.append_guarded([guarded("1", timers=(timer("t", NOON + MINUTE),))])
    party = Party(log)
    assert conduct(log, party.advance_sub_journeys, party.deliver, noon).fired == 0
    party.calls.clear()
    done = conduct(log, party.advance_sub_journeys, party.deliver, lambda: NOON + MINUTE)
    assert done == OrchestratorPass(fired=1, events=1, attended=1)
    assert party.calls == [["ada"]]


def test_what_waits_is_delivered_and_its_event_attended_to_next(log: MemoryLog) -> None:
    party = Party(log)
    log.append_decisions([decision(outbound=True)])
    assert conduct(log, party.advance_sub_journeys, party.deliver, noon) == OrchestratorPass(
        events=1, attended=1, tried=1
    )
    assert conduct(log, party.advance_sub_journeys, party.deliver, noon) == OrchestratorPass(
        events=1, attended=1
    )
    assert conduct(log, party.advance_sub_journeys, party.deliver, noon).rests


def test_what_attending_appends_is_left_to_the_next_pass_and_then_it_rests(
    log: MemoryLog,
) -> None:
    calls = []

    def advance_sub_journeys(customers: Sequence[str]) -> None:
        calls.append(list(customers))
        log.append_events(
            [event(f"move of {customer}", customer) for customer in customers]
        )  # once each

    log.append_events([event("1", "ada"), event("2", "bob")])
    passes = [conduct(log, advance_sub_journeys, lambda _: 0, noon) for _ in range(3)]
    assert [one.attended for one in passes] == [2, 2, 0]
    assert passes[2].rests
    assert calls == [["ada", "bob"]] * 2


def test_attending_that_never_ends_takes_one_round_a_pass(log: MemoryLog) -> None:
    def advance_sub_journeys(customers: Sequence[str]) -> None:
        log.append_events([event(f"{log.position()}", customer) for customer in customers])

    log.append_events([event("first")])
    for _ in range(5):
        assert conduct(log, advance_sub_journeys, lambda _: 0, noon) == OrchestratorPass(
            events=1, attended=1
        )


# The first time


def test_a_first_time_begins_at_the_end_of_an_imported_log() -> None:
    log = MemoryLog()
    log.append_events([event(str(number), f"old {number}") for number in range(500)])
    begin(log)
    party = Party(log)
    assert conduct(log, party.advance_sub_journeys, party.deliver, noon).rests
    log.append_events([event("new", "ada")])
    begin(log)
    conduct(log, party.advance_sub_journeys, party.deliver, noon)
    assert party.calls == [["ada"]]


def test_a_first_time_on_an_empty_log_passes_nobody_over() -> None:
    log = MemoryLog()
    begin(log)
    log.append_events([event("1")])
    begin(log)
    party = Party(log)
    conduct(log, party.advance_sub_journeys, party.deliver, noon)
    assert party.calls == [["ada"]]


def test_it_may_be_told_to_begin_at_the_start() -> None:
    log = MemoryLog()
    log.append_events([event(str(number), f"old {number}") for number in range(5)])
    begin(log, from_start=True)
    begin(log)
    party = Party(log)
    assert conduct(log, party.advance_sub_journeys, party.deliver, noon).attended == 5
