"""What off-policy evaluation refuses, and gains that need a model."""

from __future__ import annotations

import numpy as np
import pytest

from nba.errors import InvalidInput
from nba.measurement.off_policy import estimators
from nba.measurement.off_policy.evaluation import (
    BY_MODEL,
    METHODS,
    PolicyGain,
    PolicyValue,
    logged_policy_value,
    policy_gain,
    policy_values,
)
from nba.measurement.off_policy.logged_decisions import (
    LoggedDecisions,
    OverlapRequirements,
    logged_decisions,
    overlap,
    refusal,
)
from nba.measurement.statistics.estimate import Undecided
from tests.fixtures.off_policy_logs import drawn_log

# Refusals


def test_a_deterministic_target_without_overlap_is_undecided_and_never_nothing() -> None:
    found, _, _ = drawn_log(4, 1_000)
    nowhere = found.with_target(np.zeros(found.n), found.q_target)
    for method, one in policy_values(nowhere).items():
        if method == "dm":
            assert isinstance(one, Undecided) and one.reason.endswith(BY_MODEL)
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
