"""A decision within the deadline, or the owner's fallback, marked; never an error.

A request that is late is not logged any more if it has not been yet; where it was, an
`Action Expired` event takes it back, since the customer has seen the fallback. The fallback itself
is logged afterwards, as soon as the log takes it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from msgspec.structs import replace

from nba.decisions.decision import Decision
from nba.decisions.request import Request
from nba.engine.activation import activation
from nba.errors import StoreUnavailable
from nba.events.event import Event
from nba.events.names import ACTION_EXPIRED, EXPIRY_PREFIX
from serving.api.circuit_breaker import CircuitBreaker
from serving.api.group_commit import GroupCommit
from serving.replica.engine import Engine
from serving.replica.replica import Replica

logger = logging.getLogger("nba.serving")
UNLOGGED = 10_000  # answers that may wait to be logged
RETRY_S = 1.0
CLOSING_S = 3.0  # for the same when the service ends


@dataclass(slots=True, eq=False)
class PendingRequest:
    """A request that waits for its answer."""

    request: Request
    engine: Engine  # on which it was checked
    late: bool = False


class EngineChanged(Exception):
    """Requests that were checked on different engines cannot be decided together."""


class DeadlineGuard:
    """Decisions of one replica, each within `deadline_s` of its call."""

    def __init__(
        self,
        replica: Replica,
        *,
        deadline_s: float,
        breaker: CircuitBreaker,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.breaker = breaker
        self._replica = replica
        self._deadline_s = deadline_s
        self._clock_s = clock_s
        self._after: set[asyncio.Task[None]] = set()
        self._unlogged: deque[tuple[str, Callable[[], bool]]] = deque()
        self._writer: asyncio.Task[None] | None = None
        self._group: GroupCommit[PendingRequest, Decision | StoreUnavailable] = GroupCommit(
            self._decide, name="decide"
        )

    def until_s(self) -> float:
        """When an answer to a question of now is due, in seconds of the guard's clock."""
        return self._clock_s() + self._deadline_s

    async def decide(
        self, request: Request, engine: Engine, until_s: float | None = None
    ) -> tuple[Decision, bool]:
        """(decision, logged) for a request that was checked on this engine, by `until_s` where
        several share a deadline."""
        if not self.breaker.admits(self._clock_s()):
            return self._fall_back(request, engine, "the breaker is open after misses in a row")
        pending = PendingRequest(request, engine)
        answer = asyncio.ensure_future(self._settled(pending))
        try:
            wait_s = self._deadline_s if until_s is None else until_s - self._clock_s()
            decision = await asyncio.wait_for(asyncio.shield(answer), max(wait_s, 0.0))
        except TimeoutError:
            pending.late = True
            self.breaker.missed(self._clock_s())
            self._then(self._take_back(pending, answer))
            why = f"no decision within the deadline of {self._deadline_s * 1000:g} ms"
            return self._fall_back(request, engine, why)
        except StoreUnavailable as error:
            self.breaker.missed(self._clock_s())
            logger.warning("the log is out of reach: %s", error)
            return self._fall_back(request, engine, "the log is out of reach")
        except asyncio.CancelledError:
            pending.late = True
            self.breaker.released()
            self._then(self._take_back(pending, answer))
            raise
        except Exception:  # of the question, or ours: it says nothing of the log
            self.breaker.released()
            raise
        self.breaker.met()
        if decision.request is not request and not decision.request.deferred:
            await asyncio.to_thread(self._revive, decision)
        return decision, True

    def _revive(self, earlier: Decision) -> None:
        """A repeat hands out a decision that had been taken back: it counts again."""
        log = self._replica.log
        if any(event.name == ACTION_EXPIRED for event in log.outcomes(earlier.decision_id)):
            at = max(self._replica.now(), earlier.decided_at)
            log.append_events([activation(earlier, at)])

    async def close(self) -> None:
        """Finish what was accepted, and log what was answered where the log takes it."""
        await self._group.close()
        if self._after:
            await asyncio.wait(self._after, timeout=CLOSING_S)
        writing = [] if self._writer is None else [self._writer]
        if writing:
            await asyncio.wait(writing, timeout=CLOSING_S)
        for task in (*self._after, *writing):
            task.cancel()
        await asyncio.gather(*self._after, *writing, return_exceptions=True)
        if self._unlogged:
            logger.error("%d answers could not be logged", len(self._unlogged))

    async def _settled(self, pending: PendingRequest) -> Decision:
        """The decision, asked for again while others move the customer's log: that is no outage,
        and ends with the deadline at the latest. Raises StoreUnavailable."""
        while True:
            answer = await self._group.submit(pending)
            if isinstance(answer, Decision):
                return answer
            if pending.late:
                raise answer

    def _decide(self, group: Sequence[PendingRequest]) -> list[Decision | StoreUnavailable]:
        engine = group[0].engine
        if any(pending.engine is not engine for pending in group):
            raise EngineChanged  # each is then decided alone, on its own
        by_request = {id(pending.request): pending for pending in group}
        return engine.decider.decide_each(
            [pending.request for pending in group],
            self._replica.now(),
            self._replica.chance,
            wanted=lambda request: not by_request[id(request)].late,
        )

    def _fall_back(self, request: Request, engine: Engine, why: str) -> tuple[Decision, bool]:
        replica = self._replica
        empty = engine.fold.context(request.customer_id, engine.fold.empty, replica.now())
        decision_id = replica.chance.new_id()
        seed = replica.chance.seed_for(request, decision_id)
        decision = engine.pipeline.blind(request, empty, decision_id, seed, why)
        what = f"fallback {decision.decision_id}, which was answered,"
        self._later(what, partial(self._append, decision))
        return decision, False

    def _then(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._after.add(task)
        task.add_done_callback(self._after.discard)

    def _later(self, what: str, append: Callable[[], bool]) -> None:
        """Put it into the log as soon as the log takes it."""
        if len(self._unlogged) == UNLOGGED:
            logger.error("%s is given up: %d others wait to be logged", what, UNLOGGED)
            return
        self._unlogged.append((what, append))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())

    async def _write(self) -> None:
        """One after the other, each until it is in the log."""
        while self._unlogged:
            what, append = self._unlogged[0]
            try:
                if await asyncio.to_thread(append):
                    self._unlogged.popleft()
                    continue
            except StoreUnavailable as error:
                logger.warning("%s is not logged yet: %s", what, error)
            await asyncio.sleep(RETRY_S)

    def _append(self, decision: Decision) -> bool:
        """Log a fallback on whatever the customer's log holds by now."""
        replica, request = self._replica, decision.request
        (context,) = replica.engine.contexts.of([request.customer_id], replica.now())
        known = replace(decision, context_seq=context.seq)
        (logged,) = replica.log.append_decisions([known])
        if logged is not None and logged.decision_id != decision.decision_id:
            # the late decision has taken the caller's key: this one is kept without it
            unkeyed = replace(known, request=replace(request, request_id=None))
            (logged,) = replica.log.append_decisions([unkeyed])
        return logged is not None

    async def _take_back(self, pending: PendingRequest, answer: asyncio.Future[Decision]) -> None:
        """Expire what was logged although its caller has the fallback."""
        try:
            late = await answer
        except StoreUnavailable:
            return
        except Exception:
            logger.exception("a late decision came to nothing")
            return
        if late.request is not pending.request:
            return  # an earlier answer to the same request_id, which has reached the customer
        event = expiry(late, self._replica.now(), "answered late")
        self._later(f"expiry of {late.decision_id}", partial(self._expire, event))

    def _expire(self, event: Event) -> bool:
        self._replica.log.append_events([event])
        return True


def expiry(decision: Decision, at: datetime, why: str) -> Event:
    """The event that takes a decision back: it never reached the customer."""
    at = max(at, decision.decided_at)
    return Event(
        event_id=EXPIRY_PREFIX + decision.decision_id,
        customer_id=decision.request.customer_id,
        name=ACTION_EXPIRED,
        occurred_at=at,
        received_at=at,
        properties={
            "decision_id": decision.decision_id,
            "action_id": decision.action_id,
            "why": why,
        },
    )
