"""Off-policy evaluation: what another policy would have been worth on the decisions we logged.

`policy_values` and `policy_gain` look at the overlap first and refuse where it is thin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np

from nba.measurement.off_policy import estimators
from nba.measurement.off_policy.estimators import RatioEstimate, TruncatedEstimate
from nba.measurement.off_policy.intervals import (
    always_valid_interval,
    always_valid_lower_bound,
    bootstrap,
    standard_error,
)
from nba.measurement.off_policy.logged_decisions import (
    GATE_REQUIREMENTS,
    REQUIREMENTS,
    LoggedDecisions,
    OverlapRequirements,
    overlap,
    refusal,
)
from nba.measurement.off_policy.lower_bounds import gain_lower_bound
from nba.measurement.off_policy.support import LeftOut
from nba.measurement.statistics.estimate import Estimate, Undecided, effective_sample_size
from nba.measurement.statistics.intervals import Interval, normal_interval

METHODS = ("ips", "snips", "dm", "dr", "switch_dr", "dros")
BY_MODEL = "by the reward model alone: no interval would show its error"
AGREE = 2.0  # standard errors between DR and SNIPS


class PolicyValue(msgspec.Struct, frozen=True, kw_only=True):
    """A value by one method, with its 95 % intervals; errors are between customers."""

    method: str
    value: float
    stderr: float
    low: float  # normal, at this number of decisions
    high: float
    bootstrap: Interval  # percentiles over resampled customers
    always: Interval  # at every number of customers
    n: int
    customers: int
    ess: float
    largest_share: float  # of all weight, in one customer
    left_out: LeftOut = LeftOut()  # decisions of arms that cannot answer

    @property
    def estimate(self) -> Estimate:
        """The value with its interval at this number of decisions."""
        return Estimate(value=self.value, low=self.low, high=self.high, n=self.n, ess=self.ess)


class PolicyGain(msgspec.Struct, frozen=True, kw_only=True):
    """Target minus champion on the same decisions: what a gate reads."""

    dr: PolicyValue
    snips: PolicyValue
    low: float  # the gain by DR is above it: one-sided 95 %, at this number of decisions
    low_always: float  # the same at every number of customers: for gates that look again
    low_bounded: float | None  # the same by IPS, exact, where the range of the rewards is known
    apart: float  # |DR - SNIPS| in standard errors of the wider of both

    @property
    def agree(self) -> bool:
        """Whether DR and SNIPS say the same."""
        return self.apart <= AGREE


def policy_values(
    decisions: LoggedDecisions, *, requirements: OverlapRequirements = REQUIREMENTS, seed: int = 1
) -> dict[str, PolicyValue | Undecided]:
    """The target's value per decision by each of METHODS, or why there is none.

    The reward model's own (`dm`) is never one: it is in the reason, without an interval.
    """
    refused = refusal(overlap(decisions), requirements)
    scores = {
        "ips": estimators.ips(decisions),
        "snips": estimators.snips(decisions),
        "dr": estimators.dr(decisions),
        "switch_dr": _scores_of(estimators.switch_dr(decisions)),
        "dros": _scores_of(estimators.dros(decisions)),
    }
    values = {
        method: refused or policy_value(estimate, decisions, method=method, seed=seed)
        for method, estimate in scores.items()
    }
    values["dm"] = by_model(estimators.dm(decisions))
    return {method: values[method] for method in METHODS}


def by_model(scores: RatioEstimate | Undecided) -> Undecided:
    """The direct method's figure: whatever its interval, it leaves out how wrong the model is."""
    if isinstance(scores, Undecided) or not len(scores.numerator):
        return estimators.NO_MODEL
    return Undecided(reason=f"{scores.value:.4g} EUR per decision {BY_MODEL}")


def logged_policy_value(
    decisions: LoggedDecisions, *, requirements: OverlapRequirements = REQUIREMENTS, seed: int = 1
) -> PolicyValue | Undecided:
    """What the logged decisions themselves were worth."""
    own = decisions.with_target(decisions.propensity)
    refused = refusal(overlap(own), requirements)
    if refused is not None:
        return refused
    return policy_value(estimators.logged_mean(own), own, method="mean", seed=seed)


def policy_value(
    scores: RatioEstimate | Undecided, decisions: LoggedDecisions, *, method: str, seed: int
) -> PolicyValue | Undecided:
    """A value from its scores; Undecided where they do not vary or are of one customer."""
    if isinstance(scores, Undecided):
        return scores
    support = overlap(decisions)
    if support.customers < 2:
        return Undecided(reason=f"decisions of {support.customers} customers")
    value, stderr = scores.value, standard_error(scores, decisions.customers)
    if stderr <= 1e-12 * (1.0 + abs(value)):
        return Undecided(reason="the scores do not vary, so that nothing says how sure they are")
    low, high = normal_interval(value, stderr)
    return PolicyValue(
        method=method,
        value=value,
        stderr=stderr,
        low=low,
        high=high,
        bootstrap=bootstrap(scores, decisions.customers, seed=seed),
        always=always_valid_interval(value, stderr, support.customers),
        n=support.n,
        customers=support.customers,
        ess=support.ess,
        largest_share=support.largest_share,
        left_out=support.left_out,
    )


def policy_gain(
    decisions: LoggedDecisions,
    champion: LoggedDecisions | None = None,
    *,
    requirements: OverlapRequirements = GATE_REQUIREMENTS,
    reward_range: tuple[float, float] | None = None,
    seed: int = 1,
) -> PolicyGain | Undecided:
    """EUR per decision of the target minus the champion, on the same decisions.

    `champion`: the same decisions with the champion as target; None: what logged them. What both
    draw alike cancels, so that the evidence is where they differ: the positives are counted there.
    `reward_range`: (least, most) that a reward can be, fixed before looking.
    """
    scores = paired_scores(decisions, champion, requirements=requirements)
    if isinstance(scores, Undecided):
        return scores
    dr = policy_value(scores[0], decisions, method="dr", seed=seed)
    snips = policy_value(scores[1], decisions, method="snips", seed=seed)
    if isinstance(dr, Undecided):
        return dr
    if isinstance(snips, Undecided):
        return snips
    return PolicyGain(
        dr=dr,
        snips=snips,
        low=normal_interval(dr.value, dr.stderr, 0.90).low,
        low_always=always_valid_lower_bound(dr.value, dr.stderr, dr.customers),
        low_bounded=None if reward_range is None else _bounded(decisions, champion, reward_range),
        apart=abs(dr.value - snips.value) / max(dr.stderr, snips.stderr),
    )


def paired_scores(
    decisions: LoggedDecisions,
    champion: LoggedDecisions | None = None,
    *,
    requirements: OverlapRequirements = REQUIREMENTS,
) -> tuple[RatioEstimate, RatioEstimate] | Undecided:
    """Target minus champion on the same decisions, by DR and by SNIPS: what `policy_gain` rests on.

    Undecided where the log is too thin for either of both, or for what tells them apart.
    """
    for name, policy in (("target", decisions), ("champion", champion)):
        refused = None if policy is None else refusal(overlap(policy), requirements)
        if refused is not None:
            return Undecided(reason=f"{name}: {refused.reason}")
    differences = np.abs(decisions.weights - (1.0 if champion is None else champion.weights))
    if float(differences.max()) < 1e-9:
        return Undecided(reason="target and champion draw alike: there is nothing to tell apart")
    positives = effective_sample_size(differences[decisions.positive])
    if positives < requirements.positives:
        return Undecided(
            reason=f"{positives:.1f} effective positives where target and champion differ, "
            f"under {requirements.positives:.0f}"
        )
    dr = _difference(estimators.dr, decisions, champion)
    snips = _difference(estimators.snips, decisions, champion)
    return estimators.NO_MODEL if dr is None or snips is None else (dr, snips)


def _difference(
    estimator: Callable[[LoggedDecisions], RatioEstimate | Undecided],
    decisions: LoggedDecisions,
    champion: LoggedDecisions | None,
) -> RatioEstimate | None:
    """Target minus champion, or minus what was logged; None where there is no estimate."""
    target = estimator(decisions)
    other = estimators.logged_mean(decisions) if champion is None else estimator(champion)
    if isinstance(target, Undecided) or isinstance(other, Undecided):
        return None
    return target.minus(other)


def _bounded(
    decisions: LoggedDecisions, champion: LoggedDecisions | None, reward_range: tuple[float, float]
) -> float | None:
    """Against what logged them only: weights of two policies have no common lower bound."""
    if champion is not None:
        return None
    least, most = reward_range
    scaled = replace(decisions, rewards=(decisions.rewards - least) / (most - least))
    return (most - least) * gain_lower_bound(scaled)


def _scores_of(estimate: TruncatedEstimate | Undecided) -> RatioEstimate | Undecided:
    return estimate if isinstance(estimate, Undecided) else estimate.scores
