"""Point-in-time replay: the contexts of a log at past moments, by the same fold as online."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.encoder import Row
from features.fold import Fold, untraced
from features.kernel import fold_events as kernel
from features.kernel.layout import QUERY, ROW
from nba.customer.context import OFFERED
from nba.events.event import Event, micros

EVERYTHING = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class EncodedLog:
    """A log as kernel rows, sorted by (customer, time, seq), cut by customer."""

    customers: np.ndarray  # (n_customers,) ids, sorted
    starts: np.ndarray  # (n_customers + 1,) int64
    rows: np.ndarray  # (n_rows,) dtype ROW
    received: np.ndarray  # (n_rows,) seconds since 1970 UTC


def encode(fold: Fold, events: Iterable[Event]) -> EncodedLog:
    """The kernel rows of a log. Each event_id may occur once, as the log holds it."""
    encoded: list[Row] = []
    customers: list[str] = []
    received: list[float] = []
    rows_of = fold.encoder.rows
    for event in events:
        rows = rows_of(event)
        encoded += rows
        customers += [event.customer_id] * len(rows)
        received += [micros(event.received_at) / 1e6] * len(rows)
    rows_array = np.array(encoded, dtype=ROW)
    names, codes = np.unique(np.array(customers, dtype=object).astype(str), return_inverse=True)
    # lexsort is stable: the rows of one event keep their order
    order = np.lexsort((rows_array["seq"], rows_array["time"], codes))
    starts = np.searchsorted(codes[order], np.arange(len(names) + 1)).astype(np.int64)
    return EncodedLog(
        customers=names,
        starts=starts,
        rows=rows_array[order],
        received=np.array(received)[order],
    )


@dataclass(frozen=True, slots=True)
class ContextQuestions:
    """Which contexts are wanted: of whom and when, one a row, all arrays (n,).

    `seen_seq` and `seen_received` bound what was known then: a served decision knows the log
    position that it was made on; any other moment knows what had been received by then.
    """

    customers: np.ndarray  # ids
    as_of: np.ndarray  # seconds since 1970 UTC
    seen_seq: np.ndarray  # int64
    seen_received: np.ndarray  # seconds since 1970 UTC
    actions: np.ndarray  # int64 index in the journey's actions, -1 for none

    @classmethod
    def at(cls, customers: Sequence[str] | np.ndarray, as_of: np.ndarray) -> ContextQuestions:
        """Moments that know what had been received by then."""
        n = len(as_of)
        return cls(
            customers=np.asarray(customers),
            as_of=np.asarray(as_of, dtype=float),
            seen_seq=np.full(n, EVERYTHING),
            seen_received=np.asarray(as_of, dtype=float),
            actions=np.full(n, -1),
        )


def replay(
    fold: Fold, log: EncodedLog, questions: ContextQuestions
) -> tuple[np.ndarray, np.ndarray]:
    """Context rows (n, n_columns) and OFFERED columns (n, 2), in the order of the questions."""
    n = len(questions.as_of)
    codes = np.searchsorted(log.customers, questions.customers.astype(str))
    known = codes < len(log.customers)
    known[known] = log.customers[codes[known]] == questions.customers.astype(str)[known]
    codes = np.where(known, codes, len(log.customers))  # the unknown come last, with no rows
    order = np.lexsort((questions.as_of, codes))
    n_customers = len(log.customers) + 1
    query_starts = np.searchsorted(codes[order], np.arange(n_customers + 1)).astype(np.int64)
    queries = np.empty(n, dtype=QUERY)
    queries["as_of"] = questions.as_of[order]
    queries["seen_seq"] = questions.seen_seq[order]
    queries["seen_received"] = questions.seen_received[order]
    queries["action"] = questions.actions[order]
    values = np.empty((n, len(fold.schema.columns)))
    offered = np.empty((n, len(OFFERED)))
    kernel.replay(
        plan=fold.plan,
        rows=log.rows,
        received=log.received,
        row_starts=np.append(log.starts, len(log.rows)).astype(np.int64),
        queries=queries,
        query_starts=query_starts,
        states=np.empty((2, fold.size)),
        trace=untraced(),
        out=values,
        offered=offered,
    )
    back = np.empty(n, dtype=np.int64)
    back[order] = np.arange(n)
    return values[back], offered[back]


def frame(fold: Fold, log: EncodedLog, questions: ContextQuestions) -> pd.DataFrame:
    """`replay` as a table: customer_id, as_of (UTC), the context columns and OFFERED."""
    values, offered = replay(fold, log, questions)
    table = pd.DataFrame(values, columns=fold.schema.columns)
    table[list(OFFERED)] = offered
    as_of = pd.to_datetime(np.round(questions.as_of * 1e6).astype("int64"), unit="us", utc=True)
    table.insert(0, "as_of", as_of)
    table.insert(0, "customer_id", questions.customers)
    return table
