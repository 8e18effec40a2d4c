"""Logged decisions as off-policy evaluation sees them, and whether they can answer at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from nba.errors import InvalidInput
from nba.measurement.off_policy.propensity_audit import (
    DrawProbabilities,
    chosen_by_draw,
)
from nba.measurement.off_policy.support import UNSUPPORTED, LeftOut, answering
from nba.measurement.statistics.estimate import Undecided, effective_sample_size

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class LoggedDecisions:
    """n decisions whose reward is known, and what another policy would have drawn; arrays (n,).

    `q_logged` and `q_target` come from a reward model that has seen none of the customer's own
    rows: q(x, drawn action) and sum_a pi(a | x) q(x, a).
    """

    target: Floats  # pi(drawn action | x)
    propensity: Floats  # P(drawn action | x) when it was drawn, in (0, 1]
    rewards: Floats
    customers: NDArray[np.int64]  # codes from 0, without gaps
    positive: NDArray[np.bool_]  # where something came of the decision
    supported: Floats | None = None  # sum of pi(a | x) over what could have been drawn; None: all
    q_logged: Floats | None = None
    q_target: Floats | None = None
    immature: int = 0  # decisions left out because their reward window is not over
    arms: NDArray[np.str_] | None = None  # of their customers, "" for none; None: of nobody
    draws: DrawProbabilities | None = None  # of these decisions; None where the log has not all
    left_out: LeftOut = LeftOut()  # of other arms

    @property
    def n(self) -> int:
        return len(self.rewards)

    @cached_property
    def weights(self) -> Floats:
        """w = pi(drawn | x) / propensity."""
        return self.target / self.propensity

    def with_target(
        self, target: Floats, q_target: Floats | None = None, supported: Floats | None = None
    ) -> LoggedDecisions:
        """The same decisions under another target."""
        return replace(self, target=target, q_target=q_target, supported=supported)

    def of_rows(self, rows: NDArray[np.bool_], left_out: LeftOut) -> LoggedDecisions:
        """Some of the decisions, (n,)."""

        def cut(values: NDArray[Any] | None) -> NDArray[Any] | None:
            return None if values is None else values[rows]

        return replace(
            self,
            target=self.target[rows],
            propensity=self.propensity[rows],
            rewards=self.rewards[rows],
            customers=_codes(self.customers[rows]),
            positive=self.positive[rows],
            supported=cut(self.supported),
            q_logged=cut(self.q_logged),
            q_target=cut(self.q_target),
            arms=cut(self.arms),
            draws=None if self.draws is None else self.draws.of_rows(rows),
            left_out=left_out,
        )


class AnsweringDecisions(NamedTuple):
    """The logged decisions that can answer for all of some targets."""

    rows: NDArray[np.bool_]  # (n,) which of all they are
    policies: list[LoggedDecisions]  # these rows under each target


def answering_decisions(*policies: LoggedDecisions) -> AnsweringDecisions:
    """The same decisions under one or more targets, without the arms that cannot answer for one."""
    first = policies[0]
    rows, left_out = np.ones(first.n, dtype=bool), LeftOut()
    if first.arms is not None and first.n:
        supported = [policy.supported for policy in policies if policy.supported is not None]
        least = np.min(supported, axis=0) if supported else np.ones(first.n)
        rows, left_out = answering(first.arms.tolist(), 1.0 - least, np.ones(first.n))
    if not left_out.decisions:
        return AnsweringDecisions(rows, list(policies))
    return AnsweringDecisions(rows, [policy.of_rows(rows, left_out) for policy in policies])


def logged_decisions(
    target: np.ndarray,
    propensity: np.ndarray,
    rewards: np.ndarray,
    customers: np.ndarray | None = None,
    *,
    positive: np.ndarray | None = None,
    supported: np.ndarray | None = None,
    q_logged: np.ndarray | None = None,
    q_target: np.ndarray | None = None,
    immature: int = 0,
    arms: np.ndarray | None = None,
    draws: DrawProbabilities | None = None,
) -> LoggedDecisions:
    """Logged decisions from arrays (n,).

    `customers`: anything that tells them apart, in order of time; without it every decision is one
    of its own. `positive`: by default where the reward is above 0. Raises InvalidInput for arrays
    of other lengths, values that are not finite, and probabilities that are none.
    """
    codes = np.arange(len(rewards)) if customers is None else _codes(customers)
    decisions = LoggedDecisions(
        target=np.asarray(target, dtype=float),
        propensity=np.asarray(propensity, dtype=float),
        rewards=np.asarray(rewards, dtype=float),
        customers=codes,
        positive=np.asarray(rewards > 0 if positive is None else positive, dtype=bool),
        supported=None if supported is None else np.asarray(supported, dtype=float),
        q_logged=None if q_logged is None else np.asarray(q_logged, dtype=float),
        q_target=None if q_target is None else np.asarray(q_target, dtype=float),
        immature=immature,
        arms=None if arms is None else np.asarray(arms, dtype=str),
        draws=draws,
    )
    _check(decisions)
    return decisions


def _codes(customers: np.ndarray) -> NDArray[np.int64]:
    """Customers by their first decision: sequences over customers follow the order of time."""
    _, first, codes = np.unique(customers, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[codes]


def _check(decisions: LoggedDecisions) -> None:
    for name in ("target", "propensity", "rewards", "supported", "q_logged", "q_target"):
        values = getattr(decisions, name)
        if values is None:
            continue
        if values.shape != (decisions.n,):
            raise InvalidInput(name, values.shape, f"one number a decision: ({decisions.n},)")
        if not np.isfinite(values).all():
            raise InvalidInput(name, values[~np.isfinite(values)][0], "finite numbers")
    if ((decisions.propensity <= 0) | (decisions.propensity > 1)).any():
        raise InvalidInput("propensity", float(decisions.propensity.min()), "in (0, 1]")
    if ((decisions.target < 0) | (decisions.target > 1 + 1e-9)).any():
        raise InvalidInput("target", float(decisions.target.max()), "in [0, 1]")


class OverlapRequirements(msgspec.Struct, frozen=True, kw_only=True):
    """What the overlap must hold before there is an estimate."""

    ess: float = 200.0
    positives: float = 30.0
    customers: int = 30
    largest_share: float = 0.05  # of all weight, in one customer
    unsupported: float = UNSUPPORTED  # share of the target's probability
    immature_share: float = 0.5


REQUIREMENTS = OverlapRequirements()
# A difference requires more: at an effective size of 240 with weights up to 50, 9 % of the
# intervals lay above the truth instead of 2.5 % (benchmarks/off_policy/ope_bank.py, champion by
# chance).
GATE_REQUIREMENTS = OverlapRequirements(ess=500.0)


class Overlap(msgspec.Struct, frozen=True, kw_only=True):
    """How far the logged decisions answer for a target."""

    n: int
    customers: int
    immature: int
    ess: float  # effective sample size, (sum w)^2 / sum w^2 (Kish)
    positives: float  # the same of the decisions that something came of
    largest_share: float  # of all weight, in one customer
    mean_weight: float  # 1 where the log supports the target and its probabilities are right
    stderr_weight: float
    supported: float  # share of the target's probability on what could have been drawn
    left_out: LeftOut = LeftOut()
    chosen_by_draw: str = ""  # why these decisions cannot be all that were drawn; empty: they can


def overlap(decisions: LoggedDecisions) -> Overlap:
    """How far these decisions answer for their target: what `refusal` reads."""
    w, n = decisions.weights, decisions.n
    n_customers = int(decisions.customers.max()) + 1 if n else 0
    by_customer = np.bincount(decisions.customers, weights=w, minlength=n_customers)
    mean = float(w.mean()) if n else 0.0
    deviations = np.bincount(decisions.customers, weights=w - mean, minlength=n_customers)
    supported = decisions.supported
    return Overlap(
        n=n,
        customers=n_customers,
        immature=decisions.immature,
        ess=effective_sample_size(w),
        positives=effective_sample_size(w[decisions.positive]),
        largest_share=float(by_customer.max() / w.sum()) if w.any() else 0.0,
        mean_weight=mean,
        stderr_weight=float(np.sqrt((deviations**2).sum())) / n if n else 0.0,
        supported=1.0 if supported is None or n == 0 else float(supported.mean()),
        left_out=decisions.left_out,
        chosen_by_draw=chosen_by_draw(decisions.draws),
    )


def immature_refusal(
    immature: int, mature: int, requirements: OverlapRequirements = REQUIREMENTS
) -> Undecided | None:
    """Why decisions are not evaluated yet: for most of them nobody knows what came of them."""
    total = immature + mature
    if total == 0 or immature <= requirements.immature_share * total:
        return None
    return Undecided(
        reason=f"{immature} of {total} decisions are younger than the reward window, "
        f"over {requirements.immature_share:.0%}"
    )


def refusal(support: Overlap, requirements: OverlapRequirements = REQUIREMENTS) -> Undecided | None:
    """Why there is no number, and what was left out of it; None where there can be one."""
    refused = _refusal(support, requirements)
    if refused is None or not support.left_out.decisions:
        return refused
    return Undecided(reason=f"{refused.reason}; {support.left_out.text}")


def _refusal(support: Overlap, requirements: OverlapRequirements) -> Undecided | None:
    """Why there is no number, None where there can be one.

    The mean weight is 1 in expectation wherever the target stays on the log's support and the
    propensities are those of the draw; 4 standard errors and 5 % away it is not.
    """
    immature = immature_refusal(support.immature, support.n, requirements)
    if immature is not None:
        return immature
    if support.chosen_by_draw:
        return Undecided(reason=support.chosen_by_draw)
    unsupported = 1.0 - support.supported
    if unsupported > requirements.unsupported:
        return Undecided(
            reason=f"{unsupported:.1%} of the target's probability is on actions that the log "
            f"could not draw, over {requirements.unsupported:.0%}"
        )
    if support.ess < requirements.ess:
        return Undecided(
            reason=f"effective sample size {support.ess:.1f} of {support.n} decisions, "
            f"under {requirements.ess:.0f}"
        )
    if support.positives < requirements.positives:
        return Undecided(
            reason=f"{support.positives:.1f} effective positives where log and target overlap, "
            f"under {requirements.positives:.0f}"
        )
    if support.customers < requirements.customers:
        return Undecided(
            reason=f"decisions of {support.customers} customers, "
            f"{requirements.customers} are needed"
        )
    if support.largest_share > requirements.largest_share:
        return Undecided(
            reason=f"one customer holds {support.largest_share:.1%} of all weight, "
            f"over {requirements.largest_share:.0%}"
        )
    off = abs(support.mean_weight - 1.0)
    if off > 0.05 and off > 4 * support.stderr_weight:
        return Undecided(
            reason=f"the mean weight is {support.mean_weight:.3f} and not 1: the target is where "
            "the log has nothing, or the logged propensities are not those of the draw"
        )
    return None
