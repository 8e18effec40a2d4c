"""Small additive sums that a day of the loop is made of: counts by name, customers, columns."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping

import msgspec
import numpy as np

from nba.measurement.statistics.calibration import GROUPS
from nba.measurement.statistics.moments import SampleMean, moments, ratio_mean

KEPT = 256  # smallest hashes of customers: their number is known to 1 / sqrt(254), 6 %
_HASHES = 2.0**64


class NamedCounts(msgspec.Struct, frozen=True):
    """Counts by name, the names in order."""

    names: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()

    def __add__(self, other: NamedCounts) -> NamedCounts:
        counts = dict(self.items())
        for name, count in other.items():
            counts[name] = counts.get(name, 0) + count
        return named_counts(counts)

    def items(self) -> Iterable[tuple[str, int]]:
        """(name, count) in order."""
        return zip(self.names, self.counts, strict=True)

    def of(self, name: str) -> int:
        """The count of one name, 0 where it never came."""
        return dict(self.items()).get(name, 0)

    @property
    def total(self) -> int:
        return sum(self.counts)


def named_counts(counts: Mapping[str, int]) -> NamedCounts:
    """The counts by name."""
    names = tuple(sorted(counts))
    return NamedCounts(names, tuple(counts[name] for name in names))


class DistinctCount(msgspec.Struct, frozen=True):
    """About how many customers there were, whatever days and shards saw the same ones.

    From the k-th smallest of their hashes: (k - 1) / h_k. Beyer, Haas, Reinwald, Sismanis and
    Gemulla, On synopses for distinct-value estimation, SIGMOD 2007, section 4.
    """

    hashes: tuple[int, ...] = ()  # ascending, the smallest `KEPT` of 64 bits

    def __add__(self, other: DistinctCount) -> DistinctCount:
        return DistinctCount(tuple(sorted({*self.hashes, *other.hashes})[:KEPT]))

    @property
    def count(self) -> int:
        if len(self.hashes) < KEPT:
            return len(self.hashes)
        return round((KEPT - 1) * _HASHES / (self.hashes[-1] + 1))


def customer_hash(customer_id: str) -> int:
    """64 bits of a customer's id, the same in every process."""
    return int.from_bytes(hashlib.blake2b(customer_id.encode(), digest_size=8).digest(), "big")


def customer_hashes(customers: Iterable[str]) -> np.ndarray:
    """(n,) uint64, the hash of each customer's id."""
    return np.array([customer_hash(customer) for customer in customers], dtype=np.uint64)


def distinct_count(hashes: Iterable[int]) -> DistinctCount:
    """The customers with these hashes."""
    return DistinctCount(tuple(sorted(set(hashes))[:KEPT]))


class PropertySums(msgspec.Struct, frozen=True):
    """Values of one property of the events: how many were readable, and how large."""

    carriers: int = msgspec.field(name="told", default=0)  # events that could have carried it
    read: int = 0  # that carried a value of its type
    unlisted: int = 0  # that carried a category which the journey file does not list
    n: int = 0  # numbers other than 0
    logs: float = 0.0  # sum of log |number|
    logs2: float = 0.0
    beyond: int = 0  # amounts beyond their range, in logs of before: they count as its bound

    def __add__(self, other: PropertySums) -> PropertySums:
        return PropertySums(
            carriers=self.carriers + other.carriers,
            read=self.read + other.read,
            unlisted=self.unlisted + other.unlisted,
            n=self.n + other.n,
            logs=self.logs + other.logs,
            logs2=self.logs2 + other.logs2,
            beyond=self.beyond + other.beyond,
        )

    @property
    def size(self) -> float:
        """The mean log of the numbers' size; NaN of none."""
        return self.logs / self.n if self.n else math.nan

    @property
    def size_error2(self) -> float:
        """The squared standard error of `size`; infinite of fewer than two."""
        if self.n < 2:
            return math.inf
        return max(self.logs2 - self.logs**2 / self.n, 0.0) / (self.n - 1) / self.n


class PropertiesByName(msgspec.Struct, frozen=True):
    """Values of properties, by their names in order."""

    names: tuple[str, ...] = ()
    sources: tuple[PropertySums, ...] = ()

    def __add__(self, other: PropertiesByName) -> PropertiesByName:
        sums = dict(self.items())
        for name, values in other.items():
            sums[name] = sums.get(name, PropertySums()) + values
        return properties_by_name(sums)

    def items(self) -> Iterable[tuple[str, PropertySums]]:
        """(name, sums) in order."""
        return zip(self.names, self.sources, strict=True)

    def of(self, name: str) -> PropertySums:
        """The sums of one property; empty where it never came."""
        return dict(self.items()).get(name, PropertySums())


def properties_by_name(sums: Mapping[str, PropertySums]) -> PropertiesByName:
    """The sums with their names in order."""
    names = tuple(sorted(sums))
    return PropertiesByName(names, tuple(sums[name] for name in names))


class BucketedRewards(msgspec.Struct, frozen=True):
    """Rewards of decisions by groups of customers, so that a mean knows how they cluster.

    A customer is in one group on all days, and whatever makes their rewards alike is within it.
    """

    n: tuple[int, ...] = (0,) * GROUPS  # decisions
    y: tuple[float, ...] = (0.0,) * GROUPS
    customers: DistinctCount = DistinctCount()

    def __add__(self, other: BucketedRewards) -> BucketedRewards:
        return BucketedRewards(
            tuple(a + b for a, b in zip(self.n, other.n, strict=True)),
            tuple(a + b for a, b in zip(self.y, other.y, strict=True)),
            self.customers + other.customers,
        )

    @property
    def level(self) -> SampleMean:
        """Reward per decision, with customers as the units."""
        n = np.array(self.n, dtype=float)
        sums = moments(np.array(self.y)[n > 0.0], n[n > 0.0])
        buckets, customers = ratio_mean(sums), self.customers.count
        variance = buckets.error2 * customers if buckets.n else 0.0
        return SampleMean(buckets.mean, variance, customers)


def bucket_rewards(hashes: np.ndarray, values: np.ndarray) -> BucketedRewards:
    """The rewards of n decisions; `hashes` (n,) uint64 of their customers."""
    buckets = (hashes % np.uint64(GROUPS)).astype(np.int64)
    return BucketedRewards(
        tuple(np.bincount(buckets, minlength=GROUPS).tolist()),
        tuple(np.bincount(buckets, weights=values, minlength=GROUPS).tolist()),
        distinct_count(hashes.tolist()),
    )
