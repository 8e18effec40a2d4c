"""Arms that do not hold their shares, against published p-values; corrections for many looks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from nba.errors import InvalidInput
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.multiple_testing import benjamini_hochberg, holm
from nba.measurement.statistics.sample_ratio import (
    Mismatch,
    anytime_mismatch,
    detectable_loss,
    ratio_mismatch,
)
from tests.fixtures.examples import examples

P = [0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205]
P += [0.212, 0.216, 0.222, 0.251, 0.269, 0.275, 0.34]
p_values = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=25).map(np.array)


def p_of(found: Mismatch | Undecided) -> float:
    assert isinstance(found, Mismatch)
    return found.p


@pytest.mark.parametrize(
    ("counts", "shares", "p"),
    [
        ((5000, 5200), (0.5, 0.5), 0.0476703807),
        ((821588, 815482), (0.5, 0.5), 1.8217929e-6),
        ((1000, 1000, 1100), (1, 1, 1), 0.0397237334),
        ((8900, 1100), (0.9, 0.1), 0.0008581207),
        ((9000, 1000), (0.9, 0.1), 1.0),
    ],
)
def test_shares_at_one_look(counts: tuple[int, ...], shares: tuple[float, ...], p: float) -> None:
    """V1."""
    assert p_of(ratio_mismatch(counts, shares, "abc"[: len(counts)])) == pytest.approx(p, rel=1e-7)


@pytest.mark.parametrize(
    ("counts", "shares", "p"),
    [
        ((5000, 5200), (0.5, 0.5), 1.0),
        ((4700, 5300), (0.5, 0.5), 1.8113709e-7),
        ((50000, 51000), (0.5, 0.5), 0.2267555),
        ((8900, 1100), (0.9, 0.1), 0.0503251),
        ((821588, 815482), (0.5, 0.5), 0.0014555555),
    ],
)
def test_shares_at_every_look(counts: tuple[int, ...], shares: tuple[float, ...], p: float) -> None:
    """V2, a Dirichlet of concentration 100."""
    assert p_of(anytime_mismatch(counts, shares, "ab")) == pytest.approx(p, rel=1e-6)


@pytest.mark.parametrize("test", [ratio_mismatch, anytime_mismatch])
def test_customers_in_an_arm_that_nobody_is_assigned_to_are_never_chance(test) -> None:
    """V1's trap: leaving that arm out of the sum says 0.304."""
    found = test((500, 500, 50), (0.5, 0.5, 0.0), ("a", "b", "old"))
    assert found.p == 0.0 and found.broken and found.impossible == ("old",)
    empty = test((500, 510, 0), (0.5, 0.5, 0.0), ("a", "b", "old"))
    assert not empty.impossible and not empty.broken


def test_nothing_to_compare_is_undecided() -> None:
    reason = "0 customers in 2 arms: nothing to compare"
    assert ratio_mismatch((0, 0), (1, 1), "ab") == Undecided(reason=reason)
    assert anytime_mismatch((7,), (1,), "a") == Undecided(
        reason="7 customers in 1 arms: nothing to compare"
    )


@pytest.mark.parametrize(
    ("counts", "shares", "names"),
    [((1, 2), (0.5, 0.5, 0.1), "ab"), ((1, 2), (0.0, 0.0), "ab"), ((-1, 2), (0.5, 0.5), "ab")],
)
def test_what_cannot_be_is_refused(
    counts: tuple[int, ...], shares: tuple[float, ...], names: str
) -> None:
    with pytest.raises(InvalidInput):
        ratio_mismatch(counts, shares, names)


@given(st.lists(st.integers(0, 5000), min_size=2, max_size=5), st.randoms(use_true_random=False))
@examples(80)
def test_the_order_of_arms_does_not_matter(counts: list[int], any_order) -> None:
    shares = list(range(1, len(counts) + 1))
    pairs = list(zip(counts, shares, strict=True))
    any_order.shuffle(pairs)
    names = "abcde"[: len(counts)]
    for test in (ratio_mismatch, anytime_mismatch):
        one, other = test(counts, shares, names), test(*zip(*pairs, strict=True), names)
        if isinstance(one, Mismatch):
            assert p_of(other) == pytest.approx(one.p, abs=1e-9)
        else:
            assert isinstance(other, Undecided)


@pytest.mark.parametrize("n", [10_000, 100_000])
def test_the_loss_that_is_told_is_found_four_times_in_five(n: int) -> None:
    loss = detectable_loss(n, (0.5, 0.5))
    assert isinstance(loss, float)
    rng = np.random.default_rng(3)
    arms = rng.binomial(n, 0.5, 1_500)
    kept = rng.binomial(arms, 1.0 - loss)
    found = [
        p_of(ratio_mismatch(counts, (1, 1), "ab")) < 0.001
        for counts in np.column_stack([kept, n - arms]).tolist()
    ]
    assert np.mean(found) == pytest.approx(0.8, abs=0.03)


def test_too_few_customers_show_no_loss_at_all() -> None:
    assert isinstance(detectable_loss(20, (0.5, 0.5)), Undecided)
    assert isinstance(detectable_loss(0, (0.5, 0.5)), Undecided)
    assert isinstance(detectable_loss(1_000, (1.0, 0.0), arm=1), Undecided)
    few, many = (detectable_loss(n, (0.9, 0.1), arm=1) for n in (10_000, 40_000))
    assert isinstance(few, float) and isinstance(many, float) and few > 1.9 * many


def test_corrections_are_those_of_the_papers() -> None:
    """V7."""
    p = np.array(P)
    assert holm(p)[:4] == pytest.approx([0.015, 0.112, 0.507, 0.507])
    assert benjamini_hochberg(p)[:6] == pytest.approx([0.015, 0.06, 0.126, 0.126, 0.126, 0.15])


@given(p_values, st.randoms(use_true_random=False))
@examples(100)
def test_corrections_raise_p_keep_its_order_and_do_not_mind_the_order(
    p: np.ndarray, any_order
) -> None:
    strict, lenient = holm(p), benjamini_hochberg(p)
    assert (p <= lenient + 1e-12).all() and (lenient <= strict + 1e-12).all()
    assert (strict <= np.minimum(len(p) * p, 1.0) + 1e-12).all()
    order = list(range(len(p)))
    any_order.shuffle(order)
    assert holm(p[order]) == pytest.approx(strict[order])
    assert benjamini_hochberg(p[order]) == pytest.approx(lenient[order])
    by_p = np.argsort(p, kind="stable")
    assert (np.diff(strict[by_p]) >= 0.0).all() and (np.diff(lenient[by_p]) >= 0.0).all()


def test_corrections_refuse_what_is_no_probability() -> None:
    with pytest.raises(InvalidInput):
        holm(np.array([0.1, 1.2]))
    with pytest.raises(InvalidInput):
        benjamini_hochberg(np.array([[0.1]]))
