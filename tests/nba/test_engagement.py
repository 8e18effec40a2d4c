"""Engagement: who may be asked what, and the reason of each refusal."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from nba.context import Facts
from nba.decision import Request, Stage
from nba.engagement import Engagement
from tests.house import FOLD, JOURNEY, NOON, event, failed_search

ENGAGEMENT = Engagement(JOURNEY)
IDS = [action.id for action in JOURNEY.actions]


def available(**fields: Any) -> tuple[list[str], dict[str, tuple[str, str]]]:
    codes, refused = ENGAGEMENT.available(Request(customer_id="ada", **fields))
    assert all(one.stage is Stage.AVAILABLE for one in refused)
    return [IDS[code] for code in codes], {one.action_id: (one.rule, one.detail) for one in refused}


def eligible(*events: Any, **request: Any) -> tuple[list[str], dict[str, str]]:
    state = FOLD.advance(FOLD.empty, list(events))
    assert state is not None
    context = FOLD.context("ada", state, NOON)
    codes, refused = ENGAGEMENT.eligible(range(4), Facts(FOLD.schema, context.values, request))
    assert all((one.stage, one.rule) == (Stage.ELIGIBILITY, "not_eligible") for one in refused)
    return [IDS[code] for code in codes], {one.action_id: one.detail for one in refused}


def test_a_request_for_anything_anywhere_finds_every_action() -> None:
    assert available() == (IDS, {})


def test_an_action_of_another_channel_is_not_available() -> None:
    kept, refused = available(channel="web")
    assert kept == ["help_popup", "loan_offer"]
    assert refused == {
        "card_offer": ("other_channel", "the action is for app"),
        "agent_callback": ("other_channel", "the action is for phone"),
    }


def test_an_action_of_another_placement_is_not_available() -> None:
    kept, refused = available(channel="web", placement="site_search")
    assert kept == ["help_popup"]
    assert refused["loan_offer"] == ("other_placement", "the action is for website")
    assert refused["card_offer"][0] == "other_channel"


def test_a_request_may_name_the_candidates() -> None:
    kept, refused = available(candidates=("card_offer",))
    assert kept == ["card_offer"]
    assert {rule for rule, _ in refused.values()} == {"not_a_candidate"}
    assert available(candidates=())[0] == []


def test_an_action_shows_at_its_further_touchpoints_too() -> None:
    actions = list(JOURNEY.actions)
    actions[0] = msgspec.structs.replace(actions[0], also_at=["website"])
    engagement = Engagement(msgspec.structs.replace(JOURNEY, actions=actions))
    codes, _ = engagement.available(Request(customer_id="ada", placement="website"))
    assert [IDS[code] for code in codes] == ["help_popup", "loan_offer"]


def test_an_unknown_customer_is_told_why_she_gets_nothing() -> None:
    kept, refused = eligible()
    assert kept == []
    assert refused["help_popup"] == "search_failed.count_1h is 0, needs >= 0.5"
    assert refused["card_offer"] == "traits.segment is unknown"


def test_what_she_did_and_said_makes_actions_eligible() -> None:
    traits = event("identify", NOON, {"segment": "mass", "tenure_months": 12})
    assert eligible(failed_search(), traits)[0] == ["help_popup", "card_offer"]
    assert eligible(traits, page="loans")[0] == ["card_offer", "loan_offer"]


@pytest.mark.parametrize(("page", "offered"), [("home", True), ("account", False), (None, False)])
def test_a_rule_may_look_at_the_request(page: str | None, offered: bool) -> None:
    traits = event("identify", NOON, {"tenure_months": 12})
    assert ("loan_offer" in eligible(traits, page=page)[0]) is offered


def test_nobody_angry_is_sold_to() -> None:
    traits = event("identify", NOON, {"segment": "mass"})
    angry = [event("Complaint Filed", NOON), event("Rage Click", NOON)]
    kept, refused = eligible(traits, *angry)
    assert kept == ["agent_callback"]
    assert refused["card_offer"].startswith("emotion.sum10 is -1.4")
