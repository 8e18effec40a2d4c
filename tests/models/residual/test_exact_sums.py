"""Sums as integers: equal to exact fractions, in any order."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given, strategies as st

from models.residual.exact_sums import CHUNK, UNIT, ExactSums
from tests.fixtures.examples import examples

TERMS = st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=30)


def rounded(term: float) -> int:
    """In units, halves to the even one."""
    return round(Fraction(term) * 2**UNIT)


def in_units(sums: ExactSums) -> int:
    whole, part = (int(units) for units in sums.units[:, 0, 0])
    return (whole << UNIT) + part


@given(terms=TERMS, seed=st.integers(0, 99))
@examples(200)
def test_a_sum_is_that_of_its_rounded_terms_in_any_order(terms: list[float], seed: int) -> None:
    sums = ExactSums(1, 1)
    for at in np.random.default_rng(seed).permutation(len(terms)):
        sums.add(0, 0, np.array([[terms[at]]]))
    assert in_units(sums) == sum(map(rounded, terms))
    at_once = ExactSums(1, 1)
    at_once.add(0, 0, np.array(terms)[:, None])
    assert (at_once.units == sums.units).all()


@given(terms=TERMS)
@examples(100)
def test_what_is_taken_back_leaves_nothing(terms: list[float]) -> None:
    sums = ExactSums(1, 1)
    column = np.array(terms)[:, None]
    sums.add(0, 0, column)
    for term in column:
        sums.add(0, 0, term[None], sign=-1)
    assert not sums.units.any()


def test_many_chunks_are_one_sum() -> None:
    terms = np.random.default_rng(0).normal(0, 2_000.0, (3 * CHUNK + 7, 2))
    whole, other = ExactSums(2, 3), ExactSums(2, 3)
    whole.add(1, 1, terms)
    parts = ExactSums(2, 3)
    parts.add(1, 1, terms[:700])
    other.add(1, 1, terms[700:])
    parts += other
    assert (parts.units == whole.units).all()
    assert np.allclose(whole.values()[1, 1:], terms.sum(axis=0), rtol=1e-12)
    assert not whole.values()[0].any() and not whole.values()[1, 0].any()
