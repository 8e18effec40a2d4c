"""The HTTP routes: from a body to a schema, to one call of the handlers, to the answer."""

from __future__ import annotations

import asyncio
import time

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from nba.errors import InvalidInput
from nba.events.parsing import checked_id
from serving import metrics as prometheus
from serving.api.handlers import HISTORY, Handlers
from serving.api.json_reading import parse_json, read
from serving.api.schemas import ActivateRequest, DecideRequest, FeedbackRequest
from serving.http.openapi import openapi
from serving.http.problems import Endpoint, guarded, no_route
from serving.http.request_body import read_body
from serving.replica.replica import Replica
from serving.settings import Settings

MOST_LISTED = 500  # decisions in one answer


class Routes:
    """One replica's routes; `app` is the ASGI application."""

    def __init__(self, replica: Replica, settings: Settings) -> None:
        self.handlers = Handlers(replica, settings)
        self._settings = settings
        self.app = Starlette(
            routes=[
                self._route("/decide", self._decide, "POST"),
                self._route("/activate", self._activate, "POST"),
                self._route("/events", self._take_events, "POST"),
                self._route("/feedback", self._feedback, "POST"),
                self._route("/decisions", self._history, "GET"),
                # an id may hold a slash
                self._route("/decisions/{decision_id:path}/replay", self._replay, "POST"),
                self._route("/decisions/{decision_id:path}", self._decision, "GET"),
                self._route("/customers/{customer_id:path}/emotion", self._emotion, "GET"),
                self._route("/customers/{customer_id:path}", self._customer, "GET"),
                self._route("/metrics", self._metrics, "GET"),
                self._route("/openapi.json", self._openapi, "GET"),
            ],
            exception_handlers={HTTPException: no_route},
        )

    async def close(self) -> None:
        """Finish what was accepted, then release the log."""
        await self.handlers.close()

    def _route(self, path: str, endpoint: Endpoint, method: str) -> Route:
        label = path.replace(":path", "")

        async def answer(request: HttpRequest) -> Response:
            started = time.perf_counter()
            response = await guarded(endpoint, request)
            metrics = self.handlers.metrics
            metrics.requests.labels(label, str(response.status_code)).inc()
            metrics.seconds.labels(label).observe(time.perf_counter() - started)
            return response

        return Route(path, answer, methods=[method])

    async def _decide(self, request: HttpRequest) -> Response:
        return _json(await self.handlers.decide(read(await self._body(request), DecideRequest)))

    async def _activate(self, request: HttpRequest) -> Response:
        return _json(await self.handlers.activate(read(await self._body(request), ActivateRequest)))

    async def _take_events(self, request: HttpRequest) -> Response:
        return _json(await self.handlers.take(parse_json(await self._body(request))))

    async def _feedback(self, request: HttpRequest) -> Response:
        return _json(await self.handlers.feedback(read(await self._body(request), FeedbackRequest)))

    async def _history(self, request: HttpRequest) -> Response:
        query = request.query_params
        for name in query:
            if name not in ("customer_id", "limit"):
                raise InvalidInput(
                    name, query[name], "unknown parameter; customer_id and limit are"
                )
        customer_id = checked_id("customer_id", query.get("customer_id"))
        limit = _limit(query.get("limit"))
        return _json(await asyncio.to_thread(self.handlers.history, customer_id, limit))

    async def _replay(self, request: HttpRequest) -> Response:
        return _json(await self.handlers.replay(request.path_params["decision_id"]))

    async def _decision(self, request: HttpRequest) -> Response:
        return _json(await self.handlers.decision(request.path_params["decision_id"]))

    async def _customer(self, request: HttpRequest) -> Response:
        customer_id = checked_id("customer_id", request.path_params["customer_id"])
        return _json(await asyncio.to_thread(self.handlers.customer, customer_id))

    async def _emotion(self, request: HttpRequest) -> Response:
        customer_id = checked_id("customer_id", request.path_params["customer_id"])
        return _json(await asyncio.to_thread(self.handlers.emotion, customer_id))

    async def _metrics(self, request: HttpRequest) -> Response:
        return Response(self.handlers.metrics.text(), media_type=prometheus.CONTENT_TYPE)

    async def _openapi(self, request: HttpRequest) -> Response:
        return Response(msgspec.json.encode(openapi()), media_type="application/json")

    async def _body(self, request: HttpRequest) -> bytes:
        return await read_body(request, self._settings.body_bytes)


def _limit(text: str | None) -> int:
    """How many decisions a history lists."""
    if text is None:
        return HISTORY
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST_LISTED):
        raise InvalidInput("limit", text, f"give a whole number from 1 to {MOST_LISTED}")
    return int(text)


def _json(answer: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(answer), media_type="application/json")
