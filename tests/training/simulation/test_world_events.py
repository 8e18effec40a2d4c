"""What happens in the simulated bank: leaving, responses, events, the history as it is written."""

from __future__ import annotations

import ast
import json
import sys
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.fixtures.simulated_world import SMALL, count
from training.simulation.config import Mechanism, draw_parameters
from training.simulation.customers import HiddenState, closing_probability, draw_customer
from training.simulation.history import (
    NeverAct,
    as_delivered,
    frustrated_customer,
    write_history,
)
from training.simulation.world import (
    EventJson,
    World,
    WorldConfig,
)


def test_almost_everybody_has_a_time_zone_and_some_are_new() -> None:
    events = list(World(replace(SMALL, customers=600, days=1)).play(NeverAct()))
    traits = [event["properties"] for event in events if event["name"] == "identify"]
    zones = [trait.get("time_zone") for trait in traits]
    assert set(zones) == {"Europe/Berlin", "Europe/London", "America/New_York", None}
    assert 0 < zones.count(None) < 60
    new = [trait for trait in traits if trait["tenure_months"] == 0]
    assert len(new) == count(events, "Account Opened") > 20


def test_a_loss_weighs_twice_a_gain() -> None:
    customer = draw_customer(0, draw_parameters(SMALL), SMALL)
    glad, sad = HiddenState(expectation=0.0), HiddenState(expectation=0.0)
    glad.feel(0.2, customer, 0.0)
    sad.feel(-0.2, customer, 0.0)
    assert sad.emotion == pytest.approx(-2.0 * glad.emotion)


def test_the_ivr_leaks_as_the_bank_case_says() -> None:
    config = WorldConfig(customers=1_500)
    events = list(World(config).play(NeverAct(), log_decisions=False))
    calls = count(events, "IVR Started")
    attempts = count(events, "IVR Payment Attempted")
    paid = count(events, "IVR Payment Completed")
    assert 1 - paid / calls == pytest.approx(0.82, abs=0.02)
    assert 1 - attempts / calls == pytest.approx(0.60, abs=0.04)
    assert paid / attempts == pytest.approx(0.45, abs=0.05)
    completed = count(events, "Payment Completed") / count(events, "Payment Started")
    assert 1 - completed == pytest.approx(0.41, abs=0.03)
    assert count(list(World(replace(SMALL, ivr=False)).play(NeverAct())), "IVR Started") == 0


def test_search_frustration_can_be_switched_off() -> None:
    searches = [
        event["properties"]["results_count"]
        for event in World(replace(SMALL, search_frustration=False)).play(NeverAct())
        if event["name"] == "Products Searched"
    ]
    assert searches and 0 not in searches


def test_churn_is_realistic_and_follows_emotion(
    random_play: tuple[World, list[EventJson]],
) -> None:
    world, events = random_play
    first_90_days = world.config.start + timedelta(days=90)
    closed = [
        event
        for event in events
        if event["name"] == "Account Closed"
        and datetime.fromisoformat(event["occurred_at"]) < first_90_days
    ]
    assert 0.07 <= len(closed) / world.config.customers <= 0.16
    last = {key: felt[-1].emotion for key, felt in world.felt.items() if felt}
    gone = np.mean([emotion for key, emotion in last.items() if key in world.closed])
    stayed = np.mean([emotion for key, emotion in last.items() if key not in world.closed])
    assert gone < stayed - 0.7


def test_propensities_are_exact_and_add_up(random_play: tuple[World, list[EventJson]]) -> None:
    decided = [e["properties"] for e in random_play[1] if e["name"] == "Action Decided"]
    assert all(p["propensity"] == 1.0 / len(p["candidates"]) for p in decided)
    assert all(p["action_id"] in p["candidates"] for p in decided)
    pairs = [p for p in decided if p["placement"] == "web_search"]
    helped = sum(p["action_id"] == "help_popup" for p in pairs)
    assert helped / len(pairs) == pytest.approx(1 / 3, abs=0.03)


def test_responses_are_learnable_and_referral_never_works(
    random_play: tuple[World, list[EventJson]],
) -> None:
    def share(action_id: str) -> float:
        mine = [e for e in random_play[1] if e["properties"].get("action_id") == action_id]
        return count(mine, "Action Accepted") / count(mine, "Action Shown")

    for action_id in ("help_popup", "agent_callback", "apology_credit", "card_offer"):
        assert 0.05 < share(action_id) < 0.5
    assert 0.03 < share("loan_offer") < 0.2
    assert share("referral") < 0.02


def test_every_event_is_json_with_its_fields_and_a_time(
    random_play: tuple[World, list[EventJson]],
) -> None:
    fields = {"event_id", "customer_id", "name", "occurred_at", "received_at", "properties"}
    ids = set()
    last: dict[str, str] = {}
    for event in random_play[1]:
        assert json.loads(json.dumps(event)) == event
        assert set(event) == fields and event["occurred_at"].endswith("Z")
        assert datetime.fromisoformat(event["occurred_at"]).tzinfo is not None
        assert last.get(event["customer_id"], "") <= event["occurred_at"] <= event["received_at"]
        last[event["customer_id"]] = event["occurred_at"]
        ids.add(event["event_id"])
    assert len(ids) == len(random_play[1])


def test_a_written_history_is_in_order_of_receipt_and_as_dirty_as_asked(tmp_path: Path) -> None:
    config = replace(SMALL, customers=400)
    ticks: list[int] = []
    summary = write_history(config, tmp_path / "history.jsonl", ticks.append)
    events = [json.loads(line) for line in summary.path.read_text().splitlines()]
    received = [event["received_at"] for event in events]
    assert received == sorted(received) and len(events) == summary.lines
    dirtiable = sum(n for name, n in summary.names if name != "Action Decided")
    assert summary.duplicates / dirtiable == pytest.approx(0.03, abs=0.006)
    assert summary.late / dirtiable == pytest.approx(0.05, abs=0.008)
    assert len({e["event_id"] for e in events}) == summary.lines - summary.duplicates
    assert ticks == sorted(ticks) and ticks[-1] == summary.lines - summary.duplicates


def test_a_clean_history_has_neither_duplicates_nor_late_arrivals() -> None:
    events = list(World(replace(SMALL, customers=20)).play(NeverAct()))
    assert list(as_delivered(events, replace(SMALL, dirty=False))) == events


def test_the_frustrated_customer_searches_in_vain_and_clicks_in_rage() -> None:
    start = datetime(2026, 5, 1, 9, 30, tzinfo=UTC)
    events = frustrated_customer("demo-1", start, searches=4)
    names = ["identify", *["Products Searched"] * 4, "Rage Click"]
    assert [e["name"] for e in events] == names
    assert all(e["properties"]["results_count"] == 0 for e in events[1:5])
    span = datetime.fromisoformat(events[-1]["occurred_at"]) - start
    assert timedelta() < span < timedelta(minutes=10)
    with pytest.raises(ValueError, match="searches 7"):
        frustrated_customer("demo-1", start, searches=7)


def test_the_world_knows_nothing_of_the_service() -> None:
    files = sorted(Path("training/simulation").glob("*.py"))
    assert files
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                own = name.startswith("training.simulation.")
                root = name.split(".")[0]
                assert own or root == "numpy" or root in sys.stdlib_module_names, (file, name)


@pytest.mark.parametrize(
    ("mechanism", "moves"),
    [
        ("accumulation", {"emotion"}),
        ("blocking", {"last_gap"}),
        ("peak_end", {"last_gap", "worst_gap"}),
        ("confounded", {"trouble"}),
        ("null", set()),
    ],
)
def test_customers_leave_for_the_reason_that_the_mechanism_says(
    mechanism: Mechanism, moves: set[str]
) -> None:
    config = replace(SMALL, mechanism=mechanism)
    parameters = draw_parameters(config)
    customer = replace(draw_customer(0, parameters, config), trouble=0.0)
    worse = {
        "emotion": (customer, HiddenState(expectation=0.0, emotion=-2.0)),
        "last_gap": (customer, HiddenState(expectation=0.0, last_gap=-2.0)),
        "worst_gap": (customer, HiddenState(expectation=0.0, gaps=deque([-2.0, 0.0]))),
        "trouble": (replace(customer, trouble=2.0), HiddenState(expectation=0.0)),
    }
    usual = closing_probability(customer, HiddenState(expectation=0.0), 0.0, parameters, config)
    for name, (somebody, state) in worse.items():
        risk = closing_probability(somebody, state, 0.0, parameters, config)
        assert risk > 2 * usual if name in moves else risk == usual
    tired = closing_probability(customer, HiddenState(expectation=0.0), 2.0, parameters, config)
    assert tired > usual
