"""Deliveries against a receiver on the loopback: signed, tried again, dead, or settled once."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, strategies as st

from nba.errors import InvalidInput
from nba.events.event import Event
from nba.events.names import ACTION_DELIVERED, ACTION_EXPIRED
from nba.stores.log import Log
from nba.stores.memory.log import MemoryLog
from nba.stores.postgres.log import PostgresLog
from serving.settings import Settings
from serving.workers.delivery import FIRST_WAIT_S, LONGEST_WAIT_S, Deliverer, again
from serving.workers.webhook import Webhook, signature, verdict_of, webhook_of
from tests.fixtures.examples import examples
from tests.fixtures.log_records import NOON, decision

SECRET = "0123456789abcdef-s3cret"
HOUR = timedelta(hours=1)


class Received(NamedTuple):
    """One request as the receiver saw it."""

    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = {}
    wait_s: float = 0.0


class Receiver:
    """A web server that answers as it is told and remembers what came."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: list[Answer] = []  # in this order, the last for good
        self.closing = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append(Received(dict(self.headers), body))
                answers = receiver.answers or [Answer()]
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                if answer.wait_s and receiver.closing.wait(answer.wait_s):
                    return
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        class Server(ThreadingHTTPServer):
            request_queue_size = 128

            def handle_error(self, *_: object) -> None:
                """A sender who has given up breaks the connection."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/hook?token=s3cret"

    def close(self) -> None:
        self.closing.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    @property
    def keys(self) -> list[str]:
        return [one.headers["Idempotency-Key"] for one in self.received]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


def deliverer(log: Log, url: str | None, **fields: Any) -> Deliverer:
    objection = fields.pop("objection", lambda decision, now: None)
    webhook = Webhook(**{"url": url, "secret": SECRET, "attempts": 4, "timeout_s": 5.0, **fields})
    return Deliverer(log, webhook, np.random.default_rng(7), objection)


def send_out(log: Log, customer_id: str = "ada", **fields: Any) -> str:
    """The id of a stored outbound decision."""
    made = decision(customer_id, outbound=True, **fields)
    assert log.append_decisions([made]) == [made]
    return made.decision_id


def told(log: Log) -> Event:
    """The last event."""
    return log.page_events()[-1]


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


@given(st.integers(1, 60), st.integers(0, 2**32))
@examples(100)
def test_waits_grow_to_an_hour_and_scatter(tried: int, seed: int) -> None:
    webhook = Webhook(url=None, secret=None, attempts=1, dry_run=True)
    waited = Deliverer(MemoryLog(), webhook, np.random.default_rng(seed))._wait_s(tried)
    longest = min(FIRST_WAIT_S * 2 ** (tried - 1), LONGEST_WAIT_S)
    assert longest / 2 <= waited <= longest


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

    def objection(one: Any, now: datetime) -> str | None:
        return "consent withdrawn" if one.request.customer_id == "ada" else None

    assert deliverer(log, receiver.url, objection=objection)(NOON) == 2
    assert receiver.keys == [kept]
    [dead] = log.deliveries("dead")
    assert (dead.customer_id, dead.error) == ("ada", "consent withdrawn")
    assert [one.name for one in log.events_since({"ada": 0})["ada"]][-1] == ACTION_EXPIRED


def test_what_has_to_wait_is_sent_when_the_wait_is_over(log: MemoryLog, receiver: Receiver) -> None:
    kept = send_out(log, "ada")
    morning = NOON + timedelta(hours=9)

    def objection(one: Any, now: datetime) -> datetime | None:
        return morning if now < morning else None

    sender = deliverer(log, receiver.url, objection=objection)
    assert sender(NOON) == 1 and receiver.received == []
    assert [delivery.due_at for delivery in log.deliveries("waiting")] == [morning]
    assert sender(morning - timedelta(minutes=1)) == 0
    assert sender(morning) == 1 and receiver.keys == [kept]


def test_what_cannot_be_checked_is_not_sent_and_tried_again(
    log: MemoryLog, receiver: Receiver
) -> None:
    send_out(log, "ada")
    kept = send_out(log, "bob")

    def objection(one: Any, now: datetime) -> str | None:
        return str(1 / 0) if one.request.customer_id == "ada" else None

    assert deliverer(log, receiver.url, objection=objection)(NOON) == 2
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
