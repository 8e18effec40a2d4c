"""Events and feedback: what is appended, what is a duplicate, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, strategies as st

from tests.fixtures.answers import GOOD, SEARCH
from tests.fixtures.examples import examples

if TYPE_CHECKING:
    from tests.fixtures.routes_in_process import InProcess


# /events


def test_a_single_event_is_appended_and_its_repeat_is_a_duplicate(client: InProcess) -> None:
    assert client.post("/events", json=GOOD).json() == {
        "accepted": 1,
        "duplicates": 0,
        "rejected": [],
        "notes": [],
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
    assert response.json() == {"accepted": 3, "duplicates": 0, "rejected": [], "notes": []}
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
    assert response.json()["message"] == (
        "decision_id: 'dec-none': not in the log; "
        "send that of an answer that was logged, a dry run is not"
    )
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
