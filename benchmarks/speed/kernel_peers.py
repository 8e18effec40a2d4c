"""The kernel's peers: what of its context rows DuckDB and Polars can express, on one thread.

Both compute, for every kind, the decayed counts, the total and the days since, and for kinds with
an amount the decayed sums and their total; further the stage and the days in it, and the days
known; as one wide row at every tenth event, where the kernel also computes all that they cannot
express. Running sums by customer and kind, then one as-of join for each kind: a window over all
events for each column would be several times slower. All three get the events sorted by customer
and time: the kernel and Polars rely on it, DuckDB sorts for its windows. The kernel's seconds are
the best of three rounds, the peers' of one.

Forward decay: a weight 2^(t / half-life) and its running sum, divided by the weight at the end.
Over a long span of a short half-life the weight overflows. There, time is cut into chunks of 512
half-lives, twice: the second cut lies half a chunk aside, and an event uses the cut in whose chunk
it lies further from the beginning. What is before that chunk is 256 half-lives away and counts for
less than 2^-256.
"""

from __future__ import annotations

import math
import os

os.environ["POLARS_MAX_THREADS"] = "1"  # read when Polars is imported

import time
from collections.abc import Callable

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa

from nba.customer.context import HALF_LIVES_DAYS, ContextSchema
from nba.durations import DAY_S

CHUNK = 512.0  # half-lives; 2^1023 is the largest weight
HALF_LIVES = {name: days * DAY_S for name, days in HALF_LIVES_DAYS.items()}
EARLIEST = 1.7e9  # seconds; no event of the benchmark is before
SPAN = 90 * DAY_S  # and none so much later
CUT = {name: SPAN / half > 1_000 for name, half in HALF_LIVES.items()}  # what overflows
LN2 = math.log(2.0)
CANNOT = (  # as window functions and joins: each step depends on what the last one decided
    "the signals of the detectors (rage clicks, repeated searches, forms left, ...): rings that "
    "depend on what fired before, and silence that is noticed at a deadline",
    "emotion.*: nodes (30 minutes from a visit's first event, so each start depends on the last), "
    "what they add up to after clipping, and EWMAs and streaks over them",
)
LEFT_OUT = (  # they could, and this data has none
    "unmapped events, contacts, traits",
    "late events: each moment would see other rows, by a join of its own",
)


def expressible(schema: ContextSchema, kinds: int) -> list[str]:
    """The columns that the peers compute, in their order: of the first `kinds` kinds, and more."""
    names = []
    for kind in schema.kinds[:kinds]:
        names += [f"{kind}.count_{name}" for name in HALF_LIVES]
        names += [f"{kind}.total", f"{kind}.days_since"]
        if kind in schema.with_amount:
            names += [f"{kind}.sum_{name}" for name in HALF_LIVES] + [f"{kind}.sum_total"]
    return [*names, "journey.stage", "journey.days_in_stage", "customer.days_known"]


def compare(
    schema: ContextSchema,
    rows: np.ndarray,
    customers: np.ndarray,
    asked: np.ndarray,
    stage_of: np.ndarray,
    values: np.ndarray,
    kernel_s: float,
) -> dict[str, dict[str, float]]:
    """Both peers against the kernel's `values` (n_asked, n_columns) at the rows `asked`.

    `stage_of`: (n_touchpoints,). `kernel_s`: CPU seconds that the kernel took for `values`.
    """
    kinds = len(schema.journey.events)
    names = expressible(schema, kinds)
    with_amount = [code for code in range(kinds) if schema.kinds[code] in schema.with_amount]
    events = pa.table(
        {
            "customer": customers.astype(np.int32),
            "kind": rows["kind"].astype(np.int32),
            "stage": stage_of[rows["touchpoint"]].astype(np.int32),
            "time": rows["time"],
            "amount": rows["amount"],
            "asked": np.isin(np.arange(len(rows)), asked),
        }
    )
    found = {}
    for name, peer in (("duckdb", in_duckdb), ("polars", in_polars)):
        peer(events.slice(0, 10_000), kinds, with_amount)  # what a first call costs
        table, seconds = peer(events, kinds, with_amount)
        largest = _largest_difference(table, names, schema, values)
        found[name] = {
            "seconds": round(seconds, 2),
            "ratio": round(seconds / kernel_s, 1),
            "largest_difference": largest,
        }
    return found


def _largest_difference(
    table: np.ndarray, names: list[str], schema: ContextSchema, values: np.ndarray
) -> float:
    """Relative, of all cells; raises AssertionError above 1e-6 or where one alone knows nothing.

    Cells below 1e-300, where a float64 has fewer digits, are left out.
    """
    largest = 0.0
    for position, name in enumerate(names):
        ours = values[:, schema.index[name]]
        theirs = table[:, position]
        assert (np.isnan(ours) == np.isnan(theirs)).all(), name
        scale = np.maximum(np.abs(ours), np.abs(theirs))
        apart = np.abs(ours - theirs)[scale > 1e-300] / scale[scale > 1e-300]
        largest = max(largest, float(np.nanmax(apart, initial=0.0)))
        assert largest <= 1e-6, f"{name}: {largest}"
    return largest


def _cuts(name: str) -> list[tuple[str, float]]:
    """(suffix, offset in seconds) of the chunkings of one half-life."""
    aside = -CHUNK / 2 * HALF_LIVES[name]
    return [("a", 0.0), ("b", aside)] if CUT[name] else [("a", 0.0)]


def in_duckdb(events: pa.Table, kinds: int, with_amount: list[int]) -> tuple[np.ndarray, float]:
    """The rows (n_asked, n_columns) and the CPU seconds that they took."""
    database = duckdb.connect()
    database.execute("SET threads = 1")
    database.register("given", events)
    database.execute(f"CREATE TABLE events AS SELECT *, time - {EARLIEST} AS t FROM given")
    chunks, sums, picked, windows = [], [], [], []
    for name, half in HALF_LIVES.items():
        length = CHUNK * half
        for cut, offset in _cuts(name):
            here, into = f"{name}_{cut}", "t"
            if CUT[name]:
                chunks.append(f"floor((t - {offset}) / {length}) AS chunk_{here}")
                into = f"(t - {offset} - chunk_{here} * {length})"
                by = f"PARTITION BY customer, kind, chunk_{here} ORDER BY t ROWS"
                windows.append(f"w_{here} AS ({by} UNBOUNDED PRECEDING)")
            weight, window = f"exp({into} * {LN2 / half})", f"w_{here}" if CUT[name] else "w"
            for what, of in (("count", "1.0"), ("sum", "amount")):
                sums.append(f"sum({weight} * {of}) OVER {window} / {weight} AS {what}_{here}")
        for what in ("count", "sum"):
            chosen = f"{what}_{name}_a"
            if CUT[name]:
                later = f"t - chunk_{name}_a * {length} >= {length / 2}"
                chosen = f"CASE WHEN {later} THEN {chosen} ELSE {what}_{name}_b END"
            picked.append(f"{chosen} AS {what}_{name}")
    columns, joins = [], []
    for kind in range(kinds):
        left = f"(q.t - k{kind}.t)"
        sides = ("count", "sum") if kind in with_amount else ("count",)
        for what in sides:
            for name, half in HALF_LIVES.items():
                columns.append(
                    f"coalesce(k{kind}.{what}_{name} * exp(-{left} * {LN2 / half}), 0.0)"
                )
            if what == "count":
                columns.append(f"coalesce(k{kind}.total, 0)::DOUBLE")
                columns.append(f"{left} / {DAY_S}")
            else:
                columns.append(f"coalesce(k{kind}.sum_total, 0.0)")
        joins.append(
            f"ASOF LEFT JOIN (SELECT * FROM running WHERE kind = {kind}) k{kind} "
            f"ON q.customer = k{kind}.customer AND q.t >= k{kind}.t"
        )
    named = ", ".join(f"{column} AS c{n}" for n, column in enumerate(columns))
    n = len(columns)
    return _timed(
        lambda: database.execute(f"""
            CREATE TABLE answer AS
            WITH cut AS (SELECT *, {", ".join(chunks)} FROM events),
            summed AS (
                SELECT customer, kind, t, {", ".join(c.split(" AS ")[1] for c in chunks)},
                    count(*) OVER w AS total, sum(amount) OVER w AS sum_total, {", ".join(sums)}
                FROM cut
                WINDOW w AS (PARTITION BY customer, kind ORDER BY t ROWS UNBOUNDED PRECEDING),
                    {", ".join(windows)}
            ),
            running AS MATERIALIZED (
                SELECT customer, kind, t, total, sum_total, {", ".join(picked)} FROM summed
            ),
            entered AS (
                SELECT customer, t, stage, asked, min(t) OVER w AS since,
                    stage IS DISTINCT FROM lag(stage) OVER w AS new
                FROM events WINDOW w AS (PARTITION BY customer ORDER BY t)
            ),
            staged AS (
                SELECT *, max(CASE WHEN new THEN t END) OVER (
                    PARTITION BY customer ORDER BY t ROWS UNBOUNDED PRECEDING) AS stage_t
                FROM entered
            ),
            q AS (SELECT * FROM staged WHERE asked)
            SELECT q.customer AS customer, q.t AS t, {named}, q.stage::DOUBLE AS c{n},
                (q.t - q.stage_t) / {DAY_S} AS c{n + 1}, (q.t - q.since) / {DAY_S} AS c{n + 2}
            FROM q {" ".join(joins)}"""),
        lambda: database.sql("SELECT * FROM answer ORDER BY customer, t").to_arrow_table(),
    )


def in_polars(events: pa.Table, kinds: int, with_amount: list[int]) -> tuple[np.ndarray, float]:
    """The rows (n_asked, n_columns) and the CPU seconds that they took."""
    given = pl.from_arrow(events)
    assert isinstance(given, pl.DataFrame)
    given = given.with_columns(t=pl.col("time") - EARLIEST)
    answer: list[pl.DataFrame] = []
    _, seconds = _timed(
        lambda: answer.append(_polars(given, kinds, with_amount)), lambda: pa.table({})
    )
    return answer[0].drop("customer", "t").to_numpy(), seconds


def _polars(events: pl.DataFrame, kinds: int, with_amount: list[int]) -> pl.DataFrame:
    t, by = pl.col("t"), ["customer", "kind"]
    running = events.select(
        *("customer", "kind", "t"),
        total=pl.int_range(1, pl.len() + 1).over(by).cast(pl.Float64),
        sum_total=pl.col("amount").cum_sum().over(by),
        **_decayed(t),
    )
    per = ["customer"]
    new = (pl.col("stage") != pl.col("stage").shift(1)).fill_null(True)
    asked = (
        events.with_columns(new=new.over(per), since=t.min().over(per))
        .with_columns(stage_t=pl.when("new").then(t).forward_fill().over(per))
        .filter("asked")
    )
    tables = []
    for kind in range(kinds):
        own = running.filter(pl.col("kind") == kind).drop("kind").with_columns(last=t)
        joined = asked.select("customer", "t").join_asof(
            own, on="t", by="customer", check_sortedness=False
        )
        age = t - pl.col("last")
        columns = []
        for what in ("count", "sum") if kind in with_amount else ("count",):
            for name, half in HALF_LIVES.items():
                columns.append(
                    (pl.col(f"{what}_{name}") * (-age * (LN2 / half)).exp()).fill_null(0.0)
                )
            if what == "count":
                columns.append(pl.col("total").fill_null(0.0))
                columns.append((age / DAY_S).fill_null(float("nan")))
            else:
                columns.append(pl.col("sum_total").fill_null(0.0))
        named = {f"k{kind}_{n}": column for n, column in enumerate(columns)}
        tables.append(joined.select(**named))
    more = asked.select(
        stage=pl.col("stage").cast(pl.Float64),
        days_in_stage=(t - pl.col("stage_t")) / DAY_S,
        days_known=(t - pl.col("since")) / DAY_S,
    )
    return pl.concat([asked.select("customer", "t"), *tables, more], how="horizontal")


def _decayed(t: pl.Expr) -> dict[str, pl.Expr]:
    """The decayed counts and sums by customer and kind, of rows in order of customer and time."""
    found = {}
    for name, half in HALF_LIVES.items():
        length = CHUNK * half
        sides: dict[str, list[pl.Expr]] = {"count": [], "sum": []}
        for _, offset in _cuts(name):
            by, into = [pl.col("customer"), pl.col("kind")], t
            if CUT[name]:
                chunk = ((t - offset) / length).floor()
                by, into = [*by, chunk], t - offset - chunk * length
            weight = (into * (LN2 / half)).exp()
            sides["count"].append(weight.cum_sum().over(by) / weight)
            sides["sum"].append((weight * pl.col("amount")).cum_sum().over(by) / weight)
        later = t - (t / length).floor() * length >= length / 2
        for what, (first, *second) in sides.items():
            chosen = pl.when(later).then(first).otherwise(second[0]) if second else first
            found[f"{what}_{name}"] = chosen
    return found


def _timed(work: Callable[[], object], read: Callable[[], pa.Table]) -> tuple[np.ndarray, float]:
    begun = time.process_time()
    work()
    seconds = time.process_time() - begun
    table = read()
    columns = [name for name in table.column_names if name not in ("customer", "t")]
    arrays = [table.column(name).to_numpy() for name in columns]
    return np.column_stack(arrays) if arrays else np.empty((0, 0)), seconds
