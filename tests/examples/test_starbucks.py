"""The Starbucks example: its converter on a made-up sample, its figures on the public data."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from examples.learning import read_events
from examples.starbucks import convert, run
from nba.journey.actions import NO_ACTION
from training.data.training_sets import decided_set

PORTFOLIO = [
    {"id": "aa", "offer_type": "bogo", "difficulty": 5, "duration": 5.0, "reward": 5},
    {"id": "bb", "offer_type": "discount", "difficulty": 10, "duration": 10.0, "reward": 2},
]
PROFILE = [
    {"id": "ann", "gender": "F", "age": 40, "income": 5e4, "became_member_on": "20180701"},
    {"id": "bob", "gender": None, "age": 118, "income": None, "became_member_on": "20170801"},
    {"id": "cyd", "gender": "O", "age": 30, "income": 3e4, "became_member_on": None},
]
TRANSCRIPT = [
    ("ann", "offer received", {"offer id": "aa"}, 0),
    ("bob", "offer received", {"offer_id": "bb"}, 0),
    ("ann", "transaction", {"amount": 6.5}, 0),
    ("ann", "offer completed", {"offer_id": "aa", "reward": 5}, 6),
    ("ann", "offer viewed", {"offer id": "aa"}, 6),
    ("ann", "offer completed", {"offer_id": "aa", "reward": 5}, 6),
    ("bob", "offer completed", {"offer_id": "bb", "reward": 2}, 90),
    ("cyd", "transaction", {"amount": 3.0}, 90),
    ("cyd", "transaction", {"amount": 3.0}, 90),
    ("cyd", "transaction", {"amount": 50.0}, 96),
]


@pytest.fixture(params=["", ".gz"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The sample on disk, plain and gzipped."""
    keys = ("person", "event", "value", "time")
    files: dict[str, list[dict[str, Any]]] = {
        "portfolio": PORTFOLIO,
        "profile": PROFILE,
        "transcript": [dict(zip(keys, line, strict=True)) for line in TRANSCRIPT],
    }
    for name, lines in files.items():
        text = "".join(json.dumps(line) + "\n" for line in lines)
        content = gzip.compress(text.encode()) if request.param else text.encode()
        (tmp_path / f"{name}.json{request.param}").write_bytes(content)
    return tmp_path


def named(folder: Path, name: str) -> list[dict[str, Any]]:
    return [event for event in convert.events(folder) if event["name"] == name]


def test_every_customer_of_the_profile_is_decided_on_in_each_wave(folder: Path) -> None:
    decided = {e["customer_id"]: e["properties"] for e in named(folder, "Action Decided")}
    drawn = {customer: found["action_id"] for customer, found in decided.items()}
    assert drawn == {"ann": "bogo_5_5d", "bob": "discount_10_10d", "cyd": NO_ACTION}
    assert [decided[c]["propensity"] for c in ("ann", "cyd")] == [0.0748, 0.2522]
    assert decided["cyd"]["candidates"] == ["bogo_5_5d", "discount_10_10d", NO_ACTION]


def test_what_the_profile_marks_as_missing_is_unknown(folder: Path) -> None:
    traits = {e["customer_id"]: e["properties"] for e in named(folder, "identify")}
    assert traits["ann"]["member_days"] == 31
    assert traits["bob"] == {"gender": None, "age": None, "income": None, "member_days": 365}
    assert traits["cyd"]["member_days"] is None


def test_a_completion_counts_once_and_knows_whether_the_offer_was_seen(folder: Path) -> None:
    completed = [e["properties"] for e in named(folder, "Action Accepted")]
    assert [(c["decision_id"], c["viewed"]) for c in completed] == [
        ("wave-0:ann", True),
        ("wave-0:bob", False),
    ]


def test_equal_purchases_of_one_slot_are_two_purchases(folder: Path) -> None:
    found = [e for e in named(folder, "Purchase") if e["customer_id"] == "cyd"]
    assert len({e["event_id"] for e in found}) == 3


def test_events_come_in_order_and_the_log_takes_them(folder: Path) -> None:
    events = list(convert.events(folder))
    assert events == sorted(events, key=lambda event: event["occurred_at"])
    assert len(read_events(run.JOURNEY, events).events) == len(events)


def test_the_reward_is_spend_in_96_hours_less_what_was_paid_out(folder: Path) -> None:
    history = read_events(run.JOURNEY, convert.events(folder))
    decided = decided_set(history, history.fold.schema.journey.reward)
    reward = dict(zip(decided.set.customers, decided.reward_eur, strict=True))
    assert reward == pytest.approx({"ann": 6.5 - 5, "bob": -2.0, "cyd": 6.0})
    assert decided.set.horizon_s == timedelta(hours=96).total_seconds()


def test_a_test_wave_with_nothing_before_it_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="no wave before it is over"):
        run.measure(folder, 0)
    with pytest.raises(ValueError, match="choose one of 0"):
        run.measure(folder, 168)


@pytest.mark.data
def test_the_learned_policy_is_no_worse_than_the_best_offer_and_beats_chance(
    data_set: Callable[[str], Path],
) -> None:
    found = run.measure(data_set("starbucks"))
    assert found["learned_less_best_single"]["ci"][1] >= 0
    assert found["learned"]["ci"][0] > found["uniform"]["value"] > found["nothing"]["value"]
    assert found["learned"]["value"] >= found["best_single"]["value"] - 0.5
