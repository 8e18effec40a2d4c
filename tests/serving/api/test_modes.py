"""Deferred, shadow, placements, dry run, short answers: how a decision may be asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from nba.events.names import ACTION_ACTIVATED
from nba.promotion import catalogue_versions as catalogue
from tests.fixtures.governed_routes import (
    GOVERNED,
    RESCUED,
    action_of,
    refused_codes,
    routes_on,
)
from tests.fixtures.outages import a_log_without_a_usable_champion
from tests.fixtures.routes_in_process import InProcess
from tests.fixtures.small_replica import NOON


@pytest.fixture
def governed() -> Iterator[InProcess]:
    with routes_on(a_log_without_a_usable_champion()) as client:
        yield client


def deferred(client: InProcess, **fields: Any) -> str:
    """The id of a deferred decision for `help_popup`."""
    answer = client.decide(defer_activation=True, candidates=["help_popup"], **fields)
    assert answer["deferred"] is True
    assert action_of(answer) == "help_popup"
    return str(answer["decision_id"])


def activated(client: InProcess, decision_id: str) -> dict[str, Any]:
    response = client.post("/activate", json={"decision_id": decision_id})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def counted(client: InProcess, customer_id: str = "ada") -> list[str]:
    """The actions of the contacts that count."""
    known = client.get(f"/customers/{customer_id}").json()
    return [contact[0] for contact in known["contacts"] if contact[4]]


# Deferred


def test_a_deferred_decision_counts_only_once_it_is_activated(governed: InProcess) -> None:
    made = [deferred(governed) for _ in range(5)]  # the cap allows two
    assert counted(governed) == []
    assert activated(governed, made[0]) == {
        "decision_id": made[0], "action_id": "help_popup", "activated": True, "refused": [],
        "not_before": None,
    }  # fmt: skip
    assert activated(governed, made[1])["activated"] is True
    assert counted(governed) == ["help_popup"] * 2
    assert ("help_popup", "contact_cap") in refused_codes(governed.decide()["filtered"])


def test_a_contact_counts_from_its_activation_and_not_from_its_decision(
    governed: InProcess,
) -> None:
    made = [deferred(governed) for _ in range(2)]
    governed.clock.advance(days=6)
    for one in made:
        activated(governed, one)
    governed.clock.advance(days=6)
    assert ("help_popup", "contact_cap") in refused_codes(governed.decide()["filtered"])
    governed.clock.advance(days=1.01)
    assert action_of(governed.decide()) == "help_popup"


def test_activating_twice_changes_nothing(governed: InProcess) -> None:
    made = deferred(governed)
    first = activated(governed, made)
    position = governed.log.position()
    governed.clock.advance(hours=1)
    assert activated(governed, made) == first
    assert governed.log.position() == position
    live = governed.decide()
    position = governed.log.position()
    assert activated(governed, live["decision_id"])["activated"] is True
    assert governed.log.position() == position


def test_a_cap_that_was_reached_meanwhile_refuses_the_activation(governed: InProcess) -> None:
    made = deferred(governed)
    for _ in range(2):
        assert action_of(governed.decide()) == "help_popup"
    answer = activated(governed, made)
    assert answer["activated"] is False
    assert refused_codes(answer["refused"]) == {("help_popup", "contact_cap")}
    assert counted(governed) == ["help_popup"] * 2
    governed.clock.advance(days=8)
    assert activated(governed, made)["activated"] is True


def test_a_consent_that_was_withdrawn_refuses_the_activation(governed: InProcess) -> None:
    made = deferred(governed)
    said = {"customer_id": "ada", "name": "Consent Withdrawn", "properties": {"purpose": "service"}}
    governed.post("/events", json=said)
    answer = activated(governed, made)
    assert answer["activated"] is False
    assert refused_codes(answer["refused"]) == {("help_popup", "no_consent")}
    governed.post("/events", json={**said, "name": "Consent Given"})
    assert activated(governed, made)["activated"] is True


def test_a_capacity_is_taken_by_the_activation_and_refuses_the_next(governed: InProcess) -> None:
    made = [
        governed.decide(who, channel="phone", defer_activation=True)["decision_id"]
        for who in ("ada", "bob")
    ]
    assert activated(governed, made[0])["activated"] is True
    answer = activated(governed, made[1])
    assert answer["activated"] is False
    assert refused_codes(answer["refused"]) == {("agent_callback", "no_capacity")}
    governed.clock.advance(days=1)
    assert activated(governed, made[1])["activated"] is True


@pytest.mark.parametrize("outcome", ["shown", "clicked", "dismissed"])
def test_feedback_on_a_deferred_decision_shows_that_it_was_activated(
    governed: InProcess, outcome: str
) -> None:
    made = deferred(governed)
    told = {"decision_id": made, "outcome": outcome}
    assert governed.post("/feedback", json=told).json()["stored"] is True
    assert governed.post("/feedback", json=told).json()["stored"] is False
    assert counted(governed) == ["help_popup"]
    names = [event.name for event in governed.log.page_events()]
    assert names.count(ACTION_ACTIVATED) == 1
    assert activated(governed, made)["activated"] is True
    assert [event.name for event in governed.log.page_events()] == names


def test_only_a_decision_in_the_log_can_be_activated(governed: InProcess) -> None:
    assert governed.post("/activate", json={"decision_id": "dec-none"}).status_code == 404
    shadow = governed.decide(shadow_of="card_offer")["decision_id"]
    response = governed.post("/activate", json={"decision_id": shadow})
    assert response.status_code == 422
    assert response.json()["remedy"] == "a decision in shadow mode is only compared; decide live"
    nothing = governed.decide(defer_activation=True, candidates=[])
    assert activated(governed, nothing["decision_id"])["action_id"] == "no_action"
    assert counted(governed) == ["card_offer"]


def test_an_action_that_has_left_the_catalogue_is_not_activated(governed: InProcess) -> None:
    made = deferred(governed)
    without = [action for action in GOVERNED.actions if action.id != "help_popup"]
    policy = replace(GOVERNED.contact_policy, caps=[])
    smaller = replace(GOVERNED, actions=without, contact_policy=policy, fallback=[])
    catalogue.publish(governed.log, smaller, NOON, by="test", why="smaller")
    governed.replica.reload()
    response = governed.post("/activate", json={"decision_id": made})
    assert response.status_code == 422
    assert response.json()["field"] == "decision_id"
    assert "help_popup" in response.json()["remedy"]


# Shadow


def test_in_shadow_mode_ours_is_stated_beside_theirs_and_theirs_is_the_contact(
    governed: InProcess,
) -> None:
    for _ in range(3):  # the cap allows two of ours
        answer = governed.decide(shadow_of="card_offer")
        assert (answer["mode"], answer["shadow_of"]) == ("shadow", "card_offer")
        assert action_of(answer) == "help_popup"
    assert counted(governed) == ["card_offer"] * 3
    decided = [e for e in governed.log.page_events() if e.name == "Action Decided"][-1]
    assert decided.properties["action_id"] == "card_offer"
    assert decided.properties["shadow_action_id"] == "help_popup"
    assert "propensity" not in decided.properties


def test_in_shadow_mode_nothing_of_ours_is_taken_or_moves() -> None:
    with routes_on(a_log_without_a_usable_champion(), RESCUED) as client:
        client.post("/events", json={"customer_id": "ada", "name": "Complaint Filed"})
        for who in ("ada", "bob"):  # one call a day for all
            answer = client.decide(who, channel="phone", shadow_of="no_action")
            assert answer["sub_journeys"] == []
            assert refused_codes(answer["filtered"]) & {("agent_callback", "no_capacity")} == set()
        assert client.get("/customers/ada").json()["sub_journeys"] == []
        assert counted(client) == []
        assert client.log.deliveries("waiting") == []
        assert client.decide("ada")["sub_journeys"][0]["sub_journey"] == "rescue"


def test_feedback_on_a_shadow_decision_is_about_what_she_got(governed: InProcess) -> None:
    made = governed.decide(shadow_of="card_offer")["decision_id"]
    told = {"decision_id": made, "outcome": "accepted", "action_id": "card_offer"}
    assert governed.post("/feedback", json=told).status_code == 200
    assert governed.log.page_events()[-1].properties["action_id"] == "card_offer"
    (touch,) = governed.get("/customers/ada").json()["contacts"]
    assert (touch[0], touch[8] is not None) == ("card_offer", True)
    response = governed.post("/feedback", json={**told, "action_id": "help_popup"})
    assert response.status_code == 422
    assert response.json()["remedy"] == "the customer got 'card_offer'"


def test_an_unknown_action_of_the_other_system_is_refused(governed: InProcess) -> None:
    body = {"customer_id": "ada", "shadow_of": "card_ofer"}
    response = governed.post("/decide", json=body)
    assert response.status_code == 422
    problem = response.json()
    assert (problem["field"], problem["remedy"]) == ("shadow_of", "did you mean 'card_offer'?")


# Placements

PLACES = ["site_search", "banking_app"]


def test_each_placement_gets_a_decision_and_no_action_comes_twice() -> None:
    everywhere = [replace(action, also_at=["website"]) for action in GOVERNED.actions[:1]]
    journey = replace(GOVERNED, actions=[*everywhere, *GOVERNED.actions[1:]])
    with routes_on(a_log_without_a_usable_champion(), journey) as client:
        answer = client.decide(placements=["site_search", "website", "banking_app"])
        assert answer["customer_id"] == "ada"
        decisions = answer["decisions"]
        assert [decision["placement"] for decision in decisions] == [
            "site_search",
            "website",
            "banking_app",
        ]
        assert [action_of(decision) for decision in decisions] == ["help_popup", None, "card_offer"]
        assert ("help_popup", "already_placed") in refused_codes(decisions[1]["filtered"])
        assert client.log.customer_decisions("ada")[0].request.already_placed == ("help_popup",)
        assert decisions[0]["decision_id"] != decisions[1]["decision_id"]


def test_a_repeated_question_for_placements_gets_the_same_answers(governed: InProcess) -> None:
    asked = {"customer_id": "ada", "placements": PLACES, "decision_request_id": "r1"}
    asked["explain"] = True
    first = governed.post("/decide", json=asked)
    position = governed.log.position()
    assert governed.post("/decide", json=asked).content == first.content
    assert governed.log.position() == position
    alone = governed.decide(placement="site_search", decision_request_id="r1/site_search")
    assert alone == first.json()["decisions"][0]


@pytest.mark.parametrize(
    ("fields", "field", "remedy"),
    [
        ({"placements": ["site_search"] * 2}, "placements", "name each placement once"),
        ({"placements": PLACES, "placement": "website"}, "placement", "placement or placements"),
        ({"placements": ["site_search", "site_serch"]}, "placement", "did you mean 'site_search'"),
        ({"placements": []}, "placements", "length >= 1"),
    ],
)
def test_placements_that_cannot_be_answered_are_refused_as_a_whole(
    governed: InProcess, fields: dict[str, Any], field: str, remedy: str
) -> None:
    response = governed.post("/decide", json={"customer_id": "ada", **fields})
    assert response.status_code == 422
    assert response.json()["field"] == field
    assert remedy in response.json()["remedy"]
    assert governed.log.position() == 0


# Short answers and dry runs


def test_without_explanations_the_answer_is_short_and_the_record_is_not(
    governed: InProcess,
) -> None:
    answer = governed.decide(explain=False)
    assert (answer["candidates"], answer["filtered"], answer["emotion"]) == ([], [], {})
    assert answer["emotion_parts"]["nodes"] == []
    assert action_of(answer) == "help_popup"
    assert answer["actions"][0]["factors"]["value_eur"] == 5.0
    kept = governed.get(f"/decisions/{answer['decision_id']}").json()
    assert len(kept["candidates"]) == 5
    assert {name for name, value in kept.items() if value != answer[name]} == {
        "candidates", "filtered", "emotion",
    }  # fmt: skip


@pytest.mark.parametrize("fields", [{}, {"placements": PLACES}, {"shadow_of": "no_action"}])
def test_a_dry_run_leaves_no_trace(governed: InProcess, fields: dict[str, Any]) -> None:
    governed.post("/events", json={"customer_id": "ada", "name": "Complaint Filed"})
    position = governed.log.position()
    for _ in range(3):
        answer = governed.decide(dry_run=True, **fields)
        decisions = answer.get("decisions", [answer])
        assert action_of(decisions[0]) == "help_popup"
        assert [decision["logged"] for decision in decisions] == [False] * len(decisions)
    assert governed.log.position() == position
