"""Leakage: what a row could not have known is found, and named by its column."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from features.replay.point_in_time import EVERYTHING, ContextQuestions, replay
from nba.durations import DAY_S
from nba.events.event import micros
from tests.fixtures.small_replica import FOLD, NOON, failed_search
from training.data.history import History, history_of
from training.data.time_split import Split
from training.data.training_sets import TrainingSet
from training.diagnostics.leakage import Leakage, find_leaks, telling

START_S = micros(NOON) / 1e6
SEARCHES = FOLD.schema.index["search_failed.count_7d"]


class Made(NamedTuple):
    history: History
    data: TrainingSet
    moments: ContextQuestions
    split: Split


@pytest.fixture
def made() -> Made:
    """60 customers on 10 days each, who search on some of them; labels by the coin."""
    rng = np.random.default_rng(1)
    customers = [f"c{n}" for n in range(60)]
    found = [
        failed_search(NOON + timedelta(days=float(day) + 0.25), customer)
        for customer in customers
        for day in np.flatnonzero(rng.random(20) < 0.4)
    ]
    found.sort(key=lambda one: one.occurred_at)
    history = history_of(
        FOLD, [msgspec.structs.replace(one, seq=seq) for seq, one in enumerate(found, start=1)]
    )
    at_s = START_S + DAY_S * np.repeat(np.arange(5, 15), 60)
    moments = ContextQuestions.at(np.array(customers * 10, dtype=object), at_s)
    rows, _ = replay(FOLD, history.rows, moments)
    data = TrainingSet(
        columns=tuple(FOLD.schema.columns),
        rows=rows,
        labels=(rng.random(600) < 0.4).astype(float),
        at_s=at_s,
        horizon_s=DAY_S,
        customers=moments.customers,
    )
    days = np.repeat(np.arange(10), 60)
    return Made(history, data, moments, Split(days < 4, (days > 4) & (days < 7), days > 7))


def looked(made: Made, *, classes: bool = True, trusted: tuple[str, ...] = ()) -> Leakage:
    return find_leaks(*made, classes=classes, seed=1, trusted=trusted)


def with_column(made: Made, values: np.ndarray) -> Made:
    rows = made.data.rows.copy()
    rows[:, SEARCHES] = values
    return made._replace(data=replace(made.data, rows=rows))


def test_rows_of_the_fold_know_nothing_too_much(made: Made) -> None:
    found = looked(made)
    assert found.leaks == () and found.refusal is None
    assert found.replayed == 60 and 0.5 <= found.strength < 0.8


def test_a_column_of_a_later_moment_postdates_its_decision(made: Made) -> None:
    later = ContextQuestions.at(made.moments.customers, made.moments.as_of + 3 * DAY_S)
    rows, _ = replay(FOLD, made.history.rows, later)
    found = looked(with_column(made, rows[:, SEARCHES]))
    assert [leak.column for leak in found.leaks] == ["search_failed.count_7d"]
    assert found.refusal is not None
    assert found.refusal.startswith("leakage: search_failed.count_7d postdates the decision")


def test_an_event_that_came_in_late_was_not_known(made: Made) -> None:
    """Rows made as if every event had been received when it occurred."""
    late = [
        msgspec.structs.replace(event, received_at=event.received_at + timedelta(days=2))
        for event in made.history.events
    ]
    found = looked(made._replace(history=history_of(FOLD, late)))
    assert any(leak.column == "search_failed.count_7d" for leak in found.leaks)


def test_a_decision_that_saw_what_was_received_after_it_is_told(made: Made) -> None:
    n = len(made.data.labels)
    late = [
        msgspec.structs.replace(event, received_at=event.received_at + timedelta(days=2))
        for event in made.history.events
    ]
    moments = made.moments
    saw = ContextQuestions(
        customers=moments.customers,
        as_of=moments.as_of,
        seen_seq=np.full(n, EVERYTHING),
        seen_received=np.full(n, np.inf),
        actions=moments.actions,
    )
    found = looked(made._replace(history=history_of(FOLD, late), moments=saw))
    assert found.refusal is not None and "saw events received after" in found.refusal


def test_a_column_that_is_the_label_is_refused_unless_it_is_trusted(made: Made) -> None:
    rng = np.random.default_rng(2)
    leaky = with_column(made, made.data.labels + 0.1 * rng.normal(size=600))
    found = looked(leaky)
    tells = [leak for leak in found.leaks if "alone tells the label" in leak.text]
    assert [leak.column for leak in tells] == ["search_failed.count_7d"]
    assert found.strongest == "search_failed.count_7d" and found.strength > 0.98
    trusting = looked(leaky, trusted=("search_failed.count_7d",))
    assert trusting.refusal is None
    assert {leak.column for leak in trusting.trusted} == {"search_failed.count_7d"}


def test_a_column_that_is_unknown_where_the_label_is_one_tells_it_too(made: Made) -> None:
    unknown = np.where(made.data.labels > 0, np.nan, made.data.rows[:, SEARCHES])
    assert looked(with_column(made, unknown)).strength == pytest.approx(1.0)


def test_a_column_that_orders_the_values_is_refused(made: Made) -> None:
    rng = np.random.default_rng(3)
    values = rng.exponential(size=600)
    valued = made._replace(data=replace(made.data, labels=values))
    found = looked(with_column(valued, values**3), classes=False)
    assert any("rank correlation 1.000" in leak.text for leak in found.leaks)


def test_how_far_a_column_tells_is_its_auc_either_way(made: Made) -> None:
    test = made.data.part(made.split.test)
    strengths = telling(test, classes=True)
    for at in (SEARCHES, FOLD.schema.index["search_failed.days_since"]):
        column = np.where(np.isnan(test.rows[:, at]), -1.0, test.rows[:, at])
        area = roc_auc_score(test.labels, column)
        missing = roc_auc_score(test.labels, np.isnan(test.rows[:, at]))
        expected = max(area, 1 - area, missing, 1 - missing)
        assert strengths[at] == pytest.approx(expected, abs=1e-12)


def test_a_row_in_two_parts_is_told(made: Made) -> None:
    split = made.split._replace(held=made.split.held | (made.split.fit & (np.arange(600) < 7)))
    found = looked(made._replace(split=split))
    assert any(leak.text == "7 rows stand in two parts of the split" for leak in found.leaks)


def test_labels_that_reach_into_the_next_part_are_told(made: Made) -> None:
    split = Split(made.split.fit, np.repeat(np.arange(10), 60) == 4, made.split.test)
    longer = replace(made.data, horizon_s=3 * DAY_S)
    found = looked(made._replace(split=split, data=longer))
    assert any(leak.text == "labels of fit reach 2.0 days into held" for leak in found.leaks)
