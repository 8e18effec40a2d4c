"""Errors as answers: each says what is wrong, with which value, and what to do."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from nba.errors import InvalidBundle, InvalidInput, NotFound, StoreUnavailable
from serving.api.json_reading import MalformedBody
from serving.api.schemas import Problem
from serving.http.request_body import JSON_TYPES, BodyTooLarge, NotJson

logger = logging.getLogger("nba.serving")
Endpoint = Callable[[Request], Awaitable[Response]]


class ServiceError(Exception):
    """Stands in a log for an error whose message might quote a customer's data."""


async def guarded(endpoint: Endpoint, request: Request) -> Response:
    """The endpoint's answer, or its error as a Problem; no value of the body is logged."""
    try:
        return await endpoint(request)
    except MalformedBody as error:
        remedy = "send one JSON document in UTF-8"
        problem = Problem(error="malformed_body", message=str(error), field="body", remedy=remedy)
        return _problem(400, problem)
    except InvalidInput as error:
        problem = Problem(
            error="invalid_input",
            message=str(error),
            field=error.field,
            value=error.value,
            remedy=error.remedy,
        )
        return _problem(422, problem)
    except InvalidBundle as error:
        return _problem(409, Problem(error="invalid_bundle", message=str(error)))
    except NotFound as error:
        return _problem(404, Problem(error="not_found", message=str(error)))
    except BodyTooLarge as error:
        remedy = f"send at most {error.args[0]} bytes, as smaller batches"
        text = f"the body is too large; {remedy}"
        problem = Problem(error="body_too_large", message=text, field="body", remedy=remedy)
        return _problem(413, problem)
    except NotJson:
        remedy = f"send {JSON_TYPES[0]}"
        text = f"the body is not declared as JSON; {remedy}"
        problem = Problem(error="not_json", message=text, field="content-type", remedy=remedy)
        return _problem(415, problem)
    except StoreUnavailable as error:
        logger.warning("the log is out of reach: %s", error)
        text = "the log is out of reach; nothing was stored; send the same again"
        response = _problem(503, Problem(error="store_unavailable", message=text))
        response.headers["Retry-After"] = "1"
        return response
    except ClientDisconnect:
        return Response(status_code=499)
    except Exception as error:
        place = ServiceError(type(error).__name__).with_traceback(error.__traceback__)
        logger.error("a request failed", exc_info=place)
        text = "an error of the service; it is in its log; the request may be sent again"
        return _problem(500, Problem(error="internal", message=text))


async def no_route(request: Request, error: Exception) -> Response:
    """What Starlette raises where no route takes the path (404) or the method (405)."""
    assert isinstance(error, HTTPException)
    remedy = "GET /openapi.json lists the routes"
    problem = Problem(error="no_route", message=f"{error.detail}; {remedy}", remedy=remedy)
    response = _problem(error.status_code, problem)
    response.headers.update(error.headers or {})
    return response


def _problem(status: int, problem: Problem) -> Response:
    return Response(msgspec.json.encode(problem), status_code=status, media_type="application/json")
