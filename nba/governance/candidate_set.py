"""The candidate set of one decision: the actions that are left while the stages refuse others.

Its unit is the variant: an action in one treatment. An action is refused when its last variant is
taken out, by the rule that did so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nba.decisions.candidate import Refused
from nba.decisions.decision import LiftedRule
from nba.governance.reason_codes import STAGE_OF
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
        actions = np.array([holds(action) for action in self.actions], dtype=bool)
        return actions[self.code] if len(actions) else np.zeros(0, dtype=bool)

    def any_of(self, masks: Sequence[Mask]) -> Mask:
        """The variants in any of these masks."""
        union = np.zeros(len(self.code), dtype=bool)
        for mask in masks:
            union |= mask
        return union

    @cached_property
    def everything(self) -> Mask:
        """All of them."""
        return np.ones(len(self.code), dtype=bool)


class CandidateSet:
    """What is left of the variants, and what was refused."""

    def __init__(
        self,
        variants: Variants,
        *,
        customer_id: str = "",
        dropped_rules: frozenset[str] = frozenset(),
    ) -> None:
        """`dropped_rules`: those that do not hold for this customer, whatever their share."""
        self.customer_id = customer_id
        self._variants = variants
        self._dropped_rules = dropped_rules
        self._left = bytearray(b"\x01") * len(variants.code)
        self.alive: Mask = np.frombuffer(self._left, dtype=np.bool_)  # the same memory
        self.refused: list[Refused] = []
        self.lifted: list[LiftedRule] = []  # rules that would have refused, and were lifted

    @property
    def codes(self) -> list[int]:
        """The actions that are left, in file order."""
        left = self._variants.code[self.alive]
        codes: list[int] = left.tolist() if self._variants.alike else np.unique(left).tolist()
        return codes

    def treatments(self, code: int) -> list[int]:
        """The variants of an action that are left."""
        return self.among(self._variants.of[code])

    def meets(self, mask: Mask) -> bool:
        """Whether anything of the mask is left."""
        return bool((self.alive & mask).any())

    def among(self, positions: Sequence[int]) -> list[int]:
        """Which of these variants are left."""
        left = self._left
        return [position for position in positions if left[position]]

    def refuse(
        self, mask: Mask, code: str, *, rule: str, detail: str | Callable[[], str]
    ) -> tuple[str, ...]:
        """Take the variants of the mask out; gives the ids of the actions that this refuses.

        `code`: one of `STAGE_OF`. `detail`: the fact, or what computes it where it is needed.
        """
        hit = np.flatnonzero(self.alive & mask).tolist()
        return self.refuse_at(hit, code, rule=rule, detail=detail) if hit else ()

    def refuse_unless_lifted(
        self,
        positions: Sequence[int],
        code: str,
        *,
        rule: str,
        detail: str | Callable[[], str],
        lifted_share: float,
    ) -> None:
        """`refuse_at`, but for the share of the customers for whom the rule is lifted."""
        if rule not in self._dropped_rules and not in_share(
            f"lifted:{rule}", lifted_share, self.customer_id
        ):
            self.refuse_at(positions, code, rule=rule, detail=detail)
            return
        codes = np.unique(self._variants.code[positions]).tolist()
        ids = tuple(self._variants.ids[action] for action in codes)
        self.lifted.append(LiftedRule(rule=rule, action_ids=ids))

    def refuse_at(
        self, positions: Sequence[int], code: str, *, rule: str, detail: str | Callable[[], str]
    ) -> tuple[str, ...]:
        """`refuse` for variants by position, all of them left so far."""
        variants, left = self._variants, self._left
        for position in positions:
            left[position] = 0
        if variants.alike:
            ids = [variants.ids[position] for position in positions]
        else:
            codes = dict.fromkeys(int(variants.code[position]) for position in positions)
            ids = [variants.ids[action] for action in codes if not self.treatments(action)]
        if not ids:
            return ()
        fact = detail if isinstance(detail, str) else detail()
        stage = STAGE_OF[code]
        self.refused += [Refused(action_id, stage, code, rule, fact) for action_id in ids]
        return tuple(ids)
