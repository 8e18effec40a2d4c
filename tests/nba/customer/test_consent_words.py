"""What a customer says about consent counts in every spelling, or its sender is told."""

from __future__ import annotations

from typing import Any

import pytest

from nba.customer.consent_words import spelled
from nba.stores.memory.log import MemoryLog
from tests.fixtures.governed_routes import routes_on

SPELLINGS = ["Marketing", "MARKETING ", "\uff2darketing", "mar\uff4beting", " marketing\u00a0"]


@pytest.mark.parametrize("word", SPELLINGS)
def test_one_word_in_many_spellings(word: str) -> None:
    assert spelled(word) == "marketing"


SAID: list[dict[str, Any]] = [
    *({"purpose": word} for word in SPELLINGS),
    {"purpose": "marketing", "channel": "APP"},
    {"purpose": ["marketing"]},
    {"purpose": " ", "channel": ""},
    {"purpose": "*"},
]


@pytest.mark.parametrize("said", SAID, ids=str)
def test_a_withdrawal_that_is_taken_holds_from_the_next_decision_on(said: dict[str, Any]) -> None:
    with routes_on(MemoryLog()) as client:
        event = {"customer_id": "ada", "name": "Consent Withdrawn", "properties": said}
        assert client.post("/events", json=event).json()["accepted"] == 1
        refused = client.decide(channel="app")["filtered"]
        assert ("card_offer", "no_consent") in {(one["action_id"], one["code"]) for one in refused}


@pytest.mark.parametrize(
    ("name", "said", "field"),
    [
        ("Consent Withdrawn", {"purpose": "newsletter"}, "properties.purpose"),
        ("Consent Withdrawn", {"purpose": "marketing", "channel": "e-mail"}, "properties.channel"),
        ("Consent Withdrawn", {"purpose": "mar\u200bketing"}, "properties.purpose"),
        ("Consent Given", {"purpose": ["marketing"]}, "properties.purpose"),
        ("Consent Given", {"purpose": ""}, "properties.purpose"),
        ("Contact Suppressed", {"channel": "fax"}, "properties.channel"),
        ("Contact Suppressed", {"until": "2026-03-02T09:00:00"}, "properties.until"),
        ("Contact Suppressed", {"until": "2026-03-02"}, "properties.until"),
        ("Contact Suppressed", {"until": "soon"}, "properties.until"),
        ("Contact Suppressed", {"until": 1772442000}, "properties.until"),
    ],
)
def test_what_would_be_without_effect_is_refused(
    name: str, said: dict[str, Any], field: str
) -> None:
    with routes_on(MemoryLog()) as client:
        event = {"customer_id": "ada", "name": name, "properties": said}
        answer = client.post("/events", json=event)
        assert answer.status_code in (400, 422)
        assert field in answer.text and client.log.position() == 0


def test_contacts_are_stopped_on_a_channel_in_capitals() -> None:
    with routes_on(MemoryLog()) as client:
        event = {
            "customer_id": "ada",
            "name": "Contact Suppressed",
            "properties": {"channel": "App"},
        }
        assert client.post("/events", json=event).json()["accepted"] == 1
        assert {one["code"] for one in client.decide(channel="app")["filtered"]} >= {"suppressed"}


@pytest.mark.parametrize("until", ["2199-03-02T09:00:00+09:00", "2199-03-02T00:00:00Z", None])
def test_contacts_are_stopped_until_a_time_with_its_offset_or_for_good(until: str | None) -> None:
    with routes_on(MemoryLog()) as client:
        said = {"customer_id": "ada", "name": "Contact Suppressed", "properties": {"until": until}}
        assert client.post("/events", json=said).json()["accepted"] == 1
        assert {one["code"] for one in client.decide(channel="app")["filtered"]} >= {"suppressed"}
