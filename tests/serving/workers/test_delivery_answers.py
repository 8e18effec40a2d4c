"""What a receiver's answer does: delivered, tried again, dead."""

from __future__ import annotations

import json
import logging
import time
from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from nba.events.names import ACTION_DELIVERED, ACTION_EXPIRED
from nba.stores.memory.log import MemoryLog
from serving.workers.delivery import FIRST_WAIT_S, LONGEST_WAIT_S, _wait_s
from serving.workers.webhook import verdict_of
from tests.fixtures.examples import examples
from tests.fixtures.log_records import NOON
from tests.fixtures.webhook_receiver import (
    HOUR,
    Answer,
    Receiver,
    deliverer,
    send_out,
    told,
)

# What the answer does


def test_what_has_arrived_is_delivered_and_told_with_its_receipt(
    log: MemoryLog, receiver: Receiver
) -> None:
    made = send_out(log)
    receiver.answers = [Answer(202, b'{"receipt": "msg-17"}')]
    assert deliverer(log, receiver.url)(NOON + HOUR) == 1
    [delivered] = log.deliveries("delivered")
    assert (delivered.decision_id, delivered.attempts, delivered.error) == (made, 1, None)
    event = told(log)
    assert (event.name, event.event_id) == (ACTION_DELIVERED, f"delivery:{made}")
    assert (event.customer_id, event.occurred_at) == ("ada", NOON + HOUR)
    assert event.properties == {
        "decision_id": made,
        "action_id": "call_back",
        "channel": "web",
        "attempts": 1,
        "receipt": "msg-17",
    }
    assert [outcome.event_id for outcome in log.outcomes(made)] == [f"delivery:{made}"]
    assert deliverer(log, receiver.url)(NOON + 9 * HOUR) == 0


@pytest.mark.parametrize(
    ("body", "header", "receipt"),
    [
        (b"", "msg-1", "msg-1"),
        (b'{"receipt": "msg-2"}', "msg-1", "msg-2"),
        (b'{"receipt": 7}', "msg-1", "msg-1"),
        (b"<html>", None, None),
        (b"\xff\xfe", None, None),
        (b'["receipt"]', None, None),
        (b'{"receipt": ""}', None, None),
        (b'{"receipt": "a\\u0000b"}', None, None),
        (json.dumps({"receipt": "x" * 201}).encode(), None, None),
    ],
)
def test_a_receipt_is_a_short_text(body: bytes, header: str | None, receipt: str | None) -> None:
    assert verdict_of(200, None, body, header, NOON).receipt == receipt


def test_a_receiver_that_fails_twice_gets_it_the_third_time_under_the_same_key(
    log: MemoryLog, receiver: Receiver
) -> None:
    made = send_out(log)
    receiver.answers = [Answer(500), Answer(503), Answer(200)]
    send = deliverer(log, receiver.url)
    now = NOON
    for attempt in (1, 2):
        assert send(now) == 1
        [waiting] = log.deliveries("waiting")
        longest = FIRST_WAIT_S * 2 ** (attempt - 1)
        waited = (waiting.due_at - now).total_seconds()
        assert longest / 2 <= waited <= longest
        assert (waiting.attempts, waiting.error) == (attempt, f"answered {[500, 503][attempt - 1]}")
        assert send(waiting.due_at - timedelta(microseconds=1)) == 0
        now = waiting.due_at
    assert send(now) == 1
    assert receiver.keys == [made] * 3
    assert len({one.body for one in receiver.received}) == 1
    assert told(log).properties["attempts"] == 3
    assert log.deliveries("waiting") == []


def test_410_is_dead_at_once_and_does_not_count_as_a_contact(
    log: MemoryLog, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    made = send_out(log)
    receiver.answers = [Answer(410)]
    with caplog.at_level(logging.WARNING):
        deliverer(log, receiver.url)(NOON)
    [dead] = log.deliveries("dead")
    assert (dead.decision_id, dead.error) == (made, "answered 410")
    event = told(log)
    assert (event.name, event.event_id) == (ACTION_EXPIRED, f"expiry:{made}")
    assert event.properties == {
        "decision_id": made,
        "action_id": "call_back",
        "channel": "web",
        "attempts": 1,
        "why": "answered 410",
    }
    assert f"delivery '{made}' is dead: answered 410" in caplog.text
    assert "ada" not in caplog.text and "s3cret" not in caplog.text


def test_every_status_has_its_verdict() -> None:
    for status in range(200, 600):
        kind = verdict_of(status, None, b"", None, NOON).kind
        if status < 300:
            assert kind == "arrived"
        elif status in (408, 409, 425, 429) or status >= 500:
            assert kind == "again"
        else:
            assert kind == "dead"


def test_it_is_not_tried_again_before_retry_after(log: MemoryLog, receiver: Receiver) -> None:
    send_out(log)
    receiver.answers = [Answer(429, headers={"Retry-After": "900"})]
    deliverer(log, receiver.url)(NOON)
    [waiting] = log.deliveries("waiting")
    assert waiting.due_at == NOON + timedelta(seconds=900)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (None, 0),
        ("30", 30),
        (" 30 ", 30),
        ("0", 0),
        ("-5", 0),
        ("soon", 0),
        ("9" * 400, 86_400),
        ("Sun, 01 Mar 2026 12:10:00 GMT", 599.876544),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
        ("Sun, 01 Mar 2099 12:00:00 GMT", 86_400),
        ("Sun, 99 Mar 2026 12:00:00 GMT", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(given: str | None, seconds: float) -> None:
    assert verdict_of(503, given, b"", None, NOON).retry_after_s == pytest.approx(seconds)


def test_what_fails_as_often_as_allowed_is_dead(log: MemoryLog, receiver: Receiver) -> None:
    made = send_out(log)
    receiver.answers = [Answer(503)]
    send = deliverer(log, receiver.url, attempts=3)
    sent = [send(NOON + day * 24 * HOUR) for day in range(5)]
    assert sent == [1, 1, 1, 0, 0]
    assert receiver.keys == [made] * 3
    [dead] = log.deliveries("dead")
    assert (dead.attempts, dead.error) == (3, "answered 503")
    assert told(log).properties["why"] == "answered 503"


def test_a_receiver_that_is_slow_is_waited_for(log: MemoryLog, receiver: Receiver) -> None:
    send_out(log)
    receiver.answers = [Answer(wait_s=0.4)]
    deliverer(log, receiver.url)(NOON)
    assert len(log.deliveries("delivered")) == 1


def test_a_receiver_that_never_answers_is_given_up_in_time(
    log: MemoryLog, receiver: Receiver
) -> None:
    for number in range(5):
        send_out(log, f"c{number}")
    receiver.answers = [Answer(wait_s=30)]
    began = time.monotonic()
    assert deliverer(log, receiver.url, timeout_s=0.5)(NOON) == 5
    assert time.monotonic() - began < 3  # all at the same time
    assert {delivery.error for delivery in log.deliveries("waiting")} == {"no answer within 0.5 s"}


def test_a_receiver_that_is_not_there_is_tried_again_and_its_url_not_shown(
    log: MemoryLog, receiver: Receiver
) -> None:
    send_out(log)
    gone = "http://u:s3cret@127.0.0.1:1/s3cret"
    deliverer(log, gone)(NOON)
    [waiting] = log.deliveries("waiting")
    assert waiting.error == "no answer: ConnectError"
    deliverer(log, "http://h:port/s3cret")(waiting.due_at)
    [waiting] = log.deliveries("waiting")
    assert waiting.error == "no answer: InvalidURL"


def test_an_endless_answer_is_not_read_to_its_end(log: MemoryLog, receiver: Receiver) -> None:
    send_out(log)
    receiver.answers = [Answer(200, b"x" * 5_000_000)]
    deliverer(log, receiver.url)(NOON)
    assert len(log.deliveries("delivered")) == 1


def test_a_message_of_now_is_sent_though_the_one_before_failed(
    log: MemoryLog, receiver: Receiver
) -> None:
    first, second = send_out(log, "ada"), send_out(log, "bob")
    receiver.answers = [Answer(500), Answer(200)]
    assert deliverer(log, receiver.url)(NOON) == 2
    assert {delivery.decision_id for delivery in log.deliveries("waiting")} | {
        delivery.decision_id for delivery in log.deliveries("delivered")
    } == {first, second}
    assert len(log.deliveries("delivered")) == 1


@given(st.integers(1, 60))
@examples(30)
def test_waits_grow_to_an_hour_and_scatter(tried: int) -> None:
    longest = min(FIRST_WAIT_S * 2 ** (tried - 1), LONGEST_WAIT_S)
    waited = [_wait_s(f"dec-{n}", tried) / longest for n in range(100)]
    assert 0.5 <= min(waited) < 0.6 and 0.9 < max(waited) <= 1.0
    assert len(set(waited)) == 100
