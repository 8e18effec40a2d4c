"""Support: which logged decisions can answer for a target, by the arm of their customers."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

UNSUPPORTED = 0.01  # share of a target's probability that the log cannot answer for


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """Decisions of arms whose policy could not have drawn what the target draws."""

    decisions: int = 0
    arms: tuple[str, ...] = ()  # "" for customers in no arm

    @property
    def text(self) -> str:
        """How many are left out, and why; empty for none."""
        if not self.decisions:
            return ""
        arms = ", ".join(arm or "customers in no arm" for arm in self.arms)
        return (
            f"{self.decisions:,} decisions of {arms} are left out: the policy there cannot draw "
            "what the target draws; customers are assigned at random, so the others stand for them"
        )


def arm_of(labels: Sequence[object]) -> str:
    """The arm of a customer who carries these labels."""
    return " and ".join(map(str, labels))


def answering(
    arms: Sequence[str], missing: np.ndarray, asked: np.ndarray
) -> tuple[NDArray[np.bool_], LeftOut]:
    """Which of n decisions can answer for a target, and those left out.

    `arms`: (n,) of their customers, "" for none. `asked`: (n,) the target's probability that is
    asked about, `missing`: (n,) as much of it as could not have been drawn. Arms are left out
    whole, whatever their decisions drew and in whatever context: customers are assigned by a hash,
    so that what is left is a random part of all. Where no arm can answer, none is left out, for
    the refusal to say so.
    """
    names, of = np.unique(np.asarray(arms, dtype=str), return_inverse=True)
    sizes = np.bincount(of, minlength=len(names))
    lost = np.bincount(of, weights=missing, minlength=len(names))
    cannot = lost > UNSUPPORTED * np.bincount(of, weights=asked, minlength=len(names))
    if not cannot.any() or cannot.all():
        return np.ones(len(of), dtype=bool), LeftOut()
    left_out = LeftOut(decisions=int(sizes[cannot].sum()), arms=tuple(names[cannot].tolist()))
    return ~cannot[of], left_out
