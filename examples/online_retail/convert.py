"""A year of a British gift wholesaler as events: baskets bought and goods returned.

    python -m examples.online_retail.convert FOLDER events.jsonl

The data has no invoice number: the lines of one customer at one moment are one basket. Lines with
a negative quantity are returns. With a purchase comes what the shop then knows of the customer's
habits, from her purchases up to this one alone. Lines without a customer cannot be anybody's and
are left out, and so are lines without a price, which are corrections of the stock.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from examples.commands import convert_command
from nba.events.names import IDENTIFY

COLUMNS = ["Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"]
HOME = "United Kingdom"


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
        Description=lines["Description"].fillna(""),
        name=(lines["Quantity"] > 0).map({True: "Purchase", False: "Return"}),
        quantity=lines["Quantity"].abs(),
        amount=lines["Quantity"].abs() * lines["UnitPrice"],
    )
    baskets = lines.groupby(["InvoiceDate", "customer", "name"], as_index=False).agg(
        amount=("amount", "sum"),
        items=("quantity", "sum"),
        lines=("quantity", "size"),
        products=("Description", tuple),
        country=("Country", "first"),
    )
    running: dict[str, _Running] = {}
    for basket in baskets.to_dict("records"):
        customer, name = basket["customer"], basket["name"]
        at = basket["InvoiceDate"].to_pydatetime().replace(tzinfo=UTC)
        amount, items = round(float(basket["amount"]), 2), int(basket["items"])
        properties = {"amount": amount, "items": items, "lines": int(basket["lines"])}
        yield _event(customer, name, at, properties)
        if name == "Purchase":
            state = running.setdefault(customer, _Running())
            state.add(at.date(), amount, items, basket["products"])
            country = basket["country"]
            abroad = None if pd.isna(country) else country != HOME
            yield _event(customer, IDENTIFY, at, {"abroad": abroad, **state.traits()})


class _Running:
    """What a shop keeps of a customer: how broad, how small and how large she buys, so far."""

    def __init__(self) -> None:
        self._days: list[date] = []
        self._products: set[str] = set()
        self._items = self._lines = 0
        self._amount = self._largest = self._last = 0.0
        self._last_lines = 0

    def add(self, day: date, amount: float, items: int, products: tuple[str, ...]) -> None:
        if self._days[-1:] != [day]:
            self._days.append(day)
        self._products.update(product for product in products if product)
        self._items += items
        self._lines += len(products)
        self._last_lines = len(products)
        self._amount += amount
        self._last = amount
        self._largest = max(self._largest, amount)

    def traits(self) -> dict[str, float | None]:
        """Facts of all purchases so far; the gap of one day of buying alone is unknown."""
        gaps = len(self._days) - 1
        return {
            "days_bought": len(self._days),
            "gap_days": (self._days[-1] - self._days[0]).days / gaps if gaps else None,
            "products": len(self._products),
            "lines": self._lines,
            "items": self._items,
            "price": round(self._amount / self._items, 4),
            "items_per_line": round(self._items / self._lines, 4),
            "last_lines": self._last_lines,
            "last_amount": self._last,
            "largest_amount": self._largest,
        }


def _event(customer: str, name: str, at: datetime, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "event_id": f"{name}:{customer}:{at.isoformat()}",
        "customer_id": customer,
        "name": name,
        "occurred_at": at.isoformat(),
        "properties": properties,
    }


if __name__ == "__main__":
    convert_command(events, __doc__)
