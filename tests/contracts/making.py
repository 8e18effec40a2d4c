"""Events and decisions as the contract tests make them, and many calls at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from nba.decisions.candidate import Candidate, Refused, Stage
from nba.decisions.decision import CapacityTaken, Decision, Mode
from nba.decisions.request import Request
from nba.decisions.sub_journey_moves import SubJourneyMove, SubJourneyTimer
from nba.events.event import Event
from nba.journey.actions import NO_ACTION
from nba.stores.log import GuardedEvents

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
_numbers = count(1)


def event(event_id: str, customer_id: str = "ada", **properties: Any) -> Event:
    return Event(
        event_id=event_id,
        customer_id=customer_id,
        name="Product Viewed",
        occurred_at=NOON - timedelta(minutes=1),
        received_at=NOON,
        properties=properties,
    )


def decision(
    customer_id: str = "ada",
    request_id: str | None = None,
    context_seq: int = 0,
    decision_id: str | None = None,
    outbound: bool = False,
    **fields: Any,
) -> Decision:
    chosen = Candidate(
        action_id="call_back",
        p_accept=0.125,
        context_weight=1.0,
        value_eur=40.0,
        lever=1.0,
        cost_eur=2.5,
        priority=2.5,
        propensity=0.9,
    )
    refused = Refused(
        action_id=NO_ACTION, stage=Stage.SCORE, code="below_floor", rule="r", detail='"\\ \t'
    )
    made: dict[str, Any] = dict(
        decision_id=decision_id or f"d{next(_numbers)}",
        request=Request(
            customer_id=customer_id,
            channel="web",
            request_id=request_id,
            facts={"née": ["€", 1]},
            outbound=outbound,
        ),
        decided_at=NOON,
        mode=Mode.LIVE,
        action_id="call_back",
        treatment=None,
        propensity=0.9,
        candidates=(chosen,),
        refused=(refused,),
        reasons=(),
        churn=None,
        known_customer=True,
        context=bytes(range(256)),
        context_schema="s",
        context_seq=context_seq,
        bundle_id=None,
        catalogue_version="c",
        policy="p",
        seed=2**63,
    )
    return Decision(**{**made, **fields})


def move(number: int, name: str, *due: datetime) -> SubJourneyMove:
    """A move of the passage `episode`."""
    return SubJourneyMove(
        name=name,
        sub_journey="onboarding",
        definition="hash",
        episode_id="episode",
        number=number,
        step=f"step {number}",
        why="because",
        due=due,
    )


def use(
    amount: float, most: float = 10.0, capacity: str = "post", period: str = "2026-03"
) -> CapacityTaken:
    return CapacityTaken(capacity=capacity, period=period, amount=amount, most=most)


def guarded(
    event_id: str, customer_id: str = "ada", seen_seq: int = 0, **fields: Any
) -> GuardedEvents:
    events = (event(event_id, customer_id),)
    return GuardedEvents(
        **{"customer_id": customer_id, "seen_seq": seen_seq, "events": events, **fields}
    )


def timer(timer_id: str, due_at: datetime = NOON, customer_id: str = "ada") -> SubJourneyTimer:
    return SubJourneyTimer(timer_id=timer_id, customer_id=customer_id, due_at=due_at)


def at_once(call: Callable[[int], Any], threads: int = 8) -> list[Any]:
    """What `call` answers to `threads` threads that are let go together."""
    gate = threading.Barrier(threads)

    def run(number: int) -> Any:
        gate.wait()
        return call(number)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(threads)))
