"""What is taken off the residual's sums for exposures whose rewards have not all arrived.

A delay curve is not known exactly, and what is wrong with it is common to all exposures that wait
for it: it moves their rewards along v, the sum of g l w x, with g how wrong the share may be and l
the level of the reward. The variance v v' is added to that of b, by Sherman and Morrison's formula,
so that a level which rests on an unknown curve is not believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.residual.features import ResidualSpec
from models.residual.sums import ResidualSums
from nba.engine.policy import Floats
from nba.errors import InvalidBundle


@dataclass(frozen=True, slots=True, eq=False)
class Discount:
    """As of one moment: (k, d, d) of A and (k, d) of b."""

    as_of_s: float
    precision: Floats
    moment: Floats

    def decayed(self, spec: ResidualSpec, as_of_s: float) -> tuple[Floats, Floats]:
        """With the weights that its rows have at another moment."""
        if spec.half_life_s is None or as_of_s == self.as_of_s:
            return self.precision, self.moment
        scale = float(np.exp2((self.as_of_s - as_of_s) / spec.half_life_s))
        return self.precision * scale, self.moment * scale

    def to_bytes(self) -> bytes:
        """The moment, A by its upper triangle, and b, as little-endian float64."""
        upper = self.precision[:, *np.triu_indices(self.precision.shape[1])]
        parts = (np.array([self.as_of_s]), upper, self.moment)
        return b"".join(np.ascontiguousarray(part, dtype="<f8").tobytes() for part in parts)

    @classmethod
    def from_bytes(cls, data: bytes, k: int, d: int) -> Discount:
        """What `to_bytes` wrote, bit for bit. Raises InvalidBundle for another number of bytes."""
        sizes = (1, k * d * (d + 1) // 2, k * d)
        if len(data) != 8 * sum(sizes):
            raise InvalidBundle(f"discount: {len(data)} bytes, not {8 * sum(sizes)}: rebuild it")
        numbers = np.frombuffer(data, "<f8").astype(np.float64)
        as_of_s, upper, moment = np.split(numbers, np.cumsum(sizes[:-1]))
        return cls(float(as_of_s[0]), _unpacked(upper.reshape(k, -1), d), moment.reshape(k, d))


@dataclass(frozen=True, slots=True, eq=False)
class CountedSums:
    """The residual's sums with each exposure at the weight that it has at a moment."""

    sums: ResidualSums
    discount: Discount | None

    @property
    def spec(self) -> ResidualSpec:
        return self.sums.spec

    @property
    def exposed(self) -> Floats:
        """(k,) exposures, whole ones."""
        return self.sums.exposed

    @property
    def exposures(self) -> float:
        return self.sums.exposures

    def decayed(self, as_of_s: float) -> tuple[Floats, Floats]:
        """As `ResidualSums.decayed`."""
        precision, moment = self.sums.decayed(as_of_s)
        if self.discount is None:
            return precision, moment
        less = self.discount.decayed(self.spec, as_of_s)
        return precision - less[0], moment - less[1]

    def for_actions(self, actions: Sequence[str]) -> CountedSums:
        """As `ResidualSums.for_actions`."""
        discount = self.discount
        if discount is not None and tuple(actions) != self.sums.actions:
            known = {action: code for code, action in enumerate(self.sums.actions)}
            old = [known.get(action) for action in actions] + [len(known)]
            after = [code for code, before in enumerate(old) if before is not None]
            rows = [before for before in old if before is not None]
            k, d = len(old), self.spec.size
            precision, moment = np.zeros((k, d, d)), np.zeros((k, d))
            precision[after], moment[after] = discount.precision[rows], discount.moment[rows]
            discount = Discount(discount.as_of_s, precision, moment)
        return CountedSums(self.sums.for_actions(actions), discount)


def discount_of(
    sums: ResidualSums,
    as_of_s: float,
    *,
    cohorts: Floats,
    exposed: Floats,
    arrived: Floats,
    share: Floats,
    deviation: Floats,
) -> Discount:
    """The discount of (c, 2k, size) sums of cohorts, each A's upper triangle and sum w x p0.

    The others are (c, 2k): exposures, rewards that have arrived, the share that should have, and
    that one's standard deviation.
    """
    d = sums.spec.size
    k = cohorts.shape[1] // 2
    triangle = d * (d + 1) // 2
    missing = np.einsum("cs,csn->sn", 1.0 - share, cohorts)
    missing = missing[:k] + missing[k:]
    less_a, less_b = _unpacked(missing[:, :triangle], d), -missing[:, triangle:]
    precision, moment = sums.decayed(as_of_s)
    a, b = precision - less_a, moment - less_b
    # the level, as the batch score has it or as it seems, whichever is further from 0
    counted = (exposed * share).sum(axis=0)
    seems = np.divide(arrived.sum(axis=0), counted, out=np.zeros(2 * k), where=counted > 0.0)
    weight, score = cohorts[:, :, 0].sum(axis=0), cohorts[:, :, triangle].sum(axis=0)
    scored = np.divide(score, weight, out=np.zeros(2 * k), where=weight > 0.0)
    level = np.maximum(np.abs(seems), np.abs(scored))
    wrong = np.einsum("cs,csn->sn", deviation * level, cohorts[:, :, :d])
    for code in range(k):
        for v in (wrong[code], wrong[k + code]):
            if v.any():
                inverse_v = np.linalg.pinv(a[code], hermitian=True) @ v
                v = a[code] @ inverse_v
                part = 1.0 / (1.0 + v @ inverse_v)
                b[code] -= part * (b[code] @ inverse_v) * v
                a[code] -= part * np.outer(v, v)
    return Discount(as_of_s, precision - a, moment - b)


def _unpacked(upper: Floats, d: int) -> Floats:
    """(k, d, d) symmetric, of (k, d (d + 1) / 2)."""
    rows, columns = np.triu_indices(d)
    whole = np.zeros((len(upper), d, d))
    whole[:, rows, columns] = upper
    whole[:, columns, rows] = upper
    return whole
