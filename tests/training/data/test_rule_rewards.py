"""What came of our own decisions, by id."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from nba.events.event import Event
from nba.events.names import ACTION_ACTIVATED, ACTION_DECIDED, ACTION_EXPIRED
from tests.fixtures.small_replica import FOLD, NOON, event
from training.data.history import history_of
from training.data.rule_rewards import mature_rewards


def decided(name: str, action: str, **more: Any) -> Event:
    properties = {"decision_id": name, "action_id": action, "context_seq": 0, **more}
    return event(ACTION_DECIDED, NOON, properties, customer_id=name)


def about(name: str, what: str, hours: float = 1) -> Event:
    return event(what, NOON + timedelta(hours=hours), {"decision_id": name}, customer_id=name)


def rewards_of(events: list[Event]) -> dict[str, float]:
    numbered = [msgspec.structs.replace(one, seq=n) for n, one in enumerate(events, start=1)]
    return mature_rewards(history_of(FOLD, numbered))


def test_rewards_are_in_eur_less_the_costs_of_what_reached_the_customer() -> None:
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
    found = rewards_of(events)
    assert found == pytest.approx({"taken": 39.95, "left": -0.05, "none": 0.0, "lost": 0.0})
    later = [*events[:-2], event("page", NOON + timedelta(days=14)), events[-1]]
    assert rewards_of(later) == pytest.approx(found | {"waiting": 0.0, "used": -0.05})


def test_rewards_of_deferred_decisions_are_known_two_windows_after_them() -> None:
    late = 24 * FOLD.schema.journey.reward.window_days
    events = [
        decided("none", "no_action", deferred=True),
        *(
            decided("late", "card_offer", deferred=True),
            decided("open", "card_offer", deferred=True),
        ),
        *(decided("back", "card_offer"), about("back", ACTION_EXPIRED)),
        *(about("late", ACTION_ACTIVATED, 48), about("back", "Action Shown", 2)),
        *(about("open", ACTION_ACTIVATED, 49), about("late", "Action Accepted", 47 + late)),
        event("page", NOON + timedelta(hours=2 * late - 1)),
    ]
    assert rewards_of(events) == pytest.approx({"back": -0.05})
    over = [*events, event("page", NOON + timedelta(hours=2 * late))]
    known = {"none": 0.0, "late": 39.95, "open": -0.05, "back": -0.05}
    assert rewards_of(over) == pytest.approx(known)
