"""Slices and intervals: figures where there is enough, a reason where there is not."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, strategies as st
from sklearn.metrics import roc_auc_score

from models.predictors.platt_scaling import expected_calibration_error
from nba.customer.context import STAGE, ContextSchema
from nba.measurement.statistics.estimate import Estimate, Undecided
from tests.fixtures.examples import examples
from tests.fixtures.small_replica import JOURNEY
from training.data.training_sets import TrainingSet
from training.diagnostics.intervals import Resamples, auc, ece, mean
from training.diagnostics.slices import EVERYBODY, Slice, slices

SEGMENTS = {
    "mass": "traits.segment == 'mass'",
    "rare": "search_failed.count_1h > 0.99",
    "phone": "request.page == 'home'",
    "risky": "churn.risk > 0.5",
    "risky_mass": "segment.risky and segment.mass",
}
SCHEMA = ContextSchema(msgspec.structs.replace(JOURNEY, segments=SEGMENTS))


def judged(rows: int = 1_200) -> tuple[tuple[Slice, ...], TrainingSet, np.ndarray]:
    rng = np.random.default_rng(4)
    values = rng.random((rows, len(SCHEMA.columns)))
    values[:, SCHEMA.index["traits.segment"]] = rng.integers(0, 2, rows)
    values[:, SCHEMA.index[STAGE]] = 0.0
    predicted = rng.random(rows)
    data = TrainingSet(
        columns=tuple(SCHEMA.columns),
        rows=values,
        labels=(rng.random(rows) < predicted).astype(float),
        at_s=np.arange(float(rows)),
        horizon_s=1.0,
        customers=np.array([f"c{n % 200}" for n in range(rows)], dtype=object),
    )
    return slices(SCHEMA, data, predicted, classes=True, seed=1), data, predicted


def test_everybody_each_segment_and_each_stage_that_occurs_is_told() -> None:
    found = judged()[0]
    assert [one.name for one in found] == [
        EVERYBODY,
        *(f"segment.{name}" for name in SEGMENTS),
        f"stage.{SCHEMA.stages[0]}",
    ]


def test_figures_of_a_slice_are_those_of_its_rows_with_an_interval() -> None:
    found, data, predicted = judged()
    mask = data.rows[:, SCHEMA.index["traits.segment"]] == 0
    mass = next(one for one in found if one.name == "segment.mass")
    assert mass.rows == mask.sum() and isinstance(mass.figures, dict)
    labels, mine = data.labels[mask], predicted[mask]
    assert mass.figures["auc"].value == pytest.approx(roc_auc_score(labels, mine), abs=1e-12)
    assert mass.figures["ece"].value == pytest.approx(expected_calibration_error(mine, labels))
    for estimate in mass.figures.values():
        assert estimate.low <= estimate.value <= estimate.high
        assert estimate.n == mask.sum() and estimate.ess == len(set(data.customers[mask]))


def test_a_small_slice_and_one_that_training_cannot_know_are_undecided() -> None:
    found = {one.name: one.figures for one in judged()[0]}
    assert isinstance(rare := found["segment.rare"], Undecided)
    assert rare.reason.endswith("rows, 200 are needed")
    for name, fact in (
        *(("phone", "request.page"), ("risky", "churn.risk"), ("risky_mass", "churn.risk")),
    ):
        why = f"it names {fact}, which no training row holds"
        assert found[f"segment.{name}"] == Undecided(reason=why)


scores = st.lists(
    st.tuples(st.floats(0, 1).map(lambda p: round(p, 1)), st.booleans()), min_size=2, max_size=40
).filter(lambda rows: len({label for _, label in rows}) == 2)


@given(scores)
@examples(200)
def test_weighted_figures_are_those_of_repeated_rows(rows: list[tuple[float, bool]]) -> None:
    predicted = np.array([p for p, _ in rows])
    labels = np.array([label for _, label in rows], dtype=float)
    times = np.arange(len(rows)) % 3 + 1
    weights = np.vstack([np.ones(len(rows)), times])
    for line, repeat in enumerate((np.ones(len(rows), dtype=int), times)):
        many, known = np.repeat(predicted, repeat), np.repeat(labels, repeat)
        assert auc(weights, predicted, labels)[line] == pytest.approx(roc_auc_score(known, many))
        expected = expected_calibration_error(many, known)
        assert ece(weights, predicted, labels)[line] == pytest.approx(expected, abs=1e-12)
        assert mean(weights, labels)[line] == pytest.approx(known.mean())


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Rows of a customer are one piece of news: 40 of 40 x 10 rows."""
    covered = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        customers = np.repeat(np.arange(40), 10)
        values = rng.normal(size=40)[customers]
        drawn = Resamples(customers, seed=seed)
        everything = np.ones(400, dtype=bool)
        found = drawn.estimate(mean(drawn.of(everything), values), everything)
        assert isinstance(found, Estimate)
        covered += found.low <= 0.0 <= found.high
    assert 88 <= covered <= 99
