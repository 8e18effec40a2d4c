"""Intervals that hold at every look, against the numbers of the papers' own programs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from nba.measurement.statistics.bounded_sequences import (
    ConfidenceSequence,
    gamma_exponential_bound,
    mixture_bernstein,
)
from nba.measurement.statistics.confidence_sequences import (
    always_valid,
    half_width,
    rho,
)
from nba.measurement.statistics.effect import Effect, fixed_horizon
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.moments import SampleMean, proportion
from tests.fixtures.examples import examples

X = (np.random.default_rng(0).random(1000) < 0.1).astype(float)
bounded = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=60).map(np.array)
levels = st.builds(
    SampleMean, st.floats(-5.0, 5.0), st.floats(0.01, 4.0), st.integers(60, 1_000_000)
)


def effect(found: Effect | Undecided) -> Effect:
    assert isinstance(found, Effect)
    return found


def test_the_half_width_is_that_of_the_platforms() -> None:
    """V4."""
    assert rho(5_000) == pytest.approx(0.0398400668, abs=1e-10)
    sizes = np.array([100, 1_000, 5_000, 20_000, 100_000])
    widths = [0.6694388617, 0.1063754701, 0.0429243372, 0.0221120362, 0.0105520700]
    assert half_width(sizes) == pytest.approx(widths, abs=1e-10)
    ratios = half_width(sizes) * np.sqrt(sizes) / 1.959963984540054
    assert ratios == pytest.approx([3.42, 1.72, 1.55, 1.60, 1.70], abs=0.005)


def test_two_proportions_always_valid() -> None:
    """V4: 1,000 of 10,000 against 1,100 of 10,000, tuned to 5,000."""
    a, b = proportion(1_000, 10_000), proportion(1_100, 10_000)
    found = effect(always_valid(a, b))
    assert (found.low, found.high) == pytest.approx((-0.0035552373, 0.0235552373), abs=1e-9)
    assert found.p == pytest.approx(0.4337202134, abs=1e-9)
    relative = effect(always_valid(a, b, relative=True))
    assert (relative.low, relative.high) == pytest.approx((-0.0422063538, 0.2422063538), abs=1e-9)
    assert relative.p == pytest.approx(0.5490379443, abs=1e-9)
    assert (found.tuning_n, found.n, relative.relative) == (5_000, 20_000, True)


def test_bounded_means() -> None:
    """V8, after 1,000 values of which 89 are 1."""
    assert (X[:10].sum(), X[:100].sum(), X.sum()) == (2, 10, 89)

    def last(band: ConfidenceSequence) -> tuple[float, float]:
        return float(band.low[-1]), float(band.high[-1])

    # the published program halves alpha twice: ours at 97.5 % is its 95 %
    twice = mixture_bernstein(X, v_opt=100.0, confidence=0.975)
    assert last(twice) == pytest.approx((0.055615, 0.122385), abs=1e-6)
    once = mixture_bernstein(X, v_opt=100.0)
    assert last(once) == pytest.approx((0.0583592, 0.1196408), abs=1e-6)


def test_looks_are_the_band_at_these_times() -> None:
    looks = np.array([1, 50, 1000])
    band, some = mixture_bernstein(X, v_opt=100.0), mixture_bernstein(X, v_opt=100.0, looks=looks)
    assert some.low == pytest.approx(band.low[looks - 1])
    assert some.high == pytest.approx(band.high[looks - 1])


def test_knowing_where_the_mean_lies_narrows_the_band() -> None:
    x = np.where(X > 0, 20.0, -1.0)
    wide = mixture_bernstein(x, v_opt=20_000.0, reach=(-20.0, 20.0))
    known = mixture_bernstein(x, v_opt=20_000.0, reach=(-20.0, 20.0), mean_within=(-1.0, 1.5))
    assert wide.low[-1] < known.low[-1] < x.mean() < known.high[-1] < wide.high[-1]


@given(levels, levels, st.integers(100, 1_000_000))
@examples(150)
def test_an_always_valid_interval_holds_the_fixed_one_and_widens_with_confidence(
    a: SampleMean, b: SampleMean, tuning_n: int
) -> None:
    once, ever = effect(fixed_horizon(a, b)), effect(always_valid(a, b, tuning_n=tuning_n))
    assert ever.low < once.low <= once.value == ever.value <= once.high < ever.high
    assert ever.p >= once.p or once.p < 1e-4  # the tails of t are heavier than the mixture's
    surer = effect(always_valid(a, b, tuning_n=tuning_n, confidence=0.99))
    assert surer.low < ever.low and surer.high > ever.high
    if not ever.low <= 0.0 <= ever.high:
        assert ever.p < 0.05
    elif ever.p < 0.05:
        assert ever.p == pytest.approx(0.05)


@given(bounded)
@examples(80)
def test_bands_hold_the_mean_and_turn_round_with_the_values(x: np.ndarray) -> None:
    band, turned = mixture_bernstein(x, v_opt=10.0), mixture_bernstein(1.0 - x, v_opt=10.0)
    assert (band.low < band.high).all()
    assert band.low == pytest.approx(1.0 - turned.high, abs=1e-9)
    assert band.high == pytest.approx(1.0 - turned.low, abs=1e-9)


@given(st.floats(0.0, 1e6), st.floats(0.5, 50.0))
@examples(80)
def test_the_gamma_bound_scales_and_grows(v: float, scale: float) -> None:
    one = gamma_exponential_bound(v, alpha=0.05, v_opt=100.0, scale=scale)
    twice = gamma_exponential_bound(4.0 * v, alpha=0.05, v_opt=400.0, scale=2.0 * scale)
    later = gamma_exponential_bound(v + 1.0, alpha=0.05, v_opt=100.0, scale=scale)
    assert 0.0 < one < later
    assert twice == pytest.approx(2.0 * one, rel=1e-6)


def test_watched_every_day_it_is_wrong_less_often_than_promised() -> None:
    """A/A at 5 %, 50 looks; the fixed interval under the same eyes is not."""
    rng = np.random.default_rng(7)
    counts = rng.binomial(400, 0.05, size=(400, 50, 2)).cumsum(axis=1).tolist()
    false = {"ever": 0, "once": 0}
    for run in counts:
        arms = [
            (proportion(a, 400 * i), proportion(b, 400 * i))
            for i, (a, b) in enumerate(run, start=1)
        ]
        for name, interval in (("ever", always_valid), ("once", fixed_horizon)):
            found = [effect(interval(a, b)) for a, b in arms]
            false[name] += any(not one.low <= 0.0 <= one.high for one in found)
    assert false["ever"] / 400 <= 0.05
    assert false["once"] / 400 > 0.15
