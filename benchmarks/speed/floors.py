"""What a decision cannot do without, measured alone: CPU ms of each, in the run that it is held to.

- `predict`: LightGBM's own predict of the rows that the decision scores, by one thread.
- `read`: one row of a customer's state by its key, client and server.
- `append`: one group of decisions as they are stored, committed, a decision's share of it.

The fourth, the empty endpoint, is measured by `decide.py` under the same load.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import psycopg

from benchmarks.speed.cpu_time import cpu_s
from models.bundles.bundle import Bundle
from nba.decisions.decision import Decision
from nba.stores.postgres import sql
from nba.stores.postgres.rows import as_json, decision_row, event_row

REPEATS = 200
GROUP = 8  # decisions that are committed at once


class Floors(msgspec.Struct, frozen=True, kw_only=True):
    """CPU ms a decision."""

    empty_ms: float
    predict_ms: float
    read_ms: float
    append_ms: float

    @property
    def sum_ms(self) -> float:
        return self.empty_ms + self.predict_ms + self.read_ms + self.append_ms


def predict_ms(bundle: Bundle, scored: int) -> float:
    """LightGBM's predict of so many candidates' rows and of the customer's churn row."""
    rng = np.random.default_rng(1)
    touchpoint, churn = bundle.touchpoint.booster, bundle.churn.booster
    rows = rng.normal(size=(scored, touchpoint.num_feature()))
    row = rng.normal(size=(1, churn.num_feature()))

    def predict() -> None:
        touchpoint.predict(rows, num_threads=1)
        churn.predict(row, num_threads=1)

    return _ms(predict, time.process_time)


def read_ms(url: str) -> float:
    """One customer's snapshot by its key."""
    query = "SELECT seq, state FROM snapshots WHERE customer_id = %s"
    with psycopg.connect(url, autocommit=True, prepare_threshold=1) as connection:
        some = connection.execute("SELECT customer_id FROM snapshots LIMIT 1").fetchone()
        return _ms(lambda: connection.execute(query, some).fetchall(), _both(connection))


def append_ms(url: str, decisions: Sequence[Decision]) -> float:
    """Decisions as they are stored today, GROUP at a time, each group committed."""
    made = (_anew(decisions[n % len(decisions)], n) for n in range(GROUP * REPEATS * 2))
    groups = iter([_as_rows([next(made) for _ in range(GROUP)]) for _ in range(REPEATS * 5 // 4)])
    with psycopg.connect(url, prepare_threshold=1) as connection:

        def append() -> None:
            with connection.transaction():
                connection.execute(sql.INSERT_DECISIONS, next(groups))

        return _ms(append, _both(connection)) / GROUP


def _anew(decision: Decision, number: int) -> Decision:
    request = msgspec.structs.replace(decision.request, request_id=None)
    return msgspec.structs.replace(
        decision, decision_id=f"floor-{number}", request=request, moves=()
    )


def _as_rows(decisions: Sequence[Decision]) -> tuple[object, object]:
    events = [event_row(event) for one in decisions for event in one.as_events()]
    return as_json(events), as_json([decision_row(one) for one in decisions])


def _both(connection: psycopg.Connection) -> Callable[[], float]:
    """This process's CPU time and that of the server's process for the connection."""
    backend = connection.info.backend_pid
    return lambda: time.process_time() + cpu_s([backend])


def _ms(call: Callable[[], object], clock: Callable[[], float]) -> float:
    for _ in range(REPEATS // 4):
        call()
    begin = clock()
    for _ in range(REPEATS):
        call()
    return (clock() - begin) / REPEATS * 1000
