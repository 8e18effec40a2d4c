"""The probabilities with which we draw among candidates, and the draw itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from nba.decisions.candidate import Candidate
from nba.journey.exploration import Exploration

Floats = NDArray[np.float64]
NO_ACTION_CODE = -1  # stands for "leave the customer in peace"


class Worth(NamedTuple):
    """The candidates of one decision as a policy sees them, arrays (n,) with n >= 1."""

    codes: NDArray[np.int64]  # action codes, NO_ACTION_CODE among them
    mean_eur: Floats  # the priority: what each is worth now
    spread_eur: Floats  # how unsure that is: a standard deviation, 0 where nothing is learned
    gain_eur: Floats  # what one more unit of p_accept would add; 1 where the value is learned
    exposures: float = 0.0  # how many decisions were learned from so far

    def at(self, positions: Sequence[int]) -> Worth:
        """The candidates at these positions."""
        where = np.asarray(positions, dtype=np.int64)
        return Worth(
            self.codes[where],
            self.mean_eur[where],
            self.spread_eur[where],
            self.gain_eur[where],
            self.exposures,
        )


class Choice(NamedTuple):
    """What was drawn, and with which probability."""

    at: int  # among the candidates
    propensity: float


class Policy(Protocol):
    """A way to draw: the same worth gives the same probabilities, `choose` alone is random."""

    @property
    def name(self) -> str:
        """Its kind and parameters, such as `epsilon_greedy(0.1)`, as decisions log it."""

    def probabilities(self, worth: Worth) -> Floats:
        """(n,) probabilities over the candidates, summing to 1; equal candidates have equal ones
        unless the policy tells actions apart by their code."""


class ExplorationPolicy(NamedTuple):
    """A policy above a floor: what the whole draw does, but for a challenger's share."""

    policy: Policy
    floor: float = 0.0  # of the draw, uniform over the candidates

    @property
    def name(self) -> str:
        """As decisions log it."""
        return f"{self.policy.name}, floor {self.floor:g}" if self.floor else self.policy.name

    def probabilities(self, worth: Worth) -> Floats:
        """(n,) probabilities over the candidates, each at least floor / n."""
        return mixed(self.policy.probabilities(worth), floor=self.floor)


class PolicyOf(Protocol):
    """The exploration policy of an exploration, such as a decision has logged."""

    def __call__(self, exploration: Exploration) -> ExplorationPolicy:
        """Its policy and floor."""


def mixed(
    drawn: Floats, *, floor: float = 0.0, challenger: Floats | None = None, share: float = 0.0
) -> Floats:
    """(1 - floor - share) drawn + floor / n + share challenger.

    The floor keeps the probability of every candidate known and at least floor / n; the share of a
    challenger's own distribution makes the interval of its value narrow. It gets at most what the
    floor leaves; without a challenger its share stays with `drawn`.
    """
    share = 0.0 if challenger is None else min(share, 1.0 - floor)
    own = (1.0 - floor - share) * drawn + floor / len(drawn)
    return own if challenger is None else own + share * challenger


def choose(probabilities: Floats, rng: np.random.Generator) -> Choice:
    """A candidate drawn with these probabilities, never one of probability 0."""
    upto = np.cumsum(probabilities)
    at = int(np.searchsorted(upto, rng.random() * upto[-1], side="right"))
    at = min(at, int(np.flatnonzero(probabilities)[-1]))
    return Choice(at, float(probabilities[at]))


def worth_of(candidates: Sequence[Candidate], codes: Sequence[int], exposures: float) -> Worth:
    """The worth of logged candidates, all of them scored; `codes` are those of their actions."""
    learned = all(candidate.p_accept is None for candidate in candidates)
    return Worth(
        codes=np.array(codes, dtype=np.int64),
        mean_eur=np.array([candidate.priority for candidate in candidates], dtype=float),
        spread_eur=np.array([candidate.spread_eur for candidate in candidates], dtype=float),
        gain_eur=np.array([_gain_eur(each, learned) for each in candidates], dtype=float),
        exposures=exposures,
    )


def _gain_eur(candidate: Candidate, learned: bool) -> float:
    if learned:
        return candidate.context_weight * candidate.lever
    if candidate.p_accept is None:
        return 0.0
    worth_eur = candidate.value_eur + candidate.retention_eur
    return candidate.context_weight * worth_eur * candidate.lever
