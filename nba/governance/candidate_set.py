"""Slate: the actions of one decision while the stages strike them out.

Its unit is the variant: an action in one treatment. An action is refused when its last variant is
struck out, by the rule that did so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nba.decisions.candidate import Refused, Stage
from nba.decisions.decision import LiftedRule
from nba.journey.actions import Action
from nba.journey.file import JourneyFile
from nba.randomization import in_share

Mask = NDArray[np.bool_]


class Scope(Protocol):
    """A part of the catalogue that concerns some actions: no word of it concerns all."""

    @property
    def group(self) -> str | None: ...
    @property
    def channel(self) -> str | None: ...
    @property
    def actions(self) -> list[str]: ...


def concerns(scope: Scope, action: Action) -> bool:
    """Whether a part of the catalogue concerns an action."""
    return (
        scope.group in (None, action.group)
        and scope.channel in (None, action.channel)
        and (not scope.actions or action.id in scope.actions)
    )


class Variants:
    """Every action in every treatment, in file order; arrays are (n_variants,)."""

    def __init__(self, journey: JourneyFile) -> None:
        self.actions = journey.actions
        self.ids = [action.id for action in journey.actions]
        pairs = [
            (code, treatment)
            for code, action in enumerate(journey.actions)
            for treatment in (*action.treatments, *([] if action.treatments else [None]))
        ]
        self.code = np.array([code for code, _ in pairs], dtype=np.int64)
        self.treatments = [treatment for _, treatment in pairs]
        self.of: list[list[int]] = [[] for _ in journey.actions]  # the variants of each action
        for position, (code, _) in enumerate(pairs):
            self.of[code].append(position)
        self.alike = len(pairs) == len(journey.actions)  # one variant each

    def mask(self, scope: Scope) -> Mask:
        """The variants of the actions that a part concerns."""
        return self.where(lambda action: concerns(scope, action))

    def where(self, holds: Callable[..., bool]) -> Mask:
        """The variants of the actions for which it holds."""
        found = np.array([holds(action) for action in self.actions], dtype=bool)
        return found[self.code] if len(found) else np.zeros(0, dtype=bool)

    @cached_property
    def everything(self) -> Mask:
        """All of them."""
        return np.ones(len(self.code), dtype=bool)


class CandidateSet:
    """What is left of the variants, and what was struck out."""

    def __init__(self, variants: Variants, without: frozenset[str] = frozenset()) -> None:
        """`without`: rules that do not hold for her, whatever their share."""
        self._variants = variants
        self._without = without
        self._left = bytearray(b"\x01") * len(variants.code)
        self.alive: Mask = np.frombuffer(self._left, dtype=np.bool_)  # the same memory
        self.refused: list[Refused] = []
        self.lifted: list[LiftedRule] = []  # rules that would have struck, and were lifted for her

    @property
    def codes(self) -> list[int]:
        """The actions that are left, in file order."""
        left = self._variants.code[self.alive]
        found: list[int] = left.tolist() if self._variants.alike else np.unique(left).tolist()
        return found

    def treatments(self, code: int) -> list[int]:
        """The variants of an action that are left."""
        return [one for one in self._variants.of[code] if self._left[one]]

    def meets(self, mask: Mask) -> bool:
        """Whether anything of the mask is left."""
        return bool((self.alive & mask).any())

    def among(self, positions: Sequence[int]) -> list[int]:
        """Which of these variants are left."""
        left = self._left
        return [one for one in positions if left[one]]

    def strike(
        self, mask: Mask, stage: Stage, code: str, rule: str, detail: str | Callable[[], str]
    ) -> tuple[str, ...]:
        """Take the variants of the mask out; gives the ids of the actions that this refuses."""
        hit = np.flatnonzero(self.alive & mask).tolist()
        return self.take_out(hit, stage, code, rule, detail) if hit else ()

    def take_out_unless_lifted(
        self,
        positions: Sequence[int],
        stage: Stage,
        code: str,
        rule: str,
        detail: str | Callable[[], str],
        *,
        lifted_share: float,
        customer_id: str,
    ) -> None:
        """`take_out`, but for the share of the customers for whom the rule is lifted."""
        left_out = rule in self._without or in_share(f"lifted:{rule}", lifted_share, customer_id)
        if not left_out:
            self.take_out(positions, stage, code, rule, detail)
            return
        codes = np.unique(self._variants.code[positions]).tolist()
        ids = tuple(self._variants.ids[one] for one in codes)
        self.lifted.append(LiftedRule(rule=rule, action_ids=ids))

    def take_out(
        self,
        positions: Sequence[int],
        stage: Stage,
        code: str,
        rule: str,
        detail: str | Callable[[], str],
    ) -> tuple[str, ...]:
        """`strike` for variants by position, all of them left so far."""
        variants, left = self._variants, self._left
        for one in positions:
            left[one] = 0
        if variants.alike:
            ids = [variants.ids[one] for one in positions]
        else:
            codes = dict.fromkeys(int(variants.code[one]) for one in positions)
            ids = [variants.ids[one] for one in codes if not self.treatments(one)]
        if not ids:
            return ()
        fact = detail if isinstance(detail, str) else detail()
        self.refused += [Refused(one, stage, code, rule, fact) for one in ids]
        return tuple(ids)
