"""Customers of a telephone company as events: what is known of each, and who cancelled.

    python -m examples.telco.convert FOLDER events.jsonl

The data is one row a customer, without times: its traits are known on one day, and who left is said
to have cancelled 30 days later.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from examples.commands import convert_command
from examples.raw_files import find, open_text
from nba.events.names import IDENTIFY

KNOWN_ON = datetime(2020, 1, 1, tzinfo=UTC)  # the data names no date
LEFT_ON = KNOWN_ON + timedelta(days=30)
ID, LABEL = "customerID", "Churn"
NUMBERS = {"tenure", "MonthlyCharges", "TotalCharges"}
BOOLEANS = {"SeniorCitizen", "Partner", "Dependents", "PhoneService", "PaperlessBilling"}
TRUE, FALSE = {"Yes", "1"}, {"No", "0"}


def events(folder: Path) -> Iterator[dict[str, Any]]:
    """The canonical events of the folder's `Telco-Customer-Churn.csv`."""
    with open_text(find(folder, "Telco-Customer-Churn.csv")) as file:
        yield from customer_events(csv.DictReader(file))


def customer_events(rows: Iterable[Mapping[str, str]]) -> Iterator[dict[str, Any]]:
    """Of each row the traits, and the cancellation of who left."""
    left = []
    for row in rows:
        traits = {
            trait_name(column): trait_value(column, text)
            for column, text in row.items()
            if column not in (ID, LABEL)
        }
        yield _event(row[ID], IDENTIFY, KNOWN_ON, traits)
        if row.get(LABEL) in TRUE:
            left.append(row[ID])
    for customer in left:
        yield _event(customer, "Contract Cancelled", LEFT_ON, {})


def trait_name(column: str) -> str:
    """A column's name in the spelling of a journey file.

    >>> trait_name("StreamingTV"), trait_name("tenure")
    ('streaming_tv', 'tenure')
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column).lower()


def trait_value(column: str, text: str | None) -> str | float | bool | None:
    """A cell as a trait; an empty one is unknown.

    >>> trait_value("TotalCharges", " "), trait_value("Partner", "Yes")
    (None, True)
    """
    text = (text or "").strip()
    if not text:
        return None
    if column in NUMBERS:
        return float(text)
    if column in BOOLEANS:
        return True if text in TRUE else False if text in FALSE else None
    return text


def _event(customer: str, name: str, at: datetime, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "event_id": f"{name}:{customer}",
        "customer_id": customer,
        "name": name,
        "occurred_at": at.isoformat(),
        "properties": properties,
    }


if __name__ == "__main__":
    convert_command(events, __doc__)
