"""Check the sample ratio, the arms and the propensities before any effect is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec
import numpy as np

from nba.decisions.decision import Decision, Mode
from nba.errors import InvalidInput
from nba.experiments.evidence import ExperimentEvidence
from nba.experiments.experiment import Experiment
from nba.measurement.off_policy.propensity_audit import (
    DrawCounts,
    PropensityAudit,
    audit_propensities,
    draw_counts,
)
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.sample_ratio import (
    Mismatch,
    anytime_mismatch,
    detectable_loss,
    ratio_mismatch,
)


class ValidityCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A check without which no effect means anything."""

    name: str
    red: bool
    detail: str


def validity_checks(
    experiment: Experiment,
    evidence: ExperimentEvidence,
    audit: PropensityAudit | Undecided | str,
    *,
    due: bool,
) -> list[ValidityCheck]:
    """Every check. `due`: the fixed analysis is due, so that one look at chi-square counts.

    `audit`: of the propensities of its decisions, or why they cannot be read.
    """
    return [
        _mismatch(experiment, evidence, due),
        _impossible(experiment, evidence),
        propensity_check(audit),
    ]


def _mismatch(experiment: Experiment, evidence: ExperimentEvidence, due: bool) -> ValidityCheck:
    """Whether the arms hold the shares that they were given."""
    names = [arm.id for arm in experiment.arms]
    counts = [evidence.exposed.get(name, 0) for name in names]
    shares = [arm.share for arm in experiment.arms]
    once, ever = ratio_mismatch(counts, shares, names), anytime_mismatch(counts, shares, names)
    customers = ", ".join(f"{name} {n:,}" for name, n in zip(names, counts, strict=True))
    if isinstance(once, Undecided) or isinstance(ever, Undecided):
        reason = once.reason if isinstance(once, Undecided) else customers
        return ValidityCheck(name="sample ratio", red=False, detail=reason)
    assert isinstance(ever, Mismatch)
    red = ever.broken or (due and once.broken)
    detail = f"customers: {customers}; p {ever.p:.2g} at every look, {once.p:.2g} at one"
    if red:
        detail += ": customers of one arm were lost on the way, find out where"
    elif not isinstance(loss := detectable_loss(once.n, shares), Undecided):
        detail += f"; a loss of {loss:.1%} of one arm would show"
    return ValidityCheck(name="sample ratio", red=red, detail=detail)


def _impossible(experiment: Experiment, evidence: ExperimentEvidence) -> ValidityCheck:
    """What cannot be, wherever chance falls."""
    problems = [
        f"{n:,} customers in an arm {name!r}" for name, n in sorted(evidence.unknown.items())
    ]
    if evidence.strays:
        problems.append(f"{evidence.strays:,} customers in two arms")
    if evidence.misplaced:
        problems.append(
            f"{evidence.misplaced:,} customers in another arm than their id gives, or before it "
            "began or after it ended"
        )
    detail = "; ".join(problems) or "nobody in two arms, in an unknown one, or in the wrong one"
    return ValidityCheck(name="impossible arms", red=bool(problems), detail=detail)


def propensity_check(audit: PropensityAudit | Undecided | str) -> ValidityCheck:
    """The check of an audit, or of why there is none that could be true."""
    name = "propensities"
    if isinstance(audit, str):
        return ValidityCheck(name=name, red=True, detail=audit)
    if isinstance(audit, Undecided):
        return ValidityCheck(name=name, red=False, detail=audit.reason)
    detail = (
        f"{audit.n:,} decisions: p {audit.p:.2g}, mean weight {audit.mean_weight:.3f} "
        f"(standard error {audit.weight_error:.3f})"
    )
    if audit.alarm:
        detail += ": actions are not drawn as often as their propensities say"
    return ValidityCheck(name=name, red=audit.alarm, detail=detail)


def audit_decisions(
    pages: Iterable[list[Decision]], concerns: Callable[[Decision], bool]
) -> PropensityAudit | Undecided | str:
    """The audit of the propensities of live decisions, or why they cannot be true."""
    counts = DrawCounts()
    try:
        for page in pages:
            live = [
                decision for decision in page if decision.mode is Mode.LIVE and concerns(decision)
            ]
            if live:
                counts = counts + _draw_counts(live)
    except InvalidInput as error:
        return str(error)
    return audit_propensities(counts)


def _draw_counts(decisions: Sequence[Decision]) -> DrawCounts:
    names = sorted(
        {candidate.action_id for decision in decisions for candidate in decision.candidates}
    )
    at = {name: n for n, name in enumerate(names)}
    probabilities = np.zeros((len(decisions), len(names)))
    for row, decision in zip(probabilities, decisions, strict=True):
        for candidate in decision.candidates:
            row[at[candidate.action_id]] = candidate.propensity
    drawn = np.array([at[decision.action_id] for decision in decisions])
    return draw_counts(tuple(names), probabilities, drawn)
