"""Value a change of the journey file on the decisions that were logged.

First order: each decision is made again on what was known then. What a changed rule would have done
to the contexts that followed (another cap leaves other contacts behind) is not in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from nba.decisions.decision import Decision, Mode
from nba.engine.redecision import chances
from nba.measurement.off_policy import estimators
from nba.measurement.off_policy.cross_fitting import CandidateRows, CrossFitted, cross_fit
from nba.measurement.off_policy.evaluation import PolicyGain, by_model, policy_gain
from nba.measurement.off_policy.logged_decisions import (
    GATE_REQUIREMENTS,
    Floats,
    LoggedDecisions,
    OverlapRequirements,
    logged_decisions,
)
from nba.measurement.off_policy.support import UNSUPPORTED, LeftOut, answering, arm_of
from nba.measurement.statistics.estimate import Undecided
from training.data.target_policies import FOLDS, MIN_CUSTOMERS, boosted


class Redecided(NamedTuple):
    """One logged decision with the probabilities of both versions, by action."""

    decision: Decision
    old: Mapping[str, float]
    new: Mapping[str, float]


class WhatIf(msgspec.Struct, frozen=True, kw_only=True):
    """The new version minus the old one, both with the champion, in EUR per decision."""

    decisions: int  # live ones whose reward is complete
    customers: int
    without_reward: int  # live ones left out: too young, or they do not count
    moved: float  # expected number that come out otherwise, of those not left out
    left_out: LeftOut  # with a complete reward, of arms that cannot answer for the change
    unsupported: float  # share of what moves, on actions that the log could not draw
    gain: PolicyGain | Undecided  # from rewards
    by_model: Undecided  # what a reward model alone says: its error has no interval


def what_if(
    decisions: Sequence[Redecided],
    rewards: Mapping[str, float],
    *,
    requirements: OverlapRequirements = GATE_REQUIREMENTS,
    seed: int = 1,
) -> WhatIf:
    """Estimate what the change would have been worth.

    `rewards`: EUR by decision id, complete ones. A version that would draw what the log could not
    (a cap that is looser, say) cannot be judged from rewards, only by the model.
    """
    live = [decision for decision in decisions if decision.decision.mode is Mode.LIVE]
    rewarded = [redecided for redecided in live if redecided.decision.decision_id in rewards]
    rewarded, left_out = _answering(rewarded)
    moved = sum(_moved(redecided) for redecided in rewarded)
    unsupported = sum(_unsupported(redecided) for redecided in rewarded)
    share = unsupported / moved if moved > 0 else 0.0
    figures = {
        "decisions": len(rewarded),
        "customers": len({redecided.decision.request.customer_id for redecided in rewarded}),
        "without_reward": len(live) - len(rewarded),
    }
    gain: PolicyGain | Undecided
    model_says: Undecided
    refused = _refused(rewarded, moved)
    if refused is not None:
        gain = model_says = refused
    else:
        new, old = _evidence(rewarded, rewards, seed)
        model_says = _by_model(new, old)
        gain = policy_gain(new, old, requirements=requirements, seed=seed)
        if share > UNSUPPORTED:
            gain = Undecided(
                reason=f"{share:.1%} of what the change moves is on actions that the log could not "
                "draw: rewards say nothing of them; a lifted_share on the rule would"
            )
    return WhatIf(
        decisions=figures["decisions"],
        customers=figures["customers"],
        without_reward=figures["without_reward"],
        moved=moved,
        unsupported=share,
        left_out=left_out,
        gain=gain,
        by_model=model_says,
    )


def _answering(rewarded: list[Redecided]) -> tuple[list[Redecided], LeftOut]:
    """The decisions of arms that can answer for what the change moves."""
    rows, left_out = answering(
        [arm_of(redecided.decision.arms) for redecided in rewarded],
        np.array([_unsupported(redecided) for redecided in rewarded]),
        np.array([_moved(redecided) for redecided in rewarded]),
    )
    return [redecided for redecided, kept in zip(rewarded, rows, strict=True) if kept], left_out


def _refused(rewarded: Sequence[Redecided], moved: float) -> Undecided | None:
    if not rewarded:
        return Undecided(reason="no live decision has a complete reward")
    if moved <= 1e-9 * len(rewarded):
        return Undecided(reason="both versions draw alike on every decision")
    return None


def _moved(redecided: Redecided) -> float:
    """The probability of another draw: total variation."""
    names = redecided.old.keys() | redecided.new.keys()
    return 0.5 * sum(
        abs(redecided.new.get(name, 0.0) - redecided.old.get(name, 0.0)) for name in names
    )


def _unsupported(redecided: Redecided) -> float:
    """What the new version adds on actions that had no probability in the log."""
    possible = {
        candidate.action_id
        for candidate in redecided.decision.candidates
        if candidate.propensity > 0
    }
    added = ((name, p - redecided.old.get(name, 0.0)) for name, p in redecided.new.items())
    return sum(more for name, more in added if more > 0 and name not in possible)


def _evidence(
    rewarded: Sequence[Redecided], rewards: Mapping[str, float], seed: int
) -> tuple[LoggedDecisions, LoggedDecisions]:
    """The decisions under the new version and under the old one."""
    names = sorted(
        {
            name
            for redecided in rewarded
            for name in (redecided.decision.action_id, *redecided.old, *redecided.new)
        }
    )
    code = {name: n for n, name in enumerate(names)}
    earned = np.array([rewards[redecided.decision.decision_id] for redecided in rewarded])
    of, codes, both = [], [], []
    for n, redecided in enumerate(rewarded):
        for name in dict.fromkeys((*redecided.old, *redecided.new)):
            of.append(n)
            codes.append(code[name])
            both.append((redecided.new.get(name, 0.0), redecided.old.get(name, 0.0)))
    flat, shares = np.array(of, dtype=np.int64), np.array(both)
    customers = np.array([redecided.decision.request.customer_id for redecided in rewarded])
    model = _model(rewarded, code, earned, customers, flat, np.array(codes, dtype=float), seed)
    drawn = [redecided.decision.action_id for redecided in rewarded]
    draws = chances([redecided.decision for redecided in rewarded])
    propensity = np.array([redecided.decision.propensity for redecided in rewarded])
    evidence = []
    for side, version in enumerate(("new", "old")):
        logged_share = [
            getattr(redecided, version).get(name, 0.0)
            for redecided, name in zip(rewarded, drawn, strict=True)
        ]
        expected = None
        if model is not None:
            expected = np.bincount(flat, shares[:, side] * model.offered, minlength=len(rewarded))
        evidence.append(
            logged_decisions(
                np.array(logged_share),
                propensity,
                earned,
                customers,
                q_logged=None if model is None else model.logged,
                q_target=expected,
                draws=draws,
            )
        )
    return evidence[0], evidence[1]


def _model(
    rewarded: Sequence[Redecided],
    code: Mapping[str, int],
    earned: Floats,
    customers: np.ndarray,
    of: np.ndarray,
    codes: Floats,
    seed: int,
) -> CrossFitted | None:
    """Rewards by the logged context and the action; None where contexts differ in their columns."""
    schemas = {redecided.decision.context_schema for redecided in rewarded}
    if len(schemas) != 1 or len(np.unique(customers)) < MIN_CUSTOMERS:
        return None
    contexts = np.array(
        [np.frombuffer(redecided.decision.context, dtype="<f8") for redecided in rewarded]
    )
    drawn = np.array([code[redecided.decision.action_id] for redecided in rewarded], dtype=float)

    def rows(chosen: np.ndarray) -> Floats:
        return np.column_stack([codes[chosen], contexts[of[chosen]]])

    return cross_fit(
        lambda fold: boosted(seed + fold),
        np.column_stack([drawn, contexts]),
        earned,
        customers,
        CandidateRows(of, rows),
        folds=FOLDS,
        seed=seed,
    )


def _by_model(new: LoggedDecisions, old: LoggedDecisions) -> Undecided:
    new_scores, old_scores = estimators.dm(new), estimators.dm(old)
    if isinstance(new_scores, Undecided) or isinstance(old_scores, Undecided):
        return estimators.NO_MODEL
    return by_model(new_scores.minus(old_scores))
