"""Whether the loop is well: rewards that come, actions that are drawn, a catalogue that is used."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
from scipy.special import betaincinv

from nba.errors import InvalidInput
from nba.measurement.statistics.estimate import Undecided

STARVED_SHARE = 0.001  # of the decisions in which an action was a candidate
MIN_OFFERED = 1_000  # before an action can be starved


class OutcomeJoin(msgspec.Struct, frozen=True, kw_only=True):
    """How many decisions an outcome was joined to; days and shards add up."""

    decisions: int = 0  # whose reward window is over
    joined: int = 0

    def __add__(self, other: OutcomeJoin) -> OutcomeJoin:
        return OutcomeJoin(
            decisions=self.decisions + other.decisions, joined=self.joined + other.joined
        )


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """A share with its exact binomial interval."""

    value: float
    low: float
    high: float
    n: int


class OfferCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How often each action was a candidate and how often it was drawn; shards add up."""

    actions: tuple[str, ...] = ()
    offered: tuple[int, ...] = ()
    drawn: tuple[int, ...] = ()
    entropy: float = 0.0  # sum over decisions of their entropy over log(candidates)
    choices: int = 0  # decisions of two candidates or more

    def __add__(self, other: OfferCounts) -> OfferCounts:
        known = dict(zip(self.actions, zip(self.offered, self.drawn, strict=True), strict=True))
        for action, offered, drawn in zip(other.actions, other.offered, other.drawn, strict=True):
            before = known.get(action, (0, 0))
            known[action] = (before[0] + offered, before[1] + drawn)
        actions = tuple(sorted(known))
        return OfferCounts(
            actions=actions,
            offered=tuple(known[action][0] for action in actions),
            drawn=tuple(known[action][1] for action in actions),
            entropy=self.entropy + other.entropy,
            choices=self.choices + other.choices,
        )


class Coverage(NamedTuple):
    """How much of the catalogue is alive, and what is not."""

    share: float  # of the catalogue, drawn at least once
    never_offered: tuple[str, ...]  # rules or consent keep it out everywhere
    never_drawn: tuple[str, ...]  # offered, and never the one


def offers(actions: tuple[str, ...], probabilities: np.ndarray, drawn: np.ndarray) -> OfferCounts:
    """The sums of n decisions: `probabilities` (n, k), 0 where not a candidate; `drawn` (n,)."""
    possible = probabilities > 0.0
    candidates = possible.sum(axis=1)
    free = candidates > 1
    logs = np.log(probabilities, out=np.zeros_like(probabilities), where=possible)
    surprise = -(probabilities * logs).sum(axis=1)[free] / np.log(candidates[free])
    order = np.argsort(actions).tolist()
    counts = np.bincount(drawn, minlength=len(actions))
    return OfferCounts(
        actions=tuple(actions[i] for i in order),
        offered=tuple(possible.sum(axis=0)[order].tolist()),
        drawn=tuple(counts[order].tolist()),
        entropy=float(surprise.sum()),
        choices=int(free.sum()),
    )


def exploration(record: OfferCounts) -> float | Undecided:
    """Mean entropy of the draw over its greatest: 1 is uniform, 0 is no exploration at all."""
    if record.choices == 0:
        return Undecided(reason="no decision with two candidates or more")
    return record.entropy / record.choices


def starved(record: OfferCounts, *, share: float = STARVED_SHARE) -> tuple[str, ...]:
    """Actions offered often and hardly drawn: a share below it would have drawn more.

    Surely so: the exact upper 97.5 % bound of the share drawn lies below `share`.
    """
    found = zip(record.actions, record.offered, record.drawn, strict=True)
    return tuple(
        action
        for action, offered, drawn in found
        if offered >= MIN_OFFERED and _high(drawn, offered, 0.95) < share
    )


def coverage(record: OfferCounts, catalogue: tuple[str, ...]) -> Coverage | Undecided:
    """Of the actions that the catalogue holds now."""
    if not catalogue:
        return Undecided(reason="the catalogue holds no action")
    drawn = {a for a, count in zip(record.actions, record.drawn, strict=True) if count}
    offered = {a for a, count in zip(record.actions, record.offered, strict=True) if count}
    return Coverage(
        len(drawn & set(catalogue)) / len(catalogue),
        tuple(action for action in catalogue if action not in offered),
        tuple(action for action in catalogue if action in offered - drawn),
    )


def join_rate(record: OutcomeJoin, *, confidence: float = 0.95) -> Rate | Undecided:
    """The share of decisions with an outcome (Clopper and Pearson, Biometrika 1934)."""
    n, hits = record.decisions, record.joined
    if n == 0:
        return Undecided(reason="no decision whose reward window is over")
    if not 0 <= hits <= n:
        raise InvalidInput("joined", hits, f"between 0 and the {n} decisions")
    low = 1.0 - _high(n - hits, n, confidence)
    return Rate(value=hits / n, low=low, high=_high(hits, n, confidence), n=n)


def join_rate_fell(
    before: OutcomeJoin, now: OutcomeJoin, *, confidence: float = 0.999
) -> bool | Undecided:
    """Whether the two intervals part, the newer below: outcomes have stopped to arrive."""
    old, new = (join_rate(one, confidence=confidence) for one in (before, now))
    if isinstance(old, Undecided):
        return old
    return new if isinstance(new, Undecided) else new.high < old.low


def _high(hits: int, n: int, confidence: float) -> float:
    """The upper end of the exact interval."""
    return 1.0 if hits == n else float(betaincinv(hits + 1, n - hits, 0.5 + confidence / 2))
