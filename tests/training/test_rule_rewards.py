"""What came of our own decisions, by id."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from nba.events import ACTION_ACTIVATED, ACTION_DECIDED, ACTION_EXPIRED, Event
from tests.house import FOLD, NOON, event
from training.history import history_of
from training.rule_rewards import mature_rewards


def decided(name: str, action: str, **more: Any) -> Event:
    properties = {"decision_id": name, "action_id": action, "context_seq": 0, **more}
    return event(ACTION_DECIDED, NOON, properties, customer_id=name)


def about(name: str, what: str) -> Event:
    return event(what, NOON + timedelta(hours=1), {"decision_id": name}, customer_id=name)


def test_rewards_are_in_eur_less_costs_and_only_of_what_reached_the_customer() -> None:
    late = timedelta(days=9)
    events = [
        *(decided("taken", "card_offer"), decided("left", "card_offer")),
        *(decided("none", "no_action"), decided("waiting", "card_offer", deferred=True)),
        *(decided("used", "card_offer", deferred=True), decided("lost", "card_offer")),
        *(about("taken", "Action Accepted"), about("used", ACTION_ACTIVATED)),
        about("lost", ACTION_EXPIRED),
        event("page", NOON + late),
        event(ACTION_DECIDED, NOON + late, {"decision_id": "young", "action_id": "card_offer"}),
    ]
    numbered = [msgspec.structs.replace(one, seq=n) for n, one in enumerate(events, start=1)]
    found = mature_rewards(history_of(FOLD, numbered))
    assert found == pytest.approx({"taken": 39.95, "left": -0.05, "none": 0.0, "used": -0.05})
