"""Splits by time: no label of an earlier part looks into a later one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st

from nba.measurement.statistics.estimate import Undecided
from tests.fixtures.examples import examples
from training.data.time_split import (
    MIN_OF_EACH,
    MIN_ROWS,
    Split,
    check_split,
    split_by_time,
    split_of,
)
from training.data.training_sets import TrainingSet


def data(at_s: list[float], horizon_s: float, labels: list[float] | None = None) -> TrainingSet:
    n = len(at_s)
    return TrainingSet(
        columns=("a",),
        rows=np.zeros((n, 1)),
        labels=np.array(labels if labels is not None else [0.0] * n),
        at_s=np.sort(np.array(at_s, dtype=float)),
        horizon_s=horizon_s,
        customers=np.array(["ada"] * n, dtype=object),
    )


moments = st.lists(st.floats(0, 1e9) | st.integers(0, 20).map(float), max_size=60)
horizons = st.floats(1, 1e9) | st.integers(1, 30).map(float)  # seconds


@given(moments, horizons)
@examples(400)
def test_no_label_window_of_an_earlier_part_reaches_into_a_later_one(
    at_s: list[float], horizon_s: float
) -> None:
    made = data(at_s, horizon_s)
    fit, held, test = split_by_time(made).parts.values()
    for earlier, later in ((fit, held), (fit, test), (held, test)):
        if earlier.any() and later.any():
            assert made.at_s[earlier].max() + horizon_s <= made.at_s[later].min()
    assert (fit.astype(int) + held + test <= 1).all()


@given(moments.filter(bool), horizons)
@examples(200)
def test_the_latest_moment_is_always_for_the_test(at_s: list[float], horizon_s: float) -> None:
    assert split_by_time(data(at_s, horizon_s)).test[-1]


def test_a_short_horizon_splits_60_20_20() -> None:
    split = split_by_time(data([float(n) for n in range(1_000)], 1.0))
    assert [int(part.sum()) for part in split.parts.values()] == [599, 199, 200]


def test_a_long_horizon_moves_the_cuts_so_that_something_is_left_to_fit_on() -> None:
    """100 days with a horizon of 30: the test is the last 10, the held part begins 40 earlier."""
    made = data([float(n) for n in range(101)], 30.0)
    split = split_by_time(made)
    assert [made.at_s[part].min() for part in split.parts.values()] == [0.0, 50.0, 90.0]
    assert [made.at_s[part].max() for part in split.parts.values()] == [20.0, 60.0, 100.0]


def test_an_empty_set_splits_into_empty_parts() -> None:
    split = split_by_time(data([], 1.0))
    assert [part.shape for part in split.parts.values()] == [(0,)] * 3
    assert check_split(data([], 1.0), split, classes=True) == Undecided(
        reason="0 rows to fit, 200 are needed"
    )


def parts(fit: int, held: int, test: int) -> Split:
    n = fit + held + test
    position = np.arange(n)
    return Split(
        position < fit, (position >= fit) & (position < fit + held), position >= fit + held
    )


@pytest.mark.parametrize(
    ("sizes", "positives", "reason"),
    [
        ((MIN_ROWS - 1, 300, 300), (90, 90, 90), "199 rows to fit, 200 are needed"),
        ((300, 20, 300), (90, 9, 90), "20 rows to held, 200 are needed"),
        ((300, 300, 0), (90, 90, 0), "0 rows to test, 200 are needed"),
        ((300, 300, 300), (90, MIN_OF_EACH - 1, 90),
         "19 of 300 rows to held are positive, at least 20 of each are needed"),
        ((300, 300, 300), (90, 90, 281),
         "281 of 300 rows to test are positive, at least 20 of each are needed"),
        ((200, 200, 200), (20, 180, 100), None),
    ],
)  # fmt: skip
def test_a_split_that_cannot_be_judged_says_why(
    sizes: tuple[int, int, int], positives: tuple[int, int, int], reason: str | None
) -> None:
    labels = [float(n < of) for size, of in zip(sizes, positives, strict=True) for n in range(size)]
    made = data([float(n) for n in range(sum(sizes))], 0.0, labels)
    found = check_split(made, parts(*sizes), classes=True)
    assert found == (None if reason is None else Undecided(reason=reason))


def test_values_need_rows_and_no_classes() -> None:
    made = data([float(n) for n in range(600)], 0.0)
    assert check_split(made, parts(200, 200, 200), classes=False) is None


def people(n: int, rows: int, *, span: float, horizon_s: float) -> TrainingSet:
    """Rows of n customers over a span of time, a third of them with the label."""
    rng = np.random.default_rng(n)
    made = data(
        np.sort(rng.uniform(0.0, span, rows)).tolist(),
        horizon_s,
        (rng.random(rows) < 1 / 3).astype(float).tolist(),
    )
    customers = np.array([f"c{one}" for one in rng.integers(0, n, rows)], dtype=object)
    return replace(made, customers=customers)


@pytest.mark.parametrize(
    "young",
    [people(700, 5_000, span=7.0, horizon_s=7.0), people(300, 900, span=60.0, horizon_s=30.0)],
)
def test_where_time_does_not_suffice_customers_are_split(young: TrainingSet) -> None:
    """5,000 rows of a week with a window of a week were 0 rows to fit."""
    assert check_split(young, split_by_time(young), classes=True) is not None
    split = split_of(young, classes=True)
    assert split.by == "customers" and check_split(young, split, classes=True) is None
    owners = [set(young.customers[mask].tolist()) for mask in split.parts.values()]
    assert not (owners[0] & owners[1] or owners[0] & owners[2] or owners[1] & owners[2])
    assert sum(mask.sum() for mask in split.parts.values()) == len(young.labels)
    assert split.fit.mean() == pytest.approx(0.6, abs=0.08)


def test_where_time_suffices_it_is_the_split() -> None:
    made = people(300, 3_000, span=300.0, horizon_s=7.0)
    assert split_of(made, classes=True).by == "time"


def test_where_neither_suffices_the_reason_is_that_of_time() -> None:
    few = people(20, 90, span=7.0, horizon_s=7.0)
    found = check_split(few, split_of(few, classes=True), classes=True)
    assert found == Undecided(reason="0 rows to fit, 200 are needed")
