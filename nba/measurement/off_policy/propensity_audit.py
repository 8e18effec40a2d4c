"""The propensity audit: whether actions are drawn as often as their logged probabilities say.

Everything that is learned or measured from the log divides by these probabilities. Over the
decisions that count for an estimate it shows too whether they were chosen by what was drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from scipy.special import chdtrc, ndtr

from nba.errors import InvalidInput
from nba.measurement.statistics.estimate import Undecided

LEVEL = 0.001
MIN_DRAWS = 5.0  # expected of an action, below which it is tested with others as one
MIN_DECISIONS = 100
MIN_PROBABILITY = 0.01  # of the drawn action, below which its weight is left out: one would do
MAX_WEIGHT_ERRORS = 4.0  # standard errors that the mean weight may be from 1
_TOLERANCE = 1e-9  # of probabilities that sum to one


class DrawProbabilities(NamedTuple):
    """The probabilities with which n decisions were drawn."""

    actions: tuple[str, ...]  # (k,)
    probabilities: np.ndarray  # (n, k), 0 where it was no candidate
    drawn: np.ndarray  # (n,) positions among the actions

    def of_rows(self, rows: np.ndarray) -> DrawProbabilities:
        """Of some of the decisions, (n,)."""
        return self._replace(probabilities=self.probabilities[rows], drawn=self.drawn[rows])


def draw_probabilities(
    listed: Sequence[Sequence[tuple[str, float]]], drawn: Sequence[str]
) -> DrawProbabilities:
    """Of n decisions: the candidates with their probabilities, and what was drawn."""
    actions = tuple(sorted({name for candidates in listed for name, _ in candidates}))
    positions = {name: n for n, name in enumerate(actions)}
    probabilities = np.zeros((len(listed), len(actions)))
    for row, candidates in zip(probabilities, listed, strict=True):
        for name, probability in candidates:
            row[positions[name]] = probability
    at = np.array([positions[name] for name in drawn], dtype=np.int64)
    return DrawProbabilities(actions, probabilities, at)


class DrawCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over decisions in which chance had a say; k actions, in one order.

    Days, segments and replicas add up, `a + b`, whatever actions each of them holds.
    """

    actions: tuple[str, ...] = ()
    n: int = 0
    drawn: tuple[int, ...] = ()  # times that each action was drawn
    expected: tuple[float, ...] = ()  # sums of its logged probabilities
    products: tuple[tuple[float, ...], ...] = ()  # (k, k) sums of p_a p_b
    weight: float = 0.0  # sum of 1 / (p of the drawn action x actions of `MIN_PROBABILITY` or more)
    weight_variance: float = 0.0  # that it has if the log is right

    def __add__(self, other: DrawCounts) -> DrawCounts:
        actions = tuple(sorted({*self.actions, *other.actions}))
        left, right = _aligned(self, actions), _aligned(other, actions)
        return DrawCounts(
            actions=actions,
            n=self.n + other.n,
            drawn=tuple((left.drawn + right.drawn).tolist()),
            expected=tuple((left.expected + right.expected).tolist()),
            products=tuple(map(tuple, (left.products + right.products).tolist())),
            weight=self.weight + other.weight,
            weight_variance=self.weight_variance + other.weight_variance,
        )


class ActionAudit(msgspec.Struct, frozen=True, kw_only=True):
    """One action: how often it was drawn, and how often it should have been."""

    action: str
    drawn: int
    expected: float
    z: float | None  # None where too few were expected
    p: float | None

    @property
    def weight(self) -> float | None:
        """How often it was drawn for each time that it should have been: 1 but for chance."""
        return self.drawn / self.expected if self.expected > 0.0 else None


class PropensityAudit(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict over all actions."""

    n: int
    p: float  # of "every logged probability is right"
    mean_weight: float  # 1 where they are
    weight_error: float  # its standard error
    actions: tuple[ActionAudit, ...]

    @property
    def alarm(self) -> bool:
        """Whether the log is not to be learned from."""
        off = abs(self.mean_weight - 1.0) > MAX_WEIGHT_ERRORS * self.weight_error
        return self.p < LEVEL or off or self.worst is not None

    @property
    def worst(self) -> ActionAudit | None:
        """The action that was drawn surely too often or too seldom (Bonferroni), None for none."""
        tested = [(action.p, action) for action in self.actions if action.p is not None]
        p, action = min(tested, key=lambda each: each[0], default=(1.0, None))
        return action if p < LEVEL / max(len(tested), 1) else None


class _Aligned(NamedTuple):
    """The sums of `DrawCounts` over more actions than it holds."""

    drawn: np.ndarray
    expected: np.ndarray
    products: np.ndarray


def draw_counts(
    actions: tuple[str, ...], probabilities: np.ndarray, drawn: np.ndarray
) -> DrawCounts:
    """The sums of n decisions: `probabilities` (n, k), 0 where not a candidate; `drawn` (n,).

    Decisions without a choice (a probability of 1) hold no evidence and are left out. Raises
    InvalidInput for probabilities that do not sum to one, or a draw of probability 0.
    """
    if len(probabilities) and np.abs(probabilities.sum(axis=1) - 1.0).max() > _TOLERANCE:
        raise InvalidInput("probabilities", "a row", "every row sums to one")
    chosen = probabilities[np.arange(len(drawn)), drawn]
    if (chosen <= 0.0).any():
        raise InvalidInput("drawn", "an action of probability 0", "log what it was drawn with")
    free = probabilities.max(axis=1, initial=0.0) < 1.0
    p, drawn, chosen = probabilities[free], drawn[free], chosen[free]
    frequent = p >= MIN_PROBABILITY
    choices = np.maximum(frequent.sum(axis=1), 1)
    inverse = np.divide(1.0, p, out=np.zeros_like(p), where=frequent).sum(axis=1)
    weights = np.where(chosen >= MIN_PROBABILITY, 1.0 / (chosen * choices), 0.0)
    order = np.argsort(actions)
    p = p[:, order]
    counts = np.bincount(drawn, minlength=len(actions))[order]
    return DrawCounts(
        actions=tuple(actions[i] for i in order.tolist()),
        n=len(drawn),
        drawn=tuple(counts.tolist()),
        expected=tuple(p.sum(axis=0).tolist()),
        products=tuple(map(tuple, (p.T @ p).tolist())),
        weight=float(weights.sum()),
        weight_variance=float((inverse / choices**2 - 1.0).sum()),
    )


def audit_propensities(counts: DrawCounts) -> PropensityAudit | Undecided:
    """Chi-square of draws against logged probabilities, and the mean weight.

    (O - E)' C^- (O - E) with C = sum over decisions of diag(p) - p p', so that it holds where the
    probabilities differ from decision to decision; actions of which fewer than `MIN_DRAWS` are
    expected count together. E[1 / (p k)] = 1 for the drawn one of k candidates; rare ones among
    them, whose single draw would move the mean, are in neither the weight nor k.
    """
    if counts.n < MIN_DECISIONS:
        reason = f"{counts.n} decisions in which chance had a say, under {MIN_DECISIONS}"
        return Undecided(reason=reason)
    sums = _aligned(counts, counts.actions)
    covariance = np.diag(sums.expected) - sums.products
    gap = sums.drawn - sums.expected
    frequent = sums.expected >= MIN_DRAWS
    groups = np.vstack([np.eye(len(gap))[frequent], (~frequent).astype(float)])
    spread = groups @ covariance @ groups.T
    eigenvalues, eigenvectors = np.linalg.eigh(spread)
    positive = eigenvalues > counts.n * 1e-9
    if not positive.any():
        reason = f"{counts.n} decisions over {len(gap)} actions: under {MIN_DRAWS:.0f} of each"
        return Undecided(reason=reason)
    projected = eigenvectors.T @ (groups @ gap)
    chi2 = float((projected[positive] ** 2 / eigenvalues[positive]).sum())
    errors = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    return PropensityAudit(
        n=counts.n,
        p=float(chdtrc(int(positive.sum()), chi2)),
        mean_weight=counts.weight / counts.n,
        weight_error=math.sqrt(counts.weight_variance) / counts.n,
        actions=tuple(
            _action_audit(action, drawn=int(o), expected=float(e), gap=float(d), stderr=float(s))
            for action, o, e, d, s in zip(
                counts.actions, sums.drawn, sums.expected, gap, errors, strict=True
            )
        ),
    )


def _action_audit(
    action: str, *, drawn: int, expected: float, gap: float, stderr: float
) -> ActionAudit:
    known = expected >= MIN_DRAWS and stderr > 0.0
    z = gap / stderr if known else None
    p = 2.0 * float(ndtr(-abs(z))) if z is not None else None
    return ActionAudit(action=action, drawn=drawn, expected=expected, z=z, p=p)


def _aligned(counts: DrawCounts, actions: tuple[str, ...]) -> _Aligned:
    k = len(actions)
    drawn, expected = np.zeros(k, dtype=np.int64), np.zeros(k)
    products = np.zeros((k, k))
    columns = [actions.index(action) for action in counts.actions]
    if columns:
        drawn[columns], expected[columns] = counts.drawn, counts.expected
        products[np.ix_(columns, columns)] = np.array(counts.products)
    return _Aligned(drawn, expected, products)


def chosen_by_draw(draws: DrawProbabilities | DrawCounts | None) -> str:
    """Why decisions with these draws cannot be all that were drawn; empty where they can be."""
    if draws is None:
        return ""
    try:
        counts = draws if isinstance(draws, DrawCounts) else draw_counts(*draws)
    except InvalidInput as error:
        return str(error)
    audit = audit_propensities(counts)
    if isinstance(audit, Undecided) or not audit.alarm:
        return ""
    reason = "which decisions count depends on what was drawn, or the logged propensities are not "
    reason += f"those of the draw: p {audit.p:.2g}, mean weight {audit.mean_weight:.3f}"
    if (worst := audit.worst) is not None:
        reason += f"; {worst.action} was drawn {worst.drawn:,} times, {worst.expected:,.0f} said"
    return reason
