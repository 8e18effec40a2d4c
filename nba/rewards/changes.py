"""How the rewards of decisions change from one position of the log to a later one.

What was learned at a position of the log is the sum over all decisions of their credits there. So
what a segment of the log changes is the credits at its end less those at its beginning: each
outcome is learned once however often it is sent, in whatever order, and is taken back where it is
revised. Nothing else needs to be remembered than the position, and who could not be settled there:
they are left out from then on, and learned from that position when they can be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from nba.errors import NbaError
from nba.events.event import Event, micros
from nba.rewards.attribution import Attribution
from nba.rewards.concerned import concerned_events, events_of_customers
from nba.rewards.credit import Credit
from nba.rewards.isolation import MOST, credits_and_failures
from nba.rewards.windows import Arrival
from nba.stores.log import Log

PAGE = 5_000  # events of one segment


class RewardChange(NamedTuple):
    """How one decision's credit has changed over a segment of the log."""

    decision_id: str
    customer_id: str
    exposed: int  # 1: it counts now, -1: it does not any more, 0: as before
    before: float  # its reward so far; 0 where it did not count
    after: float
    reached: int = 0  # the same as `exposed` of having reached the customer: what costs
    arrived_before: tuple[Arrival, ...] = ()  # the parts in which its reward had come
    arrived: tuple[Arrival, ...] = ()

    @property
    def reward(self) -> float:
        """What its reward has changed by."""
        return self.after - self.before

    @property
    def teaches(self) -> bool:
        """Whether it changes what is learned, and not the cost alone."""
        return self.exposed != 0 or self.after != self.before or self.arrived != self.arrived_before


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """A customer who could not be settled, and up to where they were before."""

    customer_id: str
    position: int
    end_s: float
    why: str  # the kind of error, without what is in it


class LogPosition(msgspec.Struct, frozen=True, kw_only=True):
    """Up to where the log was learned, and which decisions are left out."""

    position: int = 0  # seq of the last event
    end_s: float = 0.0  # when that was received, seconds since 1970 UTC
    begin: int = 0  # decisions up to here are left out
    settled_s: float = 0.0  # decisions whose reward was known by then are left out: learned before
    # unset where nobody is, so that a version of before keeps its name
    customers_left_out: tuple[LeftOut, ...] | UnsetType = UNSET

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """The customers who wait to be settled, in the order in which they failed."""
        return self.customers_left_out or ()

    def leaving_out(self, failures: Mapping[str, str], begin: LogPosition) -> LogPosition:
        """The same without these customers, by why, who were settled up to `begin`.

        Raises NbaError for more than `MOST` of them: then it is not the customers.
        """
        known = {one.customer_id: one for one in (*begin.left_out, *self.left_out)}
        for customer, why in failures.items():
            if customer not in known:
                known[customer] = LeftOut(
                    customer_id=customer, position=begin.position, end_s=begin.end_s, why=why
                )
        waiting = {one.customer_id for one in self.left_out} | failures.keys()
        return self.waiting_for(one for one in known.values() if one.customer_id in waiting)

    def waiting_for(self, customers: Iterable[LeftOut]) -> LogPosition:
        """The same with these left out. Raises NbaError for more than `MOST`."""
        left_out = tuple(customers)
        if len(left_out) > MOST:
            kinds = ", ".join(sorted({one.why for one in left_out}))
            raise NbaError(
                f"the outcomes of {len(left_out):,} customers cannot be settled ({kinds}): "
                "see the service's log for the first of them"
            )
        return msgspec.structs.replace(self, customers_left_out=left_out or UNSET)


class LogSegment(NamedTuple):
    """What a part of the log changes, and where that part ends."""

    end: LogPosition
    events: int
    changes: list[RewardChange]

    def leaving_out(self, failures: Mapping[str, str], begin: LogPosition) -> LogSegment:
        """The same without these customers; see `LogPosition.leaving_out`."""
        if not failures:
            return self
        kept = [change for change in self.changes if change.customer_id not in failures]
        return self._replace(end=self.end.leaving_out(failures, begin), changes=kept)


def next_segment(
    log: Log, attribution: Attribution, begin: LogPosition, limit: int = PAGE
) -> LogSegment:
    """The reward changes of the next `limit` events. Raises StoreUnavailable.

    Terms that are known only when a window closes are no part of it: they are predicted apart. A
    customer who cannot be settled is left out; `settle_left_out` tries again.
    """
    events = log.page_events(begin.position, limit)
    if not events:
        return LogSegment(begin, 0, [])
    end_s = max(begin.end_s, *(micros(event.received_at) / 1e6 for event in events))
    end = msgspec.structs.replace(begin, position=events[-1].seq, end_s=end_s)
    concerned = concerned_events(log, attribution, events)
    changes, failures = _changes(attribution, concerned, begin, end)
    waiting = {one.customer_id for one in begin.left_out}
    changes = [change for change in changes if change.customer_id not in waiting]
    return LogSegment(end, len(events), changes).leaving_out(failures, begin)


def settle_left_out(log: Log, attribution: Attribution, at: LogPosition) -> LogSegment:
    """What is to be learned of the customers who were left out and can be settled now.

    Each from where they were settled last, up to `at`. Raises StoreUnavailable.
    """
    changes: list[RewardChange] = []
    still: list[LeftOut] = []
    for one in at.left_out:
        begin = msgspec.structs.replace(at, position=one.position, end_s=one.end_s)
        events = events_of_customers(log, [one.customer_id])
        found, failures = _changes(attribution, events, begin, at)
        if one.customer_id in failures:
            still.append(one)
        else:
            changes += [change for change in found if change.customer_id == one.customer_id]
    return LogSegment(at.waiting_for(still), 0, changes)


def _changes(
    attribution: Attribution, events: Sequence[Event], begin: LogPosition, end: LogPosition
) -> tuple[list[RewardChange], dict[str, str]]:
    """What changes from one position to the other, and who cannot be settled at one of them."""
    old, failed_before = _credits(attribution, events, begin)
    new, failed_after = _credits(attribution, events, end)
    failures = failed_before | failed_after
    changes = []
    for decision_id, credit in new.items():
        customer_id = credit.decision.customer_id
        before = old.get(decision_id)
        known = before is not None and before.settles_s <= begin.settled_s
        known = known or credit.settles_s <= begin.settled_s
        if known or credit.decision.seq <= begin.begin or customer_id in failures:
            continue
        change = RewardChange(
            decision_id,
            customer_id,
            exposed=credit.counted - (before is not None and before.counted),
            before=before.reward if before is not None else 0.0,
            after=credit.reward,
            reached=credit.reached - (before is not None and before.reached),
            arrived_before=before.arrivals if before is not None else (),
            arrived=credit.arrivals,
        )
        if change.teaches or change.reached:
            changes.append(change)
    return changes, failures


def _credits(
    attribution: Attribution, events: Sequence[Event], position: LogPosition
) -> tuple[dict[str, Credit], dict[str, str]]:
    known = [event for event in events if event.seq <= position.position]
    credits, failures = credits_and_failures(attribution, known, position.end_s, carried=True)
    return {credit.decision.decision_id or "": credit for credit in credits}, failures


def first_after(log: Log, at_s: float) -> int:
    """The last position of the log whose events were received before `at_s`, about.

    Events are appended in the order in which they are received, but for imports; what an import
    has brought later is met where it stands.
    """
    low, high = 0, log.position()
    while low < high:
        middle = (low + high) // 2
        (event,) = log.page_events(middle, 1)
        if micros(event.received_at) / 1e6 < at_s:
            low = middle + 1
        else:
            high = middle
    return low
