"""Events: one parser for every spelling, and what it does not let in."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, strategies as st

from nba.errors import InvalidInput
from nba.events.event import Event, from_micros, micros
from nba.events.parsing import (
    EARLIEST,
    MAX_AGE,
    MAX_DEPTH,
    MAX_EVENT_BYTES,
    MAX_ID_CHARS,
    MAX_PROPERTIES,
    checked_id,
    parse_event,
)
from tests.fixtures.examples import examples

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
AT = "2026-03-01T11:00:00Z"
PAYLOAD = {"customer_id": "ada", "name": "Product Viewed"}


def parsed(arrival: datetime = NOW, /, *, trusted: bool = False, **fields: Any) -> Event:
    return parse_event({**PAYLOAD, **fields}, arrival, trusted=trusted)


def refused(payload: object) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        parse_event(payload, NOW)
    return caught.value


def test_both_spellings_are_one_event() -> None:
    canonical = {
        "event_id": "m-1",
        "customer_id": "ada",
        "name": "Product Viewed",
        "occurred_at": AT,
        "properties": {"sku": "x"},
    }
    segment = {
        "messageId": "m-1",
        "userId": "ada",
        "anonymousId": "cookie",
        "event": "Product Viewed",
        "type": "track",
        "timestamp": AT,
        "properties": {"sku": "x"},
        "context": {"library": {"name": "sdk"}},
        "integrations": {},
    }
    assert parse_event(canonical, NOW).to_json() == parse_event(segment, NOW).to_json()


def test_a_spelling_with_a_null_gives_way_to_the_other() -> None:
    made = parse_event({"userId": None, "customer_id": "ada", "event": None, "name": "page"}, NOW)
    assert (made.customer_id, made.name) == ("ada", "page")


def test_an_anonymous_visitor_is_a_customer_until_she_is_known() -> None:
    made = parse_event({"anonymousId": "cookie", "event": "page"}, NOW)
    assert made.customer_id == "cookie"


def test_identify_carries_its_traits() -> None:
    made = parse_event({"type": "identify", "userId": "ada", "traits": {"segment": "mass"}}, NOW)
    assert (made.name, made.properties) == ("identify", {"segment": "mass"})


@pytest.mark.parametrize("kind", ["page", "screen", "group", "alias"])
def test_a_call_without_an_event_name_is_named_by_its_type(kind: str) -> None:
    made = parse_event({"type": kind, "userId": "ada", "traits": {"plan": "x"}}, NOW)
    assert (made.name, made.properties) == (kind, {})


def test_a_channel_beside_the_properties_joins_them() -> None:
    assert parsed(channel="web").properties == {"channel": "web"}
    assert parsed(channel="web", properties={"channel": "app"}).properties == {"channel": "app"}


def test_times_become_utc() -> None:
    assert parsed(occurred_at="2026-03-01T12:30:00+02:00").occurred_at == datetime(
        2026, 3, 1, 10, 30, tzinfo=UTC
    )
    cet = timezone(timedelta(hours=1))
    made = parsed(occurred_at=datetime(2026, 3, 1, 12, tzinfo=cet))
    assert made.occurred_at.utcoffset() == timedelta() and made.occurred_at.hour == 11


def test_the_age_at_sending_is_kept_and_the_senders_clock_is_not() -> None:
    """Her clock is a day ahead: the event happened 5 minutes before it was sent."""
    made = parsed(originalTimestamp="2026-03-02T11:55:00Z", sentAt="2026-03-02T12:00:00Z")
    assert made.occurred_at == NOW - timedelta(minutes=5)


def test_without_a_sending_time_the_clock_is_taken_at_its_word_up_to_now() -> None:
    assert parsed(occurred_at=AT).occurred_at == NOW - timedelta(hours=1)
    assert parsed(occurred_at="2026-03-02T12:00:00Z").occurred_at == NOW
    assert parsed(sent_at=AT).occurred_at == NOW
    assert parsed().occurred_at == NOW


def test_a_clock_that_was_never_set_is_refused_in_a_request_unless_the_sending_is_by_it_too() -> (
    None
):
    """Before: 1970 was taken for 1990, and `days_known` was 13,208 for good."""
    for said in ("0001-01-01T00:00:00Z", "1970-01-01T00:07:00Z", "2010-01-01T00:00:00Z"):
        with pytest.raises(InvalidInput, match="occurred_at: .*more than 10 years ago: set the"):
            parsed(occurred_at=said)
    with pytest.raises(InvalidInput, match="occurred_at"):
        parsed(occurred_at="0001-01-01T00:00:00Z", sent_at="9999-12-31T00:00:00Z")
    both = parsed(occurred_at="1970-01-01T00:07:00Z", sent_at="1970-01-01T00:08:00Z")
    assert both.occurred_at == NOW - timedelta(minutes=1)
    late = parsed(occurred_at="9999-12-31T00:00:00Z", sent_at="0001-01-01T00:00:00Z")
    assert late.occurred_at == NOW
    assert parsed(occurred_at=(NOW - MAX_AGE).isoformat()).occurred_at == NOW - MAX_AGE


def test_a_history_goes_back_to_the_year_2000_and_no_further() -> None:
    assert parsed(occurred_at=EARLIEST.isoformat(), trusted=True).occurred_at == EARLIEST
    with pytest.raises(InvalidInput, match="before 2000-01-01: no plausible time"):
        parsed(occurred_at="1999-12-31T23:59:59Z", trusted=True)


@given(st.datetimes(), st.none() | st.datetimes(), st.datetimes(datetime(1950, 1, 1)))
@examples(200)
def test_nothing_happens_after_it_was_received(
    original: datetime, sent: datetime | None, received: datetime
) -> None:
    received_at = received.replace(tzinfo=UTC)
    times = {"occurred_at": original.replace(tzinfo=UTC).isoformat()}
    if sent is not None:
        times["sent_at"] = sent.replace(tzinfo=UTC).isoformat()
    try:
        made = parsed(received_at, **times)
    except InvalidInput as error:
        assert error.field == "occurred_at"
        return
    assert max(EARLIEST, received_at - MAX_AGE) <= made.occurred_at <= made.received_at
    assert made.received_at == received_at


def test_a_request_cannot_say_when_it_was_received_and_a_history_can() -> None:
    stated = {"occurred_at": AT, "received_at": "2026-03-01T11:30:00Z"}
    assert parsed(**stated).received_at == NOW
    assert parsed(**stated, trusted=True).received_at == NOW - timedelta(minutes=30)
    assert parsed(occurred_at=AT, trusted=True).received_at == NOW - timedelta(hours=1)
    assert parsed(trusted=True).received_at == NOW


def test_an_event_without_an_id_gets_one_from_its_content_so_that_a_retry_is_one_event() -> None:
    first = parsed(occurred_at=AT, properties={"a": 1, "b": 2})
    retry = parsed(NOW + timedelta(minutes=1), occurred_at=AT, properties={"b": 2, "a": 1})
    assert first.event_id == retry.event_id and first.event_id.startswith("content-")
    for other in (
        parsed(occurred_at=AT, properties={"a": 1, "b": 3}),
        parsed(occurred_at="2026-03-01T11:00:01Z", properties={"a": 1, "b": 2}),
        parsed(occurred_at=AT, properties={"a": 1, "b": 2}, customer_id="bob"),
        parsed(occurred_at=AT, properties={"a": 1, "b": 2}, name="page"),
    ):
        assert other.event_id != first.event_id


def test_without_an_id_and_a_time_every_arrival_is_an_event() -> None:
    assert parsed().event_id != parsed(NOW + timedelta(microseconds=1)).event_id


@given(st.integers(micros(EARLIEST), 2**52))
def test_microseconds_are_exact(value: int) -> None:
    assert micros(from_micros(value)) == value


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


LONG = "x" * (MAX_ID_CHARS + 1)
MOMENT = "give an ISO 8601 time with its offset, such as 2026-01-31T09:30:00Z"
ID = "give 1 to 200 printable characters"
TEXT_ID = "give a text of 1 to 200 printable characters"
TEXT = "remove NUL and lone surrogates from the text"
FINITE = "send a number from -1e+38 to 1e+38"


@pytest.mark.parametrize(
    ("fields", "field", "remedy"),
    [
        ({"custmer_id": "x"}, "custmer_id", "unknown field, did you mean 'customer_id'?"),
        ({"customer_id": None}, "customer_id", TEXT_ID),
        ({"customer_id": 7}, "customer_id", TEXT_ID),
        ({"customer_id": ""}, "customer_id", ID),
        ({"customer_id": "   "}, "customer_id", ID),
        ({"customer_id": "a\nb"}, "customer_id", ID),
        ({"customer_id": LONG}, "customer_id", ID),
        ({"name": None}, "name", TEXT_ID),
        ({"name": None, "type": "track"}, "name", TEXT_ID),
        ({"name": LONG}, "name", ID),
        ({"event_id": 5}, "event_id", TEXT_ID),
        ({"event_id": ""}, "event_id", ID),
        ({"occurred_at": "yesterday"}, "occurred_at", MOMENT),
        ({"occurred_at": "2026-03-01T11:00:00"}, "occurred_at", MOMENT),
        ({"occurred_at": 1_772_000_000}, "occurred_at", MOMENT),
        ({"occurred_at": "0001-01-01T00:00:00+10:00"}, "occurred_at", MOMENT),
        ({"sent_at": "soon"}, "sent_at", MOMENT),
        ({"properties": [1]}, "properties", "send a JSON object"),
        ({"properties": {"p": math.nan}}, "properties.p", FINITE),
        ({"properties": {"p": [1, {"q": -math.inf}]}}, "properties.p[1].q", FINITE),
        ({"properties": {"p": "a\x00"}}, "properties.p", TEXT),
        ({"properties": {"p": "\ud800"}}, "properties.p", TEXT),
        ({"properties": {"\x00": 1}}, "properties", TEXT),
        ({"properties": dict.fromkeys(map(str, range(MAX_PROPERTIES + 1)))}, "properties",
         "send at most 200 keys"),
        ({"properties": nested(MAX_DEPTH)}, "properties" + ".a" * MAX_DEPTH,
         "nest at most 16 levels"),
        ({"properties": {"p": "x" * MAX_EVENT_BYTES}}, "properties", "send at most 32768 bytes"),
    ],
)  # fmt: skip
def test_an_error_names_the_field_and_the_remedy(
    fields: dict[str, Any], field: str, remedy: str
) -> None:
    error = refused({**PAYLOAD, **fields})
    assert (error.field, error.remedy) == (field, remedy)
    assert str(error) == f"{field}: {error.value}: {remedy}"
    assert len(error.value) <= 60


@pytest.mark.parametrize("payload", [None, [], "event", 7])
def test_what_is_no_object_is_no_event(payload: object) -> None:
    error = refused(payload)
    assert (error.field, error.remedy) == ("event", "send a JSON object")


def test_what_is_exactly_at_its_limit_passes() -> None:
    overhead = len(b'{"p":""}')
    made = parsed(
        customer_id="c" * MAX_ID_CHARS,
        event_id="e" * MAX_ID_CHARS,
        properties={"p": "x" * (MAX_EVENT_BYTES - overhead)},
    )
    assert len(made.customer_id) == MAX_ID_CHARS
    assert parsed(properties=nested(MAX_DEPTH - 1)).properties == nested(MAX_DEPTH - 1)
    keys = dict.fromkeys(map(str, range(MAX_PROPERTIES)))
    assert parsed(properties=keys).properties == keys


def test_an_id_may_be_any_printable_text() -> None:
    assert checked_id("customer_id", "Zoë Ω 🙂") == "Zoë Ω 🙂"


def test_the_decision_that_an_outcome_names_is_a_text() -> None:
    assert parsed(properties={"decision_id": "d-1"}).decision_id == "d-1"
    assert parsed(properties={"decision_id": 1}).decision_id is None
    assert parsed().decision_id is None
