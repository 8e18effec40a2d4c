"""What each route of the API does, from request body to answer.

Blocking work runs in batches, outside the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec.structs import replace

from features.replay.visits import emotion_history
from nba.decisions.candidate import Refused
from nba.decisions.decision import Decision
from nba.decisions.request import Request, at_place
from nba.engine.scorer import known_churns
from nba.errors import InvalidInput, NotFound, StoreUnavailable
from nba.events.event import Event
from nba.events.numbers import check_number
from nba.events.parsing import checked_id
from nba.governance.reason_codes import NOT_FINITE
from nba.journey.actions import NO_ACTION
from nba.rewards.terms import stated_bounds
from nba.rewards.windows import is_late
from serving.api.answers import (
    customer_answer,
    decide_answer,
    emotion_curve,
    replay_answer,
    to_request,
)
from serving.api.circuit_breaker import CircuitBreaker
from serving.api.deadline import DeadlineGuard
from serving.api.event_batch import notes_of, read_events
from serving.api.feedback import check_same_reward, feedback_event
from serving.api.group_commit import GroupCommit
from serving.api.refusals import filtered
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
    ReplayAnswer,
)
from serving.metrics import Metrics
from serving.replica.engine import Engine
from serving.replica.replica import Replica
from serving.settings import Settings

HISTORY = 20  # decisions named in GET /customers/{id}
STRANGER = "customer_id: {!r}: no event of them in the log; check the id, or send one to /events"


class Handlers:
    """One replica's answers."""

    def __init__(self, replica: Replica, settings: Settings) -> None:
        self.replica = replica
        self.metrics = Metrics()
        self._settings = settings
        breaker = CircuitBreaker(settings.breaker_misses, settings.breaker_s)
        deadline_s = settings.deadline_ms / 1_000
        self._deadline_guard = DeadlineGuard(replica, deadline_s=deadline_s, breaker=breaker)
        self._events: GroupCommit[Sequence[Event], list[int | None]] = GroupCommit(
            self._append, name="events"
        )
        self.metrics.degraded.set(replica.engine.pipeline.scorer is None)

    async def close(self) -> None:
        """Finish what was accepted, then release the log."""
        await self._deadline_guard.close()
        await self._events.close()
        self.replica.close()

    async def decide(self, body: DecideRequest) -> DecideAnswer | PlacementsAnswer:
        """One decision, or one for each placement. Raises InvalidInput; StoreUnavailable for a
        dry run, which has no fallback."""
        engine = self.replica.engine
        if body.placements is None:
            request = to_request(body)
            engine.pipeline.check(request)
            return await self._answer(request, body, engine)
        if body.placement is not None:
            remedy = "send either placement or placements"
            raise InvalidInput("placement", body.placement, remedy)
        for n, placement in enumerate(body.placements):
            if placement in body.placements[:n]:
                raise InvalidInput("placements", placement, "name each placement once")
        request = to_request(replace(body, placements=None))
        for placement in body.placements:  # nothing is decided where one of them is wrong
            engine.pipeline.check(at_place(request, checked_id("placements", placement), ()))
        answers: list[DecideAnswer] = []
        taken: tuple[str, ...] = ()
        until_s = self._deadline_guard.until_s()  # one deadline for the whole question
        for placement in body.placements:
            part = at_place(request, placement, taken)
            answers.append(await self._answer(part, body, engine, until_s))
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
            engine = self.replica.engine
            if all(action.id != decision.action_id for action in engine.journey.actions):
                remedy = f"{decision.action_id!r} has left the catalogue; decide again"
                raise InvalidInput("decision_id", body.decision_id, remedy)
            refused, not_before = await asyncio.to_thread(
                engine.decider.activate, decision, self.replica.now()
            )
        return ActivateAnswer(
            decision_id=decision.decision_id,
            action_id=decision.action_id,
            activated=not refused,
            refused=filtered(refused),
            not_before=not_before,
        )

    async def feedback(self, body: FeedbackRequest) -> FeedbackAnswer:
        """Append an outcome; that of a deferred decision shows that it was activated.

        Raises InvalidInput, also for another reward under an id that is taken, NotFound,
        StoreUnavailable.
        """
        decision = await self._known(body.decision_id)
        replica = self.replica
        event = feedback_event(body, decision, replica.now())
        if body.reward is not None:
            check_number("reward", body.reward, *stated_bounds(replica.engine.journey.reward))
        named: list[Event] = []
        if decision.request.deferred and decision.action_id != NO_ACTION:
            activate = replica.engine.decider.activate
            await asyncio.to_thread(activate, decision, replica.now(), anyway=True)
            named = await asyncio.to_thread(replica.log.outcomes, decision.decision_id)
        (seq,) = await self._events.submit([event])
        if seq is not None:
            self.metrics.feedback.labels(body.outcome or "reward").inc()
        elif body.reward is not None:
            known = await asyncio.to_thread(replica.log.outcomes, decision.decision_id)
            check_same_reward(event, known)
        return FeedbackAnswer(
            decision_id=decision.decision_id,
            event_id=event.event_id,
            stored=seq is not None,
            late=is_late(replica.engine.journey, event, decision.as_events()[-1], named),
        )

    async def take(self, payload: object) -> EventsAnswer:
        """Append one event, or a batch under `batch` or `events`.

        Raises InvalidInput where nothing of it can be taken, StoreUnavailable.
        """
        encoder = self.replica.engine.fold.encoder
        batch = read_events(
            payload,
            self.replica.now(),
            most=self._settings.batch_events,
            check=encoder.check,
        )
        events, rejected = batch.events, batch.rejected
        self.metrics.events.labels("rejected").inc(len(rejected))
        if batch.error is not None and not events:
            raise batch.error
        seqs = await self._events.submit(events) if events else []
        accepted = sum(seq is not None for seq in seqs)
        self.metrics.events.labels("accepted").inc(accepted)
        self.metrics.events.labels("duplicate").inc(len(seqs) - accepted)
        return EventsAnswer(
            accepted=accepted,
            duplicates=len(seqs) - accepted,
            rejected=rejected,
            notes=notes_of(events, encoder),
        )

    def history(self, customer_id: str, limit: int) -> DecisionsAnswer:
        """A customer's decisions, newest first. Raises StoreUnavailable."""
        schema = self.replica.engine.fold.schema
        decisions = self.replica.log.customer_decisions(customer_id, limit)
        answers = [decide_answer(decision, schema) for decision in decisions]
        return DecisionsAnswer(customer_id=customer_id, decisions=answers)

    async def decision(self, decision_id: str) -> DecideAnswer:
        """A decision as it was logged. Raises InvalidInput, NotFound, StoreUnavailable."""
        return decide_answer(await self._known(decision_id), self.replica.engine.fold.schema)

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
            raise NotFound(STRANGER.format(customer_id))
        scorer = engine.pipeline.scorer
        (churn,) = known_churns(scorer, [context])
        decisions = replica.log.customer_decisions(customer_id, HISTORY)
        return customer_answer(
            engine.fold.schema,
            context,
            churn,
            decisions,
            text_model=engine.pipeline.text_model,
        )

    def emotion(self, customer_id: str) -> EmotionCurve:
        """How a customer's emotion came about. Raises NotFound, StoreUnavailable."""
        replica, engine = self.replica, self.replica.engine
        events = replica.log.events_since({customer_id: 0}).get(customer_id)
        if not events:
            raise NotFound(STRANGER.format(customer_id))
        as_of = max(replica.now(), max(event.occurred_at for event in events))
        return emotion_curve(
            customer_id,
            emotion_history(engine.fold, events, as_of),
            as_of,
            valences=engine.fold.schema.table.version,
            text_model=engine.pipeline.text_model,
        )

    async def ready(self) -> tuple[int, dict[str, object]]:
        """(status, body): 503 while the log is out of reach, else 200, degraded or not.

        `missing`: of each model that was not trained, why.
        """
        try:
            position = await asyncio.wait_for(asyncio.to_thread(self.replica.log.position), 3.0)
        except (StoreUnavailable, TimeoutError) as error:
            return 503, {"ready": False, "reason": f"the log is out of reach: {error}"}
        engine = self.replica.engine
        scorer = engine.pipeline.scorer
        return 200, {
            "ready": True,
            "degraded": scorer is None,
            "reason": engine.pipeline.strategy.fallback_reason or self.replica.misfit or None,
            "missing": {} if scorer is None else dict(scorer.missing),
            "model_version": scorer.bundle_id if scorer else None,
            "config_version": engine.journey.catalogue_version(),
            "log_position": position,
        }

    async def _answer(
        self,
        request: Request,
        body: DecideRequest,
        engine: Engine,
        until_s: float | None = None,
    ) -> DecideAnswer:
        schema, replica = engine.fold.schema, self.replica
        if body.dry_run:
            (decision,) = await asyncio.to_thread(
                engine.decider.draw, [request], replica.now(), replica.chance
            )
            return decide_answer(decision, schema, dry_run=True, explain=body.explain)
        decision, logged = await self._deadline_guard.decide(request, engine, until_s)
        if decision.request is request:  # not an earlier answer to the same decision_request_id
            self._count(decision)
        return decide_answer(decision, schema, logged=logged, explain=body.explain)

    async def _known(self, decision_id: str) -> Decision:
        checked_id("decision_id", decision_id)
        decision = await asyncio.to_thread(self.replica.log.decision, decision_id)
        if decision is None:
            why = "not in the log; send that of an answer that was logged, a dry run is not"
            raise NotFound(f"decision_id: {decision_id!r}: {why}")
        return decision

    def _append(self, batches: Sequence[Sequence[Event]]) -> list[list[int | None]]:
        events = self.replica.engine.read_words([event for batch in batches for event in batch])
        seqs = iter(self.replica.log.append_events(events))
        return [[next(seqs) for _ in batch] for batch in batches]

    def _count(self, decision: Decision) -> None:
        metrics = self.metrics
        metrics.decisions.labels(decision.mode.value, decision.action_id).inc()
        if decision.note is not None and decision.note.startswith(NOT_FINITE):
            metrics.not_finite.inc()
        for candidate in decision.candidates:
            metrics.propensity_sum.labels(candidate.action_id).inc(candidate.propensity)
        for refused in decision.refused:
            metrics.refused.labels(refused.stage.value, refused.rule).inc()
