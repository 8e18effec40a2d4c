"""Deliveries against a receiver on the loopback: signed, tried again, dead, or settled once."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from nba.errors import InvalidInput
from nba.events.names import ACTION_DELIVERED, ACTION_EXPIRED
from nba.stores.log import Log
from nba.stores.memory.log import MemoryLog
from nba.stores.postgres.log import PostgresLog
from serving.settings import Settings
from serving.workers.delivery import HELD, again, release
from serving.workers.webhook import signature, webhook_of
from tests.fixtures.examples import examples
from tests.fixtures.log_records import NOON
from tests.fixtures.webhook_receiver import (
    HOUR,
    SECRET,
    Answer,
    Receiver,
    deliverer,
    send_out,
    told,
)

# What is sent


def test_a_decision_is_posted_with_what_a_sender_needs(log: MemoryLog, receiver: Receiver) -> None:
    made = send_out(log, treatment="warm", step="e1/offer", not_before=NOON)
    assert deliverer(log, receiver.url)(NOON) == 1
    [request] = receiver.received
    assert json.loads(request.body) == {
        "decision_id": made,
        "customer_id": "ada",
        "action_id": "call_back",
        "treatment": "warm",
        "channel": "web",
        "placement": None,
        "step": "e1/offer",
        "decided_at": "2026-03-01T12:00:00.123456Z",
        "not_before": "2026-03-01T12:00:00.123456Z",
    }
    assert request.headers["Idempotency-Key"] == made
    assert request.headers["Content-Type"] == "application/json"


def test_a_receiver_can_verify_the_signature(log: MemoryLog, receiver: Receiver) -> None:
    send_out(log, "Zoë €")
    deliverer(log, receiver.url)(NOON)
    [request] = receiver.received
    timestamp = request.headers["Nba-Timestamp"]
    assert int(timestamp) == int(NOON.timestamp())
    signed = f"{timestamp}.".encode() + request.body
    expected = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert request.headers["Nba-Signature"] == f"v1={expected}"


@given(st.binary(max_size=50), st.binary(max_size=50), st.text("0123456789", min_size=1))
@examples(100)
def test_another_body_time_or_secret_has_another_signature(
    body: bytes, other: bytes, timestamp: str
) -> None:
    made = signature(SECRET, timestamp, body)
    assert made == signature(SECRET, timestamp, body)
    assert (signature(SECRET, timestamp, other) == made) == (body == other)
    assert signature(SECRET, timestamp + "0", body) != made
    assert signature(SECRET + "0", timestamp, body) != made


# What is not sent


def test_a_dry_run_sends_nothing_and_says_so_in_the_log(log: MemoryLog, receiver: Receiver) -> None:
    made = send_out(log)
    assert deliverer(log, receiver.url, dry_run=True)(NOON) == 1
    assert receiver.received == []
    assert [delivery.decision_id for delivery in log.deliveries("delivered")] == [made]
    assert told(log).name == ACTION_DELIVERED
    assert told(log).properties["dry_run"] is True
    assert deliverer(log, receiver.url)(NOON + HOUR) == 0  # no flood once it is over
    assert receiver.received == []


def test_what_must_not_go_out_any_more_is_dead_unsent(log: MemoryLog, receiver: Receiver) -> None:
    send_out(log, "ada")
    kept = send_out(log, "bob")

    def delivery_block(one: Any, now: datetime) -> str | None:
        return "consent withdrawn" if one.request.customer_id == "ada" else None

    assert deliverer(log, receiver.url, delivery_block=delivery_block)(NOON) == 2
    assert receiver.keys == [kept]
    [dead] = log.deliveries("dead")
    assert (dead.customer_id, dead.error) == ("ada", "consent withdrawn")
    assert [one.name for one in log.events_since({"ada": 0})["ada"]][-1] == ACTION_EXPIRED


def test_what_has_to_wait_is_sent_when_the_wait_is_over(log: MemoryLog, receiver: Receiver) -> None:
    kept = send_out(log, "ada")
    morning = NOON + timedelta(hours=9)

    def delivery_block(one: Any, now: datetime) -> datetime | None:
        return morning if now < morning else None

    sender = deliverer(log, receiver.url, delivery_block=delivery_block)
    assert sender(NOON) == 1 and receiver.received == []
    assert [delivery.due_at for delivery in log.deliveries("waiting")] == [morning]
    assert sender(morning - timedelta(minutes=1)) == 0
    assert sender(morning) == 1 and receiver.keys == [kept]


def test_what_cannot_be_checked_is_not_sent_and_tried_again(
    log: MemoryLog, receiver: Receiver
) -> None:
    send_out(log, "ada")
    kept = send_out(log, "bob")

    def delivery_block(one: Any, now: datetime) -> str | None:
        return str(1 / 0) if one.request.customer_id == "ada" else None

    assert deliverer(log, receiver.url, delivery_block=delivery_block)(NOON) == 2
    assert receiver.keys == [kept]
    assert [delivery.error for delivery in log.deliveries("waiting")] == [
        "not checked: ZeroDivisionError"
    ]


def test_a_message_that_cannot_be_put_in_a_header_does_not_stop_the_others(
    log: MemoryLog, receiver: Receiver
) -> None:
    send_out(log, "ada", decision_id="€")
    kept = send_out(log, "bob")
    assert deliverer(log, receiver.url)(NOON) == 2
    assert receiver.keys == [kept]
    assert [delivery.error for delivery in log.deliveries("waiting")] == [
        "no answer: UnicodeEncodeError"
    ]


# Workers and operators


@pytest.fixture(params=["memory", "postgres"])
def another(request: pytest.FixtureRequest) -> Iterator[Callable[[], Log]]:
    """Opens the same log for one more worker."""
    memory, made = MemoryLog(), list[Log]()

    def opened() -> Log:
        if request.param == "memory":
            return memory
        made.append(PostgresLog.open(request.getfixturevalue("postgres_url")))
        return made[-1]

    yield opened
    for one in made:
        one.close()


def test_two_workers_deliver_each_once(another: Callable[[], Log], receiver: Receiver) -> None:
    logs = [another(), another()]
    made = [send_out(logs[0], f"c{number}") for number in range(60)]

    def work(log: Log) -> int:
        return sum(deliverer(log, receiver.url)(NOON) for _ in range(4))

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(work, logs)) == 60
    assert sorted(receiver.keys) == sorted(made)
    assert len(logs[0].deliveries("delivered")) == 60
    delivered = [event for event in logs[0].page_events() if event.name == ACTION_DELIVERED]
    assert len(delivered) == 60


def test_two_workers_repeat_only_what_failed(
    another: Callable[[], Log], receiver: Receiver
) -> None:
    logs = [another(), another()]
    made = [send_out(logs[0], f"c{number}") for number in range(12)]
    receiver.answers = [*(Answer(500) for _ in range(5)), Answer(200)]

    with ThreadPoolExecutor(2) as pool:
        for hour in range(3):
            now = NOON + hour * HOUR
            list(pool.map(lambda log, now=now: deliverer(log, receiver.url)(now), logs))
    assert set(receiver.keys) == set(made) and len(receiver.keys) == 17
    assert len(logs[0].deliveries("delivered")) == 12


def test_what_a_dead_worker_had_claimed_is_sent_after_its_lease(
    log: MemoryLog, receiver: Receiver
) -> None:
    made = send_out(log)
    assert len(log.claim_deliveries(NOON, 10, 60)) == 1  # and is never heard of again
    send = deliverer(log, receiver.url)
    assert send(NOON) == 0
    assert send(NOON + timedelta(seconds=60)) == 1
    assert receiver.keys == [made]


def test_what_waited_before_there_was_a_webhook_is_held_until_it_is_released(
    another: Callable[[], Log], receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    log, later = another(), NOON + timedelta(hours=3)
    waited = {send_out(log, f"c{n}", decision_id=f"d{n}") for n in range(3)}
    fresh = send_out(log, "new", decision_id="fresh", decided_at=later)
    sender = deliverer(log, receiver.url)
    sender(later)
    assert receiver.keys == [fresh]
    assert "3 messages are held" in caplog.text
    assert {one.error for one in log.deliveries("waiting")} == {HELD}
    assert deliverer(another(), receiver.url)(later + timedelta(hours=1)) == 0
    assert release(log, later) == 3
    assert sender(later) == 3 and set(receiver.keys) == {fresh, *waited}
    assert release(log, later) == 0


def test_what_was_tried_before_is_not_held(log: MemoryLog, receiver: Receiver) -> None:
    receiver.answers = [Answer(503)]
    kept = send_out(log)
    deliverer(log, receiver.url)(NOON)
    receiver.answers = []
    assert deliverer(log, receiver.url)(NOON + timedelta(hours=9)) == 1
    assert receiver.keys[-1] == kept


def test_an_operator_sends_a_dead_message_once_more(log: MemoryLog, receiver: Receiver) -> None:
    made = send_out(log)
    receiver.answers = [Answer(410), Answer(200)]
    send = deliverer(log, receiver.url)
    send(NOON)
    [dead] = log.deliveries("dead")
    log.settle_delivery(again(dead, NOON + HOUR))
    assert send(NOON + HOUR) == 1
    assert receiver.keys == [made] * 2
    assert [delivery.decision_id for delivery in log.deliveries("delivered")] == [made]
    assert log.deliveries("dead") == []


# Settings


def test_a_webhook_is_made_of_the_settings() -> None:
    assert webhook_of(Settings()) is None
    url = "https://hooks.example.com"
    made = webhook_of(Settings(webhook_url=url, webhook_secret=SECRET, webhook_attempts=3))
    assert made is not None
    assert (made.url, made.secret, made.attempts, made.dry_run) == (url, SECRET, 3, False)
    assert "s3cret" not in repr(made)
    dry = webhook_of(Settings(webhook_dry_run=True))
    assert dry is not None and dry.dry_run


def test_a_url_without_a_secret_is_refused_with_the_remedy() -> None:
    with pytest.raises(InvalidInput, match="NBA_WEBHOOK_SECRET: None: set it to the secret"):
        webhook_of(Settings(webhook_url="https://hooks.example.com/s3cret"))
