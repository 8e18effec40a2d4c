"""The propensity audit: a right log stays quiet, a wrong one is found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from nba.errors import InvalidInput
from nba.measurement.off_policy.propensity_audit import (
    DrawCounts,
    PropensityAudit,
    audit_propensities,
    draw_counts,
)
from nba.measurement.statistics.estimate import Undecided
from tests.fixtures.examples import examples

ACTIONS = ("call", "card", "letter", "loan", "none")
LOGGED = np.array([0.8, 0.05, 0.05, 0.05, 0.05])
ACTING = np.array([0.84, 0.04, 0.04, 0.04, 0.04])
RARE = np.array([0.993, 0.001, 0.001, 0.001, 0.004])
MIXED = np.array([[0.8, 0.1, 0.06, 0.04, 0.0], [0.0, 0.05, 0.05, 0.1, 0.8], [0.2] * 5])


def verdict(found: PropensityAudit | Undecided) -> PropensityAudit:
    assert isinstance(found, PropensityAudit)
    return found


def draw(rng: np.random.Generator, probabilities: np.ndarray) -> np.ndarray:
    above = rng.random(len(probabilities))[:, None] > probabilities.cumsum(axis=1)
    return np.minimum(above.sum(axis=1), probabilities.shape[1] - 1)


def counted(seed: int, n: int, logged: np.ndarray, acting: np.ndarray | None = None) -> DrawCounts:
    rng = np.random.default_rng(seed)
    context = rng.integers(0, len(np.atleast_2d(logged)), n)
    p = np.atleast_2d(logged)[context]
    done = p if acting is None else np.atleast_2d(acting)[context]
    return draw_counts(ACTIONS, p, draw(rng, done))


def test_constant_probabilities_are_pearsons_chi_square() -> None:
    """drawn 60, 25, 15 of 100 at .5, .3, .2: 100/50 + 25/30 + 25/20 = 4.0833, two degrees."""
    p = np.tile([0.5, 0.3, 0.2], (100, 1))
    found = verdict(
        audit_propensities(draw_counts(("a", "b", "c"), p, np.repeat([0, 1, 2], [60, 25, 15])))
    )
    assert found.p == pytest.approx(np.exp(-4.083333333 / 2), rel=1e-6)
    assert found.mean_weight == pytest.approx((60 / 0.5 + 25 / 0.3 + 15 / 0.2) / 300)
    assert found.weight_error == pytest.approx(
        np.sqrt(((1 / 0.5 + 1 / 0.3 + 1 / 0.2) / 9 - 1) / 100)
    )
    first = found.actions[0]
    assert (first.drawn, first.expected) == (60, pytest.approx(50.0))
    assert first.z == pytest.approx(10 / 5) and first.p == pytest.approx(0.0455, abs=1e-4)


@pytest.mark.parametrize("logged", [LOGGED, MIXED, RARE], ids=["constant", "by context", "rare"])
def test_a_right_log_raises_no_alarm(logged: np.ndarray) -> None:
    found = [verdict(audit_propensities(counted(seed, 1_000, logged))) for seed in range(500)]
    assert np.mean([one.p < 0.001 for one in found]) <= 0.004
    assert np.mean([one.p < 0.05 for one in found]) == pytest.approx(0.04, abs=0.03)
    assert np.mean([one.alarm for one in found]) <= 0.004
    assert np.mean([one.mean_weight for one in found]) == pytest.approx(1.0, abs=0.01)


def test_a_wrong_log_is_found_by_five_thousand_decisions() -> None:
    """Logged 80 % and 5 %, acting 84 % and 4 %: mean weight 0.85."""
    found = [
        verdict(audit_propensities(counted(seed, 5_000, LOGGED, ACTING))) for seed in range(100)
    ]
    assert np.mean([one.p < 0.001 for one in found]) >= 0.98
    assert np.mean([one.mean_weight for one in found]) == pytest.approx(0.85, abs=0.005)
    assert all(one.alarm for one in found)


def test_a_log_of_ones_where_chance_had_a_say_is_found_by_its_weights() -> None:
    """Greedy logged at 60 %, drawn always: no count is far off where two actions take turns."""
    p = np.tile([[0.6, 0.4], [0.4, 0.6]], (500, 1))
    found = verdict(audit_propensities(draw_counts(("a", "b"), p, p.argmax(axis=1))))
    assert found.p > 0.5
    assert found.mean_weight == pytest.approx(1 / 1.2) and found.alarm


def test_decisions_without_a_choice_tell_nothing() -> None:
    p = np.tile([1.0, 0.0], (5_000, 1))
    counts = draw_counts(("a", "b"), p, np.zeros(5_000, dtype=int))
    assert counts.n == 0
    assert audit_propensities(counts) == Undecided(
        reason="0 decisions in which chance had a say, under 100"
    )


def test_so_few_decisions_over_so_many_actions_are_undecided() -> None:
    p = np.full((200, 100), 0.01)
    names = tuple(f"a{i:02}" for i in range(100))
    assert audit_propensities(draw_counts(names, p, np.arange(200) % 100)) == Undecided(
        reason="200 decisions over 100 actions: under 5 of each"
    )


def test_rare_actions_count_together_and_have_no_z_of_their_own() -> None:
    p = np.tile([0.98, 0.0, 0.01, 0.01, 0.0], (400, 1))
    found = verdict(audit_propensities(draw_counts(ACTIONS, p, draw(np.random.default_rng(0), p))))
    assert [action.z is None for action in found.actions] == [False, True, True, True, True]
    assert found.p > 0.001


@given(st.integers(0, 10_000), st.integers(0, 600))
@examples(30)
def test_days_with_other_actions_add_up(seed: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    p = MIXED[rng.integers(0, 3, 600)]
    drawn = draw(rng, p)
    whole = draw_counts(ACTIONS, p, drawn)
    turned = [4, 2, 0, 1, 3]
    names = tuple(ACTIONS[i] for i in turned)
    back = np.argsort(turned)
    parts = (
        draw_counts(ACTIONS, p[:cut], drawn[:cut]),
        draw_counts(names, p[cut:][:, turned], back[drawn[cut:]]),
    )
    for added in (parts[0] + parts[1], parts[1] + parts[0] + DrawCounts()):
        assert (added.actions, added.n, added.drawn) == (whole.actions, 600, whole.drawn)
        assert added.expected == pytest.approx(whole.expected)
        assert np.array(added.products) == pytest.approx(np.array(whole.products))
        assert added.weight == pytest.approx(whole.weight)
        assert verdict(audit_propensities(added)).p == pytest.approx(
            verdict(audit_propensities(whole)).p
        )


def test_an_action_that_only_one_day_knows_is_kept() -> None:
    old = draw_counts(("a", "b"), np.tile([0.5, 0.5], (200, 1)), np.tile([0, 1], 100))
    new = draw_counts(("b", "c"), np.tile([0.5, 0.5], (300, 1)), np.tile([0, 1], 150))
    both = old + new
    assert both.actions == ("a", "b", "c") and both.drawn == (100, 250, 150)
    assert verdict(audit_propensities(both)).p == pytest.approx(1.0)


def test_one_action_of_many_that_is_drawn_too_seldom_is_named() -> None:
    """42 of 100 expected: z -5.9, and chi-square over all forty actions alone says p 0.01."""
    names = tuple(f"a{n:02}" for n in range(40))
    drawn = np.repeat(np.arange(40), [42, *[101] * 20, *[102] * 19])
    p = np.full((len(drawn), 40), 1 / 40)
    found = verdict(audit_propensities(draw_counts(names, p, drawn)))
    assert found.p > 0.001 and abs(found.mean_weight - 1.0) < 1e-9
    assert found.worst is not None and found.worst.action == "a00" and found.alarm
    assert found.worst.weight == pytest.approx(42 / (len(drawn) / 40))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidInput, match="sums to one"):
        draw_counts(("a", "b"), np.array([[0.5, 0.4]]), np.array([0]))
    with pytest.raises(InvalidInput, match="an action of probability 0"):
        draw_counts(("a", "b"), np.array([[1.0, 0.0]]), np.array([1]))
