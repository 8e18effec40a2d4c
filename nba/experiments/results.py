"""What an experiment says: its red lights, then every comparison with its interval.

Nothing is said while a light is red. The claim rests on the analysis that was chosen before the
start: the always-valid interval at any time, or the fixed one once its customers are complete.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec
import numpy as np

from nba.experiments.experiment import ArmSpec, Experiment, GuardrailSpec, MetricSpec
from nba.measurement.off_policy.propensity_audit import Audit
from nba.measurement.statistics.confidence_sequences import always_valid
from nba.measurement.statistics.effect import Effect, fixed
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.moments import Level, Moments, adjusted, plain, share
from nba.measurement.statistics.multiple_testing import holm
from nba.measurement.statistics.sample_ratio import (
    Mismatch,
    anytime_mismatch,
    detectable_loss,
    ratio_mismatch,
)
from nba.measurement.statistics.verdict import Guard, Metric, Verdict, guard, judge, sentence

Role: TypeAlias = Literal["primary", "secondary", "guardrail"]
By: TypeAlias = dict[str, dict[str, Moments]]  # metric id -> arm id -> sums over customers
NONE = Moments()


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What the log holds of one experiment; shards that hold customers of their own add up."""

    exposed: dict[str, int] = {}  # customers by the arm in which they were first decided
    unknown: dict[str, int] = {}  # customers under labels of this experiment that it has no arm for
    strays: int = 0  # customers who were decided in two of its arms
    misplaced: int = 0  # customers in another arm than their id gives, or outside its time
    sums: By = {}  # over customers whose window is over
    fixed_sums: By = {}  # the same over those of the fixed analysis; empty until it is due

    def __add__(self, other: Evidence) -> Evidence:
        return Evidence(
            exposed=_added(self.exposed, other.exposed),
            unknown=_added(self.unknown, other.unknown),
            strays=self.strays + other.strays,
            misplaced=self.misplaced + other.misplaced,
            sums=_summed(self.sums, other.sums),
            fixed_sums=_summed(self.fixed_sums, other.fixed_sums),
        )


class Light(msgspec.Struct, frozen=True, kw_only=True):
    """A check without which no effect means anything."""

    name: str
    red: bool
    detail: str


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
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
    verdict: Verdict | Guard
    sentence: str


def lights(
    experiment: Experiment, evidence: Evidence, audit: Audit | Undecided | str, *, due: bool
) -> list[Light]:
    """The red lights. `due`: the fixed analysis is due, so that one look at chi-square counts.

    `audit`: of the propensities of its decisions, or why they cannot be read.
    """
    return [
        _mismatch(experiment, evidence, due),
        _impossible(experiment, evidence),
        audited(audit),
    ]


def compare(experiment: Experiment, evidence: Evidence, tuning_n: int) -> list[Comparison]:
    """Every arm against the control: primary, secondary metrics, guardrails.

    Of the primary metric all arms, and of the secondary ones all arms and metrics, are one family:
    no false claim in it with a probability of 1 - alpha, by Holm. Each interval is at the level at
    which Holm tests it, so that it excludes 0 where the claim is made. Guardrails are judged one
    by one: all of them have to hold.
    """
    found: list[Comparison] = []
    listed: list[tuple[Role, Sequence[MetricSpec]]] = [
        ("primary", [experiment.primary]),
        ("secondary", experiment.secondary),
    ]
    for role, metrics in listed:
        pairs = [(metric, arm) for metric in metrics for arm in experiment.arms[1:]]
        looks = [_Look(experiment, evidence, tuning_n, metric, arm) for metric, arm in pairs]
        levels = holm_levels([one.p(experiment.alpha) for one in looks], experiment.alpha)
        found += [
            one.comparison(role, level, adjusted_p)
            for one, (level, adjusted_p) in zip(looks, levels, strict=True)
        ]
    for metric in experiment.guardrails:
        for arm in experiment.arms[1:]:
            look = _Look(experiment, evidence, tuning_n, metric, arm)
            p = look.p(experiment.alpha)
            found.append(look.comparison("guardrail", experiment.alpha, p))
    return found


def holm_levels(p: Sequence[float | None], alpha: float) -> list[tuple[float, float | None]]:
    """(level at which Holm tests it, adjusted p) of each; None: no p yet, it counts all the same.

    >>> holm_levels([0.03, 0.2, 0.001], 0.05)
    [(0.025, 0.06), (0.025, 0.2), (0.016666666666666666, 0.003)]
    """
    known = np.array([1.0 if one is None else one for one in p])
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
        (float(one), None if given is None else float(adjusted_p))
        for one, given, adjusted_p in zip(levels, p, corrected, strict=True)
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


class _Look:
    """One arm against the control on one metric, under both analyses."""

    def __init__(
        self,
        experiment: Experiment,
        evidence: Evidence,
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
            return fixed(*due, confidence=confidence)

        both = (at_once, sequential) if self._by_fixed else (sequential, at_once)
        self._chosen: Callable[[float], Effect | Undecided]
        self._chosen, self._other = both

    def p(self, alpha: float) -> float | None:
        """Of no difference, by the analysis that was chosen."""
        found = self._chosen(1.0 - alpha)
        return None if isinstance(found, Undecided) else found.p

    def comparison(self, role: Role, level: float, p_adjusted: float | None) -> Comparison:
        metric = as_metric(self._metric)
        effect, other = self._chosen(1.0 - level), self._other(1.0 - level)
        a, b = self._now
        verdict = guard(metric, effect) if role == "guardrail" else judge(metric, effect)
        return Comparison(
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

    def _levels(self, sums: Mapping[str, Mapping[str, Moments]]) -> tuple[Level, Level]:
        mine = sums.get(self._metric.id, {})
        a, b = mine.get(self._control, NONE), mine.get(self._arm, NONE)
        if self._metric.measure == "any" and plain(a).variance + plain(b).variance == 0.0:
            return _with_one_each(a), _with_one_each(b)
        return adjusted(a, b) if self._cuped else (plain(a), plain(b))


def _with_one_each(sums: Moments) -> Level:
    """A share of nobody, or of everybody, with one success and one failure more.

    Agresti and Caffo, Simple and Effective Confidence Intervals for Proportions and Differences of
    Proportions, The American Statistician 2000: so that "nobody in either arm" has an interval.
    """
    return share(int(sums.y) + 1, sums.n + 2) if sums.n else plain(sums)


def _not_due(experiment: Experiment) -> str:
    if experiment.customers is None:
        return "no number of customers was planned for a single look"
    return f"the {experiment.customers:,} customers of the single look are not complete"


def _mismatch(experiment: Experiment, evidence: Evidence, due: bool) -> Light:
    """Whether the arms hold the shares that they were given."""
    names = [arm.id for arm in experiment.arms]
    counts = [evidence.exposed.get(name, 0) for name in names]
    shares = [arm.share for arm in experiment.arms]
    once, ever = ratio_mismatch(counts, shares, names), anytime_mismatch(counts, shares, names)
    told = ", ".join(f"{name} {n:,}" for name, n in zip(names, counts, strict=True))
    if isinstance(once, Undecided) or isinstance(ever, Undecided):
        reason = once.reason if isinstance(once, Undecided) else told
        return Light(name="sample ratio", red=False, detail=reason)
    assert isinstance(ever, Mismatch)
    red = ever.broken or (due and once.broken)
    detail = f"customers: {told}; p {ever.p:.2g} at every look, {once.p:.2g} at one"
    if red:
        detail += ": customers of one arm were lost on the way, find out where"
    elif not isinstance(loss := detectable_loss(once.n, shares), Undecided):
        detail += f"; a loss of {loss:.1%} of one arm would show"
    return Light(name="sample ratio", red=red, detail=detail)


def _impossible(experiment: Experiment, evidence: Evidence) -> Light:
    """What cannot be, wherever chance falls."""
    found = [f"{n:,} customers in an arm {name!r}" for name, n in sorted(evidence.unknown.items())]
    if evidence.strays:
        found.append(f"{evidence.strays:,} customers in two arms")
    if evidence.misplaced:
        found.append(
            f"{evidence.misplaced:,} customers in another arm than their id gives, or before it "
            "began or after it ended"
        )
    detail = "; ".join(found) or "nobody in two arms, in an unknown one, or in the wrong one"
    return Light(name="impossible arms", red=bool(found), detail=detail)


def audited(audit: Audit | Undecided | str) -> Light:
    """The light of an audit, or of why there is none that could be true."""
    name = "propensities"
    if isinstance(audit, str):
        return Light(name=name, red=True, detail=audit)
    if isinstance(audit, Undecided):
        return Light(name=name, red=False, detail=audit.reason)
    detail = (
        f"{audit.n:,} decisions: p {audit.p:.2g}, mean weight {audit.mean_weight:.3f} "
        f"(standard error {audit.weight_error:.3f})"
    )
    if audit.alarm:
        detail += ": actions are not drawn as often as their propensities say"
    return Light(name=name, red=audit.alarm, detail=detail)


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}


def _summed(one: By, other: By) -> By:
    return {
        metric: {
            arm: one.get(metric, {}).get(arm, NONE) + other.get(metric, {}).get(arm, NONE)
            for arm in {**one.get(metric, {}), **other.get(metric, {})}
        }
        for metric in {**one, **other}
    }
