"""Simulated experiments whose truth is known, for `error_rates.py`: arms that a bandit fills."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.error_rates.error_trials import excludes_0, hit
from nba.measurement.off_policy.bandit_arms import (
    MIN_COUNTS,
    ArmContrast,
    ArmCounts,
    ScoredDecisions,
    aipw_scores,
    arm_contrast,
    arm_difference,
    exact_confidence_sequence,
    past_means,
)
from nba.measurement.statistics.effect import fixed_horizon
from nba.measurement.statistics.moments import moments, sample_mean

BATCH = 20  # decisions between two updates of the bandit
NO_GATE = ArmCounts(0, 0)
DRAWS = 64  # from the posterior, that make the propensities


@dataclass(frozen=True, slots=True)
class Bandit:
    """Draws of Thompson sampling with a floor; arrays (runs, n)."""

    drawn: np.ndarray
    propensity: np.ndarray
    rewards: np.ndarray

    def draws(self, run: int, arms: int, *, aipw: bool = True) -> ScoredDecisions:
        drawn, rewards = self.drawn[run], self.rewards[run]
        if aipw:
            predictions = past_means(drawn, rewards, arms, prior=0.1)
        else:
            predictions = np.zeros((len(drawn), arms))
        return aipw_scores(drawn, self.propensity[run], rewards, predictions)


def play(
    rng: np.random.Generator, runs: int, n: int, rates: tuple[float, ...], floor: float
) -> Bandit:
    """Beta posteriors; an arm's propensity is the share of draws that it wins, above a floor."""
    k = len(rates)
    won, lost = np.ones((runs, k)), np.ones((runs, k))
    drawn = np.empty((runs, n), dtype=np.int64)
    propensity, rewards = np.empty((runs, n)), np.empty((runs, n))
    for start in range(0, n, BATCH):
        best = rng.beta(won, lost, size=(DRAWS, runs, k)).argmax(axis=-1)
        p = np.stack([(best == arm).mean(axis=0) for arm in range(k)], axis=-1)
        p = floor + (1.0 - k * floor) * p
        arm = (rng.random((runs, BATCH, 1)) > p.cumsum(axis=1)[:, None, :-1]).sum(axis=-1)
        came = (rng.random((runs, BATCH)) < np.array(rates)[arm]).astype(float)
        now = slice(start, start + BATCH)
        drawn[:, now], rewards[:, now] = arm, came
        propensity[:, now] = np.take_along_axis(p, arm, axis=1)
        chosen = arm[..., None] == np.arange(k)
        won += (chosen * came[..., None]).sum(axis=1)
        lost += (chosen * (1.0 - came[..., None])).sum(axis=1)
    return Bandit(drawn, propensity, rewards)


def bandit_end(played: Bandit, arms: int) -> tuple[float, float, float, float]:
    """(naive, IPW, AIPW): claims of the last arm against the first at the end; bias of a mean."""
    naive, weighted, augmented, means = [], [], [], []
    for run in range(len(played.drawn)):
        drawn, rewards = played.drawn[run], played.rewards[run]
        ends = [sample_mean(moments(rewards[drawn == arm])) for arm in (0, arms - 1)]
        naive.append(excludes_0(fixed_horizon(*ends)))
        means += [end.mean for end in ends if end.n]
        for aipw, found in ((False, weighted), (True, augmented)):
            record = arm_contrast(played.draws(run, arms, aipw=aipw), 0, arms - 1)
            found.append(excludes_0(arm_difference(record, tuning_n=None, minimum=NO_GATE)))
    return hit(naive), hit(weighted), hit(augmented), float(np.mean(means))


def bandit_peeked(
    played: Bandit, arms: int, *, every: int, tuning_n: int, first: int = 0, gated: bool = True
) -> float:
    """Claims of the last arm against the first at some look."""
    claims = []
    for run in range(len(played.drawn)):
        draws = played.draws(run, arms)
        claims.append(_claims(draws, arms, every, tuning_n, first, gated))
    return hit(claims)


def _claims(
    draws: ScoredDecisions, arms: int, every: int, tuning_n: int, first: int, gated: bool
) -> bool:
    record = ArmContrast()
    for start in range(0, len(draws.drawn), every):
        rows = slice(start, start + every)
        part = ScoredDecisions(draws.drawn[rows], draws.rewards[rows], draws.scores[rows])
        record = record + arm_contrast(part, 0, arms - 1)
        if start + every < first:
            continue
        found = arm_difference(record, tuning_n=tuning_n, minimum=MIN_COUNTS if gated else NO_GATE)
        if excludes_0(found):
            return True
    return False


def bandit_exact(played: Bandit, arms: int, *, every: int, floor: float, tuning_n: int) -> float:
    """The same by the exact empirical Bernstein band."""
    looks = np.arange(every, played.drawn.shape[1] + 1, every)
    claims = []
    for run in range(len(played.drawn)):
        band = exact_confidence_sequence(
            played.draws(run, arms),
            0,
            arms - 1,
            floor=floor,
            base=0.1,
            looks=looks,
            tuning_n=tuning_n,
        )
        claims.append(bool(((band.low > 0.0) | (band.high < 0.0)).any()))
    return hit(claims)
