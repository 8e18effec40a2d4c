"""How a customer is decided, and the candidates of each decision with their worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from nba.decisions.decision import Churn
from nba.engine.arbitration import Arbitration, ArbitrationInputs, Priorities
from nba.engine.policy import ExplorationPolicy, Floats, mixed
from nba.engine.scorer import CalibratedScorer
from nba.governance.governor import Governed
from nba.journey.exploration import Exploration


class Challenger(NamedTuple):
    """A bundle in shadow, with its known share of every draw."""

    scorer: CalibratedScorer
    share: float


class Strategy(NamedTuple):
    """How the customers of one arm are decided; without a scorer the owner's fallback decides."""

    exploration: Exploration
    exploration_policy: ExplorationPolicy
    scorer: CalibratedScorer | None = None
    fallback_reason: str = ""  # why there is no scorer
    challenger: Challenger | None = None

    @property
    def name(self) -> str:
        """The whole draw, as decisions log it."""
        if self.challenger is None:
            return self.exploration_policy.name
        return f"{self.exploration_policy.name}, challenger {self.challenger.share:g}"


class Arm(NamedTuple):
    """What the experiments, the random slice and a rollout mean for one customer."""

    labels: tuple[str, ...]  # as decisions log them: experiment.arm, random_slice, canary, control
    dropped_rules: frozenset[str] = frozenset()  # rules, weights and levers that are left out
    strategy: Strategy | None = None  # None: the one that serves everybody


class Arms(Protocol):
    """Who is in which arm."""

    def of(self, customer_id: str) -> Arm:
        """The arms of a customer, always the same while the experiments run."""


class SameArm(NamedTuple):
    """Everybody in the arms that decisions have logged, under the pipeline's own strategy."""

    labels: tuple[str, ...] = ()
    dropped_rules: frozenset[str] = frozenset()

    def of(self, customer_id: str) -> Arm:
        """The same for everybody."""
        return Arm(self.labels, self.dropped_rules)


NO_ARMS = SameArm()


class ScoredCandidates(NamedTuple):
    """One request's candidates with their worth, and what is known of the customer."""

    governed: Governed
    priorities: Priorities
    probabilities: Floats  # NaN where they are not known
    churn: Churn | None
    challenged: bool = False  # whether a challenger had its share of the draw
    knows_churn: bool = True  # whether the bundle has a model of leaving

    @property
    def not_finite(self) -> str | None:
        """What is no finite number and would enter the draw; None where all are."""
        if self.churn is None and self.knows_churn:
            return "the churn risk"
        codes = self.priorities.codes[~self.priorities.finite]
        if len(codes):
            return f"the worth of {len(codes)} of {len(self.priorities.codes)} candidates"
        return None if np.isfinite(self.probabilities).all() else "the probabilities of the draw"


def scored(
    strategy: Strategy,
    arbitration: Arbitration,
    governed: Sequence[Governed],
    inputs: Sequence[ArbitrationInputs],
    churns: Sequence[Churn | None],
) -> list[ScoredCandidates]:
    """Every request's candidates under a strategy that has a scorer.

    Where the challenger gives no finite worth it has no share of the draw.
    """
    assert strategy.scorer is not None
    policy = strategy.exploration_policy
    priorities = _priorities(strategy.scorer, arbitration, governed, inputs)
    own = _drawn(policy, priorities, strategy.scorer)
    other: list[Floats | None] = [None] * len(governed)
    share = 0.0
    if strategy.challenger is not None:
        rival, share = strategy.challenger
        other = _drawn(policy, _priorities(rival, arbitration, governed, inputs), rival)
    return [
        ScoredCandidates(
            governed=governed[n],
            priorities=each,
            probabilities=np.full(len(each.codes), np.nan)
            if (drawn := own[n]) is None
            else mixed(drawn, floor=policy.floor, challenger=other[n], share=share),
            churn=churns[n],
            challenged=other[n] is not None,
            knows_churn=strategy.scorer.base.knows_churn,
        )
        for n, each in enumerate(priorities)
    ]


def _drawn(
    policy: ExplorationPolicy, priorities: Sequence[Priorities], scorer: CalibratedScorer
) -> list[Floats | None]:
    """The policy's probabilities; None where a worth is no finite number."""
    return [
        policy.policy.probabilities(each.worth(scorer.exposures)) if each.finite.all() else None
        for each in priorities
    ]


def _priorities(
    scorer: CalibratedScorer,
    arbitration: Arbitration,
    governed: Sequence[Governed],
    inputs: Sequence[ArbitrationInputs],
) -> list[Priorities]:
    return [
        arbitration.priorities(
            each.codes, scores, customer_inputs, learned_value=scorer.learns_value
        )
        for each, scores, customer_inputs in zip(
            governed, scorer.scores(governed), inputs, strict=True
        )
    ]
