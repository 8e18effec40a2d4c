"""The routes: what each route takes, answers and appends."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, strategies as st

from nba.errors import StoreUnavailable
from tests.fixtures.examples import examples
from tests.fixtures.small_replica import JOURNEY, NOON, StubScorer, score_with

if TYPE_CHECKING:
    from tests.fixtures.routes_in_process import InProcess

SEARCH = {"name": "Products Searched", "properties": {"results_count": 0}}
GOOD = {"event_id": "g1", "customer_id": "ada", **SEARCH}
OFFERS = {"name": "identify", "properties": {"segment": "mass"}}


def live(client: InProcess) -> None:
    """Score with a stub, so that decisions are drawn."""
    score_with(client.replica, StubScorer([0.5, 0.4, 0.3, 0.2]))


def all_numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for item in value.values() for number in all_numbers(item)]
    if isinstance(value, list):
        return [number for item in value for number in all_numbers(item)]
    return [value] if isinstance(value, int | float) else []


def strict(text: str) -> Any:
    """The document in `text`, where it is JSON as the RFC has it: without NaN and Infinity."""

    def refuse(constant: str) -> float:
        raise AssertionError(f"{constant} in an answer")

    return json.loads(text, parse_constant=refuse)


# /decide


def test_an_unknown_customer_is_answered_and_marked(client: InProcess) -> None:
    answer = client.decide("nobody")
    assert answer["known_customer"] is False
    assert answer["no_action"] is True
    client.post("/events", json={"customer_id": "nobody", **SEARCH})
    assert client.decide("nobody")["known_customer"] is True


def test_a_fallback_says_that_it_is_one_and_why(client: InProcess) -> None:
    client.post("/events", json=GOOD)
    answer = client.decide()
    assert answer["fallback_used"] is True
    assert answer["mode"] == answer["policy"] == "fallback"
    assert answer["note"] == "no bundle is promoted: run nba train, then nba promote"
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


# /events


def test_a_single_event_is_appended_and_its_repeat_is_a_duplicate(client: InProcess) -> None:
    assert client.post("/events", json=GOOD).json() == {
        "accepted": 1,
        "duplicates": 0,
        "rejected": [],
    }
    assert client.post("/events", json=GOOD).json()["duplicates"] == 1
    (event,) = client.log.page_events()
    assert (event.event_id, event.customer_id, event.name) == ("g1", "ada", "Products Searched")
    assert event.properties == {"results_count": 0}


@pytest.mark.parametrize("shape", ["events", "batch", "list"])
def test_a_batch_comes_under_events_or_batch_or_as_a_list(client: InProcess, shape: str) -> None:
    items = [{**GOOD, "event_id": f"g{n}"} for n in range(3)]
    body = items if shape == "list" else {shape: items}
    assert client.post("/events", json=body).json()["accepted"] == 3
    assert [event.event_id for event in client.log.page_events()] == ["g0", "g1", "g2"]


def test_a_payload_of_segments_sdk_is_an_event_as_it_stands(client: InProcess) -> None:
    track = {
        "type": "track",
        "messageId": "m1",
        "userId": "ada",
        "anonymousId": "x-1",
        "event": "Products Searched",
        "originalTimestamp": "2026-03-01T11:00:00Z",
        "properties": {"results_count": 0},
        "context": {"library": {"name": "analytics.js"}},
        "integrations": {"All": True},
        "channel": "browser",
    }
    identify = {
        "type": "identify",
        "messageId": "m2",
        "userId": "ada",
        "traits": {"segment": "mass"},
    }
    page = {"type": "page", "messageId": "m3", "anonymousId": "x-1"}
    response = client.post(
        "/events", json={"batch": [track, identify, page], "sentAt": "2026-03-01T11:59:00Z"}
    )
    assert response.json() == {"accepted": 3, "duplicates": 0, "rejected": []}
    first, second, third = client.log.page_events()
    assert (first.event_id, first.name) == ("m1", "Products Searched")
    assert first.properties == {"results_count": 0, "channel": "browser"}
    # the sender's clock is a minute behind ours
    assert first.occurred_at.isoformat() == "2026-03-01T11:01:00+00:00"
    assert (second.name, second.properties) == ("identify", {"segment": "mass"})
    assert (third.name, third.customer_id) == ("page", "x-1")
    assert client.get("/customers/ada").json()["traits"]["segment"] == "mass"


@pytest.mark.parametrize("item", ["sent_at", "sentAt"])
@pytest.mark.parametrize("batch", ["sent_at", "sentAt"])
def test_an_events_own_sending_time_wins_over_its_batchs(
    client: InProcess, item: str, batch: str
) -> None:
    event = {**GOOD, "occurred_at": "2026-03-01T11:00:00Z", item: "2026-03-01T11:30:00Z"}
    client.post("/events", json={"events": [event], batch: "2026-03-01T11:59:00Z"})
    (stored,) = client.log.page_events()
    assert stored.occurred_at.isoformat() == "2026-03-01T11:30:00+00:00"


def test_the_good_events_of_a_batch_are_kept_and_the_bad_ones_listed(client: InProcess) -> None:
    bad = {"customer_id": "", "name": "x"}
    body = {"events": [GOOD, bad, {**GOOD, "event_id": "g2"}, 7, {**GOOD, "nmae": "x"}]}
    response = client.post("/events", json=body)
    assert response.status_code == 200
    answer = response.json()
    assert answer["accepted"] == 2
    assert [(one["index"], one["field"]) for one in answer["rejected"]] == [
        (1, "customer_id"),
        (3, "event"),
        (4, "nmae"),
    ]
    assert answer["rejected"][0]["remedy"] == "give 1 to 200 printable characters"
    assert answer["rejected"][2]["remedy"] == "unknown field, did you mean 'name'?"
    assert [event.event_id for event in client.log.page_events()] == ["g1", "g2"]


def test_a_batch_of_nothing_but_bad_events_is_refused(client: InProcess) -> None:
    response = client.post("/events", json=[{"customer_id": ""}, {"name": 3}])
    assert response.status_code == 422
    assert set(response.json()) == {"error", "message", "field", "value", "remedy"}
    assert client.log.position() == 0


def test_an_empty_batch_is_no_error(client: InProcess) -> None:
    for body in ([], {"events": []}, {"batch": []}):
        assert client.post("/events", json=body).json()["accepted"] == 0
    assert client.log.position() == 0


def test_nobody_else_appends_action_decided(client: InProcess) -> None:
    forged = {"customer_id": "ada", "name": "Action Decided", "properties": {"action_id": "x"}}
    response = client.post("/events", json=forged)
    assert response.status_code == 422
    assert response.json()["remedy"].startswith("reserved")
    mixed = client.post("/events", json=[GOOD, forged]).json()
    assert (mixed["accepted"], mixed["rejected"][0]["value"]) == (1, "'Action Decided'")


def test_too_many_events_in_one_call_are_refused_whole(
    routes_with: Callable[..., Any],
) -> None:
    with routes_with(batch_events=3) as client:
        items = [{**GOOD, "event_id": f"g{n}"} for n in range(4)]
        response = client.post("/events", json={"events": items})
        assert response.status_code == 422
        assert response.json()["message"] == "events: 4: send at most 3 events in one call"
        assert client.log.position() == 0
        assert client.post("/events", json=items[:3]).json()["accepted"] == 3


def test_an_event_without_id_and_with_a_time_is_one_event_however_often_it_is_sent(
    client: InProcess,
) -> None:
    timed = {"customer_id": "ada", **SEARCH, "occurred_at": "2026-03-01T11:00:00Z"}
    assert client.post("/events", json=timed).json()["accepted"] == 1
    client.clock.advance(minutes=1)
    assert client.post("/events", json=timed).json()["duplicates"] == 1


batches = st.lists(st.sampled_from(["new", "old", "bad"]), max_size=12)


@given(batches)
@examples(40, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_event_of_a_batch_is_accepted_a_duplicate_or_rejected(
    shared_client: InProcess, kinds: list[str]
) -> None:
    shared_client.post("/events", json={**GOOD, "event_id": "old"})
    before = shared_client.log.position()
    items = {
        "new": lambda n: {**GOOD, "event_id": f"n{before}-{n}"},
        "old": lambda n: {**GOOD, "event_id": "old"},
        "bad": lambda n: {**GOOD, "customer_id": n},
    }
    response = shared_client.post("/events", json=[items[k](n) for n, k in enumerate(kinds)])
    stored = shared_client.log.position() - before
    if kinds and set(kinds) == {"bad"}:
        assert (response.status_code, stored) == (422, 0)
        return
    answer = response.json()
    assert answer["accepted"] == stored == kinds.count("new")
    assert answer["duplicates"] == kinds.count("old")
    assert [one["index"] for one in answer["rejected"]] == [
        index for index, kind in enumerate(kinds) if kind == "bad"
    ]


# /feedback


@pytest.mark.parametrize("outcome", ["shown", "clicked", "accepted", "dismissed"])
def test_an_outcome_is_appended_as_the_event_that_it_stands_for(
    client: InProcess, outcome: str
) -> None:
    decision_id = client.decide()["decision_id"]
    response = client.post("/feedback", json={"decision_id": decision_id, "outcome": outcome})
    assert response.json() == {
        "decision_id": decision_id,
        "event_id": f"feedback:{decision_id}:{outcome}",
        "stored": True,
        "late": False,
    }
    (event,) = client.log.outcomes(decision_id)
    assert event.name == f"Action {outcome.capitalize()}"
    assert event.properties == {"decision_id": decision_id, "action_id": "no_action"}


def test_a_reward_is_appended_with_its_number(client: InProcess) -> None:
    decision_id = client.decide()["decision_id"]
    client.post("/feedback", json={"decision_id": decision_id, "reward": 12.5})
    (event,) = client.log.outcomes(decision_id)
    assert (event.name, event.properties["reward"]) == ("Reward Given", 12.5)


def test_a_repeated_feedback_changes_nothing_and_says_so(client: InProcess) -> None:
    decision_id = client.decide()["decision_id"]
    asked = {"decision_id": decision_id, "outcome": "accepted"}
    assert client.post("/feedback", json=asked).json()["stored"] is True
    assert client.post("/feedback", json=asked).json()["stored"] is False
    named = {**asked, "event_id": "mine"}
    assert client.post("/feedback", json=named).json()["stored"] is True
    assert client.post("/feedback", json=named).json()["stored"] is False
    assert len(client.log.outcomes(decision_id)) == 2


def test_feedback_cannot_take_an_id_of_the_logs_own(client: InProcess) -> None:
    told = {"decision_id": client.decide()["decision_id"], "outcome": "shown"}
    for event_id in ("timer:x:1:0", "activation:dec-1", "decision:dec-9"):
        response = client.post("/feedback", json={**told, "event_id": event_id})
        assert response.status_code == 422 and response.json()["field"] == "event_id"


def test_feedback_on_an_unknown_decision_is_404_and_stores_nothing(client: InProcess) -> None:
    response = client.post("/feedback", json={"decision_id": "dec-none", "outcome": "shown"})
    assert response.status_code == 404
    assert response.json()["message"] == ("decision_id: 'dec-none': not in the log")
    assert client.log.position() == 0


def test_feedback_that_does_not_fit_the_decision_is_refused(client: InProcess) -> None:
    decision_id = client.decide()["decision_id"]
    before = client.log.position()
    for fields, field, remedy in [
        ({"outcome": "shown", "action_id": "card_offer"}, "action_id", "the decision drew"),
        ({}, "outcome", "send either an outcome or a reward"),
        ({"outcome": "shown", "reward": 1}, "outcome", "send either an outcome or a reward"),
        ({"outcome": "show"}, "outcome", "did you mean 'shown'?"),
        ({"outcome": "shown", "occurred_at": "2026-03-01T12:00:00"}, "occurred_at", "offset"),
    ]:
        response = client.post("/feedback", json={"decision_id": decision_id, **fields})
        assert response.status_code == 422, fields
        assert response.json()["field"] == field
        assert remedy in response.json()["remedy"]
    assert client.log.position() == before


def test_an_outcome_lies_between_its_decision_and_now(client: InProcess) -> None:
    decision_id = client.decide()["decision_id"]
    client.clock.advance(hours=1)
    for number, (said, held) in enumerate(
        [
            ("2020-01-01T00:00:00Z", "2026-03-01T12:00:00+00:00"),
            ("2026-03-01T12:30:00Z", "2026-03-01T12:30:00+00:00"),
            ("2030-01-01T00:00:00Z", "2026-03-01T13:00:00+00:00"),
        ]
    ):
        body = {"decision_id": decision_id, "reward": 1, "occurred_at": said}
        client.post("/feedback", json={**body, "event_id": f"f{number}"})
        assert client.log.outcomes(decision_id)[-1].occurred_at.isoformat() == held


def test_the_next_call_knows_an_outcome(client: InProcess) -> None:
    client.post("/events", json=GOOD)
    decision_id = client.decide()["decision_id"]
    client.post("/feedback", json={"decision_id": decision_id, "outcome": "dismissed"})
    client.decide()
    assert client.get("/customers/ada").json()["context"]["action_dismissed.total"] == 1.0


# Reading


def test_a_decision_can_be_read_again_as_it_was_answered(client: InProcess) -> None:
    live(client)
    client.post("/events", json=GOOD)
    answered = client.post("/decide", json={"customer_id": "ada"})
    client.clock.advance(days=1)
    read = client.get(f"/decisions/{answered.json()['decision_id']}")
    assert read.content == answered.content
    missing = client.get("/decisions/dec-none")
    assert missing.status_code == 404
    assert missing.json()["message"] == "decision_id: 'dec-none': not in the log"


def test_a_customer_is_what_the_log_says_of_her(client: InProcess) -> None:
    live(client)
    client.post("/events", json=[GOOD, {"customer_id": "ada", **OFFERS}])
    made = [client.decide()["decision_id"] for _ in range(2)]
    known = client.get("/customers/ada").json()
    assert known["traits"] == {"segment": "mass", "tenure_months": None, "has_mortgage": None}
    assert known["stage"] == "explore"
    assert known["churn"] == {"risk": 0.25, "horizon_days": 30.0, "reasons": []}
    assert known["decisions"] == made[::-1]
    assert known["context"]["search_failed.total"] == 1.0
    assert 0 not in known["context"].values()


def test_a_customer_of_whom_the_log_holds_nothing_is_404_with_the_reason(
    client: InProcess,
) -> None:
    response = client.get("/customers/nobody")
    assert response.status_code == 404
    assert response.json()["message"] == (
        "customer_id: 'nobody': no event of this customer is in the log"
    )


@pytest.mark.parametrize("customer_id", ["crm/17", "a b", "ädä@example.com", "50%", "a?b#c", ".."])
def test_whatever_id_an_event_may_carry_can_be_read(client: InProcess, customer_id: str) -> None:
    client.post("/events", json={**GOOD, "customer_id": customer_id})
    path = "".join(f"%{byte:02x}" for byte in customer_id.encode())
    assert client.get(f"/customers/{path}").json()["customer_id"] == customer_id


# All routes


def test_no_answer_holds_a_number_that_is_not_finite(client: InProcess) -> None:
    huge = {"customer_id": "ada", "name": "Order Completed", "properties": {"revenue": 1.7e308}}
    client.post("/events", json=[{**huge, "event_id": f"h{n}"} for n in range(4)])
    client.post("/events", json=GOOD)
    texts = []
    for mode in ("fallback", "live"):
        if mode == "live":
            live(client)
        for customer_id in ("ada", "nobody"):
            answer = client.post("/decide", json={"customer_id": customer_id})
            texts += [answer.text, client.get(f"/decisions/{answer.json()['decision_id']}").text]
            texts.append(client.get(f"/customers/{customer_id}").text)
    assert len(texts) == 12
    for text in texts:
        assert all(abs(number) < float("inf") for number in all_numbers(strict(text)))
        assert "NaN" not in text and "Infinity" not in text


def test_the_log_out_of_reach_is_503_with_retry_after_on_every_route(
    client: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision_id = client.decide()["decision_id"]

    def gone(*_: object, **__: object) -> None:
        raise StoreUnavailable("the server at /secret/path does not answer")

    for method in ("append_events", "append_decisions", "events_since", "decision", "answered"):
        monkeypatch.setattr(client.log, method, gone)
    for response in (
        client.post("/decide", json={"customer_id": "ada", "dry_run": True}),
        client.post("/events", json={**GOOD, "event_id": "n1"}),
        client.post("/feedback", json={"decision_id": decision_id, "outcome": "shown"}),
        client.get(f"/decisions/{decision_id}"),
        client.get("/customers/ada"),
    ):
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert response.json()["error"] == "store_unavailable"
        assert "secret" not in response.text
    monkeypatch.undo()
    assert client.post("/events", json={**GOOD, "event_id": "n1"}).json()["accepted"] == 1


def test_metrics_count_what_the_doors_did(client: InProcess) -> None:
    client.post("/events", json=[GOOD, GOOD, {"customer_id": ""}])
    decision_id = client.decide()["decision_id"]
    client.post("/feedback", json={"decision_id": decision_id, "outcome": "shown"})
    client.get("/customers/nobody")
    text = client.get("/metrics").text
    for line in (
        'nba_events_total{result="accepted"} 1.0',
        'nba_events_total{result="duplicate"} 1.0',
        'nba_events_total{result="rejected"} 1.0',
        'nba_decisions_total{action="help_popup",mode="fallback"} 1.0',
        'nba_propensity_sum_total{action="help_popup"} 1.0',
        'nba_refused_total{rule="loan_offer.eligible",stage="eligibility"} 1.0',
        'nba_feedback_total{outcome="shown"} 1.0',
        'nba_requests_total{route="/customers/{customer_id}",status="404"} 1.0',
        "nba_degraded 1.0",
    ):
        assert line in text.splitlines()


def test_no_caller_can_grow_the_number_of_series(client: InProcess) -> None:
    def visit(name: str, *, everywhere: bool = True) -> None:
        client.decide(name, decision_request_id=name)
        client.get(f"/{name}")
        if everywhere:
            client.get(f"/customers/{name}")
            client.post("/events", json={"customer_id": name, "name": name, "event_id": name})
            body = {"decision_id": client.decide(name)["decision_id"], "reward": len(name)}
            client.post("/feedback", json={**body, "event_id": f"f-{name}"})
            client.post("/decide", json={"customer_id": name, "channel": name})
            client.get(f"/decisions/{name}")

    def series() -> set[str]:
        lines = client.get("/metrics").text.splitlines()
        return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}

    visit("first")
    client.get("/metrics")
    before = series()
    for number in range(300):
        visit(f"customer-{number}", everywhere=number % 20 == 0)
    assert series() == before
    assert 'nba_events_total{result="accepted"}' in before


def test_the_openapi_document_is_valid_and_its_answers_are_of_its_schemas(
    client: InProcess,
) -> None:
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    live(client)
    client.post("/events", json=[GOOD, {"customer_id": "ada", **OFFERS}])
    decision = client.decide()
    feedback = {"decision_id": decision["decision_id"], "outcome": "shown"}
    for name, answer in [
        ("DecideAnswer", decision),
        ("EventsAnswer", client.post("/events", json=[GOOD, {"name": 1}]).json()),
        ("FeedbackAnswer", client.post("/feedback", json=feedback).json()),
        ("CustomerAnswer", client.get("/customers/ada").json()),
        ("Problem", client.post("/decide", json={}).json()),
        ("Problem", client.get("/customers/nobody").json()),
    ]:
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(answer)


def test_the_openapi_document_names_every_business_route(client: InProcess) -> None:
    described = {
        (path, method.upper())
        for path, methods in client.get("/openapi.json").json()["paths"].items()
        for method in methods
    }
    served = {
        (route.path.replace(":path", ""), method)
        for route in client.app.routes  # type: ignore[attr-defined]
        for method in route.methods - {"HEAD"}
    }
    assert described == served - {("/metrics", "GET"), ("/openapi.json", "GET")}
