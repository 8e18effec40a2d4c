"""OpenAPI 3.1, made from the types of `serving.api.schemas`."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from serving.api import schemas

_ERRORS = {
    "400": "The body is not valid JSON",
    "404": "The named thing is not in the log",
    "409": "A bundle that it needs was altered or cannot be read",
    "413": "The body is too large",
    "415": "The body is not declared as JSON",
    "422": "A field is wrong; the problem names it, its value and the remedy",
    "503": "The log is out of reach; nothing was stored; send the same again",
}
_TYPES = [
    *(
        schemas.ActivateAnswer,
        schemas.ActivateRequest,
        schemas.CustomerAnswer,
        schemas.DecideAnswer,
    ),
    *(schemas.DecideRequest, schemas.DecisionsAnswer, schemas.EmotionCurve, schemas.EventsAnswer),
    *(
        schemas.FeedbackAnswer,
        schemas.FeedbackRequest,
        schemas.IncomingEvent,
        schemas.IncomingEvents,
    ),
    *(schemas.PlacementsAnswer, schemas.Problem, schemas.ReplayAnswer),
]
_BODY_ERRORS = ("400", "413", "415", "422", "503")


@cache
def openapi() -> dict[str, Any]:
    """The document that GET /openapi.json answers with."""
    _, schemas = msgspec.json.schema_components(_TYPES, ref_template="#/components/schemas/{name}")
    customer_id = _parameter("customer_id")
    decision_id = _parameter("decision_id")
    return {
        "openapi": "3.1.0",
        "info": {"title": "nba", "version": "0.1.0", "summary": "Next best action"},
        "paths": {
            "/decide": {
                "post": _post(
                    "decide",
                    "Decide now: once, or for each of several placements",
                    "DecideRequest",
                    ("DecideAnswer", "PlacementsAnswer"),
                )  # fmt: skip
            },
            "/activate": {
                "post": _post(
                    "activate",
                    "Let a deferred decision count",
                    "ActivateRequest",
                    "ActivateAnswer",
                    errors=(*_BODY_ERRORS, "404"),
                )  # fmt: skip
            },
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
            "/decisions": {"get": _history()},
            "/decisions/{decision_id}/replay": {"post": _replay(decision_id)},
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
    answer: str | tuple[str, ...],
    errors: tuple[str, ...] = _BODY_ERRORS,
) -> dict[str, Any]:
    content = {"application/json": {"schema": _any(body)}}
    return {
        "operationId": operation,
        "summary": summary,
        "requestBody": {"required": True, "content": content},
        "responses": _responses(answer, errors),
    }


def _get(operation: str, summary: str, parameter: dict[str, Any], answer: str) -> dict[str, Any]:
    return {
        "operationId": operation,
        "summary": summary,
        "parameters": [parameter],
        "responses": _responses(answer, ("404", "422", "503")),
    }


def _history() -> dict[str, Any]:
    limit = {"type": "integer", "minimum": 1, "maximum": 500}
    return {
        "operationId": "history",
        "summary": "A customer's decisions, newest first",
        "parameters": [
            _parameter("customer_id") | {"in": "query"},
            {"name": "limit", "in": "query", "required": False, "schema": limit},
        ],
        "responses": _responses("DecisionsAnswer", ("422", "503")),
    }


def _replay(parameter: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": "replay",
        "summary": "Compute a decision again from what it logged",
        "parameters": [parameter],
        "responses": _responses("ReplayAnswer", ("404", "409", "422", "503")),
    }


def _responses(answer: str | tuple[str, ...], errors: tuple[str, ...]) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": _content("Done", answer)}
    for status in errors:
        responses[status] = _content(_ERRORS[status], "Problem")
    return responses


def _content(description: str, names: str | tuple[str, ...]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _any(names)}}}


def _any(names: str | tuple[str, ...]) -> dict[str, Any]:
    return _ref(names) if isinstance(names, str) else {"anyOf": [_ref(name) for name in names]}


def _parameter(name: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1, "maxLength": 200}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
