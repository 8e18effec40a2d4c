"""Randomization: shares of the customers, uniform, and independent between salts."""

from __future__ import annotations

import re

import numpy as np
from scipy.stats import chi2_contingency, chisquare

from nba.randomization import generator, in_share, position, seed_of
from tests.fixtures.files import ROOT

NAMES = [f"customer-{n}" for n in range(20_000)]


def test_positions_are_uniform() -> None:
    for salt in ("holdout:rescue", "lifted:cap"):
        positions = np.array([position(salt, name) for name in NAMES])
        assert ((positions >= 0.0) & (positions < 1.0)).all()
        assert chisquare(np.histogram(positions, bins=20, range=(0, 1))[0]).pvalue > 0.001


def test_positions_of_two_salts_are_independent() -> None:
    first, second = (
        [int(position(salt, name) * 5) for name in NAMES] for salt in ("holdout:a", "holdout:b")
    )
    table = np.histogram2d(first, second, bins=5)[0]
    assert chi2_contingency(table).pvalue > 0.001


def test_a_share_is_a_share_and_a_greater_one_holds_a_smaller() -> None:
    small = {name for name in NAMES if in_share("x", 0.1, name)}
    large = {name for name in NAMES if in_share("x", 0.3, name)}
    assert small < large
    assert abs(len(small) / len(NAMES) - 0.1) < 0.01
    assert not any(in_share("x", 0.0, name) for name in NAMES)
    assert all(in_share("x", 1.0, name) for name in NAMES)


def test_the_same_thing_has_the_same_seed_and_different_things_independent_ones() -> None:
    assert seed_of(7, "draw", "ada") == seed_of(7, "draw", "ada")
    assert 0 <= seed_of(2**70, "draw", "ada") < 2**48
    different = [(7, "a", "bc"), (7, "ab", "c"), (7, "abc"), (8, "a", "bc"), (7, "a", "b", "c")]
    assert len({seed_of(*one) for one in different}) == len(different)
    assert len({generator(*one).random() for one in different}) == len(different)
    first, second = (
        [int(np.random.default_rng(seed_of(1, batch, name)).random() * 5) for name in NAMES[:5_000]]
        for batch in ("monday", "tuesday")
    )
    table = np.histogram2d(first, second, bins=5)[0]
    assert chi2_contingency(table).pvalue > 0.001
    for draws in (first, second):
        assert chisquare(np.bincount(draws)).pvalue > 0.001


def test_nearby_seeds_are_independent() -> None:
    first, second = (
        [int(generator(seed, name).random() * 5) for name in NAMES[:2_000]] for seed in (1, 2)
    )
    assert chi2_contingency(np.histogram2d(first, second, bins=5)[0]).pvalue > 0.001


def test_chance_is_salted_by_what_is_decided_wherever_it_is_made() -> None:
    """No other file makes a generator, but the world, whose streams are keyed by its customers."""
    made = {
        str(file.relative_to(ROOT))
        for part in ("nba", "models", "training", "serving", "features")
        for file in (ROOT / part).rglob("*.py")
        if re.search(r"default_rng|RandomState|random\.seed|^import random", file.read_text(), re.M)
    }
    of_the_logged_seed = "nba/engine/recorder.py"
    assert made == {"nba/randomization.py", of_the_logged_seed}
