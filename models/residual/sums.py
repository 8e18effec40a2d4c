"""The residual: what is learned online on top of a frozen batch score, as sums that add up.

For each action a linear model of (reward - p0), p0 the calibrated score of the batch model, is kept
as A = sum w x x', b = sum w x (r - p0): Bayesian linear regression before its prior. An exposure
enters at once and as a whole (`models.residual.pending` says how much of it counts so far), as a
reward of 0; what arrives later is added to b with the weight of its exposure, and may be revised or
taken back: exactly. Sums of shards, replicas and days add up in any order, to
the same bytes.

The weight w = 2^(exposed / half-life) / variance is forward decay: Cormode et al., Forward Decay,
ICDE 2009. The rows of each whole half-life are kept apart: each part is weighted by a power of two
when the sums are read, and none has to be rounded for later ones to be added.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.residual.exact_sums import ExactSums, Units
from models.residual.features import ResidualSpec
from models.residual.float_sums import FloatSums
from nba.engine.policy import Floats
from nba.errors import InvalidBundle, InvalidInput

MAGIC, FLOATS_MAGIC = b"nba-residual-2\n", b"nba-residual-1\n"
KEPT = 48  # half-lives: what is older weighs less than 1e-14, and is left out
MOST_UNITS = 1e9  # standard deviations of the reward: what lies further counts as this far
Codes = NDArray[np.int64]


class ResidualSums:
    """The sums of each action, k = n_actions + 1 rows: `no_action` (code -1) is the last.

    `parts`: by whole half-lives since 1970 (all in part 0 where nothing is forgotten), the upper
    triangle of A and then b, in units of the spec; `exposed` (k,) counts exposures, undecayed;
    `landmark` is the latest half-life that was met. `base`: what an earlier program had summed up
    in floats, never added to. Rows are added in place.
    """

    __slots__ = ("spec", "actions", "parts", "exposed", "landmark", "base")

    def __init__(self, spec: ResidualSpec, actions: Sequence[str]) -> None:
        """Nothing learned. `actions`: their ids by code, without no_action."""
        self.spec = spec
        self.actions = tuple(actions)
        self.parts: dict[int, ExactSums] = {}
        self.exposed: Floats = np.zeros(len(self.actions) + 1)
        self.landmark = 0
        self.base: FloatSums | None = None

    @property
    def exposures(self) -> float:
        """Decisions learned from, undecayed."""
        return float(self.exposed.sum())

    @property
    def precision(self) -> Floats:
        """(k, d, d) A, decayed to the landmark."""
        return self._decayed(float(self.landmark))[0]

    @property
    def moment(self) -> Floats:
        """(k, d) b, decayed to the landmark."""
        return self._decayed(float(self.landmark))[1]

    def expose(self, x: Floats, codes: Codes, p0: Floats, at_s: Floats, sign: int = 1) -> None:
        """Add decisions: (n, d) features, (n,) action codes, batch scores and times (seconds).

        With sign -1 the same exposures are taken back; their rewards are to be, too. Raises
        InvalidInput, and learns nothing, where a feature or a score is no finite number.
        """
        _check_finite("x", x)
        _check_finite("p0", p0)
        rows, columns = np.triu_indices(self.spec.size)
        halves, weights = self._weights(p0, at_s)
        score = weights * self._in_units(p0)
        for half, code, some in _groups(halves, codes):
            self.exposed[code] += sign * len(some)
            if (part := self._part(half)) is not None:
                z = x[some]
                part.add(code, 0, z[:, rows] * z[:, columns] * weights[some, None], sign)
                part.add(code, len(rows), z * score[some, None], -sign)

    def reward(
        self,
        x: Floats,
        codes: Codes,
        p0: Floats,
        reward: Floats,
        at_s: Floats,
        sign: int = 1,
    ) -> None:
        """Add the (n,) rewards of decisions exposed at (n,) `at_s`; with sign -1, take them back.

        A revised reward is taken back as it was, and added as it is now. Raises InvalidInput, and
        learns nothing, where one is no finite number.
        """
        _check_finite("reward", reward)
        begin = _size(self.spec.size) - self.spec.size
        halves, weights = self._weights(p0, at_s)
        factors = weights * self._in_units(reward)
        for half, code, some in _groups(halves, codes):
            if (part := self._part(half)) is not None:
                part.add(code, begin, x[some] * factors[some, None], sign)

    def __add__(self, other: ResidualSums) -> ResidualSums:
        """The sum of both. Raises InvalidBundle where their features or actions differ."""
        if (self.spec, self.actions) != (other.spec, other.actions):
            raise InvalidBundle(
                "residual sums of different features or actions do not add up: rebuild one of "
                "them from the log, or take `for_actions` first"
            )
        total = ResidualSums(self.spec, self.actions)
        total._meet(max(self.landmark, other.landmark))
        for sums in (self, other):
            total.exposed += sums.exposed
            for half, part in sums.parts.items():
                if (into := total._part(half)) is not None:
                    into += part
        bases = [sums.base for sums in (self, other) if sums.base is not None]
        total.base = bases[0] + bases[1] if len(bases) == 2 else next(iter(bases), None)
        return total

    def for_actions(self, actions: Sequence[str]) -> ResidualSums:
        """The same sums under another catalogue's codes: what it does not have is left out, what
        is new has learned nothing."""
        recoded = ResidualSums(self.spec, actions)
        recoded.landmark = self.landmark
        known = {action: code for code, action in enumerate(self.actions)}
        old = [known.get(action, -1) for action in recoded.actions]
        codes = [code for code, before in enumerate(old) if before >= 0] + [len(old)]
        befores = [before for before in old if before >= 0] + [len(self.actions)]
        recoded.exposed[codes] = self.exposed[befores]
        for half, part in self.parts.items():
            into = recoded._part(half)
            assert into is not None
            into.units[:, codes] = part.units[:, befores]
        if self.base is not None:
            recoded.base = self.base.recoded(codes, befores, len(old) + 1)
        return recoded

    def decayed(self, as_of_s: float) -> tuple[Floats, Floats]:
        """(A, b) with the weights that their rows have at this moment."""
        half_life_s = self.spec.half_life_s
        return self._decayed(0.0 if half_life_s is None else as_of_s / half_life_s)

    def to_bytes(self) -> bytes:
        """A header in JSON, and the numbers in little-endian order: `exposed` as float64, the parts
        as int64, then the base as float64. Equal sums give equal bytes.

        A base to which nothing was added is written as it was read. Raises InvalidInput where that
        has a number that is not finite.
        """
        halves = tuple(half for half in sorted(self.parts) if self.parts[half].units.any())
        base: list[Floats] = []
        if self.base is not None:
            base = [self.base.precision[:, *np.triu_indices(self.spec.size)], self.base.moment]
            for array in base:
                _check_finite("base", array)
        header: dict[str, object]
        arrays: list[Floats | Units]
        if self.base is not None and not halves:
            magic, header = FLOATS_MAGIC, {"landmark": self.base.landmark}
            arrays = [*base, self.exposed]
        else:
            magic = MAGIC
            landmark = None if self.base is None else self.base.landmark
            header = {"landmark": self.landmark, "parts": halves, "base": landmark}
            arrays = [self.exposed, *(self.parts[half].units for half in halves), *base]
        head = msgspec.json.encode({"spec": self.spec, "actions": self.actions} | header)
        body = b"".join(
            np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
            for array in arrays
        )
        return magic + len(head).to_bytes(4, "little") + head + body

    @classmethod
    def from_bytes(cls, data: bytes) -> ResidualSums:
        """What `to_bytes` wrote, bit for bit; raises InvalidBundle for anything else."""
        begin = len(MAGIC) + 4
        end = begin + int.from_bytes(data[len(MAGIC) : begin], "little")
        try:
            if not data.startswith((MAGIC, FLOATS_MAGIC)):
                raise msgspec.DecodeError("another beginning")
            header = msgspec.json.decode(data[begin:end], type=_Header)
        except msgspec.DecodeError as error:
            raise InvalidBundle(
                f"residual sums: {len(data)} bytes that are none ({error}): rebuild them"
            ) from None
        sums = cls(header.spec, header.actions)
        sums.landmark = header.landmark
        k, d = len(sums.exposed), header.spec.size
        upper = [k * (_size(d) - d), k * d]
        if is_old := data.startswith(FLOATS_MAGIC):
            sizes = [*upper, k]
        else:
            parts = [2 * k * _size(d)] * len(header.parts)
            sizes = [k, *parts, *([] if header.base is None else upper)]
        if len(data) - end != 8 * sum(sizes):
            raise InvalidBundle(
                f"residual sums: {len(data) - end} bytes of numbers where the header asks for "
                f"{8 * sum(sizes)}: rebuild them"
            )
        numbers = np.split(np.frombuffer(data, "<f8", offset=end), np.cumsum(sizes[:-1]))
        exposed = numbers.pop(-1 if is_old else 0)
        sums.exposed = exposed.astype(np.float64)
        for half, units in zip(header.parts, numbers, strict=False):
            part = sums.parts[half] = ExactSums(k, _size(d))
            part.units[:] = units.view("<i8").reshape(2, k, -1)
        if is_old or header.base is not None:
            precision = _symmetric(numbers[-2].reshape(k, -1).astype(np.float64), d)
            moment = numbers[-1].reshape(k, d).astype(np.float64)
            landmark = header.landmark if header.base is None else header.base
            sums.base = FloatSums(precision, moment, landmark)
        return sums

    def _decayed(self, age: float) -> tuple[Floats, Floats]:
        """`age`: of the moment, in half-lives since 1970."""
        k, d = len(self.exposed), self.spec.size
        total = np.zeros((k, _size(d)))
        for half in sorted(self.parts):
            total += self.parts[half].values() * float(np.exp2(half - age))
        upper, moment = np.split(total, [_size(d) - d], axis=1)
        precision = _symmetric(upper / self.spec.unit**2, d)
        moment = moment / self.spec.unit
        if self.base is None:
            return precision, moment
        before = self.base.decayed(age, self.spec.half_life_s is not None)
        return before[0] + precision, before[1] + moment

    def _part(self, half: int) -> ExactSums | None:
        """Of this half-life; None where it is too old to count."""
        self._meet(half)
        if half <= self.landmark - KEPT and self.spec.half_life_s is not None:
            return None
        if half not in self.parts:
            self.parts[half] = ExactSums(len(self.exposed), _size(self.spec.size))
        return self.parts[half]

    def _meet(self, half: int) -> None:
        """The landmark follows the latest half-life; what has become too old is left out."""
        if half > self.landmark:
            self.landmark = half
            for old in [old for old in self.parts if old <= half - KEPT]:
                del self.parts[old]

    def _weights(self, p0: Floats, at_s: Floats) -> tuple[Codes, Floats]:
        """(n,) whole half-lives since 1970, and (n,) weights as of their beginnings, in units."""
        variance = self.spec.variance(p0) / self.spec.unit**2
        half_life_s = self.spec.half_life_s
        if half_life_s is None:
            return np.zeros(len(p0), dtype=np.int64), 1.0 / variance
        age = at_s / half_life_s
        whole = np.floor(age)
        return whole.astype(np.int64), np.exp2(age - whole) / variance

    def _in_units(self, eur: Floats) -> Floats:
        scaled: Floats = np.clip(eur / self.spec.unit, -MOST_UNITS, MOST_UNITS)
        return scaled


class _Header(msgspec.Struct, frozen=True):
    spec: ResidualSpec
    actions: tuple[str, ...]
    landmark: int
    parts: tuple[int, ...] = ()
    base: int | None = None  # the landmark of the floats that an earlier program had summed up


def _size(d: int) -> int:
    """How many numbers an action has: of A by its upper triangle, and of b."""
    return d * (d + 1) // 2 + d


def _symmetric(upper: Floats, d: int) -> Floats:
    """(k, d, d) from (k, d (d + 1) / 2)."""
    rows, columns = np.triu_indices(d)
    full = np.empty((len(upper), d, d))
    full[:, rows, columns] = full[:, columns, rows] = upper
    return full


def _check_finite(field: str, array: Floats) -> None:
    if not np.isfinite(array).all():
        value = array[~np.isfinite(array)][0]
        raise InvalidInput(f"residual.{field}", value, "learn from finite numbers")


def _groups(halves: Codes, codes: Codes) -> list[tuple[int, int, Codes]]:
    """The rows of each half-life and action, the latest half-life first."""
    if len(codes) == 1:
        return [(int(halves[0]), int(codes[0]), np.zeros(1, dtype=np.int64))]
    pairs = sorted(set(zip(halves.tolist(), codes.tolist(), strict=True)), reverse=True)
    return [
        (half, code, np.flatnonzero((halves == half) & (codes == code))) for half, code in pairs
    ]
