"""Bodies by size and declared type, and what a log line may hold."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from nba.decisions.decision import Decision
from nba.engine.decider import Decider
from tests.fixtures.hostile_bodies import GOOD, JSON, ROUTES, with_member

if TYPE_CHECKING:
    from tests.fixtures.routes_in_process import InProcess


BODY_BYTES = 524_288  # the default of NBA_BODY_BYTES


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
