"""The telco example: its converter on a made-up sample, its figures on the public data."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from examples.learning import read_events
from examples.telco import convert, run
from nba.journey_file.loader import load_journey
from training.data.training_sets import churn_set

ROWS = [
    {"customerID": "x-1", "SeniorCitizen": "0", "Partner": "Yes", "tenure": "3",
     "TotalCharges": "60.5", "Contract": "One year", "StreamingTV": "No internet service",
     "Churn": "No"},
    {"customerID": "x-2", "SeniorCitizen": "1", "Partner": "No", "tenure": "0",
     "TotalCharges": " ", "Contract": "Month-to-month", "StreamingTV": "Yes", "Churn": "Yes"},
]  # fmt: skip


def test_a_row_becomes_traits_of_the_journey_file() -> None:
    first, second, _ = convert.customer_events(ROWS)
    assert first["properties"] == {
        "senior_citizen": False,
        "partner": True,
        "tenure": 3.0,
        "total_charges": 60.5,
        "contract": "One year",
        "streaming_tv": "No internet service",
    }
    assert second["properties"]["total_charges"] is None
    traits = load_journey(run.JOURNEY).traits
    for name, value in first["properties"].items():
        traits[name].check(name, value)


def test_the_label_is_an_event_of_later_and_no_trait() -> None:
    left = [e for e in convert.customer_events(ROWS) if e["name"] == "Contract Cancelled"]
    assert [event["customer_id"] for event in left] == ["x-2"]
    assert all("churn" not in event["properties"] for event in convert.customer_events(ROWS))


def test_each_customer_is_one_row_with_her_label() -> None:
    history = read_events(run.JOURNEY, convert.customer_events(ROWS))
    data = churn_set(history, history.fold.schema.journey.churn)
    assert dict(zip(data.customers, data.labels, strict=True)) == {"x-1": 0.0, "x-2": 1.0}
    assert set(data.at_s) == {convert.KNOWN_ON.timestamp()}
    assert data.horizon_s == timedelta(days=30).total_seconds()


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="Telco-Customer-Churn.csv"):
        list(convert.events(tmp_path))


@pytest.mark.data
def test_leaving_is_foreseen_and_calibrated(data_set: Callable[[str], Path]) -> None:
    found = run.measure(data_set("telco"))
    assert found["auc"] >= 0.845
    assert found["ece"] < 0.02
    assert found["brier"] < 0.14
