"""The prior from the sums, and the posterior that decisions are made with."""

from __future__ import annotations

import numpy as np
import pytest

from models.residual.features import ResidualSpec
from models.residual.posterior import ResidualPosterior, ResidualPrior, fit_prior
from models.residual.sums import ResidualSums

SPEC = ResidualSpec(columns=("a", "b"), means=(0, 0), deviations=(1, 1), with_score=False)
ACTIONS = tuple(f"action {n}" for n in range(12))
NOW_S = 0.0


def learned(
    slope: float, n: int = 4_000, *, seed: int = 0, spec: ResidualSpec = SPEC, unit: float = 1.0
) -> ResidualSums:
    """Rewards around a score of .3, off by slopes of this standard deviation per action."""
    rng = np.random.default_rng(seed)
    slopes = rng.normal(0, slope, (len(ACTIONS) + 1, 2))
    values, codes = rng.normal(size=(n, 2)), rng.integers(0, len(ACTIONS), n)
    p0 = np.full(n, 0.3 * unit)
    shift = (slopes[codes] * values).sum(axis=1)
    reward = (rng.random(n) < 0.3 + shift) * unit
    sums = ResidualSums(spec, ACTIONS)
    x = spec.features(values, p0)
    sums.expose(x, codes, p0, np.zeros(n))
    sums.reward(x, codes, p0, reward, np.zeros(n))
    return sums


def test_the_prior_finds_how_far_off_the_scores_are() -> None:
    assert fit_prior(learned(0.1), NOW_S).slope == pytest.approx(0.1, rel=0.6)
    assert fit_prior(learned(0.025, 20_000), NOW_S).slope == pytest.approx(0.025, rel=0.6)


def test_where_the_scores_are_right_the_residual_switches_itself_off() -> None:
    found = fit_prior(learned(0.0, 20_000), NOW_S)
    assert found.slope < 0.01
    assert found.intercept == 0.025  # which is the least


def test_without_evidence_the_prior_stays() -> None:
    start = ResidualPrior(intercept=0.1, slope=0.05)
    assert fit_prior(ResidualSums(SPEC, ACTIONS), NOW_S, start) == start


def test_the_evidence_is_the_marginal_likelihood() -> None:
    """Of the rewards under a normal model, against nothing but noise: by its dense covariance."""
    rng = np.random.default_rng(1)
    values, p0 = rng.normal(size=(15, 2)), np.full(15, 0.5)
    slip = rng.normal(0, 0.3, 15)
    sums = ResidualSums(SPEC, ACTIONS)
    x = SPEC.features(values, p0)
    codes = np.zeros(15, dtype=np.int64)
    sums.expose(x, codes, p0, np.zeros(15))
    sums.reward(x, codes, p0, p0 + slip, np.zeros(15))
    prior = fit_prior(sums, NOW_S)
    noise = 0.25 * np.eye(15)
    full = noise + (x / prior.precision(SPEC)) @ x.T

    def log_density(covariance: np.ndarray) -> float:
        _, log_det = np.linalg.slogdet(covariance)
        return float(-0.5 * (slip @ np.linalg.solve(covariance, slip) + log_det))

    assert prior.nats == pytest.approx(log_density(full) - log_density(noise), abs=1e-9)


def test_values_in_eur_find_the_same_prior_in_their_own_unit() -> None:
    spec = ResidualSpec(
        columns=SPEC.columns,
        means=SPEC.means,
        deviations=SPEC.deviations,
        with_score=False,
        target="value",
        variance_eur2=0.21 * 50.0**2,
    )
    found = fit_prior(learned(0.1, spec=spec, unit=50.0), NOW_S)
    assert found.slope * spec.unit == pytest.approx(0.1 * 50.0, rel=0.6)
    mean, _ = ResidualPosterior.of(learned(0.1, spec=spec, unit=50.0), found, NOW_S).correct(
        np.array([[1.0, 0, 0]]), np.array([0]), np.array([500.0])
    )
    assert mean[0] > 1.0  # EUR, which nothing clips


def test_the_posterior_is_bayesian_linear_regression() -> None:
    sums, prior = learned(0.1, 300), ResidualPrior(intercept=0.1, slope=0.05)
    posterior = ResidualPosterior.of(sums, prior, NOW_S)
    x = SPEC.features(np.array([[0.5, -1.0], [2.0, 0.0]]), np.full(2, 0.3))
    codes, p0 = np.array([3, 7]), np.array([0.3, 0.25])
    mean, spread = posterior.correct(x, codes, p0)
    for row, code, score, m, s in zip(x, codes, p0, mean, spread, strict=True):
        covariance = np.linalg.inv(sums.precision[code] + np.diag(prior.precision(SPEC)))
        assert m == pytest.approx(score + row @ covariance @ sums.moment[code], abs=1e-12)
        assert s == pytest.approx(np.sqrt(row @ covariance @ row), abs=1e-12)


def test_many_rows_at_once_are_the_same_as_one_by_one() -> None:
    posterior = ResidualPosterior.of(learned(0.1), ResidualPrior(), NOW_S)
    rng = np.random.default_rng(2)
    n = 5_000
    p0, codes = rng.uniform(0, 1, n), rng.integers(-1, len(ACTIONS), n)
    x = SPEC.features(rng.normal(size=(n, 2)), p0)
    together = posterior.correct(x, codes, p0)
    for at in range(0, n, 499):
        of = slice(at, at + 1)
        alone = posterior.correct(x[of], codes[of], p0[of])
        assert [a[at] for a in together] == pytest.approx([a[0] for a in alone], abs=1e-12)


def test_the_mean_of_a_probability_is_one() -> None:
    posterior = ResidualPosterior.of(learned(0.1), ResidualPrior(intercept=0.8, slope=0.4), NOW_S)
    x = SPEC.features(np.array([[5.0, 5.0], [-5.0, -5.0]]).repeat(12, axis=0), np.full(24, 0.5))
    mean, _ = posterior.correct(x, np.tile(np.arange(12), 2), np.tile([0.01, 0.99], 12))
    assert ((mean >= 0) & (mean <= 1)).all()


def test_what_was_learned_narrows_the_spread_and_what_is_new_is_wide() -> None:
    prior = ResidualPrior(intercept=0.025, slope=0.01)
    before = ResidualPosterior.of(ResidualSums(SPEC, ACTIONS), prior, NOW_S, new=[5])
    x, codes = np.array([[1.0, 0, 0]] * 2), np.array([0, 5])
    mean, spread = before.correct(x, codes, np.full(2, 0.3))
    assert mean.tolist() == [0.3, 0.3]
    assert spread == pytest.approx([0.025, 0.05])
    after = ResidualPosterior.of(learned(0.0), prior, NOW_S, new=[5])
    assert (after.correct(x, codes, np.full(2, 0.3))[1] < spread).all()


def test_few_outcomes_do_not_make_a_guess_certain_and_many_do() -> None:
    """Seven outcomes as the score has them: by evidence alone the smallest prior would be taken."""
    unsure = ResidualPrior(intercept=0.1)
    few, many = (learned(0.0, n) for n in (7, 20_000))
    assert fit_prior(few, 0.0, unsure).intercept == 0.025
    assert fit_prior(few, 0.0, unsure, centre=unsure).intercept >= 0.05
    assert fit_prior(many, 0.0, unsure, centre=unsure).intercept <= 0.05
