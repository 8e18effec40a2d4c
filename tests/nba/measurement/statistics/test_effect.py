"""Arms as sums per customer, and the difference between two of them, against published numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from nba.errors import InvalidInput
from nba.measurement.statistics.effect import MIN_CUSTOMERS, Effect, fixed_horizon
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.moments import (
    Moments,
    SampleMean,
    cuped_means,
    moments,
    per_customer,
    proportion,
    ratio_mean,
    sample_mean,
)
from tests.fixtures.examples import examples

A = Moments(
    n=2000,
    y=6218.036160201412,
    y2=31961.854703651454,
    x=7724.550000390461,
    x2=45909.347352822675,
    xy=37047.8721828149,
)
B = Moments(
    n=2000,
    y=6774.906011028871,
    y2=34817.813021088616,
    x=7992.350324631154,
    x2=47562.34602338891,
    xy=39445.36456728868,
)
numbers = st.floats(-50.0, 50.0)
columns = st.lists(st.tuples(numbers, numbers), max_size=12)


def arm(seed: int, n: int, kinds: int) -> np.ndarray:
    """n values of a few kinds, so that arms without any spread come up too."""
    rng = np.random.default_rng(seed)
    return rng.choice(rng.normal(0.0, 10.0, kinds), n)


arms = st.builds(
    arm, st.integers(0, 9_999), st.integers(MIN_CUSTOMERS, 80), st.sampled_from([1, 2, 9])
)


def effect(found: Effect | Undecided) -> Effect:
    assert isinstance(found, Effect)
    return found


def ends(found: Effect | Undecided) -> tuple[float, float, float]:
    one = effect(found)
    return one.value, one.low, one.high


def test_two_proportions_are_those_of_the_platforms() -> None:
    """V3: 1,000 of 10,000 against 1,100 of 10,000."""
    a, b = proportion(1_000, 10_000), proportion(1_100, 10_000)
    assert ends(fixed_horizon(a, b)) == pytest.approx((0.01, 0.0015035440, 0.0184964560), abs=1e-9)
    assert effect(fixed_horizon(a, b)).p == pytest.approx(0.0210682575, abs=1e-9)
    found = fixed_horizon(a, b, relative=True)
    assert ends(found) == pytest.approx((0.1, 0.0108647081, 0.1891352919), abs=1e-9)
    assert effect(found).p == pytest.approx(0.0278895288, abs=1e-9)
    assert effect(found).relative and effect(found).n == 20_000


def test_a_covariate_narrows_the_interval_as_the_platforms_have_it() -> None:
    """V5: the true effect is 0.2."""
    plainly = fixed_horizon(sample_mean(A), sample_mean(B))
    assert ends(plainly) == pytest.approx((0.2784349254, 0.1249648584, 0.4319049925), abs=1e-9)
    assert effect(plainly).p == pytest.approx(3.795175e-4, abs=1e-9)
    found = fixed_horizon(*cuped_means(A, B))
    assert ends(found) == pytest.approx((0.1710282251, 0.1079461738, 0.2341102764), abs=1e-9)
    assert effect(found).p == pytest.approx(1.121911e-7, abs=1e-12)


def test_means_of_unequal_arms_are_those_of_the_platforms() -> None:
    """V6, from the tests of gbstats."""
    a = sample_mean(Moments(n=3407, y=1396.87, y2=52377.9767))
    b = sample_mean(Moments(n=3461, y=2422.7, y2=134698.29))
    assert ends(fixed_horizon(a, b)) == pytest.approx((0.29, 0.04538, 0.53462), abs=5e-6)
    assert effect(fixed_horizon(a, b)).p == pytest.approx(0.02016, abs=5e-6)
    found = fixed_horizon(a, b, relative=True)
    assert ends(found) == pytest.approx((0.70732, -0.03526, 1.44989), abs=5e-6)
    assert effect(found).p == pytest.approx(0.06191, abs=5e-6)


def test_a_covariate_that_explains_nothing_changes_nothing() -> None:
    a, b = sample_mean(A), sample_mean(B)
    without = (Moments(n=m.n, y=m.y, y2=m.y2) for m in (A, B))
    assert cuped_means(*without) == (a, b)


def test_a_ratio_is_clustered_by_customer() -> None:
    """Three clicks in ten decisions of every customer alike: no spread, whatever the sizes."""
    decisions = np.array([10.0, 20.0, 30.0, 40.0])
    level = ratio_mean(moments(0.3 * decisions, decisions))
    assert level.mean == pytest.approx(0.3)
    assert level.variance == pytest.approx(0.0, abs=1e-12)
    by_hand = np.array([1.0, 0.0, 2.0, 1.0]), np.array([2.0, 2.0, 4.0, 2.0])
    found = ratio_mean(moments(*by_hand))
    residuals = by_hand[0] - 0.4 * by_hand[1]
    assert found == pytest.approx((0.4, float(residuals.var(ddof=1)) / 2.5**2, 4))


def test_decisions_become_totals_of_their_customers() -> None:
    customers = np.array(["b", "a", "b", "c"])
    totals, rows = per_customer(customers, np.array([1.0, 2.0, 3.0, 4.0]))
    assert totals.tolist() == [2.0, 4.0, 4.0]
    assert rows.tolist() == [1.0, 2.0, 1.0]


def test_clustering_keeps_the_promise_where_counting_decisions_breaks_it() -> None:
    """A/A with ten decisions a customer and an intraclass correlation of 0.3."""
    rng = np.random.default_rng(11)
    runs, users = 600, 200
    names = np.repeat(np.arange(users), 10)
    false = {"customer": 0, "decision": 0}
    for _ in range(runs):
        own = rng.normal(0, math.sqrt(0.3), (2, users)).repeat(10, axis=1)
        values = own + rng.normal(0, math.sqrt(0.7), own.shape)
        grouped = [ratio_mean(moments(*per_customer(names, arm))) for arm in values]
        rows = [sample_mean(moments(arm)) for arm in values]
        for unit, (a, b) in (("customer", grouped), ("decision", rows)):
            found = effect(fixed_horizon(a, b))
            false[unit] += not found.low <= 0.0 <= found.high
    assert false["customer"] / runs <= 0.06
    assert false["decision"] / runs > 0.2


@given(columns, columns, columns)
@examples(100)
def test_the_sums_of_parts_are_the_sums_of_the_whole(
    one: list[tuple[float, float]], two: list[tuple[float, float]], three: list[tuple[float, float]]
) -> None:
    def sums(rows: list[tuple[float, float]]) -> Moments:
        y, x = np.array(rows, dtype=float).reshape(-1, 2).T
        return moments(y, x)

    a, b, c, whole = sums(one), sums(two), sums(three), sums([*one, *two, *three])
    for joined in ((a + b) + c, a + (b + c), c + a + b + Moments()):
        for name in Moments.__struct_fields__:
            assert getattr(joined, name) == pytest.approx(getattr(whole, name), abs=1e-6)


@given(arms, arms, st.integers(0, 9_999))
@examples(100)
def test_the_order_of_customers_does_not_matter(a: np.ndarray, b: np.ndarray, seed: int) -> None:
    order = np.random.default_rng(seed)
    found = fixed_horizon(sample_mean(moments(a)), sample_mean(moments(b)))
    again = fixed_horizon(*(sample_mean(moments(order.permutation(one))) for one in (a, b)))
    if len(np.unique(a)) + len(np.unique(b)) > 2:
        assert ends(again) == pytest.approx(ends(found), rel=1e-6, abs=1e-6)


@given(arms, arms)
@examples(100)
def test_swapping_the_arms_turns_the_effect_round_and_confidence_widens_it(
    a: np.ndarray, b: np.ndarray
) -> None:
    one, two = sample_mean(moments(a)), sample_mean(moments(b))
    found = fixed_horizon(one, two)
    if isinstance(found, Undecided) or one.variance + two.variance < 1e-6:
        assert len(np.unique(a)) == len(np.unique(b)) == 1
        return
    turned, wider = (
        effect(fixed_horizon(two, one)),
        effect(fixed_horizon(one, two, confidence=0.99)),
    )
    assert (turned.value, turned.low, turned.high) == pytest.approx(
        (-found.value, -found.high, -found.low)
    )
    assert turned.p == pytest.approx(found.p)
    assert wider.low < found.low <= found.value <= found.high < wider.high
    assert (found.p < 0.05) == (not found.low <= 0.0 <= found.high) or found.p == pytest.approx(
        0.05
    )


@pytest.mark.parametrize(
    ("a", "b", "relative", "reason"),
    [
        (proportion(3, 29), proportion(30, 300), False, "29 customers in A, under 30"),
        (proportion(3, 290), proportion(0, 0), False, "0 customers in B, under 30"),
        (
            proportion(0, 50),
            proportion(0, 60),
            False,
            "every customer of both arms has the same value",
        ),
        (
            proportion(2, 50),
            proportion(9, 50),
            True,
            "A's mean of 0.04 is within 3 standard errors of 0: nothing is relative to it",
        ),
    ],
)
def test_too_little_is_undecided_with_its_reason(
    a: SampleMean, b: SampleMean, relative: bool, reason: str
) -> None:
    assert fixed_horizon(a, b, relative=relative) == Undecided(reason=reason)


def test_an_arm_without_a_success_still_has_an_effect_beside_one_with_many() -> None:
    found = effect(fixed_horizon(proportion(0, 10_000), proportion(500, 10_000)))
    assert 0.04 < found.low < found.value < found.high < 0.06


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidInput, match="between 0 and the 10 customers"):
        proportion(11, 10)
    with pytest.raises(InvalidInput, match="one value a customer"):
        moments(np.zeros(3), np.zeros(2))
