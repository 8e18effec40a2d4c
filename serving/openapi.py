"""OpenAPI 3.1, made from the wire's types."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from serving.wire import (
    CustomerAnswer,
    DecideAnswer,
    DecideRequest,
    EmotionCurve,
    EventsAnswer,
    FeedbackAnswer,
    FeedbackRequest,
    IncomingEvent,
    IncomingEvents,
    Problem,
)

_ERRORS = {
    "400": "The body is not valid JSON",
    "404": "The named thing is not in the log",
    "413": "The body is too large",
    "415": "The body is not declared as JSON",
    "422": "A field is wrong; the problem names it, its value and the remedy",
    "503": "The log is out of reach; nothing was stored; send the same again",
}
_BODY_ERRORS = ("400", "413", "415", "422", "503")


@cache
def openapi() -> dict[str, Any]:
    """The document that GET /openapi.json answers with."""
    types = [
        CustomerAnswer,
        DecideAnswer,
        DecideRequest,
        EmotionCurve,
        EventsAnswer,
        FeedbackAnswer,
        FeedbackRequest,
        IncomingEvent,
        IncomingEvents,
        Problem,
    ]
    _, schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    customer_id = _parameter("customer_id")
    decision_id = _parameter("decision_id")
    return {
        "openapi": "3.1.0",
        "info": {"title": "nba", "version": "0.1.0", "summary": "Next best action"},
        "paths": {
            "/decide": {"post": _post("decide", "Decide now", "DecideRequest", "DecideAnswer")},
            "/events": {
                "post": _post(
                    "events",
                    "Append what happened",
                    ("IncomingEvent", "IncomingEvents"),
                    "EventsAnswer",
                )  # fmt: skip
            },
            "/feedback": {
                "post": _post(
                    "feedback",
                    "Append what came of a decision",
                    "FeedbackRequest",
                    "FeedbackAnswer",
                    errors=(*_BODY_ERRORS, "404"),
                )  # fmt: skip
            },
            "/decisions/{decision_id}": {
                "get": _get("decision", "A decision as it was logged", decision_id, "DecideAnswer")
            },
            "/customers/{customer_id}": {
                "get": _get("customer", "A customer as of now", customer_id, "CustomerAnswer")
            },
            "/customers/{customer_id}/emotion": {
                "get": _get("emotion", "How it came about", customer_id, "EmotionCurve")
            },
        },
        "components": {"schemas": schemas},
    }


def _post(
    operation: str,
    summary: str,
    body: str | tuple[str, ...],
    answer: str,
    errors: tuple[str, ...] = _BODY_ERRORS,
) -> dict[str, Any]:
    schema = _ref(body) if isinstance(body, str) else {"anyOf": [_ref(name) for name in body]}
    return {
        "operationId": operation,
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": _responses(answer, errors),
    }


def _get(operation: str, summary: str, parameter: dict[str, Any], answer: str) -> dict[str, Any]:
    return {
        "operationId": operation,
        "summary": summary,
        "parameters": [parameter],
        "responses": _responses(answer, ("404", "422", "503")),
    }


def _responses(answer: str, errors: tuple[str, ...]) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": _content("Done", answer)}
    for status in errors:
        responses[status] = _content(_ERRORS[status], "Problem")
    return responses


def _content(description: str, name: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _ref(name)}}}


def _parameter(name: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1, "maxLength": 200}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
