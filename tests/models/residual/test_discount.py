"""What is taken off the sums for rewards that are still to come."""

from __future__ import annotations

import numpy as np
import pytest

from models.residual.discount import CountedSums, Discount, discount_of
from models.residual.features import ResidualSpec
from models.residual.sums import ResidualSums
from nba.durations import DAY_S
from nba.errors import InvalidBundle

SPEC = ResidualSpec(
    columns=("age",), means=(0.0,), deviations=(1.0,), with_score=False, half_life_days=7.0
)
ACTIONS, AS_OF_S = ("loan", "card"), 1.79e9


def sums_and_cohort(n: int = 200) -> tuple[ResidualSums, np.ndarray, np.ndarray]:
    """Exposures of the first action; their sums, and the same as the one cohort that waits."""
    rng = np.random.default_rng(1)
    x, p0 = SPEC.features(rng.normal(size=(n, 1)), np.full(n, 0.1)), np.full(n, 0.1)
    sums = ResidualSums(SPEC, ACTIONS)
    sums.expose(x, np.zeros(n, dtype=np.int64), p0, np.full(n, AS_OF_S))
    precision, moment = sums.decayed(AS_OF_S)
    cohort = np.zeros((1, 6, 5))
    cohort[0, 0] = [*precision[0][np.triu_indices(2)], *-moment[0]]
    return sums, cohort, x


def test_where_the_curve_is_known_an_exposure_counts_as_the_share_that_has_come() -> None:
    sums, cohort, _ = sums_and_cohort()
    discount = discount_of(
        sums, AS_OF_S, cohorts=cohort, exposed=np.full((1, 6), 200.0), arrived=np.zeros((1, 6)),
        share=np.full((1, 6), 0.25), deviation=np.zeros((1, 6)),
    )  # fmt: skip
    whole, counted = sums.decayed(AS_OF_S), CountedSums(sums, discount).decayed(AS_OF_S)
    assert counted[0][0] == pytest.approx(0.25 * whole[0][0])
    assert counted[1][0] == pytest.approx(0.25 * whole[1][0])
    assert CountedSums(sums, discount).exposures == 200


def test_a_curve_that_is_not_known_adds_its_variance_to_that_of_what_was_seen() -> None:
    """(A^-1 + A^-1 v v' A^-1)^-1, the precision under a common error along v."""
    sums, cohort, x = sums_and_cohort()
    discount = discount_of(
        sums, AS_OF_S, cohorts=cohort, exposed=np.full((1, 6), 200.0),
        arrived=np.array([[30.0, 0, 0, 0, 0, 0]]), share=np.full((1, 6), 0.5),
        deviation=np.full((1, 6), 0.2),
    )  # fmt: skip
    a, b = (found[0] for found in CountedSums(sums, discount).decayed(AS_OF_S))
    whole, moment = (0.5 * found[0] for found in sums.decayed(AS_OF_S))
    level = 30.0 / (200 * 0.5)
    v = 0.2 * level * x.sum(axis=0) / 0.09
    inverse = np.linalg.inv(whole)
    expected = np.linalg.inv(inverse + inverse @ np.outer(v, v) @ inverse)
    assert a == pytest.approx(expected)
    assert b == pytest.approx(expected @ inverse @ moment)


def test_it_is_forgotten_like_the_sums_and_follows_their_codes() -> None:
    discount = Discount(AS_OF_S, np.ones((3, 2, 2)), np.arange(6.0).reshape(3, 2))
    counted = CountedSums(ResidualSums(SPEC, ACTIONS), discount)
    week = counted.decayed(AS_OF_S + 7 * DAY_S)
    assert week[0] == pytest.approx(-0.5 * discount.precision)
    moved = counted.for_actions(("new", "card")).decayed(AS_OF_S)[1]
    assert moved == pytest.approx(-np.array([[0.0, 0.0], [2.0, 3.0], [4.0, 5.0]]))


def test_bytes_bring_it_back_bit_for_bit_and_others_are_refused() -> None:
    sums, cohort, _ = sums_and_cohort()
    whole = sums.decayed(AS_OF_S)
    discount = Discount(AS_OF_S, *whole)
    back = Discount.from_bytes(discount.to_bytes(), 3, 2)
    assert back.as_of_s == AS_OF_S
    assert (back.precision == whole[0]).all() and (back.moment == whole[1]).all()
    with pytest.raises(InvalidBundle, match="discount: 112 bytes, not 128"):
        Discount.from_bytes(discount.to_bytes()[:112], 3, 2)
