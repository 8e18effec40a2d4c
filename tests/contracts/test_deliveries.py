"""What every log promises of deliveries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, strategies as st
from msgspec.structs import replace

from nba.decisions.decision import Mode
from nba.errors import NotFound
from nba.journey.actions import NO_ACTION
from nba.stores.log import Delivery, Log
from nba.stores.memory.log import MemoryLog
from tests.fixtures.examples import examples
from tests.fixtures.log_records import NOON, at_once, decision, event

MINUTE = timedelta(minutes=1)


def outbound(log: Log, customer_id: str = "ada", **fields: Any) -> Delivery:
    """The delivery of an outbound decision that is stored."""
    made = decision(customer_id, outbound=True, context_seq=2**60, **fields)
    assert log.append_decisions([made]) == [made]
    waiting = {delivery.decision_id: delivery for delivery in log.deliveries("waiting", 10**6)}
    return waiting[made.decision_id]


def test_an_outbound_decision_waits_to_be_delivered(log: Log) -> None:
    made = outbound(log)
    assert log.deliveries("waiting") == [made]
    assert made == Delivery(
        decision_id=made.decision_id, customer_id="ada", state="waiting", due_at=NOON
    )
    assert log.deliveries("delivered") == log.deliveries("dead") == []


def test_what_is_not_sent_by_us_has_no_delivery(log: Log) -> None:
    log.append_decisions(
        [
            decision("ada"),
            decision("bob", outbound=True, action_id=NO_ACTION),
            decision("cyd", outbound=True, mode=Mode.SHADOW),
        ]
    )
    assert log.deliveries("waiting") == []


def test_a_retried_decision_is_delivered_once(log: Log) -> None:
    made = decision(outbound=True)
    log.append_decisions([made, made])
    [claimed] = log.claim_deliveries(NOON, 10, 60)
    log.settle_delivery(replace(claimed, state="delivered"))
    log.append_decisions([made])
    assert log.deliveries("waiting") == []


def test_a_delivery_is_not_due_before_quiet_hours_are_over(log: Log) -> None:
    made = outbound(log, not_before=NOON + MINUTE)
    assert log.claim_deliveries(NOON, 10, 60) == []
    [claimed] = log.claim_deliveries(NOON + MINUTE, 10, 60)
    assert claimed.decision_id == made.decision_id


def test_a_claimed_delivery_is_due_again_after_its_lease(log: Log) -> None:
    made = outbound(log)
    [claimed] = log.claim_deliveries(NOON, 10, lease_s=60)
    assert claimed == replace(made, attempts=1, due_at=NOON + MINUTE)
    assert log.deliveries("waiting") == [claimed]
    assert log.claim_deliveries(NOON + MINUTE - timedelta(microseconds=1), 10, 60) == []
    [again] = log.claim_deliveries(NOON + MINUTE, 10, 60)
    assert again == replace(made, attempts=2, due_at=NOON + 2 * MINUTE)


def test_the_earliest_due_are_claimed_first(log: Log) -> None:
    late, soon, next_ = (
        outbound(log, name, not_before=NOON + minutes * MINUTE).decision_id
        for name, minutes in [("a", 3), ("b", 1), ("c", 2)]
    )
    first = log.claim_deliveries(NOON + 9 * MINUTE, 2, 60)
    assert [one.decision_id for one in first] == [soon, next_]
    assert [
        delivery.decision_id for delivery in log.claim_deliveries(NOON + 9 * MINUTE, 2, 60)
    ] == [late]


def test_racing_claims_take_each_delivery_once(another: Callable[[], Log]) -> None:
    logs = [another(), another()]
    made = [decision(f"c{number}", outbound=True) for number in range(60)]
    logs[0].append_decisions(made)

    def claim(thread: int) -> list[str]:
        claimed = []
        for _ in range(60):
            claimed += [
                delivery.decision_id for delivery in logs[thread % 2].claim_deliveries(NOON, 3, 60)
            ]
        return claimed

    claimed = [one for answer in at_once(claim) for one in answer]
    assert sorted(claimed) == sorted(one.decision_id for one in made)


def test_a_failed_attempt_waits_for_its_next_time(log: Log) -> None:
    outbound(log)
    [claimed] = log.claim_deliveries(NOON, 1, 60)
    later = replace(claimed, due_at=NOON + 5 * MINUTE, error="answered 500")
    log.settle_delivery(later)
    assert log.deliveries("waiting") == [later]
    assert log.claim_deliveries(NOON + 4 * MINUTE, 1, 60) == []
    [again] = log.claim_deliveries(NOON + 5 * MINUTE, 1, 60)
    assert (again.attempts, again.error) == (2, "answered 500")


def test_a_delivery_is_settled_together_with_its_event(log: Log) -> None:
    outbound(log)
    [claimed] = log.claim_deliveries(NOON, 1, 60)
    done = replace(claimed, state="delivered")
    log.settle_delivery(done, event("told"))
    log.settle_delivery(done, event("told"))
    assert log.deliveries("delivered") == [done]
    assert [one.event_id for one in log.page_events()][1:] == ["told"]


@pytest.mark.parametrize("state", ["delivered", "dead"])
def test_what_is_settled_stays_so(log: Log, state: Any) -> None:
    outbound(log)
    [claimed] = log.claim_deliveries(NOON, 1, 60)
    settled = replace(claimed, state=state)
    log.settle_delivery(settled)
    for other in ("waiting", "delivered", "dead"):
        log.settle_delivery(replace(claimed, state=other, error="late"), event(f"late {other}"))
    assert log.deliveries(state) == [settled]
    assert len(log.page_events()) == 1
    assert log.claim_deliveries(NOON + 9 * MINUTE, 1, 60) == []


@pytest.mark.parametrize("state", ["delivered", "dead"])
def test_an_operator_sends_once_more_what_was_settled(log: Log, state: Any) -> None:
    made = outbound(log)
    [claimed] = log.claim_deliveries(NOON, 1, 60)
    log.settle_delivery(replace(claimed, state=state, error="answered 410"))
    log.settle_delivery(made)
    assert log.deliveries(state) == []
    [again] = log.claim_deliveries(NOON, 1, 60)
    assert again == claimed


def test_whoever_comes_back_late_does_not_undo_the_next_attempt(log: Log) -> None:
    outbound(log)
    [first] = log.claim_deliveries(NOON, 1, 60)
    [second] = log.claim_deliveries(NOON + MINUTE, 1, 60)
    log.settle_delivery(replace(first, due_at=NOON, error="timed out"))
    log.settle_delivery(replace(first, state="dead", error="answered 410"), event("expired"))
    assert log.deliveries("waiting") == [second]
    log.settle_delivery(replace(first, state="delivered"), event("delivered"))  # but it arrived
    assert len(log.deliveries("delivered")) == 1
    assert [one.event_id for one in log.page_events()][1:] == ["delivered"]


def test_a_decision_without_a_delivery_is_not_settled(log: Log) -> None:
    nobody = Delivery(decision_id="x", customer_id="ada", state="dead", due_at=NOON)
    with pytest.raises(NotFound, match="decision 'x' has no delivery"):
        log.settle_delivery(nobody, event("1"))
    assert log.page_events() == []


def test_deliveries_are_listed_the_earliest_due_first(log: Log) -> None:
    dead = []
    for number, name in enumerate("abc"):
        outbound(log, name)
        [claimed] = log.claim_deliveries(NOON, 1, 60)
        dead.append(replace(claimed, state="dead", due_at=NOON - number * MINUTE, error="410"))
        log.settle_delivery(dead[-1])
    assert log.deliveries("dead") == dead[::-1]
    assert log.deliveries("dead", limit=1) == dead[2:]


_steps = st.lists(
    st.tuples(
        st.sampled_from(["claim", "waiting", "delivered", "dead", "again"]),
        st.integers(0, 3),  # minutes that pass
        st.integers(0, 5),  # which claim is settled
    ),
    max_size=12,
)


@examples(40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_steps)
def test_every_log_settles_as_the_one_in_memory(
    log: Log, steps: list[tuple[Any, int, int]]
) -> None:
    made = decision(f"c{log.position()}", outbound=True, not_before=_after(log))
    model = MemoryLog()
    now = made.not_before or NOON
    claims: list[Delivery] = []
    for one in (log, model):
        one.append_decisions([made])
    for what, minutes, which in steps:
        now += minutes * MINUTE
        if what == "claim":
            claimed = log.claim_deliveries(now, 1, 60)
            assert claimed == model.claim_deliveries(now, 1, 60)
            claims += claimed
        elif what == "again":
            fresh = [one for one in _all(model)]
            for one in (log, model):
                one.settle_delivery(replace(fresh[0], state="waiting", attempts=0, due_at=now))
        elif claims:
            settled = replace(claims[which % len(claims)], state=what, due_at=now)
            for one in (log, model):
                one.settle_delivery(settled)
        assert _all(model) == [one for one in _all(log) if one.decision_id == made.decision_id]
    for one in _all(log):
        if one.state == "waiting":
            log.settle_delivery(replace(one, state="dead", attempts=10**6))


def _all(log: Log) -> list[Delivery]:
    return [
        delivery
        for state in ("waiting", "delivered", "dead")
        for delivery in log.deliveries(state, 999)
    ]


def _after(log: Log) -> datetime:
    """A time at which nothing else waits."""
    return NOON + timedelta(days=log.position())
