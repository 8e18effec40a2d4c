"""A house in which everything may be offered: what is tested is how we decide, not the rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from nba.decisions.decision import Decision
from nba.decisions.request import Request
from nba.events.event import Event
from nba.journey.file import JourneyFile
from nba.journey.policies import Cap, ContactRules
from tests.house import JOURNEY, NOON, SmallHouse, StubScorer, changed, event, failed_search

ADA = Request(customer_id="ada", facts={"page": "home"})
IDS = [action.id for action in JOURNEY.actions]
# Everything is eligible, free, and of the owner's plain weight: a priority is p_accept x value.
OPEN = changed(
    actions=[
        msgspec.structs.replace(action, eligible=None, cost_eur=0.0, value_eur=10.0)
        for action in JOURNEY.actions
    ],
    contact_policy=ContactRules(),
    levers=[],
    no_action_value_eur=1.0,
)
SCORES = [0.5, 0.3, 0.2, 0.05, 0.0]


def open_house(scores: Sequence[float] = SCORES, **fields: Any) -> SmallHouse:
    return SmallHouse(fields.pop("journey", OPEN), scorer=StubScorer(scores), **fields)


def all_eligible() -> list[Event]:
    """A customer to whom each of the four actions may be offered."""
    traits = {"segment": "mass", "tenure_months": 12, "has_mortgage": False}
    return [event("identify", NOON, traits), failed_search(), event("Rage Click", NOON)]


def contacts(action_id: str, times: int) -> list[Event]:
    return [event("Action Decided", NOON, {"action_id": action_id}) for _ in range(times)]


def propensities(decision: Decision) -> dict[str, float]:
    return {one.action_id: one.propensity for one in decision.candidates}


def capped(**cap: Any) -> JourneyFile:
    """The same with one cap."""
    limit = ContactRules(caps=[Cap(id="cap", **cap)])
    return msgspec.structs.replace(OPEN, contact_policy=limit)
