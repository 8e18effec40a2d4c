"""Outcomes that come after the window of their decision: stored, marked, never learned from."""

from __future__ import annotations

from typing import Any

from nba.rewards.attribution import Attribution
from nba.stores.memory.log import MemoryLog
from tests.fixtures.governed_routes import routes_on
from tests.fixtures.routes_in_process import InProcess
from tests.fixtures.small_replica import failed_search


def told(client: InProcess, decision_id: str, **fields: Any) -> dict[str, Any]:
    response = client.post("/feedback", json={"decision_id": decision_id, **fields})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def rewards(client: InProcess) -> dict[str | None, tuple[float, int]]:
    replica = client.replica
    rule = Attribution(replica.engine.journey, replica.engine.fold.encoder.kind)
    found = rule.credits(replica.log.page_events(), replica.now().timestamp())
    return {one.decision.decision_id: (one.reward, one.late) for one in found}


def test_an_outcome_after_the_window_is_stored_marked_and_not_learned_from(
    client: InProcess,
) -> None:
    client.log.append_events([failed_search()])
    made = [client.decide()["decision_id"] for _ in range(2)]
    client.clock.advance(days=7)
    assert told(client, made[0], outcome="accepted")["late"] is False
    client.clock.advance(seconds=1)
    assert told(client, made[1], outcome="accepted") == {
        "decision_id": made[1],
        "event_id": f"feedback:{made[1]}:accepted",
        "stored": True,
        "late": True,
    }
    assert told(client, made[1], reward=1.0)["late"] is True
    assert rewards(client) == {made[0]: (1.0, 0), made[1]: (0.0, 2)}


def test_it_is_late_by_when_it_happened_and_not_by_when_it_was_told(client: InProcess) -> None:
    decision_id = client.decide()["decision_id"]
    then = client.clock.now.isoformat()
    client.clock.advance(days=30)
    assert told(client, decision_id, outcome="accepted", occurred_at=then)["late"] is False
    assert rewards(client) == {decision_id: (1.0, 0)}


def test_of_a_deferred_decision_the_window_begins_with_its_activation() -> None:
    with routes_on(MemoryLog()) as client:
        asked = {"defer_activation": True, "candidates": ["help_popup"]}
        used = client.decide(**asked)["decision_id"]
        client.clock.advance(days=5)
        assert told(client, used, outcome="shown")["late"] is False
        client.clock.advance(days=6)
        assert told(client, used, outcome="accepted")["late"] is False
        client.clock.advance(days=2)
        assert told(client, used, outcome="clicked")["late"] is True
        assert rewards(client)[used] == (1.0, 0)  # a click is no outcome by this journey file


def test_no_action_has_a_window_too(client: InProcess) -> None:
    answer = client.decide("nobody")
    assert answer["no_action"]
    client.clock.advance(days=8)
    assert told(client, answer["decision_id"], outcome="shown")["late"] is True
