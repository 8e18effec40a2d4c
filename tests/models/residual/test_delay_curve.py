"""Delay curves: learned from what has come so far, though the rest is still to come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from models.residual.delay_curve import (
    AGES,
    BUCKETS,
    CHANCES,
    FORGOTTEN,
    SHAPES,
    fit_delay_curves,
    parts_at,
)
from tests.fixtures.examples import examples

WEEK_S = 7 * 86_400.0


def seen(delays: np.ndarray, made: np.ndarray, now: float) -> tuple[np.ndarray, np.ndarray]:
    """(within, by) at `now`, of delays and times in windows, as exposures old enough show them."""
    within, by = np.zeros(BUCKETS), np.zeros(BUCKETS)
    for bucket in range(BUCKETS):
        old = delays[now - made >= AGES[bucket + 1]]
        by[bucket] = (old <= AGES[bucket + 1]).sum()
        within[bucket] = ((old > AGES[bucket]) & (old <= AGES[bucket + 1])).sum()
    return within, by


def test_of_what_nothing_is_known_any_shape_may_be() -> None:
    curves = fit_delay_curves(np.zeros((2, BUCKETS)), np.zeros((2, BUCKETS)), np.full(2, WEEK_S))
    uniform = (1.0 - FORGOTTEN) * CHANCES @ SHAPES + FORGOTTEN * AGES
    assert curves.share == pytest.approx(np.tile(uniform, (2, 1)), rel=1e-3)
    share, deviation = curves.at(np.array([[-1.0, 0.0, 4 / 7, 1.0, 9.0]] * 2))
    assert share[0, [0, 1, 3, 4]].tolist() == [0.0, 0.0, 1.0, 1.0] and 0.5 < share[0, 2] < 0.7
    assert deviation[0, 3] == 0.0 and deviation[0, 2] > 0.2


def test_what_came_at_once_tells_of_the_days_that_nobody_has_waited() -> None:
    """A day of seven is over: of 40 arrivals within an hour nearly all have come, of 40 all over
    the day few; and neither is sure."""
    within, by = np.zeros((2, BUCKETS)), np.zeros((2, BUCKETS))
    day = AGES[1:] <= 1 / 7
    within[0, 0] = 40.0
    within[1, day] = 40.0 * np.diff(AGES)[day] / AGES[1:][day].max()
    by[:, day] = np.cumsum(within, axis=1)[:, day]
    share, deviation = fit_delay_curves(within, by, np.full(2, WEEK_S)).at(np.full((2, 1), 1 / 7))
    assert share[0, 0] > 0.8 and share[1, 0] < 0.35
    assert (deviation > 0.05).all()


def test_how_many_came_tells_of_the_shape_too() -> None:
    """Half a window has passed. Nothing of 2,000 exposures with a score of .1: they come late. Of
    100 with a score of .3 ninety: hardly one is still to come."""
    nothing, half = np.zeros((2, BUCKETS)), np.full(2, 0.5)
    scored = np.array([[200.0], [30.0]]) * parts_at(half)
    curves = fit_delay_curves(
        nothing, nothing, np.full(2, WEEK_S), came=np.array([0.0, 90.0]), scored=scored
    )
    share, _ = curves.at(half[:, None])
    assert share[0, 0] < 0.35 and share[1, 0] > 0.85


def test_what_is_taken_back_late_had_come_more_than_once() -> None:
    """200 within the hour, 120 of them returned on the sixth day of seven: until then there was two
    and a half times what stays."""
    within = np.zeros((1, BUCKETS))
    within[0, 0], within[0, -2] = 200.0, -120.0
    by = np.cumsum(within, axis=1)
    share, _ = fit_delay_curves(within, by, np.array([WEEK_S])).at(np.array([[0.5, 1.0]]))
    assert share[0] == pytest.approx([2.5, 1.0], rel=0.05)


def test_rewards_that_are_still_to_come_do_not_make_the_curve_early() -> None:
    """Day 14 of a stream without end: half the exposures are younger than their window."""
    rng = np.random.default_rng(3)
    made = rng.uniform(0.0, 1.2, 40_000)
    delays = np.sqrt(rng.random(40_000))  # F(u) = u^2: most come late
    within, by = seen(delays, made, 1.2)
    curves = fit_delay_curves(within[None], by[None], np.array([WEEK_S]))
    assert np.abs(curves.share[0] - AGES**2).max() < 0.03
    naive = [(delays[made + delays <= 1.2] <= age).mean() for age in AGES]
    assert np.abs(np.array(naive) - AGES**2).max() > 0.1


def test_a_curve_is_as_sure_as_its_arrivals_are_many() -> None:
    rng = np.random.default_rng(5)
    estimates, errors = [], []
    for _ in range(200):
        within, by = seen(rng.random(300), rng.uniform(0.0, 2.0, 300), 2.0)
        curves = fit_delay_curves(within[None], by[None], np.array([WEEK_S]))
        estimates.append(curves.share[0, 10])
        errors.append(curves.error[0, 10] * curves.share[0, 10])
    assert np.mean(estimates) == pytest.approx(AGES[10], abs=0.01)
    assert np.mean(errors) == pytest.approx(np.std(estimates), rel=0.25)


def test_an_action_without_rewards_takes_the_curve_of_those_that_have_its_window() -> None:
    rng = np.random.default_rng(7)
    within, by = np.zeros((5, BUCKETS)), np.zeros((5, BUCKETS))
    for action in range(3):
        within[action], by[action] = seen(rng.random(5_000) / 10, np.zeros(5_000), 2.0)
    windows_s = np.array([WEEK_S, WEEK_S, WEEK_S, WEEK_S, 2 * WEEK_S])
    share, _ = fit_delay_curves(within, by, windows_s).at(np.full((5, 1), 0.5))
    assert share[3, 0] > 0.97 and 0.4 < share[4, 0] < 0.7  # of another window


def test_an_action_that_is_unlike_the_others_has_its_own_curve() -> None:
    rng = np.random.default_rng(9)
    rows = [rng.random(2_000) * 0.05, rng.random(2_000) * 0.05, 0.8 + rng.random(2_000) * 0.1]
    parts = [seen(delays, np.zeros(2_000), 2.0) for delays in rows]
    within, by = (np.array(arrays) for arrays in zip(*parts, strict=True))
    share, _ = fit_delay_curves(within, by, np.full(3, WEEK_S)).at(np.full((3, 1), 0.5))
    assert share[0, 0] > 0.99 and share[2, 0] < 0.02


@pytest.mark.parametrize("days", [2.0, 4.0, 6.3, 8.0])
def test_what_is_new_and_answered_at_once_does_not_take_the_late_days_of_the_others(
    days: float,
) -> None:
    """Four actions whose rewards come on the sixth day; of the fifth, 20 exposures a day with a
    score of .1 for some days, everything within the hour. Nearly all of it has come."""
    rng = np.random.default_rng(11)
    parts = [seen(rng.uniform(0.8, 0.9, 1_000), np.zeros(1_000), 2.0) for _ in range(4)]
    made = np.arange(0.0, days / 7, 1 / 140)
    delays = np.where(np.arange(len(made)) % 10 == 5, 1 / 300, np.inf)
    parts.append(seen(delays, made, days / 7))
    within, by = (np.array(arrays) for arrays in zip(*parts, strict=True))
    scored, came = np.zeros((5, BUCKETS + 1)), np.zeros(5)
    scored[4] = 0.1 * parts_at(np.minimum(days / 7 - made, 1.0)).sum(axis=0)
    came[4] = np.isfinite(delays).sum()
    windows_s = np.full(5, WEEK_S)
    curves = fit_delay_curves(within, by, windows_s, came=came, scored=scored)
    share, deviation = curves.at(np.full((5, 1), 1 / 7))
    assert share[0, 0] < 0.02
    assert abs(share[4, 0] - 1.0) < 2 * deviation[4, 0] and share[4, 0] > 0.6


@given(seed=st.integers(0, 9_999), actions=st.integers(1, 4))
@examples(60)
def test_a_curve_never_falls_and_ends_at_1(seed: int, actions: int) -> None:
    rng = np.random.default_rng(seed)
    within = rng.normal(2.0, 20.0, (actions, BUCKETS)) * rng.integers(0, 2, (actions, BUCKETS))
    by = np.cumsum(within, axis=1) + rng.normal(0.0, 5.0, (actions, BUCKETS))
    windows_s = rng.choice([WEEK_S, 2 * WEEK_S], actions)
    rising = fit_delay_curves(np.maximum(within, 0.0), by, windows_s)
    assert (np.diff(rising.share, axis=1) >= 0.0).all()
    curves = fit_delay_curves(within, by, windows_s)  # some of it is taken back
    assert np.isfinite(curves.share).all() and (curves.share >= 0.0).all()
    assert (curves.share[:, 0] == 0.0).all() and (curves.share[:, -1] == 1.0).all()
    assert np.isfinite(curves.error).all() and (curves.error[:, -1] == 0.0).all()
