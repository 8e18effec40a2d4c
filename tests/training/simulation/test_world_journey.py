"""The simulated bank and its journey file agree, though neither knows the other."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from features.fold import Fold
from nba.events.names import ACTION_OUTCOMES, GOVERNANCE_EVENTS, IDENTIFY
from nba.journey_file.loader import load_journey
from nba.rewards.attribution import Attribution
from tests.fixtures.files import BANK_JOURNEY
from training.data.history import events_from
from training.simulation.history import RandomPolicy
from training.simulation.responses import WORLD_ACTIONS
from training.simulation.world import EventJson, World, WorldConfig

BANK = load_journey(BANK_JOURNEY)


@pytest.fixture(scope="module")
def events() -> list[EventJson]:
    return list(World(WorldConfig(customers=400, days=90, seed=5)).play(RandomPolicy(5)))


def test_no_event_of_the_world_is_unmapped(events: list[EventJson]) -> None:
    known = {mapping.event for mapping in BANK.events} | {
        IDENTIFY,
        *ACTION_OUTCOMES,
        *GOVERNANCE_EVENTS,
    }
    assert {event["name"] for event in events} <= known


def test_every_event_that_the_journey_maps_happens(events: list[EventJson]) -> None:
    assert {mapping.event for mapping in BANK.events} <= {event["name"] for event in events}


def test_world_and_journey_know_the_same_actions_at_the_same_places(
    events: list[EventJson],
) -> None:
    actions = {action.id: action for action in BANK.actions}
    assert set(actions) == set(WORLD_ACTIONS)
    seen = set()
    for event in events:
        if event["name"] == "Action Decided":
            where = event["properties"]
            for name in where["candidates"][:-1]:
                seen.add((name, where["channel"], where["placement"]))
    listed = {
        (action.id, action.channel, place)
        for action in BANK.actions
        for place in (action.touchpoint, *action.also_at)
    }
    assert seen == listed


def test_traits_have_the_values_that_the_journey_lists(events: list[EventJson]) -> None:
    for event in events:
        if event["name"] == IDENTIFY:
            for name, value in event["properties"].items():
                BANK.traits[name].check(name, value)


def test_the_bank_is_a_whole_bank() -> None:
    touchpoints = BANK.touchpoints()
    actors = {trip.actor for scene in BANK.scenes for trip in scene.journeys}
    stages = [stage.id for _, _, stage in BANK.stages()]
    assert len(list(touchpoints)) == 40
    assert {touchpoint.kind for touchpoint in touchpoints} == {
        "digital",
        "physical",
        "human",
        "spatial",
    }
    assert actors == {"customer", "employee", "partner"}
    assert stages[0] == "discover" and "leave" in stages
    assert len(BANK.actions) == 30 and len(BANK.sub_journeys) == 6
    groups = {"sales", "service", "recovery", "retention", "onboarding"}
    assert {action.group for action in BANK.actions} == groups
    layers = {rule.layer for rule in BANK.engagement}
    assert layers == {"eligibility", "applicability", "suitability"}


def test_selling_and_serving_are_governed_by_emotion_through_ordinary_rules() -> None:
    assert "emotion" in BANK.segments["upset"]
    [rule] = [one for one in BANK.engagement if one.id == "no_selling_when_upset"]
    assert (rule.group, rule.layer) == ("sales", "suitability")
    raised = {
        weight.group for weight in BANK.weights if "upset" in weight.when and weight.factor > 1
    }
    assert raised == {"service", "recovery"}


def test_what_the_actions_declare_as_their_reward_is_what_her_answers_say(
    events: list[EventJson],
) -> None:
    assert {action.id for action in BANK.actions if action.reward is not None} == {
        *("help_popup", "chat_invitation", "ivr_payment_tip"),
    }
    plain = replace(BANK, actions=[replace(action, reward=None) for action in BANK.actions])
    log = events_from(events)
    kind_of = Fold(BANK).encoder.kind
    found = [
        [
            (credit.decision.event_id, credit.reward)
            for credit in Attribution(file, kind_of).credits(log, 0)
        ]
        for file in (BANK, plain)
    ]
    assert found[0] == found[1]
    assert sum(reward for _, reward in found[0]) > 500
