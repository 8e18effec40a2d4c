"""The desk: what the doors ask of the house, from wire type to wire type.

Blocking work runs in batches, outside the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from msgspec.structs import replace

from nba.decisions.candidate import Refused
from nba.decisions.decision import Decision
from nba.decisions.request import Request, at_place
from nba.errors import InvalidInput, NotFound, StoreUnavailable
from nba.events.event import Event
from nba.events.names import LOG_EVENTS
from nba.events.parsing import checked_id, parse_event
from nba.journey.actions import NO_ACTION
from nba.rewards.windows import is_late
from serving.api.answers import (
    customer_answer,
    decide_answer,
    emotion_curve,
    feedback_event,
    filtered,
    replay_answer,
    to_request,
)
from serving.api.circuit_breaker import CircuitBreaker
from serving.api.deadline import DeadlineGuard
from serving.api.group_commit import GroupCommit
from serving.api.replay import replayed
from serving.api.schemas import (
    ActivateAnswer,
    ActivateRequest,
    CustomerAnswer,
    DecideAnswer,
    DecideRequest,
    DecisionsAnswer,
    EmotionCurve,
    EventsAnswer,
    FeedbackAnswer,
    FeedbackRequest,
    PlacementsAnswer,
    RejectedEvent,
    ReplayAnswer,
)
from serving.metrics import Metrics
from serving.replica.replica import Replica
from serving.settings import Settings
from serving.workers.background import BackgroundWorkers

HISTORY = 20  # decisions named in GET /customers/{id}


class Handlers:
    """One replica's answers."""

    def __init__(self, replica: Replica, settings: Settings) -> None:
        self.replica = replica
        self.metrics = Metrics()
        self._settings = settings
        breaker = CircuitBreaker(settings.breaker_misses, settings.breaker_s)
        deadline_s = settings.deadline_ms / 1_000
        self._promises = DeadlineGuard(replica, deadline_s=deadline_s, breaker=breaker)
        self._events: GroupCommit[Sequence[Event], list[int | None]] = GroupCommit(
            self._append, name="events"
        )
        self._upkeep = BackgroundWorkers(replica, settings, self._note_health, self.metrics)
        self._note_health()

    async def open(self) -> None:
        """Start what runs beside the requests."""
        await self._upkeep.open()

    async def close(self) -> None:
        """Finish what was accepted, then release the log."""
        await self._upkeep.close()
        await self._promises.close()
        await self._events.close()
        self.replica.close()

    async def decide(self, body: DecideRequest) -> DecideAnswer | PlacementsAnswer:
        """One decision, or one for each placement. Raises InvalidInput; StoreUnavailable for a
        dry run, which promises nothing."""
        if body.placements is None:
            return await self._answer(to_request(body), body)
        if body.placement is not None:
            remedy = "send either placement or placements"
            raise InvalidInput("placement", body.placement, remedy)
        repeated = [one for n, one in enumerate(body.placements) if one in body.placements[:n]]
        if repeated:
            raise InvalidInput("placements", repeated[0], "name each placement once")
        request = to_request(replace(body, placements=None))
        for placement in body.placements:  # nothing is decided where one of them is wrong
            self.replica.decider.pipeline.check(
                at_place(request, checked_id("placements", placement), ())
            )
        answers: list[DecideAnswer] = []
        taken: tuple[str, ...] = ()
        until_s = self._promises.until_s()  # one deadline for the whole question
        for placement in body.placements:
            asked = at_place(request, placement, taken)
            answers.append(await self._answer(asked, body, until_s))
            taken += tuple(chosen.action_id for chosen in answers[-1].actions)
        return PlacementsAnswer(customer_id=body.customer_id, decisions=answers)

    async def activate(self, body: ActivateRequest) -> ActivateAnswer:
        """Let a deferred decision count. Raises InvalidInput, NotFound, StoreUnavailable."""
        decision = await self._known(body.decision_id)
        if decision.request.baseline is not None:
            remedy = "a decision in shadow mode is only compared; decide live"
            raise InvalidInput("decision_id", body.decision_id, remedy)
        refused: tuple[Refused, ...] = ()
        not_before = decision.not_before
        if decision.request.deferred and decision.action_id != NO_ACTION:
            if all(action.id != decision.action_id for action in self.replica.journey.actions):
                remedy = f"{decision.action_id!r} has left the catalogue; decide again"
                raise InvalidInput("decision_id", body.decision_id, remedy)
            refused, not_before = await asyncio.to_thread(self.replica.activate, decision)
        return ActivateAnswer(
            decision_id=decision.decision_id,
            action_id=decision.action_id,
            activated=not refused,
            refused=filtered(refused),
            not_before=not_before,
        )

    async def feedback(self, body: FeedbackRequest) -> FeedbackAnswer:
        """Append an outcome; that of a deferred decision shows that it was activated.

        Raises InvalidInput, NotFound, StoreUnavailable.
        """
        decision = await self._known(body.decision_id)
        event = feedback_event(body, decision, self.replica.now())
        named: list[Event] = []
        if decision.request.deferred and decision.action_id != NO_ACTION:
            await asyncio.to_thread(partial(self.replica.activate, decision, anyway=True))
            named = await asyncio.to_thread(self.replica.log.outcomes, decision.decision_id)
        (seq,) = await self._events.submit([event])
        if seq is not None:
            self.metrics.feedback.labels(body.outcome or "reward").inc()
        return FeedbackAnswer(
            decision_id=decision.decision_id,
            event_id=event.event_id,
            stored=seq is not None,
            late=is_late(self.replica.journey, event, decision.as_events()[-1], named),
        )

    async def take(self, payload: object) -> EventsAnswer:
        """Append one event, or a batch under `batch` or `events`.

        Raises InvalidInput where nothing of it can be taken, StoreUnavailable.
        """
        items = _items(payload, self._settings.batch_events)
        now = self.replica.now()
        events: list[Event] = []
        rejected: list[RejectedEvent] = []
        refused: list[InvalidInput] = []
        for index, item in enumerate(items):
            try:
                event = parse_event(item, now)
                if event.name in LOG_EVENTS:
                    remedy = "reserved: the log itself appends it"
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

    def history(self, customer_id: str, limit: int) -> DecisionsAnswer:
        """A customer's decisions, newest first. Raises StoreUnavailable."""
        schema = self.replica.fold.schema
        found = self.replica.log.customer_decisions(customer_id, limit)
        answers = [decide_answer(decision, schema) for decision in found]
        return DecisionsAnswer(customer_id=customer_id, decisions=answers)

    async def decision(self, decision_id: str) -> DecideAnswer:
        """A decision as it was logged. Raises InvalidInput, NotFound, StoreUnavailable."""
        return decide_answer(await self._known(decision_id), self.replica.fold.schema)

    async def replay(self, decision_id: str) -> ReplayAnswer:
        """A decision computed again from what it logged. Raises InvalidInput, NotFound,
        StoreUnavailable."""
        decision = await self._known(decision_id)
        again = await asyncio.to_thread(replayed, self.replica.log, decision)
        return replay_answer(decision, again)

    def customer(self, customer_id: str) -> CustomerAnswer:
        """What we know of a customer now. Raises NotFound, StoreUnavailable."""
        replica, engine = self.replica, self.replica.engine
        (context,) = engine.contexts.of([customer_id], replica.now())
        if not context.known:
            raise NotFound(f"customer_id: {customer_id!r}: no event of this customer is in the log")
        scorer = engine.decider.pipeline.scorer
        (churn,) = scorer.churn([context]) if scorer is not None else (None,)
        decisions = replica.log.customer_decisions(customer_id, HISTORY)
        words = replica.words_read_by
        return customer_answer(engine.fold.schema, context, churn, decisions, words=words)

    def emotion(self, customer_id: str) -> EmotionCurve:
        """How her emotion came about. Raises NotFound, StoreUnavailable."""
        replica = self.replica
        fold = replica.fold
        as_of, told = replica.story(customer_id, fold)
        valences = fold.schema.table.version
        return emotion_curve(
            customer_id, told, as_of, valences=valences, words=replica.words_read_by
        )

    async def ready(self) -> tuple[int, dict[str, object]]:
        """(status, body): 503 while the log is out of reach, else 200, degraded or not."""
        try:
            position = await asyncio.wait_for(asyncio.to_thread(self.replica.log.position), 3.0)
        except (StoreUnavailable, TimeoutError) as error:
            return 503, {"ready": False, "reason": f"the log is out of reach: {error}"}
        pipeline = self.replica.decider.pipeline
        return 200, {
            "ready": True,
            "degraded": pipeline.scorer is None,
            "reason": pipeline.why_no_scorer or None,
            "model_version": pipeline.scorer.bundle_id if pipeline.scorer else None,
            "config_version": self.replica.journey.catalogue_version(),
            "log_position": position,
        }

    async def _answer(
        self, request: Request, body: DecideRequest, until_s: float | None = None
    ) -> DecideAnswer:
        schema = self.replica.fold.schema
        if body.dry_run:
            (decision,) = await asyncio.to_thread(self.replica.rehearse, [request])
            return decide_answer(decision, schema, logged=False, explain=body.explain)
        decision, logged = await self._promises.decide(request, until_s)
        if decision.request is request:  # not an earlier answer to the same decision_request_id
            self._count(decision)
        return decide_answer(decision, schema, logged=logged, explain=body.explain)

    async def _known(self, decision_id: str) -> Decision:
        checked_id("decision_id", decision_id)
        decision = await asyncio.to_thread(self.replica.log.decision, decision_id)
        if decision is None:
            raise NotFound(f"decision_id: {decision_id!r}: not in the log")
        return decision

    def _append(self, batches: Sequence[Sequence[Event]]) -> list[list[int | None]]:
        events = self.replica.read_words([event for batch in batches for event in batch])
        seqs = iter(self.replica.log.append_events(events))
        return [[next(seqs) for _ in batch] for batch in batches]

    def _note_health(self) -> None:
        self.metrics.degraded.set(self.replica.decider.pipeline.scorer is None)

    def _count(self, decision: Decision) -> None:
        count = self.metrics
        count.decisions.labels(decision.mode.value, decision.action_id).inc()
        for candidate in decision.candidates:
            count.propensity_sum.labels(candidate.action_id).inc(candidate.propensity)
        for refused in decision.refused:
            count.refused.labels(refused.stage.value, refused.rule).inc()


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
