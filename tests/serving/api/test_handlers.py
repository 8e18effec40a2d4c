"""The routes: what each route takes, answers and appends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fixtures.answers import GOOD, OFFERS, SEARCH, live
from tests.fixtures.outages import WHY, without_a_usable_champion
from tests.fixtures.small_replica import JOURNEY, NOON

if TYPE_CHECKING:
    from tests.fixtures.routes_in_process import InProcess


# /decide


def test_an_unknown_customer_is_answered_and_marked(client: InProcess) -> None:
    answer = client.decide("nobody")
    assert answer["known_customer"] is False
    assert answer["no_action"] is True
    client.post("/events", json={"customer_id": "nobody", **SEARCH})
    assert client.decide("nobody")["known_customer"] is True


def test_a_fallback_says_that_it_is_one_and_why(client: InProcess) -> None:
    without_a_usable_champion(client.log)
    assert client.replica.reload()
    client.post("/events", json=GOOD)
    answer = client.decide()
    assert answer["fallback_used"] is True
    assert answer["mode"] == answer["policy"] == "fallback"
    assert answer["note"] == WHY
    assert answer["model_version"] is None
    assert [one["action_id"] for one in answer["actions"]] == JOURNEY.fallback
    assert answer["propensity"] == 1.0
    assert answer["actions"][0]["p_accept"] is None


def test_a_champion_that_cannot_be_used_leaves_the_fallback_and_says_why(
    client: InProcess,
) -> None:
    live(client)
    client.log.save_bundle("bundle-odd", {"manifest.json": b"{}"})
    client.log.set_alias("champion", "bundle-odd", NOON)
    assert client.replica.reload() is True
    assert client.replica.reload() is False
    answer = client.decide()
    assert answer["fallback_used"] is True
    assert "manifest.json" in answer["note"]
    assert "promote the bundle again" in answer["note"]


def test_a_live_decision_is_drawn_with_the_propensity_that_it_states(client: InProcess) -> None:
    live(client)
    client.post("/events", json=[GOOD, {"customer_id": "ada", **OFFERS}])
    answer = client.decide()
    assert answer["mode"] == "live"
    assert answer["fallback_used"] is False
    assert answer["model_version"] == "bundle-stub"
    drawn = answer["actions"][0]["action_id"] if answer["actions"] else "no_action"
    stated = {one["action_id"]: one["propensity"] for one in answer["candidates"]}
    assert answer["propensity"] == stated[drawn]
    assert sum(stated.values()) == pytest.approx(1.0, abs=1e-12)
    assert set(stated) == {"help_popup", "card_offer", "no_action"}
    priorities = [one["priority"] for one in answer["candidates"]]
    assert priorities == sorted(priorities, reverse=True)
    assert {one["action_id"] for one in answer["filtered"]} == {"agent_callback", "loan_offer"}
    for one in answer["candidates"]:
        if one["action_id"] != "no_action":
            worth = one["p_accept"] * one["context_weight"] * one["value_eur"]
            expected = worth * one["lever"] - one["cost_eur"]
            assert one["priority"] == pytest.approx(expected)


def test_the_next_call_knows_what_was_posted_before(client: InProcess) -> None:
    assert client.decide(channel="web")["actions"] == []
    client.post("/events", json=GOOD)
    assert client.decide(channel="web")["actions"][0]["action_id"] == "help_popup"
    angry = {"customer_id": "ada", "name": "Complaint Filed"}
    client.post("/events", json=angry)
    assert client.decide()["emotion"]["last"] == -0.8


def test_a_cap_that_one_channel_reaches_holds_on_the_next_call(client: InProcess) -> None:
    for number in range(3):
        client.post("/events", json={**GOOD, "event_id": f"s{number}"})
        assert client.decide()["actions"][0]["action_id"] == "help_popup"
    answer = client.decide()
    assert answer["no_action"] is True
    (refused,) = [one for one in answer["filtered"] if one["action_id"] == "help_popup"]
    assert (refused["stage"], refused["code"], refused["rule"]) == (
        *("contact_policy", "contact_cap", "three_a_week"),
    )
    client.clock.advance(days=7.01)
    client.post("/events", json={**GOOD, "event_id": "later"})
    assert client.decide()["actions"][0]["action_id"] == "help_popup"


def test_a_dry_run_answers_and_appends_nothing(client: InProcess) -> None:
    client.post("/events", json=GOOD)
    before = client.log.position()
    answer = client.decide(dry_run=True, decision_request_id="r1")
    assert answer["logged"] is False
    assert answer["actions"][0]["action_id"] == "help_popup"
    assert client.log.position() == before
    assert client.log.decision(answer["decision_id"]) is None
    assert client.get(f"/decisions/{answer['decision_id']}").status_code == 404
    assert client.decide(decision_request_id="r1")["logged"] is True


def test_a_repeated_request_id_gets_the_identical_answer(client: InProcess) -> None:
    live(client)
    asked = {"customer_id": "ada", "decision_request_id": "r1"}
    first = client.post("/decide", json=asked)
    position = client.log.position()
    client.clock.advance(minutes=5)
    client.post("/events", json=GOOD)
    again = client.post("/decide", json=asked)
    assert again.content == first.content
    assert client.log.position() == position + 1
    other = client.decide("bob", decision_request_id="r1")
    assert other["decision_id"] != first.json()["decision_id"]


def test_candidates_and_placement_restrict_the_draw(client: InProcess) -> None:
    client.post("/events", json=GOOD)
    filtered = client.decide(candidates=["card_offer"], placement="banking_app")["filtered"]
    assert {one["action_id"]: one["code"] for one in filtered} == {
        "help_popup": "not_a_candidate",
        "card_offer": "not_eligible",
        "agent_callback": "not_a_candidate",
        "loan_offer": "not_a_candidate",
    }
    filtered = client.decide(placement="banking_app", channel="app")["filtered"]
    assert {one["code"] for one in filtered} == {"other_channel", "not_eligible"}
    assert client.decide(candidates=[])["no_action"] is True


def test_what_the_journey_file_does_not_name_is_refused_with_what_it_does(
    client: InProcess,
) -> None:
    for fields, field, remedy in [
        ({"channel": "wep"}, "channel", "did you mean 'web'?"),
        ({"placement": "site_serch"}, "placement", "did you mean 'site_search'?"),
        ({"candidates": ["card_offers"]}, "candidates", "did you mean 'card_offer'?"),
        ({"context": {"pages": "home"}}, "context.pages", "did you mean 'page'?"),
        ({"context": {"page": "hom"}}, "context.page", "did you mean 'home'?"),
        ({"costumer": "ada"}, "costumer", "unknown field, did you mean 'customer_id'?"),
    ]:
        response = client.post("/decide", json={"customer_id": "ada", **fields})
        assert response.status_code == 422
        problem = response.json()
        assert (problem["field"], problem["remedy"]) == (field, remedy)
        assert problem["message"] == f"{field}: {problem['value']}: {remedy}"
    assert client.log.position() == 0


def test_request_facts_reach_the_rules(client: InProcess) -> None:
    traits = {"has_mortgage": False, "tenure_months": 30}
    client.post("/events", json={"customer_id": "ada", "name": "identify", "properties": traits})
    refused = {one["action_id"] for one in client.decide(context={"page": "account"})["filtered"]}
    assert "loan_offer" in refused
    refused = {one["action_id"] for one in client.decide(context={"page": "loans"})["filtered"]}
    assert "loan_offer" not in refused


def test_a_field_of_the_server_cannot_be_set_by_the_caller(client: InProcess) -> None:
    for field in ("propensity", "policy", "mode", "seed", "decided_at", "model_version"):
        response = client.post("/decide", json={"customer_id": "ada", field: 1})
        assert response.status_code == 422, field
    event = {**GOOD, "received_at": "1999-01-01T00:00:00Z"}
    client.post("/events", json=event)
    (stored,) = client.log.page_events()
    assert stored.received_at == client.clock.now
