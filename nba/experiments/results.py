"""Compare every arm with the control on every metric, each with its interval.

Nothing is said while a check is red. The claim rests on the analysis that was chosen before the
start: the always-valid interval at any time, or the fixed one once its customers are complete.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec
import numpy as np

from nba.experiments.evidence import NO_CUSTOMERS, ExperimentEvidence
from nba.experiments.experiment import ArmSpec, Experiment, GuardrailSpec, MetricSpec
from nba.measurement.statistics.confidence_sequences import always_valid
from nba.measurement.statistics.effect import Effect, fixed_horizon
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.moments import (
    Moments,
    SampleMean,
    cuped_means,
    proportion,
    sample_mean,
)
from nba.measurement.statistics.multiple_testing import holm
from nba.measurement.statistics.verdict import (
    GuardrailVerdict,
    Metric,
    MetricVerdict,
    guardrail_verdict,
    metric_verdict,
    sentence,
)

Role: TypeAlias = Literal["primary", "secondary", "guardrail"]


class ArmComparison(msgspec.Struct, frozen=True, kw_only=True):
    """One arm against the control on one metric."""

    metric: str
    role: Role
    arm: str
    control_mean: float
    arm_mean: float
    customers: int  # of both, whose window is over
    effect: Effect | Undecided  # of the analysis that was chosen, at its level
    other: Effect | Undecided  # of the other analysis, for information
    p_adjusted: float | None  # after Holm over the comparisons of its role; guardrails: plain
    verdict: MetricVerdict | GuardrailVerdict
    sentence: str


def compare(
    experiment: Experiment, evidence: ExperimentEvidence, tuning_n: int
) -> list[ArmComparison]:
    """Every arm against the control: primary, secondary metrics, guardrails.

    Of the primary metric all arms, and of the secondary ones all arms and metrics, are one family:
    no false claim in it with a probability of 1 - alpha, by Holm. Each interval is at the level at
    which Holm tests it, so that it excludes 0 where the claim is made. Guardrails are judged one
    by one: all of them have to hold.
    """
    comparisons: list[ArmComparison] = []
    listed: list[tuple[Role, Sequence[MetricSpec]]] = [
        ("primary", [experiment.primary]),
        ("secondary", experiment.secondary),
    ]
    for role, metrics in listed:
        pairs = [(metric, arm) for metric in metrics for arm in experiment.arms[1:]]
        family = [_Comparison(experiment, evidence, tuning_n, metric, arm) for metric, arm in pairs]
        levels = holm_levels(
            [comparison.p(experiment.alpha) for comparison in family], experiment.alpha
        )
        comparisons += [
            comparison.comparison(role, level, adjusted_p)
            for comparison, (level, adjusted_p) in zip(family, levels, strict=True)
        ]
    for metric in experiment.guardrails:
        for arm in experiment.arms[1:]:
            comparison = _Comparison(experiment, evidence, tuning_n, metric, arm)
            p = comparison.p(experiment.alpha)
            comparisons.append(comparison.comparison("guardrail", experiment.alpha, p))
    return comparisons


def holm_levels(p: Sequence[float | None], alpha: float) -> list[tuple[float, float | None]]:
    """(level at which Holm tests it, adjusted p) of each; None: no p yet, it counts all the same.

    >>> holm_levels([0.03, 0.2, 0.001], 0.05)
    [(0.025, 0.06), (0.025, 0.2), (0.016666666666666666, 0.003)]
    """
    known = np.array([1.0 if value is None else value for value in p])
    if len(known) == 0:
        return []
    corrected = holm(known)
    levels = np.empty(len(known))
    level = alpha / len(known)
    for rank, at in enumerate(np.argsort(known, kind="stable").tolist()):
        levels[at] = level
        if known[at] <= level and rank + 1 < len(known):
            level = alpha / (len(known) - rank - 1)
    return [
        (float(level), None if raw is None else float(adjusted_p))
        for level, raw, adjusted_p in zip(levels, p, corrected, strict=True)
    ]


def as_metric(spec: MetricSpec) -> Metric:
    """As sentences and verdicts know it."""
    unit = {"any": "points", "count": "per customer", "amount": "per customer"}
    return Metric(
        name=spec.id.replace("_", " "),
        higher_is_better=spec.direction == "higher",
        unit=unit.get(spec.measure, "of reward per customer"),
        margin=spec.margin if isinstance(spec, GuardrailSpec) else 0.0,
    )


class _Comparison:
    """One arm against the control on one metric, under both analyses."""

    def __init__(
        self,
        experiment: Experiment,
        evidence: ExperimentEvidence,
        tuning_n: int,
        metric: MetricSpec,
        arm: ArmSpec,
    ) -> None:
        self._metric = metric
        self._control, self._arm = experiment.arms[0].id, arm.id
        self._cuped = experiment.covariate_days > 0.0
        now = self._levels(evidence.sums)
        due = self._levels(evidence.fixed_sums) if evidence.fixed_sums else None
        self._now = now
        self._by_fixed = experiment.analysis == "fixed"

        def sequential(confidence: float) -> Effect | Undecided:
            return always_valid(*now, tuning_n=tuning_n, confidence=confidence)

        def at_once(confidence: float) -> Effect | Undecided:
            if due is None:
                return Undecided(reason=_not_due(experiment))
            return fixed_horizon(*due, confidence=confidence)

        both = (at_once, sequential) if self._by_fixed else (sequential, at_once)
        self._chosen: Callable[[float], Effect | Undecided]
        self._chosen, self._other = both

    def p(self, alpha: float) -> float | None:
        """Of no difference, by the analysis that was chosen."""
        effect = self._chosen(1.0 - alpha)
        return None if isinstance(effect, Undecided) else effect.p

    def comparison(self, role: Role, level: float, p_adjusted: float | None) -> ArmComparison:
        metric = as_metric(self._metric)
        effect, other = self._chosen(1.0 - level), self._other(1.0 - level)
        a, b = self._now
        verdict = (
            guardrail_verdict(metric, effect)
            if role == "guardrail"
            else metric_verdict(metric, effect)
        )
        return ArmComparison(
            metric=self._metric.id,
            role=role,
            arm=self._arm,
            control_mean=a.mean,
            arm_mean=b.mean,
            customers=a.n + b.n,
            effect=effect,
            other=other,
            p_adjusted=p_adjusted,
            verdict=verdict,
            sentence=sentence(metric, effect, arm=self._arm, baseline=self._control),
        )

    def _levels(self, sums: Mapping[str, Mapping[str, Moments]]) -> tuple[SampleMean, SampleMean]:
        by_arm = sums.get(self._metric.id, {})
        a, b = by_arm.get(self._control, NO_CUSTOMERS), by_arm.get(self._arm, NO_CUSTOMERS)
        if (
            self._metric.measure == "any"
            and sample_mean(a).variance + sample_mean(b).variance == 0.0
        ):
            return _with_one_each(a), _with_one_each(b)
        return cuped_means(a, b) if self._cuped else (sample_mean(a), sample_mean(b))


def _with_one_each(sums: Moments) -> SampleMean:
    """A share of nobody, or of everybody, with one success and one failure more.

    Agresti and Caffo, Simple and Effective Confidence Intervals for Proportions and Differences of
    Proportions, The American Statistician 2000: so that "nobody in either arm" has an interval.
    """
    return proportion(int(sums.y) + 1, sums.n + 2) if sums.n else sample_mean(sums)


def _not_due(experiment: Experiment) -> str:
    if experiment.customers is None:
        return "no number of customers was planned for a single look"
    return f"the {experiment.customers:,} customers of the single look are not complete"
