"""What came of a decision: what is told twice, and what is corrected."""

from __future__ import annotations

import pytest

from tests.fixtures.answers import GOOD
from tests.fixtures.routes_in_process import InProcess


@pytest.fixture
def decision_id(client: InProcess) -> str:
    client.post("/events", json=GOOD)
    return str(client.decide()["decision_id"])


def test_the_same_reward_twice_is_stored_once(client: InProcess, decision_id: str) -> None:
    told = {"decision_id": decision_id, "reward": 0.5}
    stored = [client.post("/feedback", json=told).json()["stored"] for _ in range(2)]
    assert stored == [True, False]


def test_another_reward_under_the_same_id_is_refused_with_the_way_to_correct_it(
    client: InProcess, decision_id: str
) -> None:
    """It was answered 200 and `stored: false`, and the mistaken one stayed."""
    client.post("/feedback", json={"decision_id": decision_id, "reward": 0.5})
    again = client.post("/feedback", json={"decision_id": decision_id, "reward": 0.25})
    assert again.status_code == 422
    told = again.json()
    assert (told["field"], told["value"]) == ("reward", "0.25")
    assert "0.5" in told["remedy"] and "event_id of its own" in told["remedy"]
    corrected = {"decision_id": decision_id, "reward": 0.25, "event_id": "correction-1"}
    answer = client.post("/feedback", json=corrected).json()
    assert answer["stored"] is True
