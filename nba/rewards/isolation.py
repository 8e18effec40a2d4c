"""Credits by customer: one whose events cannot be settled must not stop those of all others."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence

from nba.errors import shown
from nba.events.event import Event
from nba.events.names import ACTION_DECIDED
from nba.rewards.attribution import Attribution
from nba.rewards.credit import Credit

logger = logging.getLogger("nba.serving")

SEVERAL = 20  # where so many customers fail and nobody else does, it is not the customers
AGAIN_S = 600.0  # after so long, customers who were left out are tried again
MOST = 1_000  # customers who may be left out; where there are more, it is not the customers


def credits_and_failures(
    attribution: Attribution, events: Sequence[Event], end_s: float, *, carried: bool = False
) -> tuple[list[Credit], dict[str, str]]:
    """The credits of `Attribution.credits`, and by customer why they have none.

    `carried`: with what later steps carry back. Raises what was raised where none of `SEVERAL`
    customers can be settled, or more than `MOST` cannot: then it is not the customers.
    """

    def settled(some: Sequence[Event]) -> list[Credit]:
        credits = attribution.credits(some, end_s)
        return attribution.carried(credits, end_s) if carried else credits

    try:
        return settled(events), {}
    except Exception as error:
        credits: list[Credit] = []
        failures: dict[str, str] = {}
        parts = _by_customer(events)
        for customer, own in parts.items():
            try:
                found = settled(own)
                credits += [one for one in found if one.decision.customer_id == customer]
            except Exception as reason:
                failures[customer] = type(reason).__name__
                logger.error("customer %s is left out", shown(customer), exc_info=reason)
        if not failures or len(failures) == len(parts) >= SEVERAL or len(failures) > MOST:
            raise error
        credits.sort(key=lambda one: (one.decision.occurred_at, one.decision.seq))
        return credits, failures


def _by_customer(events: Sequence[Event]) -> dict[str, list[Event]]:
    """Of each customer their events, and those of others that name their decisions."""
    owners = {e.decision_id: e.customer_id for e in events if e.name == ACTION_DECIDED}
    parts: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        parts[event.customer_id].append(event)
        owner = owners.get(event.decision_id, event.customer_id)
        if owner != event.customer_id:
            parts[owner].append(event)
    return parts
