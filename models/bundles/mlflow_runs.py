"""What an MLflow run holds beside a bundle's files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

CARD = "card.md"
DESCRIPTION = 5_000  # characters that MLflow keeps of one


class ModelRun(NamedTuple):
    """The run of one model, under that of its bundle."""

    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    files: Mapping[str, bytes]  # by path

    def logged_tables(self) -> str:
        """MLflow's list of the tables among the files: JSON at the top."""
        tables = [path for path in self.files if "/" not in path and path.endswith(".json")]
        return json.dumps([{"path": path, "type": "table"} for path in tables])


def table_json(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    """A table as MLflow shows it: JSON of `columns` and `data`."""
    return json.dumps({"columns": list(columns), "data": [list(row) for row in rows]}).encode()


def shortened(card: str) -> str:
    """As much of a card as a description takes, cut at a line."""
    if len(card) <= DESCRIPTION:
        return card
    return card[: card.rindex("\n", 0, DESCRIPTION - 60)] + f"\n\nThe rest: {CARD} of the run.\n"
