"""Hostile bodies: refused with field and remedy, never a 500, never stored, never logged."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, strategies as st

from tests.fixtures.examples import examples
from tests.fixtures.hostile_bodies import BODIES, GOOD, JSON, MEMBERS, ROUTES, with_member

if TYPE_CHECKING:
    from tests.fixtures.routes_in_process import InProcess


REFUSED = {400, 413, 415, 422}


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


@pytest.mark.parametrize("number", ["1e9", "5e-324", "-1000000000", "-0.0"])
def test_a_number_within_its_range_never_breaks_its_customer(
    client: InProcess, number: str
) -> None:
    amount = f'"name": "Order Completed", "properties": {{"revenue": {number}}}'
    trait = f'"name": "identify", "traits": {{"tenure_months": {number}}}'
    for fields in (amount, trait):
        body = f'{{"customer_id": "rich", {fields}}}'
        assert client.post("/events", content=body, headers=JSON).status_code == 200
    assert client.post("/decide", json={"customer_id": "rich"}).status_code == 200
    assert client.get("/customers/rich").status_code == 200


ABSURD = ["9" * 400, "9" * 5_000, "1e308", "-1e308", "1e999", "1000000000.1", "true", '"12.50"']


@pytest.mark.parametrize("number", ABSURD, ids=lambda number: number[:12])
def test_an_amount_out_of_its_range_is_refused_by_its_name(client: InProcess, number: str) -> None:
    properties = f'{{"revenue": {number}}}'
    body = f'{{"customer_id": "r", "name": "Order Completed", "properties": {properties}}}'
    answer = client.post("/events", content=body, headers=JSON)
    assert answer.status_code == 422
    assert "properties.revenue" in answer.text and "send a number from" in answer.text
    assert len(answer.content) < 600  # of the value no more than fits a line


@pytest.mark.parametrize("number", ["1e10", "-1e10", "1e308", "9" * 400])
def test_a_reward_out_of_range_is_refused_at_both_doors(client: InProcess, number: str) -> None:
    said = f'{{"decision_id": "dec-1", "reward": {number}}}'
    answer = client.post("/feedback", content=said, headers=JSON)
    assert answer.status_code == 422 and "reward" in answer.text
    properties = f'{{"decision_id": "dec-1", "reward": {number}}}'
    event = f'{{"customer_id": "r", "name": "Reward Given", "properties": {properties}}}'
    answer = client.post("/events", content=event, headers=JSON)
    assert answer.status_code == 422 and "properties.reward" in answer.text


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


def test_a_time_to_come_is_held_at_its_arrival_and_one_of_a_clock_at_its_zero_refused(
    client: InProcess,
) -> None:
    body = {"customer_id": "old", "name": "Seen", "event_id": "z"}
    said = {**body, "occurred_at": "9999-12-31T23:59:59Z"}
    assert client.post("/events", json=said).json()["accepted"] == 1
    (event,) = client.log.events_since({"old": 0})["old"]
    assert event.occurred_at == event.received_at == client.clock.now
    for zero in ("0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z"):
        answer = client.post("/events", json={**body, "occurred_at": zero})
        assert answer.status_code == 422 and "occurred_at" in answer.text
        feedback = {"decision_id": "dec-1", "reward": 1, "event_id": zero, "occurred_at": zero}
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
