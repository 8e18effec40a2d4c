"""Drift of columns and of calibration, against hand computations, and by its noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from nba.errors import InvalidInput
from nba.measurement.statistics.calibration import (
    CalibrationBins,
    CalibrationError,
    brier,
    calibration,
    calibration_bins,
    calibration_drifted,
    ece,
)
from nba.measurement.statistics.drift import (
    Histogram,
    StabilityIndex,
    histogram,
    index,
    quantile_edges,
    stability_index,
)
from nba.measurement.statistics.estimate import Undecided
from tests.fixtures.examples import examples

cells = st.one_of(st.floats(-5, 5), st.just(math.nan), st.sampled_from([0.0, 1.0]))
columns = st.lists(cells, max_size=60).map(lambda values: np.array(values, dtype=float))


def shifted(found: StabilityIndex | Undecided) -> StabilityIndex:
    assert isinstance(found, StabilityIndex)
    return found


def calibrated(found: CalibrationError | Undecided) -> CalibrationError:
    assert isinstance(found, CalibrationError)
    return found


def test_the_index_of_two_rows_of_shares() -> None:
    """V12."""
    found = index(np.array([0.5, 0.3, 0.2]), np.array([0.4, 0.3, 0.3]))
    assert found == pytest.approx(0.0628608659, abs=1e-10)


def test_the_error_and_score_of_three_bins() -> None:
    """V12: predicted .1, .3, .8; seen .15, .25, .80; a hundred each."""
    p = np.repeat([0.1, 0.3, 0.8], 100)
    y = np.concatenate([np.arange(100) < came for came in (15, 25, 80)])
    bins = calibration_bins(p, y, each(p))
    assert ece(bins) == pytest.approx(0.0333333, abs=1e-7)
    assert brier(bins) == pytest.approx(0.16, abs=1e-12)


def test_outcomes_that_are_shares_are_weighed_as_shares() -> None:
    """4 of 10 each is no row of 0: the day's sums are those of the shares."""
    p = np.repeat([0.1, 0.4, 0.8], 1_000)
    bins = calibration_bins(p, p, each(p)) + calibration_bins(p, p, each(p))
    assert sum(bins.y) == pytest.approx(2_600.0)
    assert ece(bins) == pytest.approx(0.0, abs=1e-12)
    assert brier(bins) == pytest.approx(0.0, abs=1e-12)
    found = calibrated(calibration(bins))
    assert found.slope == pytest.approx(1.0, abs=1e-6) and found.good
    half = np.full(100, 0.5)
    assert brier(calibration_bins(half, half - 0.1, each(half))) == pytest.approx(0.01)


def test_large_counts_give_the_index_of_their_shares() -> None:
    one = Histogram(edges=(0.0, 1.0), counts=(500_000, 300_000, 200_000, 0))
    now = Histogram(edges=(0.0, 1.0), counts=(400_000, 300_000, 300_000, 0))
    found = shifted(stability_index(one, now))
    assert found.psi == pytest.approx(0.0628608659, abs=1e-5)
    assert found.noise == pytest.approx(2 * 2e-6) and found.p == 0.0
    assert not found.drifted and shifted(stability_index(one, now, material=0.05)).drifted


@pytest.mark.parametrize(("n", "m"), [(20_000, 200), (2_000, 2_000), (1_000, 60)])
def test_no_drift_is_called_drift_in_one_of_twenty_at_most(n: int, m: int) -> None:
    rng = np.random.default_rng(9)
    found = []
    for _ in range(200):
        before, after = rng.lognormal(size=n), rng.lognormal(size=m)
        before[rng.random(n) < 0.05], after[rng.random(m) < 0.05] = np.nan, np.nan
        edges = quantile_edges(before)
        found.append(
            shifted(
                stability_index(histogram(before, edges), histogram(after, edges), material=0.0)
            )
        )
    assert np.mean([one.drifted for one in found]) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 200)
    middle = np.mean([one.psi / one.noise for one in found])
    assert middle == pytest.approx(1.0, abs=0.15)


def test_small_samples_have_a_higher_limit_and_real_drift_passes_it() -> None:
    rng = np.random.default_rng(2)
    before = rng.normal(size=10_000)
    edges = quantile_edges(before)
    reference = histogram(before, edges)
    few = shifted(stability_index(reference, histogram(rng.normal(size=60), edges)))
    many = shifted(stability_index(reference, histogram(rng.normal(size=20_000), edges)))
    assert few.limit > 0.2 > many.limit == 0.1
    assert few.psi > 0.1 / 2 and not few.drifted and not many.drifted
    assert shifted(stability_index(reference, histogram(rng.normal(1, 1, 500), edges))).drifted


def test_missing_values_that_become_more_are_drift() -> None:
    before = np.arange(2_000.0)
    after = before.copy()
    after[::3] = np.nan
    edges = quantile_edges(before)
    assert shifted(stability_index(histogram(before, edges), histogram(after, edges))).drifted


def test_columns_of_few_values_keep_them_apart() -> None:
    assert quantile_edges(np.repeat([0.0, 1.0], [990, 10])) == (0.0,)
    assert quantile_edges(np.repeat([1.0, 2.0, 3.0], [50, 30, 20])) == (1.0, 2.0)
    assert quantile_edges(np.full(9, 4.0)) == () and quantile_edges(np.array([math.nan])) == ()
    found = histogram(np.array([0.0, 1.0, 1.0, math.nan]), (0.0,))
    assert found.counts == (1, 2, 1) and found.n == 4


@given(columns, columns, columns)
@examples(100)
def test_histograms_of_parts_are_that_of_the_whole(
    reference: np.ndarray, one: np.ndarray, two: np.ndarray
) -> None:
    edges = quantile_edges(reference)
    assert list(edges) == sorted(set(edges)) and len(edges) <= 9
    whole = histogram(np.concatenate([one, two]), edges)
    assert histogram(two, edges) + histogram(one, edges) == whole
    assert whole.n == len(one) + len(two)


def test_nothing_to_compare_is_undecided_and_other_edges_are_refused() -> None:
    empty, full = histogram(np.zeros(0), (1.0,)), histogram(np.arange(50.0), (1.0,))
    assert isinstance(stability_index(empty, full), Undecided)
    assert isinstance(stability_index(full, histogram(np.zeros(3), (1.0,))), Undecided)
    other = histogram(np.arange(50.0), (2.0,))
    with pytest.raises(InvalidInput, match="edges"):
        stability_index(full, other)
    with pytest.raises(InvalidInput, match="edges"):
        full + other


# calibration


def each(p: np.ndarray) -> np.ndarray:
    """Every row is of a customer of its own."""
    return np.arange(len(p), dtype=np.uint64)


def checked(p: np.ndarray, y: np.ndarray) -> CalibrationError | Undecided:
    return calibration(calibration_bins(p, y, each(p)))


def outcomes(seed: int, n: int, slope: float) -> tuple[np.ndarray, np.ndarray]:
    """Predictions whose true log odds are `slope` times theirs."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-1.0, 1.0, n)
    return 1 / (1 + np.exp(-odds)), rng.random(n) < 1 / (1 + np.exp(-slope * odds))


def test_calibrated_predictions_are_good_and_do_not_drift() -> None:
    found = calibrated(checked(*outcomes(1, 50_000, 1.0)))
    assert found.good and not calibration_drifted(found)
    assert found.slope_low < 1.0 < found.slope_high
    assert found.intercept == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize("slope", [0.5, 1.6])
def test_predictions_that_are_too_sure_or_too_shy_are_refused(slope: float) -> None:
    found = calibrated(checked(*outcomes(2, 50_000, slope)))
    assert found.slope == pytest.approx(slope, abs=0.05)
    assert not found.good and calibration_drifted(found)


def test_few_outcomes_are_no_drift() -> None:
    found = [calibrated(checked(*outcomes(seed, 400, 1.0))) for seed in range(200)]
    assert np.mean([calibration_drifted(one) for one in found]) <= 0.05
    assert isinstance(checked(*outcomes(0, 60, 1.0)), Undecided)
    assert isinstance(checked(np.full(500, 0.31), np.arange(500) < 150), Undecided)


@given(st.integers(0, 10_000), st.integers(0, 300))
@examples(50)
def test_bins_of_parts_are_those_of_the_whole(seed: int, cut: int) -> None:
    p, y = outcomes(seed, 300, 1.0)
    whose = each(p)
    added = calibration_bins(p[:cut], y[:cut], whose[:cut])
    added += calibration_bins(p[cut:], y[cut:], whose[cut:])
    whole = calibration_bins(p, y, whose) + CalibrationBins()
    assert (added.n, added.y) == (whole.n, whole.y)
    assert added.p == pytest.approx(whole.p)
    assert brier(added) == pytest.approx(float(((p - y) ** 2).mean()))
    assert 0.0 <= ece(added) <= 1.0


def test_a_prediction_that_is_no_probability_is_refused() -> None:
    one = np.ones(1)
    with pytest.raises(InvalidInput, match="p: 1.5"):
        calibration_bins(np.array([1.5]), one, each(one))
    with pytest.raises(InvalidInput, match="y: 2"):
        calibration_bins(one, np.array([2.0]), each(one))
    assert (ece(CalibrationBins()), brier(CalibrationBins())) == (0.0, 0.0)
