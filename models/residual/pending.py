"""Pending exposures: how much of the residual's sums is counted whose rewards are still to come.

The sums take an exposure in as a whole. Until its wait is over, the part of it is taken off again
of which the rewards have not arrived: with F the share that has, it counts as F (A, b) and not as
(A, b), so that what has come is compared with what could have. F is the delay curve of its stream:
an action, deferred or not, since what is activated first takes longer. For that the exposures that
wait are kept in cohorts by when they were decided, as sums that add up; a cohort that has waited
long enough is dropped, and its exposures count as they are. Nothing here is ever added to the sums:
they are what they would be had all been learned at the end.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from models.residual.cohort import Cohort, StoredExposures
from models.residual.delay_curve import (
    AGES,
    BUCKETS,
    PARTS,
    DelayCurves,
    fit_delay_curves,
    parts_at,
)
from models.residual.discount import Discount, discount_of
from models.residual.features import ResidualSpec
from models.residual.past_delays import PastDelays, StreamDelays, stream_names
from models.residual.sums import Codes, ResidualSums
from nba.engine.policy import Floats
from nba.errors import InvalidBundle

REMEMBERED, RECALLED = 4.0, 50.0  # waits after which delays count half; of a bundle's, at most
POINTS: Floats = np.arange(-4, 5) / 4.5  # of a cohort's span, at which its curve is read


class PendingExposures:
    """The exposures of one residual that wait, and the delays of its rewards so far.

    There are 2k streams, k = n_actions + 1: those of each code, `no_action` last, and the deferred
    ones. `waits_s` (2k,): at which age nothing more is to come of one.
    """

    def __init__(
        self,
        spec: ResidualSpec,
        actions: Sequence[str],
        waits_s: Sequence[float],
        *,
        known_s: float = 0.0,
    ) -> None:
        """`known_s`: decisions made before are left out: they count as a whole, as they did."""
        self.known_s = known_s
        self.spec = spec
        self.actions = tuple(actions)
        self.waits_s: Floats = np.array(waits_s, dtype=float)
        self.width_s = float(self.waits_s[: len(self.actions) + 1].max()) / PARTS
        self.cohorts: dict[int, Cohort] = {}
        # of each stream, the number of the first cohort that waits: it begins at begin * width_s
        self.begin: Codes = np.zeros(len(self.waits_s), dtype=np.int64)
        self.arrived: Floats = np.zeros((len(self.waits_s), BUCKETS))  # of all that wait no more
        self.sizes: Floats = np.zeros((len(self.waits_s), 2))  # sums of |r| and r^2, r the rewards

    @property
    def fresh_s(self) -> float:
        """For how long a discount is not worth being made anew."""
        return self.width_s / 4

    def streams(self, codes: Codes, deferred: Codes) -> Codes:
        """(n,) the streams of these action codes; `deferred`: 1 where one is, else 0."""
        k = len(self.actions) + 1
        return codes % k + k * deferred

    def expose(
        self, x: Floats, streams: Codes, p0: Floats, silence: Floats, at_s: Floats, sign: float = 1
    ) -> None:
        """Decisions, arguments (n, ...) as of `ResidualSums.expose`; sign -1 takes them back.

        `silence`: (n,) what each is worth before anything came of it.
        """
        upper = np.triu_indices(self.spec.size)
        numbers = np.floor(at_s / self.width_s).astype(np.int64)
        since_s = at_s - numbers * self.width_s
        weights = sign / self.spec.variance(p0)
        if self.spec.half_life_s is not None:
            weights = weights * np.exp2(since_s / self.spec.half_life_s)
        for number, stream in sorted(set(zip(numbers.tolist(), streams.tolist(), strict=True))):
            some = (numbers == number) & (streams == stream) & (at_s >= self.known_s)
            if number < self.begin[stream] or not some.any():
                continue
            z, w = x[some], weights[some]
            cohort = self._cohort(number)
            square = (z * w[:, None]).T @ z
            moment = (w * (p0 - silence)[some]) @ z
            cohort.sums[stream] += np.concatenate((square[upper], moment))
            cohort.exposed[stream] += sign * np.count_nonzero(some)
            seconds = np.floor(since_s[some])
            cohort.seconds[stream] += sign * seconds.sum()
            cohort.squares[stream] += sign * (seconds**2).sum()

    def arrive(
        self, stream: int, at_s: float, arrivals: Sequence[tuple[float, float]], sign: float = 1
    ) -> None:
        """The parts in which the reward of a decision made at `at_s` has come: (when, how much)."""
        if at_s < self.known_s:
            return
        number = int(np.floor(at_s / self.width_s))
        if number < self.begin[stream]:
            counts, kept = self.arrived, self._kept(self.begin - 1 - number)[stream]
        else:
            counts, kept = self._cohort(number).arrived, 1.0
        for came_s, amount in arrivals:
            age = (came_s - at_s) / self.waits_s[stream]
            bucket = min(max(int(np.searchsorted(AGES, age)) - 1, 0), BUCKETS - 1)
            counts[stream, bucket] += sign * amount * kept
        reward = sum(amount for _, amount in arrivals)
        self.sizes[stream] += sign * abs(reward), sign * reward**2

    def advance(self, as_of_s: float) -> None:
        """Let go of what has waited long enough; its delays stay, older ones for less."""
        before, first = self.begin, self.begin == 0
        self.begin = np.maximum(
            before, np.floor((as_of_s - self.waits_s) / self.width_s).astype(np.int64)
        )
        self.arrived *= np.where(first, 1.0, self._kept(self.begin - before))[:, None]
        for number, cohort in sorted(self.cohorts.items()):
            over = number < self.begin
            kept = self._kept(self.begin - 1 - number)
            self.arrived[over] += (cohort.arrived * kept[:, None])[over]
            for name in Cohort.__slots__:
                getattr(cohort, name)[over] = 0.0
            if not (cohort.sums.any() or cohort.arrived.any()):
                del self.cohorts[number]

    def _kept(self, cohorts: Codes) -> Floats:
        """(2k,) what delays count after (2k,) so many cohorts more."""
        half_s = np.minimum(REMEMBERED * self.waits_s, self.spec.half_life_s or np.inf)
        return np.exp2(-np.maximum(cohorts, 0) * self.width_s / half_s)

    def curves(self, as_of_s: float) -> DelayCurves:
        """The delay curves of the streams, by the exposures that were old enough to show each
        part of them."""
        # rewards of any unit as numbers of arrivals, few where one is far larger than the others
        size, square = self.sizes.T
        unit = np.divide(size, square, out=np.ones_like(size), where=square > 1e-9)
        within = self.arrived.copy()
        by = np.cumsum(self.arrived, axis=1)
        for number, cohort in sorted(self.cohorts.items()):
            youngest_s = as_of_s - (number + 1) * self.width_s
            shown = AGES[1:] * self.waits_s[:, None] <= youngest_s
            within += cohort.arrived * shown
            by += np.cumsum(cohort.arrived, axis=1) * shown
        came, scored = self._levels(as_of_s)
        per = np.where(by[:, -1] + came < 0.0, -unit, unit)[:, None]  # of losses as of gains
        came, scored = np.abs(came) * unit, scored * unit[:, None]
        return fit_delay_curves(within * per, by * per, self.waits_s, came=came, scored=scored)

    def _levels(self, as_of_s: float) -> tuple[Floats, Floats]:
        """(2k,) arrivals of what waits, and (2k, BUCKETS + 1) what its scores promise, by age."""
        came, scored = np.zeros(len(self.waits_s)), np.zeros((len(self.waits_s), BUCKETS + 1))
        for number, cohort in sorted(self.cohorts.items()):
            age = (as_of_s - (number + 0.5) * self.width_s) / self.waits_s
            scored += cohort.scored(self.spec.size)[:, None] * parts_at(age)
            came += cohort.arrived.sum(axis=1)
        return came, scored

    def discount(self, sums: ResidualSums, as_of_s: float) -> Discount | None:
        """What is taken off the sums at this moment; None where nothing waits."""
        numbers = sorted(self.cohorts)
        if not numbers:
            return None
        cohorts = [self.cohorts[number] for number in numbers]
        exposed = np.array([cohort.exposed for cohort in cohorts])  # (c, 2k)
        oldest = as_of_s - np.array(numbers)[:, None] * self.width_s
        ages = self._ages(cohorts, exposed, oldest) / self.waits_s[:, None]
        streams = len(self.waits_s)
        flat = ages.transpose(1, 0, 2).reshape(streams, -1)
        share, deviation = (
            found.reshape(streams, len(numbers), -1).mean(axis=2).T
            for found in self.curves(as_of_s).at(flat)
        )
        weights = np.ones(len(numbers))
        if self.spec.half_life_s is not None:
            weights = np.exp2(-oldest[:, 0] / self.spec.half_life_s)
        return discount_of(
            sums,
            as_of_s,
            cohorts=np.array([cohort.sums for cohort in cohorts]) * weights[:, None, None],
            exposed=exposed,
            arrived=np.array([cohort.arrived.sum(axis=1) for cohort in cohorts]),
            share=share,
            deviation=deviation,
        )

    def _ages(self, cohorts: Sequence[Cohort], exposed: Floats, oldest: Floats) -> Floats:
        """(c, 2k, points) the ages of their exposures, as if spread evenly about their mean.

        `oldest`: (c, 1) the age that one at the beginning of each cohort has.
        """
        many = np.where(exposed != 0.0, exposed, 1.0)
        since = np.array([cohort.seconds for cohort in cohorts]) / many
        variance = np.array([cohort.squares for cohort in cohorts]) / many - since**2
        age = oldest - np.clip(since, 0.0, self.width_s)
        spread = np.sqrt(3.0 * np.maximum(variance, 0.0))
        spread = np.minimum(spread, np.minimum(oldest - age, age - oldest + self.width_s))
        return age[..., None] + spread[..., None] * POINTS

    def delays(self) -> PastDelays:
        """Of all rewards so far."""
        arrived = self.arrived + sum(cohort.arrived for cohort in self.cohorts.values())
        names = stream_names(self.actions)
        return {
            name: StreamDelays(tuple(counts.tolist()), *sizes.tolist())
            for name, counts, sizes in zip(names, arrived, self.sizes, strict=True)
            if counts.any()
        }

    def recall(self, delays: PastDelays) -> None:
        """Add those of earlier decisions, of the actions that there still are.

        Raises InvalidBundle where they are not by these ages.
        """
        for stream, name in enumerate(stream_names(self.actions)):
            if (found := delays.get(name)) is None:
                continue
            if len(found.arrived) != BUCKETS:
                raise InvalidBundle(f"delays: {len(found.arrived)} ages where there are {BUCKETS}")
            fresh = min(1.0, RECALLED / max(abs(sum(found.arrived)), 1e-9))
            self.arrived[stream] += np.array(found.arrived) * fresh
            self.sizes[stream] += found.size * fresh, found.square * fresh

    def for_actions(self, actions: Sequence[str], waits_s: Sequence[float]) -> PendingExposures:
        """The same under another catalogue's codes, as `ResidualSums.for_actions`."""
        recoded = PendingExposures(self.spec, actions, waits_s, known_s=self.known_s)
        if recoded.width_s != self.width_s:
            raise InvalidBundle("pending exposures of other windows: rebuild them from the log")
        old, new = len(self.actions) + 1, len(recoded.actions) + 1
        known = {action: code for code, action in enumerate(self.actions)}
        pairs = [(known[a], code) for code, a in enumerate(recoded.actions) if a in known]
        pairs.append((old - 1, new - 1))
        pairs += [(old + before, new + after) for before, after in pairs]
        before, after = (list(rows) for rows in zip(*pairs, strict=True))
        recoded.begin[after] = self.begin[before]
        recoded.arrived[after], recoded.sizes[after] = self.arrived[before], self.sizes[before]
        for number, cohort in self.cohorts.items():
            into = recoded._cohort(number)
            for name in Cohort.__slots__:
                getattr(into, name)[after] = getattr(cohort, name)[before]
        return recoded

    def to_bytes(self) -> bytes:
        """As MessagePack; streams of which a cohort holds nothing are left out of it."""
        cohorts = {}
        for number, cohort in sorted(self.cohorts.items()):
            rows = np.flatnonzero(np.column_stack((cohort.sums, cohort.arrived)).any(axis=1))
            arrays = [getattr(cohort, name)[rows].tobytes() for name in Cohort.__slots__]
            cohorts[number] = (rows.tolist(), *arrays)
        return msgspec.msgpack.encode(
            StoredExposures(
                actions=self.actions,
                features=self.spec.size,
                waits_s=tuple(self.waits_s.tolist()),
                known_s=self.known_s,
                begin=self.begin.tolist(),
                arrived=self.arrived.tobytes(),
                sizes=self.sizes.tobytes(),
                cohorts=cohorts,
            )
        )

    @classmethod
    def from_bytes(cls, data: bytes, spec: ResidualSpec) -> PendingExposures:
        """What `to_bytes` wrote, bit for bit. Raises InvalidBundle for anything else."""
        try:
            stored = msgspec.msgpack.decode(data, type=StoredExposures)
            pending = cls(spec, stored.actions, stored.waits_s, known_s=stored.known_s)
            if stored.features != spec.size:
                raise ValueError(f"{stored.features} features where there are {spec.size}")
            pending.begin[:] = stored.begin
            pending.arrived[:] = np.frombuffer(stored.arrived, "<f8").reshape(-1, BUCKETS)
            pending.sizes[:] = np.frombuffer(stored.sizes, "<f8").reshape(-1, 2)
            for number, (rows, *arrays) in stored.cohorts.items():
                cohort = pending._cohort(number)
                for name, content in zip(Cohort.__slots__, arrays, strict=True):
                    into = getattr(cohort, name)
                    into[rows] = np.frombuffer(content, "<f8").reshape(len(rows), *into.shape[1:])
        except (ValueError, msgspec.DecodeError) as error:
            raise InvalidBundle(
                f"pending exposures: {len(data)} bytes that are none ({error})"
            ) from None
        return pending

    def _cohort(self, number: int) -> Cohort:
        return self.cohorts.setdefault(number, Cohort(len(self.waits_s), self.spec.size))
