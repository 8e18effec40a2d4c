"""What scores candidates: a bundle, with what was learned on top of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import NamedTuple, Protocol

import numpy as np

from nba.customer.context import Context
from nba.decisions.candidate import Reason
from nba.decisions.decision import Churn
from nba.engine.policy import NO_ACTION_CODE, Floats
from nba.governance.governor import Governed


class Scorer(Protocol):
    """A promoted bundle, bound to a journey.

    `learns_value`: its touchpoint model predicts the value in EUR of offering an action, and not
    the probability of a good response.
    """

    bundle_id: str
    learns_value: bool
    missing: Mapping[str, str]  # of its models that were not trained, why

    @property
    def knows_churn(self) -> bool:
        """Whether it has a model of leaving."""

    def touchpoint(self, contexts: Sequence[Context], codes: Sequence[Sequence[int]]) -> np.ndarray:
        """Scores of every (context, action code), flat in the given order.

        A NO_ACTION_CODE is given only where `learns_value`. What is learned online corrects them:
        they predict what it rewards.
        """

    def terms(
        self, contexts: Sequence[Context], codes: Sequence[Sequence[int]]
    ) -> np.ndarray | None:
        """EUR that the reward's terms add to the scores, in the same order; None: it has none.

        They are known only when a window has closed, and are learned in training alone.
        """

    def churn(self, contexts: Sequence[Context]) -> list[Churn]:
        """Each customer's risk of leaving, with what moved it, largest first; asked for only
        where it `knows_churn`."""

    def touchpoint_reasons(
        self, contexts: Sequence[Context], codes: Sequence[int]
    ) -> list[tuple[Reason, ...]]:
        """What moved the score of one action per context, largest first."""


class Residual(Protocol):
    """What was learned online on top of a bundle's scores."""

    version: str  # of the policy's state
    exposures: float  # decisions that it was learned from

    def correct(
        self, contexts: Sequence[Context], codes: Sequence[Sequence[int]], scores: Floats
    ) -> tuple[Floats, Floats]:
        """(mean, spread) of every score, flat in the given order; the spread is its standard
        deviation as the policy draws from it."""


def known_churns(scorer: Scorer | None, contexts: Sequence[Context]) -> list[Churn | None]:
    """Each customer's risk; None where nothing scores it, or what does gives no finite number."""
    if scorer is None or not scorer.knows_churn:
        return [None] * len(contexts)
    return [churn if isfinite(churn.risk) else None for churn in scorer.churn(contexts)]


class CandidateScores(NamedTuple):
    """Scores of the candidates of one request, arrays (n,).

    A score is p_accept; where the base `learns_value`, it is EUR, and the last is of no_action. A
    mean is NaN where the bundle gives no finite number.
    """

    mean: Floats
    spread: Floats | None = None  # standard deviations; None: nothing was learned since
    batch: Floats | None = None  # the bundle's own, before what was learned since

    def at(self, positions: Sequence[int]) -> CandidateScores:
        """The scores at these positions."""
        where = np.asarray(positions, dtype=np.int64)
        return CandidateScores(
            mean=self.mean[where],
            spread=None if self.spread is None else self.spread[where],
            batch=None if self.batch is None else self.batch[where],
        )


class CalibratedScorer(NamedTuple):
    """A bundle with what was learned on top of it."""

    base: Scorer
    residual: Residual | None = None

    @property
    def learns_value(self) -> bool:
        """Whether scores are in EUR, as `Scorer.learns_value`."""
        return self.base.learns_value

    @property
    def exposures(self) -> float:
        """Decisions that were learned from since the bundle was trained."""
        return 0.0 if self.residual is None else self.residual.exposures

    def scores(self, governed: Sequence[Governed]) -> list[CandidateScores]:
        """The scores of each request's candidates."""
        no_action = [NO_ACTION_CODE] if self.learns_value else []
        contexts = [each.context for each in governed]
        return self.scores_of(contexts, [[*each.codes, *no_action] for each in governed])

    def scores_of(
        self, contexts: Sequence[Context], codes: Sequence[Sequence[int]]
    ) -> list[CandidateScores]:
        """The scores of these action codes of each context."""
        flat, terms = self.base.touchpoint(contexts, codes), self.base.terms(contexts, codes)
        if not (finite := np.isfinite(flat)).all():
            flat = np.where(finite, flat, np.nan)  # an infinite one would be taken for certainty
        ends = np.cumsum([len(each) for each in codes])[:-1]
        if self.residual is None:
            flat = flat if terms is None else flat + terms
            return [CandidateScores(mean) for mean in np.split(flat, ends)]
        mean, spread = self.residual.correct(contexts, codes, flat)
        if terms is not None:  # nothing of them is learned online
            mean, flat = mean + terms, flat + terms
        columns = [np.split(column, ends) for column in (mean, spread, flat)]
        return [CandidateScores(*each) for each in zip(*columns, strict=True)]
