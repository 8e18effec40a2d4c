"""Challengers whose truth is known, for `error_rates.py`: how often gate and guard are wrong.

Gate: each row is one customer. The champion draws its own arm but for the floor, and the challenger
would always draw the other; the gate of the product is asked at every look, and promotes at the
first at which it passes. Guard: customers of a canary and of the rest come back again and again,
each with a rate of her own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nba.measurement.off_policy.logged_decisions import logged_decisions
from nba.measurement.statistics.effect import Effect
from nba.measurement.statistics.moments import SampleMean, moments, ratio_mean
from nba.measurement.statistics.verdict import GuardrailVerdict, Metric, guardrail_verdict
from nba.promotion.customer_sums import difference
from nba.promotion.rollout import GUARDRAILS
from nba.promotion.verdict import Status
from training.gates.off_policy_gate import off_policy_gate

LOOKS = 40


class Promoted(NamedTuple):
    """Of many runs."""

    promoted: float  # the share in which the gate passed at some look
    failed: float  # the share in which it said that the challenger is surely worse
    median_n: float | None  # rows at which it passed


def gate_trials(
    rng: np.random.Generator,
    runs: int,
    *,
    gain: float,
    n: int = 20_000,
    base: float = 0.05,
    floor: float = 0.04,
    looks: int = LOOKS,
) -> Promoted:
    """`gain`: of the challenger's response rate over the champion's, as a share of it; `floor`: the
    probability with which the challenger's arm was drawn."""
    at: list[int] = []
    failures = 0
    for _ in range(runs):
        passed_at, failed = _run(rng, gain, n, base, floor, looks)
        failures += failed
        if passed_at:
            at.append(passed_at)
    return Promoted(len(at) / runs, failures / runs, float(np.median(at)) if at else None)


def _run(
    rng: np.random.Generator, gain: float, n: int, base: float, floor: float, looks: int
) -> tuple[int, bool]:
    """(rows at which it was promoted, 0 for never; whether it was refused for sure)."""
    other = rng.random(n) < floor
    rewards = (rng.random(n) < np.where(other, base * (1.0 + gain), base)).astype(float)
    propensity = np.where(other, floor, 1.0 - floor)
    expected = np.full(n, base)  # a reward model that was there before the rows
    for size in np.linspace(n / looks, n, looks).astype(int).tolist():
        evidence = logged_decisions(
            other[:size].astype(float),
            propensity[:size],
            rewards[:size],
            q_logged=expected[:size],
            q_target=expected[:size],
        )
        champion = evidence.with_target(1.0 - evidence.target, evidence.q_target)
        status = off_policy_gate(evidence, champion).status
        if status is Status.PASSED:
            return size, False
        if status is Status.FAILED:
            return 0, True
    return 0, False


def guard_trials(
    rng: np.random.Generator,
    runs: int,
    *,
    gain: float,
    customers: int = 2_000,
    share: float = 0.2,
    base: float = 0.1,
    looks: int = 50,
    decisions: float = 0.4,
) -> float:
    """The share of runs in which a canary is taken back.

    `decisions`: of a customer between two looks, on average; her rate varies around `base` with the
    spread of a beta distribution, so that her decisions are not independent.
    """
    metric = Metric(name="reward", margin=0.0)
    back = 0
    for _ in range(runs):
        canary = rng.random(customers) < share
        rates = rng.beta(2.0, 2.0 / base - 2.0, customers)
        rates = np.where(canary, np.minimum(rates * (1.0 + gain), 1.0), rates)
        asked, earned = np.zeros(customers), np.zeros(customers)
        for _ in range(looks):
            more = rng.poisson(decisions, customers)
            asked += more
            earned += rng.binomial(more, rates)
            effect = _effect(canary, asked, earned)
            if (
                isinstance(effect, Effect)
                and guardrail_verdict(metric, effect) is GuardrailVerdict.BROKEN
            ):
                back += 1
                break
    return back / runs


def _effect(canary: np.ndarray, asked: np.ndarray, earned: np.ndarray) -> object:
    def level(chosen: np.ndarray) -> SampleMean:
        seen = chosen & (asked > 0)
        return ratio_mean(moments(earned[seen], asked[seen]))

    return difference(level(canary), level(~canary), int(asked.sum()), GUARDRAILS)
