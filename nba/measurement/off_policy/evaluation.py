"""Off-policy evaluation: what another policy would have been worth on the decisions we logged.

`policy_values` and `policy_gain` look at the overlap first and refuse where it is thin.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np

from nba.measurement.off_policy import estimators
from nba.measurement.off_policy.bounded_intervals import gain_lower_bound
from nba.measurement.off_policy.estimators import RatioEstimate, TruncatedEstimate
from nba.measurement.off_policy.intervals import (
    Interval,
    always_valid_interval,
    always_valid_lower_bound,
    bootstrap,
    normal_interval,
    standard_error,
)
from nba.measurement.off_policy.logged_decisions import (
    GATE_REQUIREMENTS,
    REQUIREMENTS,
    LoggedDecisions,
    Overlap,
    OverlapRequirements,
    effective_sample_size,
    overlap,
    refusal,
)
from nba.measurement.statistics.estimate import Estimate, Undecided

METHODS = ("ips", "snips", "dm", "dr", "switch_dr", "dros")
BY_MODEL = "by the reward model alone: no interval shows its error"
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
    note: str = ""

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
    evidence: LoggedDecisions, *, demands: OverlapRequirements = REQUIREMENTS, seed: int = 1
) -> dict[str, PolicyValue | Undecided]:
    """The target's value per decision by each of METHODS, or why there is none.

    The reward model's own (`dm`) is there without overlap too, and says what it is.
    """
    found = overlap(evidence)
    refused = refusal(found, demands)
    scores = {
        "ips": estimators.ips(evidence),
        "snips": estimators.snips(evidence),
        "dm": estimators.dm(evidence),
        "dr": estimators.dr(evidence),
        "switch_dr": _untruncated(estimators.switch_dr(evidence)),
        "dros": _untruncated(estimators.dros(evidence)),
    }
    return {
        method: refused
        if refused is not None and method != "dm"
        else policy_value(method, one, evidence, found, seed)
        for method, one in scores.items()
    }


def logged_policy_value(
    evidence: LoggedDecisions, *, demands: OverlapRequirements = REQUIREMENTS, seed: int = 1
) -> PolicyValue | Undecided:
    """What the logged decisions themselves were worth."""
    own = replace(evidence, target=evidence.propensity, supported=None)
    found = overlap(own)
    refused = refusal(found, demands)
    if refused is not None:
        return refused
    return policy_value("mean", estimators.logged_mean(own), own, found, seed)


def policy_value(
    method: str,
    scores: RatioEstimate | Undecided,
    evidence: LoggedDecisions,
    found: Overlap,
    seed: int,
) -> PolicyValue | Undecided:
    """A value from its scores; Undecided where they do not vary or are of one customer."""
    if isinstance(scores, Undecided):
        return scores
    if found.customers < 2:
        return Undecided(reason=f"decisions of {found.customers} customers")
    value, stderr = scores.value, standard_error(scores, evidence.customers)
    if stderr <= 1e-12 * (1.0 + abs(value)):
        return Undecided(reason="the scores do not vary, so that nothing says how sure they are")
    low, high = normal_interval(value, stderr)
    return PolicyValue(
        method=method,
        value=value,
        stderr=stderr,
        low=low,
        high=high,
        bootstrap=bootstrap(scores, evidence.customers, seed=seed),
        always=always_valid_interval(value, stderr, found.customers),
        n=found.n,
        customers=found.customers,
        ess=found.ess,
        largest_share=found.largest_share,
        note=BY_MODEL if method == "dm" else "",
    )


def policy_gain(
    evidence: LoggedDecisions,
    champion: LoggedDecisions | None = None,
    *,
    demands: OverlapRequirements = GATE_REQUIREMENTS,
    reward_range: tuple[float, float] | None = None,
    seed: int = 1,
) -> PolicyGain | Undecided:
    """EUR per decision of the target minus the champion, on the same decisions.

    `champion`: the same decisions with the champion as target; None: what logged them. What both
    draw alike cancels, so that the evidence is where they differ: the positives are counted there.
    `reward_range`: (least, most) that a reward can be, fixed before looking.
    """
    found = overlap(evidence)
    pairs = []
    apart = paired_scores(evidence, champion, demands=demands)
    if isinstance(apart, Undecided):
        return apart
    for method, scores in zip(("dr", "snips"), apart, strict=True):
        valued = policy_value(method, scores, evidence, found, seed)
        if isinstance(valued, Undecided):
            return valued
        pairs.append(valued)
    dr, snips_ = pairs
    return PolicyGain(
        dr=dr,
        snips=snips_,
        low=normal_interval(dr.value, dr.stderr, 0.90).low,
        low_always=always_valid_lower_bound(dr.value, dr.stderr, dr.customers),
        low_bounded=None if reward_range is None else _bounded(evidence, champion, reward_range),
        apart=abs(dr.value - snips_.value) / max(dr.stderr, snips_.stderr),
    )


def paired_scores(
    evidence: LoggedDecisions,
    champion: LoggedDecisions | None = None,
    *,
    demands: OverlapRequirements = REQUIREMENTS,
) -> tuple[RatioEstimate, RatioEstimate] | Undecided:
    """Target minus champion on the same decisions, by DR and by SNIPS: what `policy_gain` rests on.

    Undecided where the log is too thin for either of both, or for what tells them apart.
    """
    for name, policy in (("target", evidence), ("champion", champion)):
        refused = None if policy is None else refusal(overlap(policy), demands)
        if refused is not None:
            return Undecided(reason=f"{name}: {refused.reason}")
    moved = np.abs(evidence.weights - (1.0 if champion is None else champion.weights))
    if float(moved.max()) < 1e-9:
        return Undecided(reason="target and champion draw alike: there is nothing to tell apart")
    telling = effective_sample_size(moved[evidence.positive])
    if telling < demands.positives:
        return Undecided(
            reason=f"{telling:.1f} effective positives where target and champion differ, "
            f"under {demands.positives:.0f}"
        )
    found: list[RatioEstimate] = []
    for score in (estimators.dr, estimators.snips):
        one = score(evidence)
        other = estimators.logged_mean(evidence) if champion is None else score(champion)
        if isinstance(one, Undecided) or isinstance(other, Undecided):
            return estimators.NO_MODEL
        found.append(one.minus(other))
    return found[0], found[1]


def _bounded(
    evidence: LoggedDecisions, champion: LoggedDecisions | None, reward_range: tuple[float, float]
) -> float | None:
    """Against what logged them only: weights of two policies have no common lower bound."""
    if champion is not None:
        return None
    least, most = reward_range
    scaled = replace(evidence, rewards=(evidence.rewards - least) / (most - least))
    return (most - least) * gain_lower_bound(scaled)


def _untruncated(found: TruncatedEstimate | Undecided) -> RatioEstimate | Undecided:
    return found if isinstance(found, Undecided) else found.scores
