"""Off-policy values: peers' figures, laws, and what must be refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from nba.measurement.off_policy import estimators
from nba.measurement.off_policy.estimators import RatioEstimate, TruncatedEstimate
from nba.measurement.off_policy.intervals import (
    always_valid_interval,
    always_valid_lower_bound,
    bootstrap,
    standard_error,
)
from nba.measurement.off_policy.logged_decisions import (
    logged_decisions,
)
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.intervals import normal_interval
from tests.fixtures.examples import examples
from tests.fixtures.off_policy_logs import drawn_log

seeds = st.integers(0, 2**32 - 1)


def scores_of(found: RatioEstimate | TruncatedEstimate | Undecided) -> RatioEstimate:
    assert not isinstance(found, Undecided)
    return found.scores if isinstance(found, TruncatedEstimate) else found


def value_of(found: RatioEstimate | TruncatedEstimate | Undecided) -> float:
    return scores_of(found).value


# Against a peer


def test_every_estimator_gives_the_peers_figure() -> None:
    """obp 0.5.7 on the same arrays; its SWITCH with tau 2, its DRos with lambda 3."""
    found, _, _ = drawn_log(7)
    assert value_of(estimators.ips(found)) == pytest.approx(0.48505586417622043, abs=1e-14)
    assert value_of(estimators.snips(found)) == pytest.approx(0.45560843074521445, abs=1e-14)
    assert value_of(estimators.dm(found)) == pytest.approx(0.4919570675184838, abs=1e-14)
    assert value_of(estimators.dr(found)) == pytest.approx(0.46825375953892107, abs=1e-14)
    assert value_of(estimators.switch_dr(found, 2.0)) == pytest.approx(0.48537616250340465)
    assert value_of(estimators.dros(found, 3.0)) == pytest.approx(0.4907445248117025, abs=1e-14)


# Laws


@given(seeds)
@examples(30)
def test_the_policy_that_logged_has_weights_of_one_and_its_mean(seed: int) -> None:
    found, _, _ = drawn_log(seed, 60)
    own = found.with_target(found.propensity, found.q_logged)
    assert (own.weights == 1.0).all()
    for one in (estimators.ips(own), estimators.snips(own), estimators.dr(own)):
        assert value_of(one) == pytest.approx(own.rewards.mean())


@given(seeds, st.floats(0.1, 1.0))
@examples(30)
def test_where_weights_are_constant_snips_is_ips_over_the_mean_weight(
    seed: int, share: float
) -> None:
    found, _, _ = drawn_log(seed, 60)
    scaled = found.with_target(share * found.propensity)
    assert value_of(estimators.snips(scaled)) == pytest.approx(found.rewards.mean())
    assert value_of(estimators.ips(scaled)) == pytest.approx(share * found.rewards.mean())


@given(seeds)
@examples(30)
def test_dr_is_dm_where_the_model_is_right_and_ips_where_it_knows_nothing(seed: int) -> None:
    found, _, _ = drawn_log(seed, 60)
    parts = (found.target, found.propensity, found.rewards, found.customers)
    exact = logged_decisions(*parts, q_logged=found.rewards, q_target=found.q_target)
    assert value_of(estimators.dr(exact)) == pytest.approx(value_of(estimators.dm(exact)))
    nothing = np.zeros(found.n)
    blank = logged_decisions(*parts, q_logged=nothing, q_target=nothing)
    assert value_of(estimators.dr(blank)) == pytest.approx(value_of(estimators.ips(blank)))


@given(seeds, st.integers(1, 59))
@examples(30)
def test_the_rows_of_shards_put_together_are_the_whole(seed: int, cut: int) -> None:
    found, _, _ = drawn_log(seed, 60)
    for make in (estimators.ips, estimators.snips, estimators.dm, estimators.dr):
        whole = scores_of(make(found))
        parts = [whole.of_rows(rows) for rows in (slice(cut), slice(cut, None))]
        assert (parts[0] + parts[1]).value == pytest.approx(whole.value)
        assert (parts[0] + parts[1]).influence == pytest.approx(whole.influence)


@given(seeds, st.floats(0.01, 100.0), st.floats(-5, 5))
@examples(30)
def test_values_and_errors_scale_with_the_rewards(seed: int, scale: float, shift: float) -> None:
    found, _, _ = drawn_log(seed, 60)
    assert found.q_logged is not None and found.q_target is not None
    other = logged_decisions(
        found.target,
        found.propensity,
        scale * found.rewards + shift,
        found.customers,
        q_logged=scale * found.q_logged + shift,
        q_target=scale * found.q_target + shift,
    )
    for make in (estimators.snips, estimators.dm, estimators.dr):
        one, two = scores_of(make(found)), scores_of(make(other))
        assert two.value == pytest.approx(scale * one.value + shift, abs=1e-9 * scale + 1e-9)
        assert standard_error(two, other.customers) == pytest.approx(
            scale * standard_error(one, found.customers)
        )


@given(seeds)
@examples(30)
def test_what_truncates_nothing_is_dr_and_what_truncates_all_is_dm(seed: int) -> None:
    found, _, _ = drawn_log(seed, 60)
    most, least = float(found.weights.max()), float(found.weights.min())
    whole, none = value_of(estimators.dr(found)), value_of(estimators.dm(found))
    assert value_of(estimators.switch_dr(found, most)) == pytest.approx(whole)
    assert value_of(estimators.switch_dr(found, least / 2)) == pytest.approx(none)
    assert value_of(estimators.dros(found, 1e12)) == pytest.approx(whole, abs=1e-6)
    assert value_of(estimators.dros(found, 1e-12)) == pytest.approx(none, abs=1e-6)


def test_a_difference_to_itself_is_nothing_and_leaves_no_error() -> None:
    one = scores_of(estimators.dr(drawn_log(1)[0]))
    assert one.minus(one).value == 0.0
    assert not one.minus(one).influence.any()


def test_rows_of_one_customer_are_one_observation() -> None:
    """Every decision taken ten times over: the error stays, as if it were there once."""
    once, _, _ = drawn_log(2, 200)
    parts = (once.target, once.propensity, once.rewards)
    tenfold = logged_decisions(
        *(np.repeat(part, 10) for part in parts), np.repeat(np.arange(200), 10)
    )
    one, ten = scores_of(estimators.snips(once)), scores_of(estimators.snips(tenfold))
    assert standard_error(ten, tenfold.customers) == pytest.approx(
        standard_error(one, once.customers)
    )
    wide, narrow = bootstrap(ten, tenfold.customers, seed=1), bootstrap(one, once.customers, seed=1)
    assert wide == pytest.approx(narrow)


def test_the_bootstrap_is_the_normal_interval_where_there_is_plenty() -> None:
    found, _, _ = drawn_log(3, 4_000)
    one = scores_of(estimators.dr(found))
    around = normal_interval(one.value, standard_error(one, found.customers))
    assert bootstrap(one, found.customers, seed=5) == pytest.approx(around, abs=2e-3)
    assert bootstrap(one, found.customers, seed=5) == bootstrap(one, found.customers, seed=5)


def test_an_interval_for_every_look_is_wider_and_its_one_side_is_closer() -> None:
    """V4: the half width of unit variance at n = 5,000 is .0429243372."""
    n = 5_000
    low, high = always_valid_interval(0.0, 1.0 / np.sqrt(n), n)
    assert high == pytest.approx(0.0429243372, abs=1e-10) == -low
    above = always_valid_lower_bound(0.0, 1.0 / np.sqrt(n), n)
    assert low < above < normal_interval(0.0, 1.0 / np.sqrt(n), 0.90).low
