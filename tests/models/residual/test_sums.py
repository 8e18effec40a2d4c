"""The residual's sums: order-free, additive, revisable, exact on disk."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from models.residual.features import ResidualSpec, fit_spec
from models.residual.sums import KEPT, ResidualSums
from nba.durations import DAY_S
from nba.errors import InvalidBundle, InvalidInput
from tests.fixtures.examples import examples

ACTIONS = ("loan", "card", "call")


class Rows:
    """Decisions with rewards: features, codes (-1 is no_action), scores, moments, rewards."""

    def __init__(self, spec: ResidualSpec, n: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.p0 = rng.uniform(0.01, 0.6, n)
        self.x = spec.features(rng.normal(size=(n, len(spec.columns))), self.p0)
        self.codes = rng.integers(-1, len(ACTIONS), n)
        self.at_s = 1.79e9 + rng.uniform(0, 400 * DAY_S, n)
        self.reward = (rng.random(n) < self.p0).astype(float)

    def into(self, sums: ResidualSums, of: np.ndarray) -> ResidualSums:
        self.exposed(sums, of)
        self.rewarded(sums, of, self.reward[of])
        return sums

    def exposed(self, sums: ResidualSums, of: np.ndarray, sign: int = 1) -> None:
        sums.expose(self.x[of], self.codes[of], self.p0[of], self.at_s[of], sign)

    def rewarded(
        self, sums: ResidualSums, of: np.ndarray, reward: np.ndarray, sign: int = 1
    ) -> None:
        sums.reward(self.x[of], self.codes[of], self.p0[of], reward, self.at_s[of], sign)


def spec_of(half_life_days: float | None = None, **given: object) -> ResidualSpec:
    return ResidualSpec(
        columns=("age", "visits"),
        means=(0.0, 0.1),
        deviations=(1.0, 2.0),
        half_life_days=half_life_days,
        **given,
    )


def same(one: ResidualSums, other: ResidualSums) -> bool:
    """Whether both are equal to the last bit."""
    return one.to_bytes() == other.to_bytes()


half_lives = st.sampled_from([None, 3.0, 30.0])


@given(half_life=half_lives, seed=st.integers(0, 99), shards=st.integers(1, 4))
@examples(40)
def test_shards_add_up_to_the_whole_in_any_order(
    half_life: float | None, seed: int, shards: int
) -> None:
    spec = spec_of(half_life)
    rows = Rows(spec, 60, seed)
    rng = np.random.default_rng(seed + 1)
    whole = rows.into(ResidualSums(spec, ACTIONS), np.arange(60))
    parts = np.array_split(rng.permutation(60), shards)
    sums = [rows.into(ResidualSums(spec, ACTIONS), part) for part in parts]
    total = ResidualSums(spec, ACTIONS)
    for one in sums:
        total = one + total
    assert same(total, whole)


@given(half_life=half_lives, seed=st.integers(0, 99))
@examples(30)
def test_rows_may_come_one_by_one_in_any_order(half_life: float | None, seed: int) -> None:
    spec = spec_of(half_life)
    rows = Rows(spec, 30, seed)
    whole = rows.into(ResidualSums(spec, ACTIONS), np.arange(30))
    single = ResidualSums(spec, ACTIONS)
    steps = [(kind, n) for kind in "er" for n in range(30)]
    for at in np.random.default_rng(seed).permutation(60):
        kind, n = steps[at]
        of = np.array([n])
        if kind == "e":
            rows.exposed(single, of)
        else:
            rows.rewarded(single, of, rows.reward[of])
    assert same(single, whole)


@given(half_life=half_lives, seed=st.integers(0, 99))
@examples(30)
def test_what_is_taken_back_leaves_nothing(half_life: float | None, seed: int) -> None:
    """As a duplicate that was learned twice, and a reward that was booked in error."""
    spec = spec_of(half_life)
    rows = Rows(spec, 40, seed)
    kept, twice = np.arange(25), np.arange(20, 40)
    expected = rows.into(ResidualSums(spec, ACTIONS), kept)
    sums = rows.into(rows.into(ResidualSums(spec, ACTIONS), kept), twice)
    rows.exposed(sums, twice, sign=-1)
    rows.rewarded(sums, twice, rows.reward[twice], sign=-1)
    later = ResidualSums(spec, ACTIONS)
    later.landmark = sums.landmark  # which met later rows, and let go of what is too old by them
    expected += later
    assert same(sums, expected)


@pytest.mark.parametrize("absurd", [1e6, 1e300, -1.7e308, 1e-300])
def test_an_absurd_reward_that_is_taken_back_leaves_nothing(absurd: float) -> None:
    """What was learned before is there again, to the last bit."""
    spec = spec_of(target="value", variance_eur2=25.0)
    rows = Rows(spec, 200, 5)
    sums = rows.into(ResidualSums(spec, ACTIONS), np.arange(199))
    last = np.array([199])
    rows.exposed(sums, last)
    before = sums.to_bytes()
    rows.rewarded(sums, last, np.array([absurd]))
    assert np.isfinite(sums.moment).all()
    rows.rewarded(sums, last, np.array([absurd]), sign=-1)
    assert sums.to_bytes() == before


@given(half_life=half_lives, seed=st.integers(0, 99))
@examples(20)
def test_a_late_reward_counts_as_one_that_came_at_once(half_life: float | None, seed: int) -> None:
    """However often it was revised before, and by whatever amounts."""
    spec = spec_of(half_life)
    rows, of = Rows(spec, 50, seed), np.arange(50)
    at_once = rows.into(ResidualSums(spec, ACTIONS), of)
    late = ResidualSums(spec, ACTIONS)
    rows.exposed(late, of)
    for so_far in (0.4 * rows.reward, np.random.default_rng(seed).normal(0, 1e6, 50)):
        rows.rewarded(late, of, so_far)
        rows.rewarded(late, of, so_far, sign=-1)
    rows.rewarded(late, of, rows.reward)
    assert same(late, at_once)


def test_the_sums_are_those_of_the_definition() -> None:
    """A = sum w x x' and b = sum w x (r - p0), with w = 2^(age / half-life) / variance."""
    for fields in ({}, {"target": "value", "variance_eur2": 9.0}):
        spec = spec_of(30.0, **fields)
        rows = Rows(spec, 300, 9)
        sums = rows.into(ResidualSums(spec, ACTIONS), np.arange(300))
        as_of_s = 1.9e9
        precision, moment = sums.decayed(as_of_s)
        w = np.exp2((rows.at_s - as_of_s) / (30 * DAY_S)) / spec.variance(rows.p0)
        for code in (-1, 0, 1, 2):
            x, of = rows.x[rows.codes == code], rows.codes == code
            a, b = (x * w[of, None]).T @ x, (w * (rows.reward - rows.p0))[of] @ x
            assert precision[code] == pytest.approx(a, rel=1e-9)
            assert moment[code] == pytest.approx(b, rel=1e-9)


def test_an_exposure_counts_half_after_its_half_life() -> None:
    spec = spec_of(10.0)
    rows = Rows(spec, 1, 1)
    sums = rows.into(ResidualSums(spec, ACTIONS), np.array([0]))
    fresh, _ = sums.decayed(rows.at_s[0])
    later, _ = sums.decayed(rows.at_s[0] + 10 * DAY_S)
    assert later == pytest.approx(fresh / 2, rel=1e-12)
    v = max(rows.p0[0] * (1 - rows.p0[0]), 0.02)
    assert fresh[rows.codes[0]] == pytest.approx(np.outer(rows.x[0], rows.x[0]) / v, rel=1e-9)


def test_what_is_many_half_lives_old_is_left_out_in_any_order() -> None:
    spec = spec_of(1.0)
    rows = Rows(spec, 2, 2)
    rows.at_s[1] = rows.at_s[0] + KEPT * DAY_S
    later = rows.into(ResidualSums(spec, ACTIONS), np.array([1]))
    both = rows.into(rows.into(ResidualSums(spec, ACTIONS), np.array([0])), np.array([1]))
    late = rows.into(rows.into(ResidualSums(spec, ACTIONS), np.array([1])), np.array([0]))
    assert same(both, late)
    assert (both.precision == later.precision).all() and both.exposures == 2


@given(half_life=half_lives, seed=st.integers(0, 99), products=st.booleans())
@examples(20)
def test_bytes_come_back_bit_for_bit(half_life: float | None, seed: int, products: bool) -> None:
    spec = spec_of(half_life, products=products)
    sums = Rows(spec, 20, seed).into(ResidualSums(spec, ACTIONS), np.arange(20))
    back = ResidualSums.from_bytes(sums.to_bytes())
    assert (back.spec, back.actions, back.landmark) == (spec, ACTIONS, sums.landmark)
    upper = np.triu_indices(spec.size)
    assert (back.precision[:, *upper] == sums.precision[:, *upper]).all()
    assert (back.moment == sums.moment).all()
    assert (back.exposed == sums.exposed).all()
    assert back.to_bytes() == sums.to_bytes()


@pytest.mark.parametrize("spoil", [lambda b: b[:-8], lambda b: b"x" + b, lambda b: b[:20]])
def test_other_bytes_are_refused(spoil: object) -> None:
    data = ResidualSums(spec_of(), ACTIONS).to_bytes()
    assert callable(spoil)
    with pytest.raises(InvalidBundle, match="rebuild"):
        ResidualSums.from_bytes(spoil(data))


@pytest.mark.parametrize("field", ["x", "p0", "reward"])
def test_one_number_that_is_none_spoils_nothing(field: str) -> None:
    spec = spec_of(3.0)
    rows = Rows(spec, 3, 1)
    sums = rows.into(ResidualSums(spec, ACTIONS), np.arange(3))
    before = sums.to_bytes()
    if field == "reward":
        with pytest.raises(InvalidInput, match="residual.reward"):
            rows.rewarded(sums, np.arange(3), np.array([1.0, np.nan, 0.0]))
    else:
        getattr(rows, field)[1] = np.inf
        with pytest.raises(InvalidInput, match=f"residual.{field}"):
            rows.exposed(sums, np.arange(3))
    assert sums.to_bytes() == before


def test_sums_of_other_features_or_actions_do_not_add_up() -> None:
    for other in (ResidualSums(spec_of(3.0), ACTIONS), ResidualSums(spec_of(), ACTIONS[:2])):
        with pytest.raises(InvalidBundle, match="do not add up"):
            ResidualSums(spec_of(), ACTIONS) + other


def test_another_catalogue_keeps_what_its_actions_learned() -> None:
    spec = spec_of()
    sums = Rows(spec, 60, 4).into(ResidualSums(spec, ACTIONS), np.arange(60))
    moved = sums.for_actions(("card", "gift", "loan"))
    assert (moved.moment[[0, 2, -1]] == sums.moment[[1, 0, -1]]).all()
    assert (moved.precision[[0, 2, -1]] == sums.precision[[1, 0, -1]]).all()
    assert moved.exposed[1] == 0 and not moved.moment[1].any()
    assert moved.exposures == sums.exposures - sums.exposed[2]


def test_features_are_standardised_and_what_is_missing_is_average() -> None:
    spec = spec_of(score_mean=-1.0, score_deviation=0.5)
    x = spec.features(np.array([[1.0, 2.1], [np.nan, 0.1], [1e9, -1e9]]), np.full(3, 0.5))
    assert x.tolist() == [[1, 1, 1, 2], [1, 0, 0, 2], [1, 5, -5, 2]]


def test_one_context_stands_for_all_its_candidates() -> None:
    spec = spec_of(products=True)
    values, p0 = np.array([[0.3, -2.0]]), np.array([0.1, 0.2, 0.3])
    assert (spec.features(values, p0) == spec.features(np.repeat(values, 3, axis=0), p0)).all()


def test_products_are_of_every_two_columns() -> None:
    spec = spec_of(products=True)
    x = spec.features(np.array([[2.0, 6.1]]), np.array([0.5]))
    assert x[0, spec.linear :] == pytest.approx([3 / np.sqrt(2), 5.0, 5.0])  # none beyond 5
    assert spec.size == x.shape[1] == 7


def test_a_spec_is_fitted_to_what_training_saw() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal([3.0, -1.0, 7.0], [2.0, 0.5, 0.0], (500, 3))
    values[::7, 0] = np.nan
    spec = fit_spec(["a", "b", "c"], values, rng.uniform(0.05, 0.3, 500), half_life_days=20.0)
    x = spec.features(values, rng.uniform(0.05, 0.3, 500))
    assert x[:, 1:3].mean(axis=0) == pytest.approx([0, 0], abs=0.02)
    assert x[:, 2].std() == pytest.approx(1.0, abs=0.02)
    assert (x[:, 3] == 0).all()  # a column that never varied
    assert spec.products  # few enough
    many = fit_spec([str(n) for n in range(40)], np.ones((2, 40)), np.full(2, 0.1))
    assert not many.products
