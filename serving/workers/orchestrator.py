"""What has to happen without anybody asking, done by one replica at a time.

One pass fires the timers that are due, hands the customers of the events since the last pass to
`advance_sub_journeys`, and delivers what waits. A crash between any two steps loses nothing: timers
and deliveries are claimed in the log, and the cursor is saved behind what was done. So
`advance_sub_journeys` may get a customer twice, and must be idempotent. What it appends itself
brings its customers once more; once it appends nothing, the orchestrator rests.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import islice

import msgspec

from nba.errors import StoreUnavailable, shown
from nba.rewards.isolation import SEVERAL
from nba.stores.log import Log
from nba.stores.pages import event_pages
from serving.workers.worker import Worker

logger = logging.getLogger("nba.serving")

NAME = "conductor"  # of its turn and its cursor
BEGUN = "conductor-begun"  # a cursor that is 1 once there was a first time
TIMERS = 1_000  # the most in one pass
PAGE = 2_000  # events that are read at a time
PAGES = 10  # the most in one pass
CHUNK = 100  # customers that are attended to together
EVERY_S = 1.0
AGAIN = timedelta(minutes=10)  # after so long, customers who failed are attended to again

Attend = Callable[[Sequence[str]], object]
Deliver = Callable[
    [datetime], int
]  # how many it has tried, such as serving.workers.delivery.Deliverer
Clock = Callable[[], datetime]


class OrchestratorPass(msgspec.Struct, frozen=True, kw_only=True):
    """What one pass has done."""

    fired: int = 0  # timers
    events: int = 0  # of the log, read
    attended: int = 0  # customers
    failed: int = 0  # customers whose sub-journeys could not be advanced
    tried: int = 0  # deliveries
    behind: int = 0  # how much of the log is still to be read

    @property
    def rests(self) -> bool:
        """Whether there was nothing to do."""
        return not (self.fired or self.events or self.tried or self.behind)


def begin(log: Log, *, from_start: bool = False) -> None:
    """The first time in a deployment, go to the end of the log: what is old needs no attention.

    `from_start`: attend to everybody in the log. Later calls change nothing.
    Raises StoreUnavailable.
    """
    if log.cursor(BEGUN) == 0:
        if not from_start:
            log.save_cursor(NAME, log.position())
        log.save_cursor(BEGUN, 1)


def conduct(
    log: Log,
    advance_sub_journeys: Attend,
    deliver: Deliver,
    now: Clock,
    *,
    again: dict[str, datetime] | None = None,
    stopping: Callable[[], bool] = lambda: False,
    page: int = PAGE,
    chunk: int = CHUNK,
) -> OrchestratorPass:
    """One pass; `begin` came before it. Raises StoreUnavailable.

    `again` holds the customers who failed, by when they are attended to again; it is kept up.

    It reads up to where the log ended when it began, so that it does not run after itself. Once
    `stopping` is true it returns behind the chunk that it is at.
    """
    fired = len(log.fire_timers(now(), TIMERS))
    end, at = log.position(), log.cursor(NAME)
    read = attended = failed = 0
    again = {} if again is None else again
    due = [customer for customer, at_time in again.items() if at_time <= now()][:chunk]
    for customer in due:
        del again[customer]
        lost = _attended(advance_sub_journeys, [customer])
        again |= dict.fromkeys(lost, now() + AGAIN)
        attended, failed = attended + 1 - len(lost), failed + len(lost)
    for events in islice(event_pages(log, at, size=page), PAGES):
        events = [event for event in events if event.seq <= end]
        if not events or stopping():
            break
        customers = list(dict.fromkeys(event.customer_id for event in events))
        for first in range(0, len(customers), chunk):
            if stopping():
                return OrchestratorPass(
                    fired=fired, events=read, attended=attended, failed=failed, behind=end - at
                )
            together = customers[first : first + chunk]
            lost = _attended(advance_sub_journeys, together)
            again |= dict.fromkeys(lost, now() + AGAIN)
            attended, failed = attended + len(together) - len(lost), failed + len(lost)
        at, read = events[-1].seq, read + len(events)
        log.save_cursor(NAME, at)
    tried = 0 if stopping() else deliver(now())
    behind = max(end - at, 0)
    return OrchestratorPass(
        fired=fired, events=read, attended=attended, failed=failed, tried=tried, behind=behind
    )


def _attended(advance_sub_journeys: Attend, customers: Sequence[str]) -> list[str]:
    """Who could not be attended to: one customer must not stop all who come after.

    Where it is all of `SEVERAL`, it is not the customers: raises what was raised.
    """
    try:
        advance_sub_journeys(customers)
    except StoreUnavailable:
        raise
    except Exception:
        failed = {
            customer: error
            for customer in customers
            if (error := _error(advance_sub_journeys, customer)) is not None
        }
        if len(failed) == len(customers) >= SEVERAL:
            raise
        for customer, error in failed.items():
            logger.error("customer %s is not attended to", shown(customer), exc_info=error)
        return list(failed)
    return []


def _error(advance_sub_journeys: Attend, customer: str) -> Exception | None:
    try:
        advance_sub_journeys([customer])
    except StoreUnavailable:
        raise
    except Exception as error:
        return error
    return None


class Orchestrator:
    """Passes in a thread of its own, whenever the turn is ours."""

    def __init__(
        self,
        log: Log,
        advance_sub_journeys: Attend,
        deliver: Deliver,
        now: Clock,
        *,
        every_s: float = EVERY_S,
    ) -> None:
        self._log = log
        self._advance = advance_sub_journeys
        self._deliver = deliver
        self._now = now
        self._again: dict[str, datetime] = {}
        self._worker = Worker(NAME, self._pass, every_s)

    def start(self) -> None:
        """Begin before this returns, so that nothing that happens from now on is passed over."""
        try:
            begin(self._log)
        except StoreUnavailable as error:
            logger.warning("the orchestrator waits: %s", error)
        self._worker.start()

    def stop(self, timeout_s: float = 15.0) -> bool:
        """Stop behind the chunk, or the attempts to deliver, that it is at. False: it is not."""
        return self._worker.stop(timeout_s)

    def step(self) -> OrchestratorPass | None:
        """One pass, None where another replica has the turn. Raises StoreUnavailable."""
        with self._log.turn(NAME) as has_turn:
            if not has_turn:
                return None
            begin(self._log)
            return conduct(
                self._log,
                self._advance,
                self._deliver,
                self._now,
                again=self._again,
                stopping=lambda: self._worker.stopping,
            )

    def _pass(self) -> bool:
        done = self.step()
        return done is not None and not done.rests
