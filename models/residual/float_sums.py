"""The sums of the residual as programs before `nba-residual-2` kept them: in floats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nba.engine.policy import Floats


@dataclass(frozen=True, slots=True, eq=False)
class FloatSums:
    """`precision` (k, d, d) is A, `moment` (k, d) is b, decayed to `landmark` half-lives."""

    precision: Floats
    moment: Floats
    landmark: int

    def decayed(self, age: float, forgets: bool) -> tuple[Floats, Floats]:
        """(A, b) as of so many half-lives since 1970."""
        if not forgets:
            return self.precision, self.moment
        scale = float(np.exp2(self.landmark - age))
        return self.precision * scale, self.moment * scale

    def recoded(self, codes: Sequence[int], befores: Sequence[int], k: int) -> FloatSums:
        """The same with k rows, those of `befores` at `codes`."""
        d = self.moment.shape[1]
        precision, moment = np.zeros((k, d, d)), np.zeros((k, d))
        precision[codes] = self.precision[befores]
        moment[codes] = self.moment[befores]
        return FloatSums(precision, moment, self.landmark)

    def __add__(self, other: FloatSums) -> FloatSums:
        landmark = max(self.landmark, other.landmark)
        here, there = (float(np.exp2(sums.landmark - landmark)) for sums in (self, other))
        return FloatSums(
            precision=self.precision * here + other.precision * there,
            moment=self.moment * here + other.moment * there,
            landmark=landmark,
        )
