"""What experiments can show before they start."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.special import ndtr

from nba.errors import InvalidInput
from nba.measurement.statistics.confidence_sequences import always_valid
from nba.measurement.statistics.effect import Effect
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.moments import proportion
from nba.measurement.statistics.power import (
    detectable_effect,
    holdout_table,
    sample_size,
    sd_of_share,
)
from tests.fixtures.examples import examples

tunings = st.one_of(st.none(), st.integers(100, 100_000))


def test_holdouts_say_what_they_can_show() -> None:
    """Base 5 %, 80 % power: the published table."""
    rows = {(row.share, row.customers): row.detectable_relative for row in holdout_table(0.05)}
    assert rows == {
        (0.05, 20_000): pytest.approx(0.396, abs=5e-4),
        (0.05, 100_000): pytest.approx(0.177, abs=5e-4),
        (0.05, 1_000_000): pytest.approx(0.056, abs=5e-4),
        (0.1, 20_000): pytest.approx(0.288, abs=5e-4),
        (0.1, 100_000): pytest.approx(0.129, abs=5e-4),
        (0.1, 1_000_000): pytest.approx(0.041, abs=5e-4),
    }


def power(n: int, effect: float, sd: float, **settings: Any) -> float:
    """The probability that n customers show the effect, from the ends that the plan gives."""
    critical = detectable_effect(n, sd, at_power=0.5, **settings)
    error = detectable_effect(n, sd, at_power=float(ndtr(1.0)), **settings) - critical
    return float(ndtr((abs(effect) - critical) / error))


def test_the_textbook_size_of_a_difference() -> None:
    """Two arms, 80 % power at 5 %: 2 (1.96 + 0.8416)^2 sd^2 / d^2 each, 15.7 for d = sd."""
    assert sample_size(1.0, 1.0) == 32
    assert sample_size(0.1, 1.0) == 3140
    assert sample_size(0.1, 1.0, share=0.1) == pytest.approx(3140 / (4 * 0.1 * 0.9), rel=1e-3)


@given(st.floats(0.02, 1.0), st.floats(0.1, 3.0), st.floats(0.05, 0.95), tunings)
@examples(100)
def test_size_power_and_detectable_effect_agree(
    effect: float, sd: float, part: float, tuning_n: int | None
) -> None:
    n = sample_size(effect, sd, share=part, tuning_n=tuning_n)
    assert isinstance(n, int)
    asked = {"share": part, "tuning_n": tuning_n}
    assert power(n, effect, sd, **asked) >= 0.8 > power(n - 1, effect, sd, **asked) or n == 2
    least = detectable_effect(n, sd, **asked)
    assert least <= effect
    assert power(n, least, sd, **asked) == pytest.approx(0.8)
    surer = sample_size(effect, sd, share=part, tuning_n=tuning_n, at_power=0.9)
    assert isinstance(surer, int) and surer >= n


def test_the_power_of_watching_is_at_least_that_of_the_last_look() -> None:
    """5.0 % against 5.6 % on 20,000 customers, in 200 simulated experiments."""
    n, rates = 40_000, (0.05, 0.06)
    told = power(n, 0.01, sd_of_share(0.055), tuning_n=20_000)
    counts = np.random.default_rng(5).binomial(n // 2, rates, size=(400, 2)).tolist()
    found = [always_valid(*(proportion(c, n // 2) for c in run), tuning_n=20_000) for run in counts]
    seen = [isinstance(one, Effect) and one.low > 0.0 for one in found]
    assert np.mean(seen) == pytest.approx(told, abs=0.05)
    assert power(n, 0.01, sd_of_share(0.055)) > told


def test_what_no_number_of_customers_shows_is_undecided() -> None:
    assert isinstance(sample_size(0.0, 1.0), Undecided)
    assert isinstance(sample_size(1e-9, 1.0), Undecided)


@pytest.mark.parametrize(
    ("n", "sd", "part", "field"), [(0, 1.0, 0.5, "n"), (9, 0.0, 0.5, "sd"), (9, 1.0, 1.0, "share")]
)
def test_what_cannot_be_is_refused(n: int, sd: float, part: float, field: str) -> None:
    with pytest.raises(InvalidInput, match=field):
        detectable_effect(n, sd, share=part)
    with pytest.raises(InvalidInput, match="base"):
        holdout_table(0.0)
