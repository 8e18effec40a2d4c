"""A year of a British gift wholesaler as events: baskets bought and goods returned.

    python -m examples.online_retail.convert FOLDER events.jsonl

The data has no invoice number: the lines of one customer at one moment are one basket. Lines with
a negative quantity are returns. Lines without a customer cannot be anybody's and are left out, and
so are lines without a price, which are corrections of the stock.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import pandas as pd

from examples.raw_files import convert_command
from nba.events import IDENTIFY

COLUMNS = ["Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"]


def events(folder: Path) -> Iterator[dict[str, Any]]:
    """The canonical events of the folder's `online_retail.parquet`, by time."""
    lines = pd.read_parquet(folder / "online_retail.parquet", columns=COLUMNS)
    yield from basket_events(lines)


def basket_events(lines: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """One event for each customer, moment and direction of the lines, by time."""
    lines = lines.dropna(subset=["CustomerID", "InvoiceDate", "Quantity", "UnitPrice"])
    lines = lines[(lines["Quantity"] != 0) & (lines["UnitPrice"] > 0)]
    lines = lines.assign(
        customer=lines["CustomerID"].astype("int64").astype(str),
        name=(lines["Quantity"] > 0).map({True: "Purchase", False: "Return"}),
        quantity=lines["Quantity"].abs(),
        amount=lines["Quantity"].abs() * lines["UnitPrice"],
    )
    baskets = lines.groupby(["InvoiceDate", "customer", "name"], as_index=False).agg(
        amount=("amount", "sum"),
        items=("quantity", "sum"),
        lines=("quantity", "size"),
        products=("Description", "nunique"),
        country=("Country", "first"),
    )
    known: dict[str, object] = {}
    for basket in baskets.to_dict("records"):
        customer, name = basket["customer"], basket["name"]
        at = basket["InvoiceDate"].to_pydatetime().replace(tzinfo=UTC).isoformat()
        if known.get(customer) != basket["country"]:
            known[customer] = basket["country"]
            abroad = {"abroad": basket["country"] != "United Kingdom"}
            yield _event(customer, IDENTIFY, at, abroad)
        properties = {
            "amount": round(float(basket["amount"]), 2),
            "items": int(basket["items"]),
            "lines": int(basket["lines"]),
            "products": int(basket["products"]),
        }
        yield _event(customer, name, at, properties)


def _event(customer: str, name: str, at: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "event_id": f"{name}:{customer}:{at}",
        "customer_id": customer,
        "name": name,
        "occurred_at": at,
        "properties": properties,
    }


if __name__ == "__main__":
    convert_command(events, __doc__)
