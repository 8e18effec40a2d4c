"""Delivery: outbound decisions go out by webhook, each until it has arrived or is dead.

A delivery that failed waits longer each time and is dead after the last attempt that is allowed.
A dead one stays in the list (`Log.deliveries("dead")`) until an operator sends it once more
(`again`); its event, `Action Expired`, takes the contact out of what contact policies count.

A message that nobody has tried to send within an hour of its time waited before delivery began:
before there was a webhook, or while no replica ran. It is held until an operator releases it
(`release`), so that nobody is flooded.

In a dry run nothing is sent, and every delivery counts as delivered, its event marked `dry_run`:
contact policies and sub-journeys behave as they will, and the day on which it ends does not begin
with a flood of old messages.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from nba.decisions.decision import Decision
from nba.durations import HOUR_S
from nba.errors import StoreUnavailable, shown
from nba.events.event import Event
from nba.events.names import ACTION_DELIVERED, ACTION_EXPIRED, DELIVERY_PREFIX, EXPIRY_PREFIX
from nba.randomization import position
from nba.stores.log import Delivery, Log
from serving.workers.webhook import DeliveryAttempt, Webhook, send

logger = logging.getLogger("nba.serving")

LEASE_S = 60.0  # beyond the time of an attempt: of which nobody said how it ended, is made again
AT_ONCE = 20  # messages under way at the same time
FIRST_WAIT_S = 10.0
LONGEST_WAIT_S = HOUR_S
HELD_AFTER = timedelta(hours=1)  # beyond its time, and never tried
HELD = "held: it waited before delivery began; nba deliveries --release sends it"
NOT_BY_ITSELF = datetime(9999, 1, 1, tzinfo=UTC)
MOST_RELEASED = 1_000_000


DeliveryBlock = Callable[[Decision, datetime], str | datetime | None]


class Deliverer:
    """Sends what is due. Several may be at it, in one process or many."""

    def __init__(
        self,
        log: Log,
        webhook: Webhook,
        delivery_block: DeliveryBlock = lambda decision, now: None,
    ) -> None:
        """`delivery_block` says why a message must not go out any more, such as a withdrawn
        consent, or until when it has to wait."""
        self._log = log
        self._webhook = webhook
        self._delivery_block = delivery_block

    def __call__(self, now: datetime) -> int:
        """Try at most `AT_ONCE` of what is due; how many that were. Raises StoreUnavailable."""
        claimed = self._log.claim_deliveries(now, AT_ONCE, LEASE_S + self._webhook.timeout_s)
        decisions = [self._log.decision(delivery.decision_id) for delivery in claimed]
        verdicts = [
            self._held(delivery, decision, now) or self._before_sending(decision, now)
            for delivery, decision in zip(claimed, decisions, strict=True)
        ]
        if held := sum(verdict is not None and verdict.why == HELD for verdict in verdicts):
            logger.warning("%d messages are %s", held, HELD)
        to_send = [
            (index, decision)
            for index, decision in enumerate(decisions)
            if verdicts[index] is None and decision is not None
        ]
        if to_send:
            answers = asyncio.run(send(self._webhook, [decision for _, decision in to_send], now))
            for (index, _), answer in zip(to_send, answers, strict=True):
                verdicts[index] = answer
        for delivery, decision, verdict in zip(claimed, decisions, verdicts, strict=True):
            assert verdict is not None
            self._settle(delivery, decision, verdict, now)
        return len(claimed)

    def _held(
        self, delivery: Delivery, decision: Decision | None, now: datetime
    ) -> DeliveryAttempt | None:
        untried = delivery.attempts == 1 and delivery.error is None
        if decision is None or not untried or self._webhook.dry_run:
            return None
        if now - decision.goes_out_at <= HELD_AFTER:
            return None
        return DeliveryAttempt(kind="later", why=HELD, until=NOT_BY_ITSELF)

    def _before_sending(self, decision: Decision | None, now: datetime) -> DeliveryAttempt | None:
        if decision is None:
            return DeliveryAttempt(kind="dead", why="its decision is not in the log")
        try:
            why = self._delivery_block(decision, now)
            if isinstance(why, datetime):
                return DeliveryAttempt(kind="later", why="quiet hours", until=why)
        except StoreUnavailable:
            raise
        except Exception as error:  # what may be wrong to send is not sent
            logger.exception("delivery %s is not checked", shown(decision.decision_id))
            return DeliveryAttempt(kind="again", why=f"not checked: {type(error).__name__}")
        if why is not None:
            return DeliveryAttempt(kind="dead", why=why)
        return DeliveryAttempt(kind="arrived") if self._webhook.dry_run else None

    def _settle(
        self, delivery: Delivery, decision: Decision | None, verdict: DeliveryAttempt, now: datetime
    ) -> None:
        tried = delivery.attempts
        if verdict.until is not None:  # no attempt was made
            kept = replace(delivery, due_at=verdict.until, attempts=tried - 1, error=verdict.why)
            self._log.settle_delivery(kept)
            return
        if verdict.kind == "again" and tried < self._webhook.attempts:
            wait_s = max(_wait_s(delivery.decision_id, tried), verdict.retry_after_s)
            due_at = now + timedelta(seconds=wait_s)
            self._log.settle_delivery(replace(delivery, due_at=due_at, error=verdict.why))
            return
        if verdict.kind == "arrived":
            done = replace(delivery, state="delivered", due_at=now, error=None)
            arrived: dict[str, Any] = {}
            if self._webhook.dry_run:
                arrived["dry_run"] = True
            elif verdict.receipt is not None:
                arrived["receipt"] = verdict.receipt
            event = _event(ACTION_DELIVERED, DELIVERY_PREFIX, delivery, decision, now, arrived)
            self._log.settle_delivery(done, event)
            return
        logger.warning("delivery %s is dead: %s", shown(delivery.decision_id), verdict.why)
        dead = replace(delivery, state="dead", due_at=now, error=verdict.why)
        expired = {"why": verdict.why}
        event = _event(ACTION_EXPIRED, EXPIRY_PREFIX, delivery, decision, now, expired)
        self._log.settle_delivery(dead, event)


def _wait_s(decision_id: str, tried: int) -> float:
    """Twice as long each time, of which the second half is by the message's id: not all at once."""
    longest = min(FIRST_WAIT_S * 2.0 ** min(tried - 1, 30), LONGEST_WAIT_S)
    return longest * (0.5 + 0.5 * position(f"retry:{tried}", decision_id))


def again(delivery: Delivery, now: datetime) -> Delivery:
    """The same delivery with all its attempts before it, for `Log.settle_delivery`."""
    return replace(delivery, state="waiting", due_at=now, attempts=0, error="sent once more")


def release(log: Log, now: datetime) -> int:
    """Let all go that are held; how many they were. What has become stale is dead when it is its
    turn. Raises StoreUnavailable."""
    held = [one for one in log.deliveries("waiting", MOST_RELEASED) if one.error == HELD]
    for delivery in held:
        log.settle_delivery(replace(delivery, due_at=now, error="released"))
    return len(held)


def _event(
    name: str,
    prefix: str,
    delivery: Delivery,
    decision: Decision | None,
    now: datetime,
    properties: dict[str, Any],
) -> Event:
    facts: dict[str, Any] = {"decision_id": delivery.decision_id, "attempts": delivery.attempts}
    if decision is not None:
        facts["action_id"] = decision.action_id
        if decision.request.channel is not None:
            facts["channel"] = decision.request.channel
    return Event(
        event_id=prefix + delivery.decision_id,
        customer_id=delivery.customer_id,
        name=name,
        occurred_at=now,
        received_at=now,
        properties={**facts, **properties},
    )
