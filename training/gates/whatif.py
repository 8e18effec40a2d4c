"""What if the journey file were another: its value on the decisions that were logged.

First order: each decision is looked at on what was known then. What a changed rule would have done
to the contexts that followed (another cap leaves other contacts behind) is not in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from nba.decisions.decision import Decision, Mode
from nba.measurement.off_policy import estimators
from nba.measurement.off_policy.cross_fitting import CandidateRows, CrossFitted, cross_fit
from nba.measurement.off_policy.evaluation import PolicyGain, policy_gain, policy_value
from nba.measurement.off_policy.logged_decisions import (
    GATE_REQUIREMENTS,
    Floats,
    LoggedDecisions,
    OverlapRequirements,
    logged_decisions,
)
from nba.measurement.statistics.estimate import Estimate, Undecided
from training.data.target_policies import FOLDS, MIN_CUSTOMERS, boosted

UNSUPPORTED = 0.01  # share of what moves that may be on actions that the log could not draw


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
    moved: float  # expected number that come out otherwise
    unsupported: float  # share of what moves, on actions that the log could not draw
    gain: PolicyGain | Undecided  # from rewards
    by_model: Estimate | Undecided  # by a reward model alone: its interval leaves its error out


def what_if(
    decisions: Sequence[Redecided],
    rewards: Mapping[str, float],
    *,
    requirements: OverlapRequirements = GATE_REQUIREMENTS,
    seed: int = 1,
) -> WhatIf:
    """What the change would have been worth.

    `rewards`: EUR by decision id, complete ones. A version that would draw what the log could not
    (a cap that is looser, say) cannot be judged from rewards: then only the model says something.
    """
    live = [decision for decision in decisions if decision.decision.mode is Mode.LIVE]
    seen = [one for one in live if one.decision.decision_id in rewards]
    moved = sum(_moved(one) for one in seen)
    gone = sum(_unsupported(one) for one in seen)
    share = gone / moved if moved > 0 else 0.0
    figures = {
        "decisions": len(seen),
        "customers": len({one.decision.request.customer_id for one in seen}),
        "without_reward": len(live) - len(seen),
    }
    found: PolicyGain | Undecided
    by_model: Estimate | Undecided
    refused = _refused(seen, moved)
    if refused is not None:
        found = by_model = refused
    else:
        new, old = _evidence(seen, rewards, seed)
        by_model = _by_model(new, old, seed)
        found = policy_gain(new, old, requirements=requirements, seed=seed)
        if share > UNSUPPORTED:
            found = Undecided(
                reason=f"{share:.1%} of what the change moves is on actions that the log could not "
                "draw: rewards say nothing of them; a lifted_share on the rule would"
            )
    return WhatIf(
        decisions=figures["decisions"],
        customers=figures["customers"],
        without_reward=figures["without_reward"],
        moved=moved,
        unsupported=share,
        gain=found,
        by_model=by_model,
    )


def _refused(seen: Sequence[Redecided], moved: float) -> Undecided | None:
    if not seen:
        return Undecided(reason="no live decision has a complete reward")
    if moved <= 1e-9 * len(seen):
        return Undecided(reason="both versions draw alike on every decision")
    return None


def _moved(one: Redecided) -> float:
    """The probability of another draw: total variation."""
    names = one.old.keys() | one.new.keys()
    return 0.5 * sum(abs(one.new.get(name, 0.0) - one.old.get(name, 0.0)) for name in names)


def _unsupported(one: Redecided) -> float:
    """What the new version adds on actions that had no probability in the log."""
    possible = {each.action_id for each in one.decision.candidates if each.propensity > 0}
    added = ((name, p - one.old.get(name, 0.0)) for name, p in one.new.items())
    return sum(more for name, more in added if more > 0 and name not in possible)


def _evidence(
    seen: Sequence[Redecided], rewards: Mapping[str, float], seed: int
) -> tuple[LoggedDecisions, LoggedDecisions]:
    """The decisions under the new version and under the old one."""
    names = sorted({name for one in seen for name in (one.decision.action_id, *one.old, *one.new)})
    code = {name: n for n, name in enumerate(names)}
    earned = np.array([rewards[one.decision.decision_id] for one in seen])
    of, codes, chances = [], [], []
    for n, one in enumerate(seen):
        for name in dict.fromkeys((*one.old, *one.new)):
            of.append(n)
            codes.append(code[name])
            chances.append((one.new.get(name, 0.0), one.old.get(name, 0.0)))
    flat, shares = np.array(of, dtype=np.int64), np.array(chances)
    customers = np.array([one.decision.request.customer_id for one in seen])
    model = _model(seen, code, earned, customers, flat, np.array(codes, dtype=float), seed)
    drawn = [one.decision.action_id for one in seen]
    propensity = np.array([one.decision.propensity for one in seen])
    found = []
    for side, version in enumerate(("new", "old")):
        mine = [getattr(one, version).get(name, 0.0) for one, name in zip(seen, drawn, strict=True)]
        expected = None
        if model is not None:
            expected = np.bincount(flat, shares[:, side] * model.offered, minlength=len(seen))
        found.append(
            logged_decisions(
                np.array(mine),
                propensity,
                earned,
                customers,
                q_logged=None if model is None else model.logged,
                q_target=expected,
            )
        )
    return found[0], found[1]


def _model(
    seen: Sequence[Redecided],
    code: Mapping[str, int],
    earned: Floats,
    customers: np.ndarray,
    of: np.ndarray,
    codes: Floats,
    seed: int,
) -> CrossFitted | None:
    """Rewards by the logged context and the action; None where contexts differ in their columns."""
    schemas = {one.decision.context_schema for one in seen}
    if len(schemas) != 1 or len(np.unique(customers)) < MIN_CUSTOMERS:
        return None
    contexts = np.array([np.frombuffer(one.decision.context, dtype="<f8") for one in seen])
    drawn = np.array([code[one.decision.action_id] for one in seen], dtype=float)

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


def _by_model(new: LoggedDecisions, old: LoggedDecisions, seed: int) -> Estimate | Undecided:
    one, other = estimators.dm(new), estimators.dm(old)
    if isinstance(one, Undecided) or isinstance(other, Undecided):
        return estimators.NO_MODEL
    found = policy_value(one.minus(other), new, method="dm", seed=seed)
    return found if isinstance(found, Undecided) else found.estimate
