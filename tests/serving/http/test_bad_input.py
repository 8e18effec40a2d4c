"""Hostile bodies: refused with field and remedy, never a 500, never stored, never logged."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, strategies as st

from nba.decisions.decision import Decision
from nba.engine.decider import Decider
from tests.fixtures.examples import examples

if TYPE_CHECKING:
    from tests.fixtures.routes_in_process import InProcess

ROUTES = ("/decide", "/events", "/feedback")
JSON = {"content-type": "application/json"}
BODY_BYTES = 524_288  # the default of NBA_BODY_BYTES
REFUSED = {400, 413, 415, 422}

GOOD: dict[str, dict[str, Any]] = {
    "/decide": {
        "customer_id": "ada",
        "channel": "web",
        "placement": "website",
        "context": {"page": "home"},
        "candidates": ["card_offer"],
        "decision_request_id": "r1",
        "dry_run": False,
    },
    "/events": {
        "event_id": "e1",
        "customer_id": "ada",
        "name": "Seen",
        "occurred_at": "2026-03-01T11:00:00Z",
        "sent_at": "2026-03-01T11:30:00Z",
        "properties": {"n": 1},
    },
    "/feedback": {
        "decision_id": "dec-1",
        "outcome": "shown",
        "action_id": "no_action",
        "event_id": "f1",
        "occurred_at": "2026-03-01T12:00:00Z",
    },
}
# a whole body, for every route alike
BODIES = {
    "empty body": b"",
    "not JSON": b"customer_id=ada",
    "cut off": b'{"customer_id": "ad',
    "a text": b'"ada"',
    "a number": b"3",
    "null": b"null",
    "an array": b'["ada"]',
    "two documents": b"{}{}",
    "invalid UTF-8": b'{"customer_id": "\xff\xfe"}',
    "UTF-16": '{"customer_id": "ada"}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "nested 500 deep": b"[" * 500 + b"]" * 500,
    "nested 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "objects 100,000 deep": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "gzip": gzip.compress(b'{"customer_id": "ada"}'),
}
# a member added to a body that is good otherwise
MEMBERS = {
    "unknown field": b'"propensity": 1',
    "__proto__": b'"__proto__": {"admin": true}',
    "10,000 keys": ",".join(f'"k{n}": 1' for n in range(10_000)).encode(),
    "NaN": b'"x": NaN',
    "-Infinity": b'"x": -Infinity',
    "1e400": b'"x": 1e400',
    "5000 digits": b'"x": ' + b"9" * 5000,
    "400 digits": b'"x": ' + b"9" * 400,
    "lone high surrogate": b'"x": "\\ud800"',
    "lone low surrogate in a key": b'"\\udc00": 1',
    "raw control character": b'"x": "\x01"',
    "leading zero": b'"x": 01',
    "comment": b'"x": 1 /* why */',
}
# a JSON value in the place of a field's own
NO_ID = {
    "empty": '""',
    "blank": '"  "',
    "201 characters": json.dumps("x" * 201),
    "100,000 characters": json.dumps("x" * 100_000),
    "NUL": '"a\\u0000b"',
    "line break": '"a\\nb"',
    "terminal escape": '"a\\u001b[31mb"',
    "right-to-left override": '"a\\u202eb"',
    "right-to-left mark": '"a\\u200fb"',
    "zero-width space": '"a\\u200bb"',
    "zero-width joiner": '"a\\u200db"',
    "byte order mark": '"\\ufeffa"',
    "a number": "17",
    "a boolean": "true",
    "an array": '["ada"]',
    "an object": '{"$ne": null}',
}
NO_DATE = {
    "naive": '"2026-03-01T11:00:00"',
    "date only": '"2026-03-01"',
    "negative year": '"-2026-03-01T11:00:00Z"',
    "negative number": "-1",
    "seconds since 1970": "1772366400",
    "month 13": '"2026-13-01T00:00:00Z"',
    "hour 25": '"2026-03-01T25:00:00Z"',
    "words": '"yesterday"',
    "year 10000": '"10000-01-01T00:00:00Z"',
    "empty": '""',
    "an object": "{}",
}
FIELDS: list[tuple[str, str, dict[str, str]]] = [
    ("/decide", "customer_id", NO_ID),
    ("/decide", "channel", NO_ID),
    ("/decide", "placement", NO_ID),
    ("/decide", "decision_request_id", NO_ID),
    ("/decide", "dry_run", {"a text": '"true"', "a number": "1", "null": "null"}),
    ("/decide", "candidates", {"a text": '"card_offer"', "a number in it": "[1]", "10": "[[]]"}),
    (
        "/decide",
        "context",
        {
            "a text": '"home"',
            "an unknown fact": '{"pages": 1}',
            "another type": '{"page": 1}',
            "another value": '{"page": "attic"}',
            "a tree": '{"page": {"page": "home"}}',
            "20 levels": '{"page":' + "[" * 20 + "]" * 20 + "}",
            "NUL": '{"page": "\\u0000"}',
            "300 keys": json.dumps({f"k{n}": 1 for n in range(300)}),
        },
    ),
    ("/events", "customer_id", NO_ID),
    ("/events", "event_id", NO_ID),
    ("/events", "name", NO_ID),
    ("/events", "occurred_at", NO_DATE),
    ("/events", "sent_at", NO_DATE),
    ("/events", "occurred_at", {"before the year 1": '"0001-01-01T00:00:00+01:00"'}),
    (
        "/events",
        "properties",
        {
            "a text": '"x"',
            "an array": "[1]",
            "300 keys": json.dumps({f"k{n}": 1 for n in range(300)}),
            "20 levels": '{"a":' + "[" * 20 + "]" * 20 + "}",
            "40,000 characters": json.dumps({"a": "x" * 40_000}),
            "NUL": '{"a": {"b": ["\\u0000"]}}',
            "NUL in a key": '{"a\\u0000": 1}',
        },
    ),
    ("/feedback", "decision_id", NO_ID),
    ("/feedback", "event_id", NO_ID),
    ("/feedback", "action_id", NO_ID),
    ("/feedback", "outcome", {**NO_ID, "unknown": '"bought"', "null": "null"}),
    ("/feedback", "occurred_at", NO_DATE),
    ("/feedback", "reward", {"beside an outcome": "1", "NaN as text": '"NaN"', "true": "true"}),
]


@pytest.fixture(scope="module")
def client(shared_client: InProcess) -> Iterator[InProcess]:
    """Doors with one decision in the log, dec-1."""
    assert shared_client.decide()["decision_id"] == "dec-1"
    yield shared_client


def with_member(route: str, member: bytes) -> bytes:
    return json.dumps(GOOD[route]).encode()[:-1] + b", " + member + b"}"


def with_value(route: str, field: str, value: str) -> bytes:
    members = {name: json.dumps(own) for name, own in GOOD[route].items()} | {field: value}
    return ("{" + ",".join(f'"{name}": {text}' for name, text in members.items()) + "}").encode()


def check_refused(client: InProcess, route: str, body: bytes) -> dict[str, Any]:
    """The problem with which a body is refused; nothing of it is stored."""
    before = client.log.position()
    response = client.post(route, content=body, headers=JSON)
    assert response.status_code in REFUSED, response.text[:300]
    assert client.log.position() == before
    problem = response.json()
    assert problem["field"], problem
    assert problem["remedy"], problem
    assert problem["remedy"] in problem["message"] or response.status_code == 400
    return problem


def test_the_bodies_that_the_hostile_ones_are_made_of_are_good(
    routes_with: Callable[..., Any],
) -> None:
    with routes_with() as client:
        client.decide()
        for route, body in GOOD.items():
            assert client.post(route, json=body).status_code == 200, route


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", BODIES)
def test_a_hostile_body_is_refused(client: InProcess, route: str, name: str) -> None:
    check_refused(client, route, BODIES[name])


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", MEMBERS)
def test_a_hostile_member_is_refused(client: InProcess, route: str, name: str) -> None:
    check_refused(client, route, with_member(route, MEMBERS[name]))


@pytest.mark.parametrize("route", ROUTES)
def test_a_key_that_occurs_twice_is_refused(client: InProcess, route: str) -> None:
    for name, value in GOOD[route].items():
        member = f'"{name}": {json.dumps(value)}'.encode()
        problem = check_refused(client, route, with_member(route, member))
        assert "a key occurs twice" in problem["message"]


@pytest.mark.parametrize(
    ("route", "field", "value"),
    [
        pytest.param(route, field, value, id=f"{route[1:]} {field}: {name}")
        for route, field, values in FIELDS
        for name, value in values.items()
    ],
)
def test_a_hostile_value_is_refused_and_its_field_named(
    client: InProcess, route: str, field: str, value: str
) -> None:
    problem = check_refused(client, route, with_value(route, field, value))
    assert field in problem["field"] or problem["field"] == "outcome"
    assert len(problem["value"]) <= 60
    assert len(json.dumps(problem)) < 2_000


@pytest.mark.parametrize("route", ROUTES)
def test_a_field_that_must_be_there_is_named_where_it_is_not(client: InProcess, route: str) -> None:
    needed = {"/decide": "customer_id", "/events": "customer_id", "/feedback": "decision_id"}[route]
    body = {name: value for name, value in GOOD[route].items() if name != needed}
    assert check_refused(client, route, json.dumps(body).encode())["field"] == needed


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "9" * 400])
def test_a_number_that_no_double_holds_is_refused_wherever_it_stands(
    client: InProcess, number: str
) -> None:
    check_refused(client, "/feedback", f'{{"decision_id": "dec-1", "reward": {number}}}'.encode())
    check_refused(client, "/decide", with_value("/decide", "context", f'{{"page": {number}}}'))
    for value in (f'{{"revenue": {number}}}', f'{{"a": {{"b": [1, {number}]}}}}'):
        check_refused(client, "/events", with_value("/events", "properties", value))


@pytest.mark.parametrize("number", ["1.7976931348623157e308", "5e-324", "9" * 300, "-0.0"])
def test_a_number_that_a_double_holds_never_breaks_its_customer(
    client: InProcess, number: str
) -> None:
    amount = f'"name": "Order Completed", "properties": {{"revenue": {number}}}'
    trait = f'"name": "identify", "traits": {{"tenure_months": {number}}}'
    for fields in (amount, trait):
        body = f'{{"customer_id": "rich", {fields}}}'
        assert client.post("/events", content=body, headers=JSON).status_code == 200
    assert client.post("/decide", json={"customer_id": "rich"}).status_code == 200
    assert client.get("/customers/rich").status_code == 200


@pytest.mark.parametrize(
    "customer_id", ["عميل-1", "לקוח", "顧客 7", "José", "a/b?c#d", "null", "0"]
)
def test_an_id_of_printable_characters_of_any_script_is_taken(
    client: InProcess, customer_id: str
) -> None:
    assert client.decide(customer_id)["customer_id"] == customer_id
    event = {"customer_id": customer_id, "name": "Seen", "event_id": f"e-{customer_id}"}
    assert client.post("/events", json=event).json()["accepted"] == 1


def test_hostile_texts_that_are_only_texts_are_stored_as_they_are(client: InProcess) -> None:
    properties = {
        "__proto__": {"admin": True},
        "constructor": "{{7*7}}",
        "sql": "'; DROP TABLE events; --",
        "jndi": "${jndi:ldap://x}",
        "html": "<script>alert(1)</script>",
        "bidi": "a\u202eb\u200b",
        "python": "__import__('os').system('true')",
    }
    event = {"customer_id": "eve", "name": "Seen", "properties": properties}
    assert client.post("/events", json=event).json()["accepted"] == 1
    assert client.log.events_since({"eve": 0})["eve"][0].properties == properties


@pytest.mark.parametrize("said", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_a_time_out_of_reach_is_held_between_1990_and_its_arrival(
    client: InProcess, said: str
) -> None:
    body = {"customer_id": "old", "name": "Seen", "event_id": said, "occurred_at": said}
    assert client.post("/events", json=body).json()["accepted"] == 1
    (event,) = [e for e in client.log.events_since({"old": 0})["old"] if e.event_id == said]
    assert 1990 <= event.occurred_at.year
    assert event.occurred_at <= event.received_at == client.clock.now
    feedback = {"decision_id": "dec-1", "reward": 1, "event_id": f"f-{said}", "occurred_at": said}
    assert client.post("/feedback", json=feedback).json()["stored"] is True
    assert client.log.outcomes("dec-1")[-1].occurred_at == client.clock.now


@pytest.mark.parametrize(
    ("occurred_at", "sent_at"),
    [
        ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"),
        ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"),
    ],
)
def test_two_times_at_the_ends_of_the_calendar_are_no_error_of_ours(
    client: InProcess, occurred_at: str, sent_at: str
) -> None:
    times = {"occurred_at": occurred_at, "sent_at": sent_at}
    response = client.post("/events", json={"customer_id": "ada", "name": "Seen", **times})
    assert response.status_code in {200, 422}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@given(route=st.sampled_from(ROUTES), data=st.data())
@examples(80, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stands_in_a_field_the_answer_is_no_500(
    client: InProcess, route: str, data: st.DataObject
) -> None:
    names = st.sampled_from(list(GOOD[route])) | st.text(max_size=8)
    changes = data.draw(st.dictionaries(names, json_values, min_size=1, max_size=3))
    body = json.dumps({**GOOD[route], **changes}).encode()  # with NaN and lone surrogates
    response = client.post(route, content=body, headers=JSON)
    assert response.status_code in {200, *REFUSED}, response.text


# Bodies by size and by declared type


@pytest.mark.parametrize("route", ROUTES)
def test_a_body_over_the_limit_is_413_with_and_without_a_length(
    client: InProcess, route: str
) -> None:
    body = with_member(route, b'"x": "' + b"x" * 1_000_000 + b'"')

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    before = client.log.position()
    for content in (body, chunks()):
        response = client.post(route, content=content, headers=JSON)
        assert response.status_code == 413
        assert response.json()["remedy"] == f"send at most {BODY_BYTES} bytes, as smaller batches"
    assert client.log.position() == before


def test_a_chunked_body_without_length_is_read_like_any_other(client: InProcess) -> None:
    def chunks() -> Iterator[bytes]:
        yield from (b'{"customer_id": "chu', b'nked", "na', b'me": "Seen"}')

    assert client.post("/events", content=chunks(), headers=JSON).json()["accepted"] == 1
    response = client.post("/events", content=iter([b'{"customer_id"', b": "]), headers=JSON)
    assert response.status_code == 400


def test_a_body_of_exactly_the_limit_is_read(routes_with: Callable[..., Any]) -> None:
    with routes_with(body_bytes=1024) as client:
        body = b'{"customer_id": "ada", "name": "Seen"}'
        for size, status in ((1024, 200), (1025, 413)):
            padded = body + b" " * (size - len(body))
            assert client.post("/events", content=padded, headers=JSON).status_code == status


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "declared",
    ["application/x-pickle", "application/xml", "multipart/form-data", "application/octet-stream"],
)
def test_a_body_declared_as_something_else_than_json_is_415(
    client: InProcess, route: str, declared: str
) -> None:
    before = client.log.position()
    content = json.dumps(GOOD[route]).encode()
    response = client.post(route, content=content, headers={"content-type": declared})
    assert response.status_code == 415
    problem = response.json()
    assert (problem["field"], problem["remedy"]) == ("content-type", "send application/json")
    assert client.log.position() == before


@pytest.mark.parametrize("declared", ["text/plain", "application/json; charset=utf-8", None])
def test_json_that_an_sdk_declares_otherwise_is_read(
    client: InProcess, declared: str | None
) -> None:
    headers = {} if declared is None else {"content-type": declared}
    body = json.dumps({"customer_id": "ada", "dry_run": True}).encode()
    assert client.post("/decide", content=body, headers=headers).status_code == 200


# What a log line may hold

SECRETS = [f"s3cret{number:02}value" for number in range(20)]


def planted() -> dict[str, list[bytes]]:
    """Bodies with a secret in every field, in order and out of order."""
    s = iter(SECRETS * 3)
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("/decide", {"customer_id": next(s), "decision_request_id": next(s)}),
        ("/decide", {"customer_id": next(s), "channel": next(s), "placement": next(s)}),
        ("/decide", {"customer_id": f"{next(s)}\n", "context": {next(s): next(s)}}),
        ("/decide", {"customer_id": "c", "candidates": [next(s)], "dry_run": next(s)}),
        ("/decide", {next(s): next(s)}),
        (
            "/events",
            {
                "event_id": next(s),
                "customer_id": next(s),
                "name": next(s),
                "properties": {next(s): next(s)},
                "context": {"traits": {"email": next(s)}},
            },
        ),
        ("/events", {"customer_id": "c", "name": "x", "occurred_at": next(s)}),
        ("/events", {"customer_id": "c", "name": "Action Decided", "properties": {"a": next(s)}}),
        ("/events", {"customer_id": next(s), "name": "", next(s): next(s)}),
        ("/feedback", {"decision_id": next(s), "outcome": "shown"}),
        ("/feedback", {"decision_id": "dec-1", "outcome": next(s)}),
        ("/feedback", {"decision_id": "dec-1", "outcome": "shown", "action_id": next(s)}),
        ("/feedback", {"decision_id": "dec-1", "reward": next(s), "occurred_at": next(s)}),
        ("/feedback", {"decision_id": "dec-1", "reward": 1, "event_id": next(s)}),
    ]
    found: dict[str, list[bytes]] = {route: [] for route in ROUTES}
    for route, body in bodies:
        text = json.dumps(body).encode()
        found[route] += [text, text[:-1], text.replace(b'": "', b'": NaN, "x": "')]
    return found


def leaked(caplog: pytest.LogCaptureFixture, *others: str) -> list[str]:
    formatter = logging.Formatter()
    lines = "\n".join([formatter.format(record) for record in caplog.records] + list(others))
    return [secret for secret in SECRETS if secret in lines]


def test_no_log_line_and_no_metric_holds_what_was_posted(
    client: InProcess, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    bodies = planted()
    sent = b" ".join(body for every in bodies.values() for body in every).decode()
    assert all(secret in sent for secret in SECRETS)
    caplog.set_level(logging.DEBUG)
    for route, every in bodies.items():
        for body in every:
            client.post(route, content=body, headers=JSON)
    printed = capfd.readouterr()
    ours = [record for record in caplog.records if not record.name.startswith(("httpx", "asyncio"))]
    assert leaked(caplog, printed.out, printed.err, client.get("/metrics").text) == []
    assert all(record.levelno < logging.ERROR for record in ours)
    logging.getLogger("nba.serving").warning("taken from %s", SECRETS[3])
    assert leaked(caplog) == [SECRETS[3]]  # such a line would have been noticed


def test_an_error_of_ours_is_logged_with_its_place_and_without_its_values(
    client: InProcess, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> list[Decision]:
        raise ValueError(f"cannot decide for {SECRETS[0]}") from KeyError(SECRETS[1])

    monkeypatch.setattr(Decider, "draw", fails)
    response = client.post("/decide", json={"customer_id": SECRETS[2], "dry_run": True})
    assert response.status_code == 500
    assert response.json()["error"] == "internal"
    assert not any(secret in response.text for secret in SECRETS)
    assert leaked(caplog) == []
    assert "a request failed" in caplog.text
    assert "ServiceError: ValueError" in caplog.text
    assert "in fails" in caplog.text  # where it happened
