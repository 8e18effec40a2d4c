"""The HTTP doors: wire -> noun -> one domain call -> wire."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from nba.decision import Decision, Request
from nba.errors import InvalidInput, NotFound, StoreUnavailable
from nba.events import ACTION_DECIDED, Event, checked_id, parse_event
from serving import metrics as prometheus
from serving.answers import (
    customer_answer,
    decide_answer,
    emotion_curve,
    feedback_event,
    to_request,
)
from serving.assembly import House
from serving.batching import Batcher
from serving.body import read_body
from serving.metrics import Metrics
from serving.openapi import openapi
from serving.problems import Endpoint, guarded, no_route
from serving.settings import Settings
from serving.wire import (
    CustomerAnswer,
    DecideAnswer,
    DecideRequest,
    EmotionCurve,
    EventsAnswer,
    FeedbackAnswer,
    FeedbackRequest,
    RejectedEvent,
    parse_json,
    read,
)

logger = logging.getLogger("nba.serving")
HISTORY = 20  # decisions named in GET /customers/{id}


class Doors:
    """One replica's doors. Blocking work runs in batches, outside the event loop."""

    def __init__(self, house: House, settings: Settings) -> None:
        self.house = house
        self.metrics = Metrics()
        self._settings = settings
        self._decisions: Batcher[Request, Decision | StoreUnavailable] = Batcher(
            house.decide_each, name="decide"
        )
        self._events: Batcher[Sequence[Event], list[int | None]] = Batcher(
            self._append, name="events"
        )
        self._watch: asyncio.Task[None] | None = None
        self.metrics.degraded.set(house.decider.pipeline.scorer is None)
        self.app = Starlette(
            routes=[
                self._route("/decide", self._decide, "POST"),
                self._route("/events", self._take_events, "POST"),
                self._route("/feedback", self._feedback, "POST"),
                # an id may hold a slash
                self._route("/decisions/{decision_id:path}", self._decision, "GET"),
                self._route("/customers/{customer_id:path}/emotion", self._emotion, "GET"),
                self._route("/customers/{customer_id:path}", self._customer, "GET"),
                self._route("/metrics", self._metrics, "GET"),
                self._route("/openapi.json", self._openapi, "GET"),
            ],
            exception_handlers={HTTPException: no_route},
        )

    async def open(self) -> None:
        """Start looking for newly promoted champions."""
        self._watch = asyncio.create_task(self._watch_champion())

    async def close(self) -> None:
        """Finish what was accepted, then release the log."""
        if self._watch is not None:
            self._watch.cancel()
        await self._decisions.close()
        await self._events.close()
        self.house.close()

    async def decide(self, body: DecideRequest) -> DecideAnswer:
        """One decision. Raises InvalidInput, StoreUnavailable."""
        request = to_request(body)
        self.house.decider.pipeline.check(request)
        schema = self.house.fold.schema
        if body.dry_run:
            (decision,) = await asyncio.to_thread(self.house.rehearse, [request])
            return decide_answer(decision, schema, logged=False)
        answer = await self._decisions.submit(request)
        if isinstance(answer, StoreUnavailable):
            raise answer
        if answer.request is request:  # not an earlier answer to the same decision_request_id
            self._count(answer)
        return decide_answer(answer, schema)

    async def feedback(self, body: FeedbackRequest) -> FeedbackAnswer:
        """Append an outcome. Raises InvalidInput, NotFound, StoreUnavailable."""
        decision_id = checked_id("decision_id", body.decision_id)
        decision = await asyncio.to_thread(self.house.log.decision, decision_id)
        if decision is None:
            raise NotFound(f"decision_id: {decision_id!r}: not in the log; send the one you got")
        event = feedback_event(body, decision, self.house.now())
        (seq,) = await self._events.submit([event])
        if seq is not None:
            self.metrics.feedback.labels(body.outcome or "reward").inc()
        return FeedbackAnswer(
            decision_id=decision_id, event_id=event.event_id, stored=seq is not None
        )

    async def take(self, payload: object) -> EventsAnswer:
        """Append one event, or a batch under `batch` or `events`.

        Raises InvalidInput where nothing of it can be taken, StoreUnavailable.
        """
        items = _items(payload, self._settings.batch_events)
        now = self.house.now()
        events: list[Event] = []
        rejected: list[RejectedEvent] = []
        refused: list[InvalidInput] = []
        for index, item in enumerate(items):
            try:
                event = parse_event(item, now)
                if event.name == ACTION_DECIDED:
                    remedy = "reserved: the log appends it with each decision"
                    raise InvalidInput("name", event.name, remedy)
                events.append(event)
            except InvalidInput as error:
                refused.append(error)
                rejected.append(
                    RejectedEvent(
                        index=index, field=error.field, value=error.value, remedy=error.remedy
                    )
                )
        self.metrics.events.labels("rejected").inc(len(rejected))
        if rejected and not events:
            raise refused[0]
        seqs = await self._events.submit(events) if events else []
        accepted = sum(seq is not None for seq in seqs)
        self.metrics.events.labels("accepted").inc(accepted)
        self.metrics.events.labels("duplicate").inc(len(seqs) - accepted)
        return EventsAnswer(accepted=accepted, duplicates=len(seqs) - accepted, rejected=rejected)

    def customer(self, customer_id: str) -> CustomerAnswer:
        """What we know of a customer now. Raises NotFound, StoreUnavailable."""
        house, engine = self.house, self.house.engine
        (context,) = engine.customers.of([customer_id], house.now())
        if not context.known:
            raise NotFound(f"customer_id: {customer_id!r}: no event of this customer is in the log")
        scorer = engine.decider.pipeline.scorer
        (churn,) = scorer.churn([context]) if scorer is not None else (None,)
        decisions = house.log.customer_decisions(customer_id, HISTORY)
        words = house.words_read_by
        return customer_answer(engine.fold.schema, context, churn, decisions, words=words)

    def emotion(self, customer_id: str) -> EmotionCurve:
        """How her emotion came about. Raises NotFound, StoreUnavailable."""
        house = self.house
        fold = house.fold
        as_of, told = house.story(customer_id, fold)
        valences = fold.schema.table.version
        return emotion_curve(customer_id, told, as_of, valences=valences, words=house.words_read_by)

    async def ready(self) -> tuple[int, dict[str, object]]:
        """(status, body): 503 while the log is out of reach, else 200, degraded or not."""
        try:
            position = await asyncio.wait_for(asyncio.to_thread(self.house.log.position), 3.0)
        except (StoreUnavailable, TimeoutError) as error:
            return 503, {"ready": False, "reason": f"the log is out of reach: {error}"}
        pipeline = self.house.decider.pipeline
        return 200, {
            "ready": True,
            "degraded": pipeline.scorer is None,
            "reason": pipeline.why_no_scorer or None,
            "model_version": pipeline.scorer.bundle_id if pipeline.scorer else None,
            "config_version": self.house.journey.catalogue_version(),
            "log_position": position,
        }

    def _append(self, batches: Sequence[Sequence[Event]]) -> list[list[int | None]]:
        events = self.house.read_words([event for batch in batches for event in batch])
        seqs = iter(self.house.log.append_events(events))
        return [[next(seqs) for _ in batch] for batch in batches]

    def _count(self, decision: Decision) -> None:
        count = self.metrics
        count.decisions.labels(decision.mode.value, decision.action_id).inc()
        for candidate in decision.candidates:
            count.propensity_sum.labels(candidate.action_id).inc(candidate.propensity)
        for refused in decision.refused:
            count.refused.labels(refused.stage.value, refused.rule).inc()

    async def _watch_champion(self) -> None:
        while True:
            await asyncio.sleep(self._settings.reload_s)
            try:
                if await asyncio.to_thread(self.house.reload):
                    logger.info("champion is now %s", self.house.champion)
                self.metrics.degraded.set(self.house.decider.pipeline.scorer is None)
            except StoreUnavailable as error:
                logger.warning("cannot look for a new champion: %s", error)

    def _route(self, path: str, endpoint: Endpoint, method: str) -> Route:
        label = path.replace(":path", "")

        async def answer(request: HttpRequest) -> Response:
            started = time.perf_counter()
            response = await guarded(endpoint, request)
            self.metrics.requests.labels(label, str(response.status_code)).inc()
            self.metrics.seconds.labels(label).observe(time.perf_counter() - started)
            return response

        return Route(path, answer, methods=[method])

    async def _decide(self, request: HttpRequest) -> Response:
        return _json(await self.decide(read(await self._body(request), DecideRequest)))

    async def _take_events(self, request: HttpRequest) -> Response:
        return _json(await self.take(parse_json(await self._body(request))))

    async def _feedback(self, request: HttpRequest) -> Response:
        return _json(await self.feedback(read(await self._body(request), FeedbackRequest)))

    async def _decision(self, request: HttpRequest) -> Response:
        decision_id = checked_id("decision_id", request.path_params["decision_id"])
        decision = await asyncio.to_thread(self.house.log.decision, decision_id)
        if decision is None:
            raise NotFound(f"decision_id: {decision_id!r}: not in the log")
        return _json(decide_answer(decision, self.house.fold.schema))

    async def _customer(self, request: HttpRequest) -> Response:
        customer_id = checked_id("customer_id", request.path_params["customer_id"])
        return _json(await asyncio.to_thread(self.customer, customer_id))

    async def _emotion(self, request: HttpRequest) -> Response:
        customer_id = checked_id("customer_id", request.path_params["customer_id"])
        return _json(await asyncio.to_thread(self.emotion, customer_id))

    async def _metrics(self, request: HttpRequest) -> Response:
        return Response(self.metrics.text(), media_type=prometheus.CONTENT_TYPE)

    async def _openapi(self, request: HttpRequest) -> Response:
        return Response(msgspec.json.encode(openapi()), media_type="application/json")

    async def _body(self, request: HttpRequest) -> bytes:
        return await read_body(request, self._settings.body_bytes)


def _items(payload: object, most: int) -> list[object]:
    """The events of a body: itself, a list, or a list under `events` or `batch`."""
    items: list[object] = [payload]
    if isinstance(payload, list):
        items = payload
    elif isinstance(payload, dict):
        held = payload.get("events", payload.get("batch"))
        if isinstance(held, list):
            sent_at = payload.get("sent_at", payload.get("sentAt"))
            items = [_sent(item, sent_at) for item in held] if sent_at is not None else held
    if len(items) > most:
        raise InvalidInput("events", len(items), f"send at most {most} events in one call")
    return items


def _sent(item: object, sent_at: object) -> object:
    """The item, with its batch's sending time where it has none of its own."""
    if not isinstance(item, dict) or "sent_at" in item or "sentAt" in item:
        return item
    return {**item, "sent_at": sent_at}


def _json(answer: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(answer), media_type="application/json")
