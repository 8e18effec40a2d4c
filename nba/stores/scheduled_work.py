"""What an append leaves to be done, timers and deliveries: the rules that every log keeps."""

from __future__ import annotations

from datetime import datetime

from nba.decisions.decision import Decision
from nba.errors import shown
from nba.events.event import Event
from nba.events.names import TIMER_FIRED, TIMER_PREFIX
from nba.stores.log import Delivery


def fired(timer_id: str, customer_id: str, now: datetime) -> Event:
    """The event of a timer that went off."""
    return Event(
        event_id=TIMER_PREFIX + timer_id,
        customer_id=customer_id,
        name=TIMER_FIRED,
        occurred_at=now,
        received_at=now,
        properties={"timer_id": timer_id},
    )


def delivery_of(decision: Decision) -> Delivery | None:
    """The delivery that waits once the decision is stored, None where nothing goes out."""
    if not decision.delivered_by_us:
        return None
    return Delivery(
        decision_id=decision.decision_id,
        customer_id=decision.request.customer_id,
        state="waiting",
        due_at=decision.not_before or decision.decided_at,
    )


def settles(present: Delivery, delivery: Delivery) -> bool:
    """Whether `delivery` replaces what is stored of it.

    What is delivered or dead stays so, unless an operator sends it once more. Whoever comes back
    from an attempt after another has claimed the next one changes nothing, unless it arrived.
    """
    if delivery.state == "waiting" and delivery.attempts == 0:
        return True
    if present.state != "waiting":
        return False
    return delivery.state == "delivered" or delivery.attempts >= present.attempts


def unknown_delivery(decision_id: str) -> str:
    """Why a delivery was not settled."""
    return f"decision {shown(decision_id)} has no delivery; only an outbound action is delivered"
