"""The residual: what is learned online on top of a frozen batch score, as sums that add up.

For each action a linear model of (reward - p0), p0 the calibrated score of the batch model, is kept
as A = sum w x x', b = sum w x (r - p0): Bayesian linear regression before its prior. An exposure
enters at once as a reward of 0; what arrives later is added to b with the weight of its exposure,
and may be revised or taken back. Sums of shards, replicas and days add up in any order.

The weight w = 2^(exposed / half-life) / variance is forward decay: Cormode et al., Forward Decay,
ICDE 2009. Landmarks are whole half-lives, so that moving one multiplies by a power of two: exactly.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.residual.features import ResidualSpec
from nba.engine.policy import Floats
from nba.errors import InvalidBundle, InvalidInput

MAGIC = b"nba-residual-1\n"
Codes = NDArray[np.int64]


class ResidualSums:
    """The sums of each action, k = n_actions + 1 rows: `no_action` (code -1) is the last.

    `precision` (k, d, d) is A, `moment` (k, d) is b, both decayed to `landmark` half-lives since
    1970; `exposed` (k,) counts exposures, undecayed. Rows are added in place.
    """

    __slots__ = ("spec", "actions", "precision", "moment", "exposed", "landmark")

    def __init__(self, spec: ResidualSpec, actions: Sequence[str]) -> None:
        """Nothing learned. `actions`: their ids by code, without no_action."""
        self.spec = spec
        self.actions = tuple(actions)
        k, d = len(self.actions) + 1, spec.size
        self.precision: Floats = np.zeros((k, d, d))
        self.moment: Floats = np.zeros((k, d))
        self.exposed: Floats = np.zeros(k)
        self.landmark = 0

    @property
    def exposures(self) -> float:
        """Decisions learned from, undecayed."""
        return float(self.exposed.sum())

    def expose(self, x: Floats, codes: Codes, p0: Floats, at_s: Floats, sign: float = 1.0) -> None:
        """Add decisions: (n, d) features, (n,) action codes, batch scores and times (seconds).

        With sign -1 the same exposures are taken back; their rewards are to be, too. Raises
        InvalidInput, and learns nothing, where a feature or a score is no finite number.
        """
        _check_finite("x", x)
        _check_finite("p0", p0)
        weights = sign * self._weights(p0, at_s)
        self._add_moment(x, codes, -p0 * weights)
        for code in _distinct(codes):
            is_code = codes == code
            self.precision[code] += (x[is_code] * weights[is_code, None]).T @ x[is_code]
            self.exposed[code] += sign * np.count_nonzero(is_code)

    def reward(self, x: Floats, codes: Codes, p0: Floats, delta: Floats, at_s: Floats) -> None:
        """Add rewards, or changes of them by (n,) `delta`, of decisions exposed at (n,) `at_s`.

        Raises InvalidInput, and learns nothing, where one is no finite number.
        """
        _check_finite("delta", delta)
        self._add_moment(x, codes, delta * self._weights(p0, at_s))

    def __add__(self, other: ResidualSums) -> ResidualSums:
        """The sum of both. Raises InvalidBundle where their features or actions differ."""
        if (self.spec, self.actions) != (other.spec, other.actions):
            raise InvalidBundle(
                "residual sums of different features or actions do not add up: rebuild one of "
                "them from the log, or take `for_actions` first"
            )
        total = ResidualSums(self.spec, self.actions)
        total.landmark = max(self.landmark, other.landmark)
        for part in (self, other):
            scale = part._scale(total.landmark)
            total.precision += part.precision * scale
            total.moment += part.moment * scale
            total.exposed += part.exposed
        return total

    def for_actions(self, actions: Sequence[str]) -> ResidualSums:
        """The same sums under another catalogue's codes: what it does not have is left out, what
        is new has learned nothing."""
        recoded = ResidualSums(self.spec, actions)
        recoded.landmark = self.landmark
        old_codes = {action: code for code, action in enumerate(self.actions)}
        for code, action in enumerate([*recoded.actions, None]):
            old_code = -1 if action is None else old_codes.get(action)
            if old_code is not None:
                recoded.precision[code] = self.precision[old_code]
                recoded.moment[code] = self.moment[old_code]
                recoded.exposed[code] = self.exposed[old_code]
        return recoded

    def decayed(self, as_of_s: float) -> tuple[Floats, Floats]:
        """(A, b) with the weights that their rows have at this moment."""
        half_life_s = self.spec.half_life_s
        if half_life_s is None:
            return self.precision, self.moment
        scale = float(np.exp2(self.landmark - as_of_s / half_life_s))
        return self.precision * scale, self.moment * scale

    def to_bytes(self) -> bytes:
        """A header in JSON, and the arrays as little-endian float64; A by its upper triangle."""
        header = msgspec.json.encode(
            {"spec": self.spec, "actions": self.actions, "landmark": self.landmark}
        )
        upper = self.precision[:, *np.triu_indices(self.spec.size)]
        arrays = (upper, self.moment, self.exposed)
        body = b"".join(np.ascontiguousarray(array, dtype="<f8").tobytes() for array in arrays)
        return MAGIC + len(header).to_bytes(4, "little") + header + body

    @classmethod
    def from_bytes(cls, data: bytes) -> ResidualSums:
        """What `to_bytes` wrote, bit for bit; raises InvalidBundle for anything else."""
        begin = len(MAGIC) + 4
        end = begin + int.from_bytes(data[len(MAGIC) : begin], "little")
        try:
            if not data.startswith(MAGIC):
                raise msgspec.DecodeError("another beginning")
            header = msgspec.json.decode(data[begin:end], type=_Header)
        except msgspec.DecodeError as error:
            raise InvalidBundle(
                f"residual sums: {len(data)} bytes that are none ({error}): rebuild them"
            ) from None
        k, d = len(header.actions) + 1, header.spec.size
        sizes = (k * d * (d + 1) // 2, k * d, k)
        if len(data) - end != 8 * sum(sizes):
            raise InvalidBundle(
                f"residual sums: {len(data) - end} bytes of numbers where the header asks for "
                f"{8 * sum(sizes)}: rebuild them"
            )
        sums = cls(header.spec, header.actions)
        sums.landmark = header.landmark
        numbers = np.frombuffer(data, "<f8", offset=end).astype(np.float64)
        upper, moment, exposed = np.split(numbers, np.cumsum(sizes[:-1]))
        rows, columns = np.triu_indices(d)
        sums.precision[:, rows, columns] = upper.reshape(k, -1)
        sums.precision[:, columns, rows] = upper.reshape(k, -1)
        sums.moment[:] = moment.reshape(k, d)
        sums.exposed[:] = exposed
        return sums

    def _weights(self, p0: Floats, at_s: Floats) -> Floats:
        """(n,) forward-decayed weights; the landmark follows the latest time."""
        variance = self.spec.variance(p0)
        half_life_s = self.spec.half_life_s
        if half_life_s is None or len(at_s) == 0:
            return 1.0 / variance
        age = at_s / half_life_s
        whole = np.floor(age)
        latest = int(whole.max())
        if latest > self.landmark:
            scale = self._scale(latest)
            self.precision *= scale
            self.moment *= scale
            self.landmark = latest
        steps = np.maximum(whole - self.landmark, -2000).astype(np.int64)
        weights: Floats = np.ldexp(np.exp2(age - whole), steps) / variance
        return weights

    def _scale(self, landmark: int) -> float:
        """What moves these sums to a later landmark: a power of two, so exactly."""
        return float(np.ldexp(1.0, max(self.landmark - landmark, -2000)))

    def _add_moment(self, x: Floats, codes: Codes, factors: Floats) -> None:
        for code in _distinct(codes):
            is_code = codes == code
            self.moment[code] += factors[is_code] @ x[is_code]


class _Header(msgspec.Struct, frozen=True):
    spec: ResidualSpec
    actions: tuple[str, ...]
    landmark: int


def _check_finite(field: str, array: Floats) -> None:
    if not np.isfinite(array).all():
        value = array[~np.isfinite(array)][0]
        raise InvalidInput(f"residual.{field}", value, "learn from finite numbers")


def _distinct(codes: Codes) -> list[int]:
    return [int(codes[0])] if len(codes) == 1 else sorted(set(codes.tolist()))
