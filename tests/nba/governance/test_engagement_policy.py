"""Engagement: who may be asked what, and the reason of each refusal."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from msgspec.structs import replace

from nba.decisions.candidate import Refused, Stage
from nba.decisions.decision import Decision
from nba.decisions.request import Request
from nba.journey.policies import EngagementRule
from nba.journey.sub_journeys import Step, SubJourney
from tests.fixtures.examples import examples
from tests.fixtures.random_catalogues import (
    DAY,
    IDS,
    OPEN_ACTIONS,
    SCORES,
    engagement_rules,
    governed,
)
from tests.fixtures.small_replica import (
    JOURNEY,
    NOON,
    SmallReplica,
    StubScorer,
    event,
    failed_search,
)


def decided(*events: Any, journey: Any = None, now: Any = NOON, **asked: Any) -> Decision:
    replica = SmallReplica(journey or governed(), scorer=StubScorer(SCORES))
    replica.log.append_events(events)
    [decision] = replica.decide(Request(customer_id="ada", **asked), now=now)
    return decision


def refused(*events: Any, **more: Any) -> dict[str, Refused]:
    return {one.action_id: one for one in decided(*events, **more).refused}


def rule(when: str, layer: Any = "eligibility", **more: Any) -> Any:
    return governed(engagement=[EngagementRule(id="the_rule", layer=layer, when=when, **more)])


def test_a_request_for_anything_anywhere_finds_every_action() -> None:
    assert refused() == {}


def test_an_action_of_another_channel_is_not_available() -> None:
    found = refused(channel="web")
    assert set(found) == {"card_offer", "agent_callback"}
    one = found["card_offer"]
    assert (one.stage, one.code, one.rule) == (Stage.AVAILABLE, "other_channel", "request.channel")
    assert one.detail == "the action is for another channel than web"


def test_an_action_shows_at_its_further_touchpoints_too() -> None:
    found = refused(placement="site_search")
    assert set(found) == {"card_offer", "agent_callback"}  # the loan is also at the search
    assert found["card_offer"].code == "other_placement"
    assert set(refused(placement="website")) == {"help_popup", "card_offer", "agent_callback"}


def test_a_request_may_name_the_candidates_and_what_is_taken() -> None:
    found = refused(
        candidates=("card_offer", "loan_offer"), already_placed=("loan_offer", "no_action")
    )
    assert {name: one.code for name, one in found.items()} == {
        "help_popup": "not_a_candidate",
        "agent_callback": "not_a_candidate",
        "loan_offer": "already_placed",
    }
    assert len(refused(candidates=())) == 4


@pytest.mark.parametrize(("days", "offered"), [(-1, False), (0, True), (1, True), (2, False)])
def test_an_action_has_its_dates_on_the_owners_calendar(days: int, offered: bool) -> None:
    actions = [*OPEN_ACTIONS[:3], replace(OPEN_ACTIONS[3], begins="2026-03-01", ends="2026-03-02")]
    found = refused(journey=governed(actions=actions), now=NOON + days * DAY)
    assert ("loan_offer" not in found) is offered
    late = NOON.replace(hour=23, minute=30) + timedelta(days=1)  # the 3rd of March in Berlin
    one = refused(journey=governed(actions=actions), now=late)["loan_offer"]
    assert (one.code, one.rule) == ("out_of_date", "loan_offer")
    assert one.detail == "today is 2026-03-03, the action is offered until 2026-03-02"


def test_an_action_of_sub_journeys_alone_is_offered_where_a_step_calls_for_it() -> None:
    actions = [*OPEN_ACTIONS[:2], replace(OPEN_ACTIONS[2], only_in_sub_journey=True)]
    call = Step(id="call", action="agent_callback")
    rescue = SubJourney(id="rescue", enter="segment.upset", steps=[call])
    journey = governed(actions=[*actions, OPEN_ACTIONS[3]], sub_journeys=[rescue])
    assert refused(journey=journey)["agent_callback"].code == "no_step"
    assert "agent_callback" not in refused(event("Complaint Filed"), journey=journey)


@pytest.mark.parametrize(
    ("layer", "code"),
    [
        ("eligibility", "not_eligible"),
        ("applicability", "not_applicable"),
        ("suitability", "not_suitable"),
    ],
)
def test_a_rule_refuses_on_its_layer_with_the_fact_that_failed(layer: Any, code: str) -> None:
    found = refused(journey=rule("traits.tenure_months >= 6", layer, group="sales"))
    assert set(found) == {"card_offer", "loan_offer"}
    one = found["card_offer"]
    assert (one.stage.value, one.code, one.rule) == (layer, code, "the_rule")
    assert one.detail == "traits.tenure_months is unknown"
    long_with_us = event("identify", NOON, {"tenure_months": 7})
    assert refused(long_with_us, journey=rule("traits.tenure_months >= 6", layer)) == {}


@pytest.mark.parametrize(
    ("level", "concerned"),
    [
        ({}, set(IDS)),
        ({"group": "help"}, {"help_popup"}),
        ({"channel": "web"}, {"help_popup", "loan_offer"}),
        ({"channel": "web", "group": "sales"}, {"loan_offer"}),
        ({"actions": ["agent_callback"]}, {"agent_callback"}),
    ],
)
def test_a_rule_stands_for_all_a_group_a_channel_or_actions(
    level: dict[str, Any], concerned: set[str]
) -> None:
    assert set(refused(journey=rule("segment.upset", **level))) == concerned


@pytest.mark.parametrize(
    "when",
    [
        'traits.segment == "mass"', "emotion.sum10 < 0", 'journey.stage == "explore"',
        'request.page == "home"', "segment.upset", "search_failed.count_1h > 0.5",
        "churn.risk > 0.2", "traits.tenure_months is None", "sub_journey.rescue",
    ],
)  # fmt: skip
def test_a_rule_may_look_at_everything_that_is_known_of_her(when: str) -> None:
    enters = SubJourney(
        id="rescue", enter="segment.upset", steps=[Step(id="wait", wait_hours=48.0)]
    )
    looks = EngagementRule(id="the_rule", layer="suitability", when=when)
    journey = governed(engagement=[looks], sub_journeys=[enters])
    known = [event("identify", NOON, {"segment": "mass"}), failed_search()]
    upset = event("Rage Click", NOON)
    page = {"page": "home"}
    assert refused(*known, upset, journey=journey, facts=page) == {}
    told = event("identify", NOON, {"tenure_months": 3})
    if when != "churn.risk > 0.2":
        assert len(refused(told, journey=journey)) == 4


def test_a_treatment_has_rules_of_its_own() -> None:
    replica = SmallReplica(governed(), scorer=StubScorer([0.9, 0, 0, 0, 0]))
    asked = [Request(customer_id="ada", candidates=("help_popup",))] * 60
    treatments = {(one.treatment, one.treatment_propensity) for one in replica.draw(*asked)}
    assert treatments == {("popup", 0.5), ("banner", 0.5), (None, 1.0)}
    replica.log.append_events([event("Complaint Filed"), event("Rage Click")])
    treatments = {(one.treatment, one.treatment_propensity) for one in replica.draw(*asked)}
    assert treatments == {("popup", 1.0), (None, 1.0)}  # the banner is not for the angry
    one = decided(event("Complaint Filed"), event("Rage Click"), journey=governed(actions=[
        replace(OPEN_ACTIONS[0], treatments=OPEN_ACTIONS[0].treatments[1:]), *OPEN_ACTIONS[1:],
    ])).refused[0]  # fmt: skip
    assert (one.action_id, one.rule) == ("help_popup", "help_popup.banner.suitable")


@pytest.mark.parametrize(("days", "holds"), [(-1, True), (0, False), (1, False), (2, True)])
def test_a_rule_has_its_dates(days: int, holds: bool) -> None:
    journey = rule("segment.upset", begins="2026-03-01", ends="2026-03-02")
    assert (refused(journey=journey, now=NOON + days * DAY) == {}) is holds


def test_a_rule_may_be_lifted_for_some_to_be_priced() -> None:
    journey = rule("segment.upset", group="sales", lifted_share=0.5)
    replica = SmallReplica(journey, scorer=StubScorer(SCORES))
    decisions = replica.draw(*[Request(customer_id=f"c{n}") for n in range(200)])
    free = [decision for decision in decisions if decision.lifted]
    assert 70 < len(free) < 130
    for decision in decisions:
        assert len(decision.refused) == (0 if decision.lifted else 2)
        assert [lifted.rule for lifted in decision.lifted] == ["the_rule"] * bool(decision.lifted)
    assert free[0].lifted[0].action_ids == ("card_offer", "loan_offer")
    again = replica.draw(*[Request(customer_id=f"c{n}") for n in range(200)])
    assert [bool(one.lifted) for one in again] == [bool(decision.lifted) for decision in decisions]


def test_the_rules_of_the_small_journey() -> None:
    assert refused(journey=JOURNEY)["help_popup"].detail == (
        "search_failed.count_1h is 0, needs >= 0.5"
    )
    traits = event("identify", NOON, {"segment": "mass", "tenure_months": 12})
    assert set(refused(failed_search(), traits, journey=JOURNEY)) == {
        "agent_callback",
        "loan_offer",
    }
    angry = [event("Complaint Filed", NOON), event("Rage Click", NOON)]
    assert refused(traits, *angry, journey=JOURNEY)["card_offer"].detail.startswith(
        "emotion.sum10 is -1.4"
    )


@examples(60)
@given(engagement_rules())
def test_what_no_rule_refuses_may_be_offered(rules: list[EngagementRule]) -> None:
    """Held to the rules one by one, each alone."""
    rules = [replace(one, lifted_share=0.0) for one in rules]
    together = set(refused(journey=replace(governed(), engagement=rules), facts={"page": "home"}))
    alone = set()
    for one in rules:
        journey = replace(governed(), engagement=[one])
        alone |= set(refused(journey=journey, facts={"page": "home"}))
    assert together == alone
