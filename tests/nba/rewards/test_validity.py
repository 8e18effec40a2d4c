"""Validity: every decision counts as it was decided, and what reached the customer is known."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from nba.durations import DAY_S
from nba.events.event import Event
from nba.journey.actions import NO_ACTION, ActionReward
from nba.journey.goals import RewardRule
from nba.rewards.attribution import Attribution
from nba.rewards.credit import Credit
from tests.fixtures.small_replica import FOLD, JOURNEY, NOON, changed, event

VALUE = RewardRule(target="value", window_days=7.0, events=["purchase"])


def attribution(rule: RewardRule, **declared: ActionReward) -> Attribution:
    actions = [replace(action, reward=declared.get(action.id)) for action in JOURNEY.actions]
    return Attribution(changed(reward=rule, actions=actions), FOLD.encoder.kind)


def decided(name: str = "d0", action: str = "card_offer", **more: Any) -> Event:
    return event("Action Decided", NOON, {"decision_id": name, "action_id": action, **more})


def told(name: str, day: float, **more: Any) -> Event:
    return event(name, NOON + timedelta(days=day), {"decision_id": "d0", **more})


def paid(eur: float, day: float) -> Event:
    return event("Order Completed", NOON + timedelta(days=day), {"revenue": eur})


def credits(rule: Attribution, *events: Event, end_day: float = 100) -> list[Credit]:
    log = [replace(one, seq=n) for n, one in enumerate(events, start=1)]
    return rule.credits(log, NOON.timestamp() + end_day * DAY_S)


@pytest.mark.parametrize("action", ["card_offer", NO_ACTION])
@pytest.mark.parametrize("deferred", [False, True])
@pytest.mark.parametrize("sign", [None, "Action Activated", "Action Delivered", "Action Expired"])
def test_whether_a_decision_counts_and_for_how_long_does_not_depend_on_the_draw(
    action: str, deferred: bool, sign: str | None
) -> None:
    """Nor on what became of it: whoever buys anyway does so after every draw."""
    signs = [] if sign is None else [told(sign, 5)]
    rule = attribution(VALUE, card_offer=ActionReward(window_days=7))
    for end_day, complete in ((6.9, False), (7.0, not deferred), (14.0, True)):
        made = decided(action=action, deferred=deferred)
        (one,) = credits(rule, made, *signs, paid(10, 1), paid(5, 6), paid(1, 8), end_day=end_day)
        assert (one.counted, one.complete, one.reward) == (True, complete, 15.0)


def test_a_short_window_of_an_action_makes_it_no_younger_than_the_others() -> None:
    """Else the last days of a log would hold the actions with short windows alone."""
    rule = attribution(VALUE, card_offer=ActionReward(window_hours=1))
    events = (decided(), decided("d1", NO_ACTION), decided("d2", "help_popup"))
    assert [one.closed for one in credits(rule, *events, end_day=6.9)] == [False] * 3
    assert [one.closed for one in credits(rule, *events, end_day=7)] == [True] * 3


def test_what_never_reached_them_cost_nothing() -> None:
    rule = attribution(VALUE)
    (arrived,) = credits(rule, decided(), paid(10, 1))
    (gone,) = credits(rule, decided(), paid(10, 1), told("Action Expired", 2))
    assert (arrived.reward, gone.reward, gone.reached) == (10.0, 10.0, False)
    assert rule.reported_eur(gone, 0.3) == 10.0
    assert rule.reported_eur(arrived, 0.3) < 10.0
