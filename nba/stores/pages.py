"""The whole log page by page: every reader that goes through it from one position to the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from nba.decisions.decision import Decision
from nba.events.event import Event
from nba.stores.log import Log

EVENTS = 20_000  # events in memory at a time
DECISIONS = 2_000  # decisions in memory at a time


def event_pages(
    log: Log,
    after: int = 0,
    *,
    size: int = EVENTS,
    progress: Callable[[int], None] = lambda events: None,
) -> Iterator[list[Event]]:
    """The events behind a position, at most `size` at a time; the last one's `seq` is the cursor.

    `progress` is told how many there were once the caller asks for more. Raises StoreUnavailable.
    """
    while page := log.page_events(after, size):
        after = page[-1].seq
        yield page
        progress(len(page))


def decision_pages(
    log: Log,
    *,
    since: datetime | None = None,
    size: int = DECISIONS,
    progress: Callable[[int], None] = lambda decisions: None,
) -> Iterator[list[Decision]]:
    """The decisions from `since` on in the order of commit, at most `size` at a time.

    `progress` as of `event_pages`, of those before `since` too. Raises StoreUnavailable.
    """
    position = 0
    while page := log.page_decisions(position, size):
        position = page[-1][0]
        yield [decision for _, decision in page if since is None or decision.decided_at >= since]
        progress(len(page))
