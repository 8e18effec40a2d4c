"""How often each action is offered and drawn: exploration, starved actions, coverage."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import msgspec
import numpy as np

from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.intervals import clopper_pearson

STARVED_SHARE = 0.001  # of the decisions in which an action was a candidate
MIN_OFFERED = 1_000  # before an action can be starved


class OfferCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How often each action was a candidate and how often it was drawn; shards add up."""

    actions: tuple[str, ...] = ()
    offered: tuple[int, ...] = ()
    drawn: tuple[int, ...] = ()
    entropy: float = 0.0  # sum over decisions of their entropy over log(candidates)
    choices: int = 0  # decisions of two candidates or more

    def __add__(self, other: OfferCounts) -> OfferCounts:
        offered, drawn = Counter[str](), Counter[str]()
        for counts in (self, other):
            offered.update(dict(zip(counts.actions, counts.offered, strict=True)))
            drawn.update(dict(zip(counts.actions, counts.drawn, strict=True)))
        actions = tuple(sorted(offered))
        return OfferCounts(
            actions=actions,
            offered=tuple(offered[action] for action in actions),
            drawn=tuple(drawn[action] for action in actions),
            entropy=self.entropy + other.entropy,
            choices=self.choices + other.choices,
        )


class Coverage(NamedTuple):
    """How much of the catalogue is used, and which actions are not."""

    share: float  # of the catalogue, drawn at least once
    never_offered: tuple[str, ...]  # rules or consent keep it out everywhere
    never_drawn: tuple[str, ...]  # offered, and never the one


def offer_counts(
    actions: tuple[str, ...], probabilities: np.ndarray, drawn: np.ndarray
) -> OfferCounts:
    """The sums of n decisions: `probabilities` (n, k), 0 where not a candidate; `drawn` (n,)."""
    is_candidate = probabilities > 0.0
    candidates = is_candidate.sum(axis=1)
    has_choice = candidates > 1
    logs = np.log(probabilities, out=np.zeros_like(probabilities), where=is_candidate)
    entropy = -(probabilities * logs).sum(axis=1)[has_choice] / np.log(candidates[has_choice])
    order = np.argsort(actions).tolist()
    draws = np.bincount(drawn, minlength=len(actions))
    return OfferCounts(
        actions=tuple(actions[i] for i in order),
        offered=tuple(is_candidate.sum(axis=0)[order].tolist()),
        drawn=tuple(draws[order].tolist()),
        entropy=float(entropy.sum()),
        choices=int(has_choice.sum()),
    )


def exploration(counts: OfferCounts) -> float | Undecided:
    """Mean entropy of the draw over its greatest: 1 is uniform, 0 is no exploration at all."""
    if counts.choices == 0:
        return Undecided(reason="no decision with two candidates or more")
    return counts.entropy / counts.choices


def starved(counts: OfferCounts, *, share: float = STARVED_SHARE) -> tuple[str, ...]:
    """Actions offered often and hardly drawn: a share below it would have drawn more.

    Surely so: the exact upper 97.5 % bound of the share drawn lies below `share`.
    """
    return tuple(
        action
        for action, offered, drawn in zip(counts.actions, counts.offered, counts.drawn, strict=True)
        if offered >= MIN_OFFERED and clopper_pearson(drawn, offered).high < share
    )


def coverage(counts: OfferCounts, catalogue: tuple[str, ...]) -> Coverage | Undecided:
    """Of the actions that the catalogue holds now."""
    if not catalogue:
        return Undecided(reason="the catalogue holds no action")
    drawn = {action for action, n in zip(counts.actions, counts.drawn, strict=True) if n}
    offered = {action for action, n in zip(counts.actions, counts.offered, strict=True) if n}
    return Coverage(
        len(drawn & set(catalogue)) / len(catalogue),
        tuple(action for action in catalogue if action not in offered),
        tuple(action for action in catalogue if action in offered - drawn),
    )
