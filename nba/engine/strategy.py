"""Scoring: who decides for a customer, and the candidates of each decision with their worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from nba.customer.context import Context
from nba.decisions.decision import Churn
from nba.engine.arbitration import Arbitration, ArbitrationInputs, Priorities, Residual, Scorer
from nba.engine.policy import ExplorationPolicy, Floats, Worth, mixed
from nba.governance.governor import Governed
from nba.journey.exploration import Exploration


class CalibratedScorer(NamedTuple):
    """A bundle with what was learned on top of it."""

    scorer: Scorer
    residual: Residual | None = None

    def scores(self, governed: Sequence[Governed]) -> list[CandidateScores]:
        """The scores of each request's candidates."""
        own = [-1] if self.scorer.learns_value else []
        contexts = [one.context for one in governed]
        return self.scores_of(contexts, [[*one.codes, *own] for one in governed])

    def scores_of(
        self, contexts: Sequence[Context], codes: Sequence[Sequence[int]]
    ) -> list[CandidateScores]:
        """The scores of these action codes of each context."""
        flat = self.scorer.touchpoint(contexts, codes)
        ends = np.cumsum([len(chosen) for chosen in codes])[:-1]
        if self.residual is None:
            return [CandidateScores(own) for own in np.split(flat, ends)]
        corrected = self.residual.correct(contexts, codes, flat)
        columns = [np.split(column, ends) for column in (*corrected, flat)]
        return [CandidateScores(*found) for found in zip(*columns, strict=True)]

    def priorities(
        self,
        arbitration: Arbitration,
        codes: Sequence[int],
        scores: CandidateScores,
        moment: ArbitrationInputs,
    ) -> Priorities:
        """What these actions are worth with these scores."""
        return arbitration.priorities(
            *(codes, scores.mean, moment),
            learned_value=self.scorer.learns_value,
            batch=scores.batch,
            spread=scores.spread,
        )

    def worth(self, priorities: Priorities) -> Worth:
        """As a policy sees them."""
        return priorities.worth(0.0 if self.residual is None else self.residual.exposures)


class CandidateScores(NamedTuple):
    """Of the candidates of one request, arrays (n,)."""

    mean: Floats
    spread: Floats | None = None
    batch: Floats | None = None  # the bundle's own, before what was learned since

    def at(self, chosen: Sequence[int]) -> CandidateScores:
        """Those at these positions."""
        where = np.asarray(chosen, dtype=np.int64)
        return CandidateScores(*(None if one is None else one[where] for one in self))  # type: ignore[arg-type]


class Challenger(NamedTuple):
    """A bundle in shadow, with its known share of every draw."""

    judge: CalibratedScorer
    share: float


class Strategy(NamedTuple):
    """How the customers of one arm are decided; without a judge the owner's fallback decides."""

    exploration: Exploration
    drawing: ExplorationPolicy
    judge: CalibratedScorer | None = None
    why_none: str = ""
    challenger: Challenger | None = None

    @property
    def name(self) -> str:
        """The whole draw, as decisions log it."""
        if self.challenger is None:
            return self.drawing.name
        return f"{self.drawing.name}, challenger {self.challenger.share:g}"


class Arm(NamedTuple):
    """What the experiments mean for one customer."""

    labels: tuple[str, ...] = ()  # experiment.arm
    without: frozenset[str] = frozenset()  # rules, weights and levers that are left out for her
    strategy: Strategy | None = None  # None: the one that serves everybody


class Arms(Protocol):
    """Who is in which arm."""

    def of(self, customer_id: str) -> Arm:
        """The arms of a customer, always the same while the experiments run."""


class ScoredCandidates(NamedTuple):
    """One request's candidates with their worth, and what is known of the customer."""

    governed: Governed
    priorities: Priorities
    probabilities: Floats
    churn: Churn | None


def scored(
    strategy: Strategy,
    arbitration: Arbitration,
    governed: Sequence[Governed],
    moments: Sequence[ArbitrationInputs],
    churns: Sequence[Churn | None],
) -> list[ScoredCandidates]:
    """Every request's candidates under a strategy that has a judge."""
    assert strategy.judge is not None
    found = _judged(strategy.judge, arbitration, governed, moments)
    others: list[Floats | None] = [None] * len(governed)
    share = 0.0
    if strategy.challenger is not None:
        judge, share = strategy.challenger
        rivals = _judged(judge, arbitration, governed, moments)
        others = [_drawn(strategy.drawing, judge, one) for one in rivals]
    return [
        ScoredCandidates(one, priorities, _mixed(strategy, priorities, other, share), churn)
        for one, priorities, other, churn in zip(governed, found, others, churns, strict=True)
    ]


def _judged(
    judge: CalibratedScorer,
    arbitration: Arbitration,
    governed: Sequence[Governed],
    moments: Sequence[ArbitrationInputs],
) -> list[Priorities]:
    return [
        judge.priorities(arbitration, one.codes, scores, moment)
        for one, scores, moment in zip(governed, judge.scores(governed), moments, strict=True)
    ]


def _drawn(drawing: ExplorationPolicy, judge: CalibratedScorer, priorities: Priorities) -> Floats:
    return drawing.policy.probabilities(judge.worth(priorities))


def _mixed(
    strategy: Strategy, priorities: Priorities, other: Floats | None, share: float
) -> Floats:
    assert strategy.judge is not None
    own = _drawn(strategy.drawing, strategy.judge, priorities)
    return mixed(own, floor=strategy.drawing.floor, challenger=other, share=share)
