"""Off-policy values: peers' figures, laws, and what must be refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from nba.errors import InvalidInput
from nba.measurement.off_policy import estimators
from nba.measurement.off_policy.estimators import RatioEstimate, TruncatedEstimate
from nba.measurement.off_policy.evaluation import (
    BY_MODEL,
    METHODS,
    PolicyGain,
    PolicyValue,
    logged_policy_value,
    policy_gain,
    policy_values,
)
from nba.measurement.off_policy.intervals import (
    always_valid_interval,
    always_valid_lower_bound,
    bootstrap,
    standard_error,
)
from nba.measurement.off_policy.logged_decisions import (
    LoggedDecisions,
    OverlapRequirements,
    logged_decisions,
    overlap,
    refusal,
)
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.intervals import normal_interval
from tests.fixtures.examples import examples

seeds = st.integers(0, 2**32 - 1)


def scores_of(found: RatioEstimate | TruncatedEstimate | Undecided) -> RatioEstimate:
    assert not isinstance(found, Undecided)
    return found.scores if isinstance(found, TruncatedEstimate) else found


def value_of(found: RatioEstimate | TruncatedEstimate | Undecided) -> float:
    return scores_of(found).value


def drawn_log(
    seed: int, n: int = 400, k: int = 5
) -> tuple[LoggedDecisions, np.ndarray, np.ndarray]:
    """A log with random policies, its true rewards (n, k), and the target's probabilities."""
    rng = np.random.default_rng(seed)
    p, t, q = rng.dirichlet(np.ones(k), n), rng.dirichlet(np.ones(k), n), rng.random((n, k))
    drawn = (rng.random((n, 1)) >= p.cumsum(axis=1)).sum(axis=1)
    row = np.arange(n)
    rewards = (rng.random(n) < q[row, drawn]).astype(float)
    believed = np.clip(q + rng.normal(0, 0.2, (n, k)), 0, 1)
    found = logged_decisions(
        t[row, drawn],
        p[row, drawn],
        rewards,
        q_logged=believed[row, drawn],
        q_target=(t * believed).sum(axis=1),
    )
    return found, q, t


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


# Refusals


def test_a_deterministic_target_without_overlap_is_undecided_and_never_nothing() -> None:
    found, _, _ = drawn_log(4, 1_000)
    nowhere = found.with_target(np.zeros(found.n), found.q_target)
    for method, one in policy_values(nowhere).items():
        if method == "dm":
            assert isinstance(one, PolicyValue) and one.note == BY_MODEL
        else:
            assert isinstance(one, Undecided) and "effective sample size 0.0" in one.reason
    assert isinstance(policy_gain(nowhere), Undecided)


def uniform_log(n: int = 2_000, rate: float = 0.3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(11)
    target = (rng.random(n) < 0.5) * 1.0
    rewards = (rng.random(n) < rate) * 1.0
    return {"target": target, "propensity": np.full(n, 0.5), "rewards": rewards}


def test_a_good_log_is_not_refused() -> None:
    assert refusal(overlap(logged_decisions(**uniform_log()))) is None


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"supported": np.full(2_000, 0.9)}, "10.0% of the target's probability is on actions"),
        ({"immature": 2_001}, "2001 of 4001 decisions are younger than the reward window"),
        ({"rewards": np.zeros(2_000)}, "0.0 effective positives where log and target overlap"),
        ({"customers": np.arange(2_000) % 29}, "decisions of 29 customers, 30 are needed"),
        ({"customers": np.where(np.arange(2_000) < 150, 0, np.arange(2_000))}, "one customer"),
        ({"propensity": np.full(2_000, 0.4)}, "the mean weight is 1.2"),
        ({"target": np.repeat([1.0, 0.0], [150, 1_850])}, "effective sample size 150.0 of 2000"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_the_reason(
    changed: dict[str, np.ndarray], why: str
) -> None:
    found = logged_decisions(**(uniform_log() | changed))  # type: ignore[arg-type]
    refused = refusal(overlap(found))
    assert refused is not None and why in refused.reason
    answers = policy_values(found)
    assert set(answers) == set(METHODS)
    assert all(answers[method] == refused for method in METHODS if method != "dm")


def test_a_log_of_nothing_is_refused() -> None:
    nothing = logged_decisions(*(np.zeros(0) for _ in range(3)))
    assert all(isinstance(one, Undecided) for one in policy_values(nothing).values())
    assert isinstance(logged_policy_value(nothing), Undecided)


@pytest.mark.parametrize(
    ("name", "value"),
    [("propensity", 0.0), ("propensity", 1.5), ("target", -0.1), ("rewards", np.nan)],
)
def test_arrays_that_are_no_log_are_refused(name: str, value: float) -> None:
    arrays = uniform_log()
    arrays[name] = np.where(np.arange(2_000) == 7, value, arrays[name])
    with pytest.raises(InvalidInput, match=name):
        logged_decisions(**arrays)


# Gains


def with_model(arrays: dict[str, np.ndarray]) -> LoggedDecisions:
    flat = np.full(len(arrays["rewards"]), 0.3)
    return logged_decisions(**arrays, q_logged=flat, q_target=flat)  # type: ignore[arg-type]


def test_a_better_policy_has_a_gain_above_every_lower_bound() -> None:
    arrays = uniform_log(8_000)
    arrays["rewards"] = np.where(
        arrays["target"] > 0, np.arange(8_000) % 2, np.arange(8_000) % 8 == 0
    ).astype(float)
    found = policy_gain(with_model(arrays), reward_range=(0.0, 1.0))
    assert isinstance(found, PolicyGain)
    assert found.agree and found.low_bounded is not None
    assert 0.0 < found.low_bounded < found.low_always < found.low < found.dr.value
    assert found.dr.value == pytest.approx(0.5 - 0.3125, abs=0.02)


def test_without_a_model_there_is_no_gain() -> None:
    found = policy_gain(logged_decisions(**uniform_log(4_000)))  # type: ignore[arg-type]
    assert found == estimators.NO_MODEL


def test_a_champion_that_draws_alike_cannot_be_beaten() -> None:
    evidence = with_model(uniform_log(4_000))
    found = policy_gain(evidence, evidence)
    assert isinstance(found, Undecided) and "draw alike" in found.reason


def test_a_gain_that_rests_on_a_handful_of_positives_is_refused() -> None:
    champion = with_model(uniform_log(8_000))
    target = champion.target.copy()
    moved = np.flatnonzero(champion.positive & (target == 1.0))[:20]
    target[moved] = 0.0
    found = policy_gain(champion.with_target(target, champion.q_target), champion)
    assert isinstance(found, Undecided) and "positives where target and champion" in found.reason


def test_less_may_be_demanded() -> None:
    evidence = logged_decisions(**uniform_log(300))  # type: ignore[arg-type]
    assert isinstance(policy_values(evidence)["snips"], Undecided)
    found = policy_values(evidence, requirements=OverlapRequirements(ess=50.0, positives=10.0))[
        "snips"
    ]
    assert isinstance(found, PolicyValue)
