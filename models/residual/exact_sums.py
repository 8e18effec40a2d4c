"""Sums that are exact: in any order, and with what is taken back as if it had never come.

A number is rounded to a whole multiple of 2^-40 when it enters, and integers are added. Sums of
floats depend on their order, and one large number wipes out the digits of all that are small.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nba.engine.policy import Floats

Units = NDArray[np.int64]
UNIT = 40  # numbers are multiples of 2^-40: about 1e-12
CHUNK = 512  # rows that are added together: a chunk's sums in float64 stay whole numbers


class ExactSums:
    """k rows of m sums, `units` (2, k, m): wholes, and the 2^-40ths below them, from 0 to 2^40."""

    __slots__ = ("units",)

    def __init__(self, k: int, m: int) -> None:
        self.units: Units = np.zeros((2, k, m), dtype=np.int64)

    def add(self, row: int, begin: int, terms: Floats, sign: int = 1) -> None:
        """Add (n, c) terms below 2^43 to columns `begin` and on; with sign -1, take them back."""
        wholes, parts = self.units[:, row, begin : begin + terms.shape[1]]
        for first in range(0, len(terms), CHUNK):
            chunk = terms[first : first + CHUNK]
            whole = np.trunc(chunk)
            part = np.rint(np.ldexp(chunk - whole, UNIT))
            wholes += sign * whole.sum(axis=0).astype(np.int64)
            parts += sign * part.sum(axis=0).astype(np.int64)
            _carry(wholes, parts)

    def values(self) -> Floats:
        """(k, m) the sums as floats."""
        wholes, parts = self.units
        total: Floats = wholes + np.ldexp(parts.astype(np.float64), -UNIT)
        return total

    def __iadd__(self, other: ExactSums) -> ExactSums:
        self.units += other.units
        _carry(*self.units)
        return self


def _carry(wholes: Units, parts: Units) -> None:
    """In place: each sum has one form, so that equal sums are equal bytes."""
    carry = parts >> UNIT
    parts -= carry << UNIT
    wholes += carry
