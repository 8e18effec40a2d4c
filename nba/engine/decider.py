"""Decide: contexts from the log, the pipeline, and the log again."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from nba.customer.context import Context
from nba.decisions.candidate import Refused
from nba.decisions.decision import Decision
from nba.decisions.request import Request
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
    """Where ids and seeds come from."""

    new_id: Callable[[], str]
    new_seed: Callable[[], int]


class Decider:
    """Decisions on the log as it is now."""

    def __init__(self, *, pipeline: Pipeline, contexts: Contexts, log: Log) -> None:
        self.pipeline = pipeline
        self._contexts = contexts
        self._log = log

    def decide(
        self, requests: Sequence[Request], now: datetime, chance: IdsAndSeeds
    ) -> list[Decision]:
        """Decide and log each request; every answer is in the log when it is returned.

        A repeated request_id is answered with its first decision. Raises InvalidInput,
        StoreUnavailable.
        """
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
        """`decide` for requests of several callers: what could be logged stays answered.

        Just before anything is logged, `wanted` says for whom it still matters; the others get a
        StoreUnavailable. Raises InvalidInput before anything is logged, StoreUnavailable where
        nothing was.
        """
        for request in requests:
            self.pipeline.check(request)
        answers = self._answered(requests)
        fruitless = 0
        while fruitless < ATTEMPTS:
            open_ = [position for position in range(len(requests)) if position not in answers]
            open_ = [position for position in open_ if wanted(requests[position])]
            if not open_:
                break
            try:
                drawn = self._drawn([requests[position] for position in open_], now, chance)
                kept = [n for n, position in enumerate(open_) if wanted(requests[position])]
                held = self._log.append_decisions([drawn[n] for n in kept])
            except StoreUnavailable:
                if not answers:
                    raise
                break
            settled = {
                open_[n]: decision
                for n, decision in zip(kept, held, strict=True)
                if decision is not None
            }
            answers |= settled
            fruitless = 0 if settled else fruitless + 1
        unsettled = StoreUnavailable("the customer's log kept moving, or was lost; send it again")
        return [answers.get(position, unsettled) for position in range(len(requests))]

    def draw(
        self, requests: Sequence[Request], now: datetime, chance: IdsAndSeeds
    ) -> list[Decision]:
        """Decide without logging: what `decide` appends, and what a dry run answers.

        Raises InvalidInput, StoreUnavailable.
        """
        for request in requests:
            self.pipeline.check(request)
        return self._drawn(requests, now, chance)

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
            requests = [Request(customer_id=one) for one in waiting]
            contexts = self._contexts.of(waiting, now)
            guarded = [
                GuardedEvents(
                    customer_id=context.customer_id,
                    seen_seq=context.seq,
                    events=tuple(m.as_event(context.customer_id, context.as_of) for m in moves),
                    timers=tuple(t for m in moves for t in m.timers(context.customer_id)),
                )
                for context, moves in self.pipeline.moves(requests, contexts)
            ]
            held = self._log.append_guarded(guarded) if guarded else []
            waiting = [g.customer_id for g, ok in zip(guarded, held, strict=True) if not ok]
        asked = []
        for context in self._contexts.of(list(dict.fromkeys(customer_ids)), now):
            for call, action in sub_journeys.outbound(context.contact_history, context.as_of)[:1]:
                asked.append(
                    Request(
                        customer_id=context.customer_id,
                        channel=action.channel,
                        placement=action.touchpoint,
                        outbound=True,
                        asked_for=call.step_key,
                    )
                )
        answers = self.decide_each(asked, now, chance) if asked else []
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
            (context,) = self._contexts.of([customer_id], now)
            touch = next(
                (
                    t
                    for t in context.contact_history.contacts
                    if t.decision_id == decision.decision_id
                ),
                None,
            )
            if touch is not None and touch.counted:
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
            if self._log.append_guarded([guarded])[0]:
                return (), not_before
        raise StoreUnavailable("the customer's log kept moving; send the activation again")

    def _drawn(
        self, requests: Sequence[Request], now: datetime, chance: IdsAndSeeds
    ) -> list[Decision]:
        contexts = self._contexts.of([request.customer_id for request in requests], now)
        return self.pipeline.run(
            requests,
            contexts,
            new_id=chance.new_id,
            new_seed=chance.new_seed,
            used=self._used(contexts),
        )

    def _used(self, contexts: Sequence[Context]) -> Mapping[tuple[str, str], float]:
        """What was taken by (capacity, period), in the periods of these contexts."""
        governor = self.pipeline.governor
        periods = {period for one in contexts for period in governor.periods(one.as_of)}
        return self._log.used(sorted(periods)) if periods else {}

    def _answered(self, requests: Sequence[Request]) -> dict[int, Decision]:
        """Positions of the requests whose request_id was answered before."""
        keys = [(r.customer_id, r.request_id) for r in requests if r.request_id is not None]
        earlier = self._log.answered(keys) if keys else {}
        found = {
            n: earlier.get((r.customer_id, r.request_id or "")) for n, r in enumerate(requests)
        }
        return {position: decision for position, decision in found.items() if decision is not None}
