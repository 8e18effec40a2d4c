"""The online retail example: its converter on a made-up sample, its figures on the public data."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from examples.learning import read_events
from examples.online_retail import convert, run

LINES = pd.DataFrame(
    [
        ("BLUE CUP", 6, "2011-01-03 10:00", 2.0, 7.0, "United Kingdom"),
        ("RED CUP", 4, "2011-01-03 10:00", 1.0, 7.0, "United Kingdom"),
        ("RED CUP", -1, "2011-01-05 09:00", 1.0, 7.0, "United Kingdom"),
        ("RED CUP", 10, "2011-01-13 10:00", 1.0, 7.0, "United Kingdom"),
        (None, 3, "2011-01-04 11:00", 0.0, 7.0, "United Kingdom"),
        ("LAMP", 1, "2011-01-04 12:00", 9.5, None, "France"),
        ("LAMP", 2, "2011-01-04 12:00", 9.5, 8.0, "France"),
        (None, 2, "2011-01-04 12:00", 0.5, 8.0, None),
    ],
    columns=convert.COLUMNS,
).assign(InvoiceDate=lambda lines: pd.to_datetime(lines["InvoiceDate"]))


def of(customer: str, name: str) -> list[dict[str, Any]]:
    return [
        event["properties"]
        for event in convert.basket_events(LINES)
        if (event["customer_id"], event["name"]) == (customer, name)
    ]


def test_lines_of_one_customer_and_moment_are_one_basket() -> None:
    first, second = of("7", "Purchase")
    assert first == {"amount": 16.0, "items": 10, "lines": 2}
    assert second["amount"] == 10.0


def test_a_negative_quantity_is_a_return_with_a_positive_amount() -> None:
    assert of("7", "Return") == [{"amount": 1.0, "items": 1, "lines": 1}]


def test_lines_without_customer_or_price_are_left_out() -> None:
    events = list(convert.basket_events(LINES))
    assert {event["customer_id"] for event in events} == {"7", "8"}
    assert len([event for event in events if event["name"] == "Purchase"]) == 3


def test_a_missing_description_or_country_is_no_obstacle() -> None:
    assert of("8", "Purchase") == [{"amount": 20.0, "items": 4, "lines": 2}]
    assert of("8", "identify")[0]["abroad"] is True
    assert of("8", "identify")[0]["products"] == 1


def test_habits_hold_nothing_that_comes_later() -> None:
    first, second = of("7", "identify")
    assert (first["days_bought"], first["gap_days"], first["items"]) == (1, None, 10)
    assert (second["days_bought"], second["gap_days"], second["items"]) == (2, 10.0, 20)
    assert second["products"] == 2


def test_events_come_in_order_and_the_log_takes_them(tmp_path: Path) -> None:
    LINES.to_parquet(tmp_path / "online_retail.parquet")
    events = list(convert.events(tmp_path))
    assert events == sorted(events, key=lambda event: event["occurred_at"])
    assert len({event["event_id"] for event in events}) == len(events)
    assert len(read_events(run.JOURNEY, events).events) == len(events)


def test_a_cut_too_near_to_the_end_is_refused(tmp_path: Path) -> None:
    LINES.to_parquet(tmp_path / "online_retail.parquet")
    with pytest.raises(ValueError, match="90 days are needed after the cut"):
        run.measure(tmp_path, datetime(2011, 1, 10, tzinfo=UTC))


@pytest.mark.data
def test_leaving_is_foreseen_better_than_by_recency_frequency_and_value(
    data_set: Callable[[str], Path],
) -> None:
    found = run.measure(data_set("online_retail"), datetime.fromisoformat(run.CUT + "T00:00Z"))
    assert found["auc"] > found["reference_auc"]
    assert found["auc_cross_validated"] > found["reference_auc"]
