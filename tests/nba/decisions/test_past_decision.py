"""Past decisions: what another system's decision may leave out, and what it may not get wrong."""

from __future__ import annotations

from typing import Any

import pytest

from nba.decisions.past_decision import check_past_decision, has_propensity, is_past_decision
from nba.errors import InvalidInput
from nba.events.names import ACTION_DECIDED
from tests.fixtures.small_replica import event


def test_an_action_alone_is_a_past_decision() -> None:
    check_past_decision({"action_id": "offer"})
    check_past_decision(
        {"action_id": "offer", "decision_id": "d1", "channel": "email", "propensity": 0.5}
        | {"candidates": ["offer", "no_action"]}
    )


@pytest.mark.parametrize(
    ("properties", "field"),
    [
        ({}, "action_id"),
        ({"action_id": ""}, "action_id"),
        ({"action_id": 7}, "action_id"),
        ({"action_id": "offer", "decision_id": 7}, "decision_id"),
        ({"action_id": "offer", "channel": 7}, "channel"),
        ({"action_id": "offer", "propensity": 0.0}, "propensity"),
        ({"action_id": "offer", "propensity": 1.5}, "propensity"),
        ({"action_id": "offer", "propensity": "high"}, "propensity"),
        ({"action_id": "offer", "candidates": "offer"}, "candidates"),
        ({"action_id": "offer", "candidates": ["news"]}, "candidates"),
    ],
)
def test_what_would_be_without_effect_is_refused(properties: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput, match=field):
        check_past_decision(properties)


def test_only_ours_names_the_position_that_it_saw() -> None:
    ours = event(ACTION_DECIDED, properties={"action_id": "offer", "context_seq": 4})
    theirs = event(ACTION_DECIDED, properties={"action_id": "offer", "propensity": 0.5})
    assert not is_past_decision(ours)
    assert is_past_decision(theirs)
    assert has_propensity(theirs)
    assert not has_propensity(ours)
