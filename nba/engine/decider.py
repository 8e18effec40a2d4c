"""Decisions on the log: contexts from it, the pipeline, and the log again."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from nba.customer.context import Context
from nba.decisions.candidate import Refused
from nba.decisions.decision import Decision
from nba.decisions.request import Request
from nba.durations import HOUR_S
from nba.engine.activation import activation, recheck
from nba.engine.pipeline import Pipeline
from nba.errors import StoreUnavailable
from nba.stores.log import GuardedEvents, Log

ATTEMPTS = 5  # in a row that may come to nothing because the customers' log moved meanwhile


class Contexts(Protocol):
    """Where contexts come from: the fold over the log."""

    def of(self, customer_ids: Sequence[str], now: datetime) -> list[Context]:
        """The current context of each customer."""


class IdsAndSeeds(NamedTuple):
    """Where ids and seeds come from.

    `seed_for` gives the seed of a request's draw, whose decision gets this id.
    """

    new_id: Callable[[], str]
    seed_for: Callable[[Request, str], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decider:
    """Decisions on the log as it is now."""

    pipeline: Pipeline
    contexts: Contexts
    log: Log

    def decide(
        self, requests: Sequence[Request], now: datetime, chance: IdsAndSeeds
    ) -> list[Decision]:
        """Decide and log each request; every answer is in the log when it is returned.

        A repeated request_id is answered with its first decision. Raises InvalidInput,
        StoreUnavailable.
        """
        for request in requests:
            self.pipeline.check(request)
        decisions = []
        for answer in self.decide_each(requests, now, chance):
            if isinstance(answer, StoreUnavailable):
                raise answer
            decisions.append(answer)
        return decisions

    def decide_each(
        self,
        requests: Sequence[Request],
        now: datetime,
        chance: IdsAndSeeds,
        wanted: Callable[[Request], bool] = lambda request: True,
    ) -> list[Decision | StoreUnavailable]:
        """`decide` for checked requests of several callers: what could be logged stays answered.

        Just before anything is logged, `wanted` says for whom it still matters; the others get a
        StoreUnavailable. Raises StoreUnavailable where nothing was logged.
        """
        answers = self._answered(requests)
        fruitless = 0
        while fruitless < ATTEMPTS:
            open_ = [n for n in range(len(requests)) if n not in answers and wanted(requests[n])]
            if not open_:
                break
            try:
                drawn = zip(
                    open_, self.draw([requests[n] for n in open_], now, chance), strict=True
                )
                kept = [(n, decision) for n, decision in drawn if wanted(requests[n])]
                logged = self.log.append_decisions([decision for _, decision in kept])
            except StoreUnavailable:
                if not answers:
                    raise
                break
            settled = {
                n: decision
                for (n, _), decision in zip(kept, logged, strict=True)
                if decision is not None
            }
            answers |= settled
            fruitless = 0 if settled else fruitless + 1
        unsettled = StoreUnavailable("the customer's log kept moving, or was lost; send it again")
        return [answers.get(n, unsettled) for n in range(len(requests))]

    def draw(
        self, requests: Sequence[Request], now: datetime, chance: IdsAndSeeds
    ) -> list[Decision]:
        """Decide checked requests and log nothing: what `decide` appends, and what a dry run
        answers. Raises StoreUnavailable."""
        contexts = self.contexts.of([request.customer_id for request in requests], now)
        ids = [chance.new_id() for _ in requests]
        seeds = map(chance.seed_for, requests, ids)
        return self.pipeline.run(
            requests,
            contexts,
            new_id=iter(ids).__next__,
            new_seed=seeds.__next__,
            used=self._used(contexts),
        )

    def advance_sub_journeys(
        self, customer_ids: Sequence[str], now: datetime, chance: IdsAndSeeds
    ) -> list[Decision]:
        """Bring these customers' sub-journeys up to `now`, and decide where a step addresses them.

        What moved is in the log when this returns. A decision of this call may end a step: a call
        after it goes on from there, until one finds nothing left to do. Raises StoreUnavailable.
        """
        sub_journeys = self.pipeline.governor.sub_journeys
        if not sub_journeys:
            return []
        waiting = list(dict.fromkeys(customer_ids))
        for _ in range(ATTEMPTS):
            if not waiting:
                break
            requests = [Request(customer_id=customer_id) for customer_id in waiting]
            contexts = self.contexts.of(waiting, now)
            guarded = [
                GuardedEvents(
                    customer_id=context.customer_id,
                    seen_seq=context.seq,
                    events=tuple(
                        move.as_event(context.customer_id, context.as_of) for move in moves
                    ),
                    timers=tuple(
                        timer for move in moves for timer in move.timers(context.customer_id)
                    ),
                )
                for context, moves in self.pipeline.moves(requests, contexts)
            ]
            appended = self.log.append_guarded(guarded) if guarded else []
            waiting = [
                events.customer_id
                for events, done in zip(guarded, appended, strict=True)
                if not done
            ]
        outbound = []
        for context in self.contexts.of(list(dict.fromkeys(customer_ids)), now):
            for call, action in sub_journeys.outbound(context.contact_history, context.as_of)[:1]:
                outbound.append(
                    Request(
                        customer_id=context.customer_id,
                        channel=action.channel,
                        placement=action.touchpoint,
                        candidates=(action.id,),
                        outbound=True,
                        asked_for=call.step_key,
                    )
                )
        answers = self.decide_each(outbound, now, chance) if outbound else []
        return [answer for answer in answers if isinstance(answer, Decision)]

    def activate(
        self, decision: Decision, now: datetime, *, anyway: bool = False
    ) -> tuple[tuple[Refused, ...], datetime | None]:
        """Let a deferred decision count from now on: (why not, when it may be shown).

        It is refused where a rule, a limit or a capacity does not leave room any more; `anyway`,
        because it was shown already, it counts and takes all the same. A second activation changes
        nothing. Raises StoreUnavailable.
        """
        customer_id, action_id = decision.request.customer_id, decision.action_id
        for _ in range(ATTEMPTS):
            (context,) = self.contexts.of([customer_id], now)
            counted = {
                contact.decision_id
                for contact in context.contact_history.contacts
                if contact.counted
            }
            if decision.decision_id in counted:
                return (), decision.not_before
            pipeline, not_before = self.pipeline, decision.not_before
            uses = pipeline.governor.uses(action_id, context.as_of)
            if anyway:
                uses = tuple(replace(use, most=math.inf) for use in uses)  # room or not
            else:
                used = self._used([context])
                refused, not_before = recheck(pipeline, decision, context, used)
                if refused:
                    return refused, None
            event = activation(decision, context.as_of)
            guarded = GuardedEvents(
                customer_id=customer_id, seen_seq=context.seq, events=(event,), uses=uses
            )
            if self.log.append_guarded([guarded])[0]:
                return (), not_before
        raise StoreUnavailable("the customer's log kept moving; send the activation again")

    def delivery_block(self, decision: Decision, now: datetime) -> str | datetime | None:
        """Why a message must not go out any more, or until when it has to wait.

        It has waited too long, its action or its sub-journey is gone, a consent was withdrawn
        since; it waits for quiet hours to end. Raises StoreUnavailable.
        """
        stale_s = self.pipeline.schema.journey.contact_policy.stale_s
        if now - decision.goes_out_at > timedelta(seconds=stale_s):
            return f"stale: it has waited for more than {stale_s / HOUR_S:g} hours"
        actions = self.pipeline.schema.journey.actions
        if all(action.id != decision.action_id for action in actions):
            return "the action has left the catalogue"
        (context,) = self.contexts.of([decision.request.customer_id], now)
        ended = context.contact_history.exit_of(decision.step)
        if ended is not None:
            return f"its sub-journey is over: {ended}"
        return self.pipeline.governor.delivery_block(decision.action_id, context)

    def _used(self, contexts: Sequence[Context]) -> Mapping[tuple[str, str], float]:
        """What was taken by (capacity, period), in the periods of these contexts."""
        governor = self.pipeline.governor
        periods = {period for context in contexts for period in governor.periods(context.as_of)}
        return self.log.used(sorted(periods)) if periods else {}

    def _answered(self, requests: Sequence[Request]) -> dict[int, Decision]:
        """Positions of the requests whose request_id was answered before."""
        keys = {
            n: (request.customer_id, request.request_id)
            for n, request in enumerate(requests)
            if request.request_id is not None
        }
        earlier = self.log.answered(list(keys.values())) if keys else {}
        return {n: earlier[key] for n, key in keys.items() if key in earlier}
