"""Notes: what was taken of an event and has no effect, and what was probably meant."""

from __future__ import annotations

from features.event_notes import event_notes
from tests.fixtures.routes_in_process import opened_routes
from tests.fixtures.small_replica import FOLD, event


def notes(name: str, **properties: object) -> list[str]:
    return list(event_notes(FOLD.encoder, event(name, properties=dict(properties))))


def test_an_unmapped_name_is_told_with_the_nearest_one() -> None:
    assert notes("Rage Clik") == ["unmapped: 'Rage Clik': did you mean 'Rage Click'?"]
    assert notes("Rage Click") == [] and notes("Consent Given") == []


def test_a_category_that_is_not_declared_is_told() -> None:
    (note,) = notes("identify", segment="mas", tenure_months=3)
    assert note.startswith("traits.segment: 'mas' is not declared, read as missing: did you mean")
    assert notes("identify", segment="mass") == []


def test_an_answer_to_events_holds_them_once_each() -> None:
    seen = [{"customer_id": "ada", "name": "Rage Clik", "event_id": f"e{n}"} for n in range(3)]
    with opened_routes() as client:
        answer = client.post("/events", json=seen).json()
    assert answer["accepted"] == 3
    assert answer["notes"] == ["unmapped: 'Rage Clik': did you mean 'Rage Click'?"]
