"""Decisions as Parquet: the parts of a batch in one folder, each complete or not there.

`part-N.parquet` holds the decisions of the customers N x PART and following, one row each. What a
dry run has taken of the capacities up to its end stands in the part's own metadata. Files that
begin with `_` are passed over by readers of Parquet folders: the plan, and the customers in order.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from nba.decisions.decision import Decision
from nba.engine.batch import BatchPlan
from nba.errors import InvalidInput
from nba.events.event import micros

PART = 5_000  # customers
_PLAN, _CUSTOMERS = "_batch.json", "_customers.txt"
_TAKEN = b"taken"
_AGAIN = "it is no folder of a batch that can go on: name another, or remove it first"


@cache
def schema() -> Any:
    """The columns of a part; `decision` is the whole of it as canonical JSON, or null."""
    import pyarrow as pa

    text, number, moment = pa.string(), pa.float64(), pa.timestamp("us", "UTC")
    columns = [
        ("customer_id", text),
        ("decision_id", text),
        ("decided_at", moment),
        ("mode", text),
        ("action_id", text),
        ("treatment", text),
        ("propensity", number),
        ("treatment_propensity", number),
        ("p_accept", number),
        ("priority_eur", number),
        ("churn_risk", number),
        ("candidates", pa.int32()),
        ("refused", pa.int32()),
        ("not_before", moment),
        ("note", text),
        ("catalogue_version", text),
        ("bundle_id", text),
        ("decision", pa.binary()),
    ]
    return pa.schema(columns)


class DecisionParts:
    """A batch's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begun(self) -> BatchPlan | None:
        """The plan of the batch that was begun here, None where the folder is free.

        Raises InvalidInput where it holds something else.
        """
        file = self.folder / _PLAN
        try:
            if file.exists():
                return msgspec.json.decode(file.read_bytes(), type=BatchPlan)
            if self.folder.exists():
                if not self.folder.is_dir():
                    raise InvalidInput("batch", str(self.folder), _AGAIN)
                if any(entry.name != _CUSTOMERS for entry in self.folder.iterdir()):
                    raise InvalidInput("batch", str(self.folder), _AGAIN)
        except (OSError, msgspec.MsgspecError):
            raise InvalidInput("batch", str(self.folder), _AGAIN) from None
        return None

    def begin(self, plan: BatchPlan, customers: Iterable[str]) -> None:
        """Write down who is decided for, and then the plan: with it the batch has begun.

        Raises InvalidInput where the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / _CUSTOMERS).open("wb") as out:
                out.writelines(
                    msgspec.json.encode(customer_id) + b"\n" for customer_id in customers
                )
            _replace(self.folder / _PLAN, msgspec.json.encode(plan))
        except OSError as error:
            raise InvalidInput(
                "batch", str(self.folder), error.strerror or "not writable"
            ) from None

    def customers(self) -> Iterator[list[str]]:
        """The customers of each part, in order."""
        part: list[str] = []
        with (self.folder / _CUSTOMERS).open("rb") as lines:
            for line in lines:
                part.append(msgspec.json.decode(line, type=str))
                if len(part) == PART:
                    yield part
                    part = []
        if part:
            yield part

    def complete(self, number: int) -> bool:
        """Whether this part is there; a part is there as a whole or not at all."""
        return self._file(number).exists()

    def taken(self, number: int) -> dict[tuple[str, str], float]:
        """What the batch had taken of the capacities when this part was complete."""
        import pyarrow.parquet as pq

        encoded = (pq.read_schema(self._file(number)).metadata or {}).get(_TAKEN, b"[]")
        rows = msgspec.json.decode(encoded, type=list[tuple[str, str, float]])
        return {(capacity, period): amount for capacity, period, amount in rows}

    def write(
        self,
        number: int,
        rows: Sequence[Mapping[str, object]],
        taken: Mapping[tuple[str, str], float],
    ) -> None:
        """Write a part, rows as of `row_of`. Raises InvalidInput where it cannot be written."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        listed = msgspec.json.encode([(*key, amount) for key, amount in sorted(taken.items())])
        table = pa.Table.from_pylist(rows, schema=schema().with_metadata({_TAKEN: listed}))
        file = self._file(number)
        made = file.with_name(f"_{file.name}")
        try:
            pq.write_table(table, made, compression="zstd")
            _sync(made)
            made.replace(file)
        except OSError as error:
            raise InvalidInput("batch", str(file), error.strerror or "not writable") from None

    def counts(self) -> Counter[tuple[str, str]]:
        """How many decisions by (mode, action), over all parts."""
        import pyarrow.parquet as pq

        counts: Counter[tuple[str, str]] = Counter()
        for file in sorted(self.folder.glob("part-*.parquet")):
            table = pq.read_table(file, columns=["mode", "action_id"], partitioning=None)
            modes, actions = (table.column(n).to_pylist() for n in ("mode", "action_id"))
            counts.update(zip(modes, actions, strict=True))
        return counts

    def _file(self, number: int) -> Path:
        return self.folder / f"part-{number:06d}.parquet"


def row_of(decision: Decision, *, whole: bool) -> dict[str, object]:
    """One decision as a row of `schema`; `whole`: with its canonical JSON."""
    drawn = next(
        candidate for candidate in decision.candidates if candidate.action_id == decision.action_id
    )
    return {
        "customer_id": decision.request.customer_id,
        "decision_id": decision.decision_id,
        "decided_at": micros(decision.decided_at),
        "mode": decision.mode.value,
        "action_id": decision.action_id,
        "treatment": decision.treatment,
        "propensity": decision.propensity,
        "treatment_propensity": decision.treatment_propensity,
        "p_accept": drawn.p_accept,
        "priority_eur": drawn.priority,
        "churn_risk": None if decision.churn is None else decision.churn.risk,
        "candidates": len(decision.candidates),
        "refused": len(decision.refused),
        "not_before": None if decision.not_before is None else micros(decision.not_before),
        "note": decision.note,
        "catalogue_version": decision.catalogue_version,
        "bundle_id": decision.bundle_id,
        "decision": decision.to_json() if whole else None,
    }


def _replace(file: Path, content: bytes) -> None:
    made = file.with_name(f"{file.name}.new")
    made.write_bytes(content)
    _sync(made)
    made.replace(file)


def _sync(file: Path) -> None:
    with file.open("rb") as written:
        os.fsync(written.fileno())
