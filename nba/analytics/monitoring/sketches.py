"""Small additive sums that a day of the loop is made of: counts by name, customers, columns."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from itertools import accumulate

import msgspec
import numpy as np

from nba.errors import InvalidInput
from nba.measurement.statistics.drift import Histogram, histogram, quantile_edges
from nba.measurement.statistics.moments import SampleMean, moments, ratio_mean

KEPT = 256  # smallest hashes of customers: their number is known to 1 / sqrt(254), 6 %
BUCKETS = 64  # of customers, between which rewards vary
_HASHES = 2.0**64


class NamedCounts(msgspec.Struct, frozen=True):
    """Counts by name, the names in order."""

    names: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()

    def __add__(self, other: NamedCounts) -> NamedCounts:
        counts = dict(self.items())
        for name, count in other.items():
            counts[name] = counts.get(name, 0) + count
        return tally_of(counts)

    def items(self) -> Iterable[tuple[str, int]]:
        """(name, count) in order."""
        return zip(self.names, self.counts, strict=True)

    def of(self, name: str) -> int:
        """The count of one name, 0 where it never came."""
        return dict(self.items()).get(name, 0)

    @property
    def total(self) -> int:
        return sum(self.counts)


def tally_of(counts: Mapping[str, int]) -> NamedCounts:
    """The counts by name."""
    names = tuple(sorted(counts))
    return NamedCounts(names, tuple(counts[name] for name in names))


class Distinct(msgspec.Struct, frozen=True):
    """About how many customers there were, whatever days and shards saw the same ones.

    The k-th smallest of their hashes tells: (k - 1) / h_k. Beyer, Haas, Reinwald, Sismanis and
    Gemulla, On synopses for distinct-value estimation, SIGMOD 2007, section 4.
    """

    hashes: tuple[int, ...] = ()  # ascending, the smallest `KEPT` of 64 bits

    def __add__(self, other: Distinct) -> Distinct:
        return Distinct(tuple(sorted({*self.hashes, *other.hashes})[:KEPT]))

    @property
    def count(self) -> int:
        if len(self.hashes) < KEPT:
            return len(self.hashes)
        return round((KEPT - 1) * _HASHES / (self.hashes[-1] + 1))


def hash_of(customer_id: str) -> int:
    """64 bits of a customer's id, the same in every process."""
    return int.from_bytes(hashlib.blake2b(customer_id.encode(), digest_size=8).digest(), "big")


def distinct(hashes: Iterable[int]) -> Distinct:
    """The customers with these hashes."""
    return Distinct(tuple(sorted(set(hashes))[:KEPT]))


class BinEdges(msgspec.Struct, frozen=True):
    """Where the columns of a context are cut into bins."""

    schema: str  # hash of the columns
    names: tuple[str, ...] = ()
    edges: tuple[tuple[float, ...], ...] = ()  # a column each
    bundle_id: str | None = None  # the champion before whose time they were chosen


def cut_of(
    schema: str, names: tuple[str, ...], rows: np.ndarray, bundle_id: str | None
) -> BinEdges:
    """Cuts at the quantiles of (n, columns) reference rows."""
    return BinEdges(schema, names, tuple(quantile_edges(column) for column in rows.T), bundle_id)


class Binned(msgspec.Struct, frozen=True):
    """Counts of every column of a cut, one after the other; none before anything was cut."""

    counts: bytes = b""  # int64 little-endian; of a column: one more than its bins, for missing

    def __add__(self, other: Binned) -> Binned:
        if not self.counts or not other.counts:
            return self if self.counts else other
        one, two = (np.frombuffer(each.counts, "<i8") for each in (self, other))
        if one.shape != two.shape:
            raise InvalidInput("columns", len(two), f"{len(one)} counts, cut as the other record")
        return Binned((one + two).tobytes())

    def columns(self, cut: BinEdges) -> list[Histogram]:
        """The histogram of each column; empty where nothing was counted."""
        widths = [len(edges) + 2 for edges in cut.edges]
        counts = [0] * sum(widths)
        if self.counts:
            counts = np.frombuffer(self.counts, "<i8").tolist()
        ends = list(accumulate(widths))
        return [
            Histogram(edges=edges, counts=tuple(counts[end - width : end]))
            for edges, end, width in zip(cut.edges, ends, widths, strict=True)
        ]


def binned(rows: np.ndarray, cut: BinEdges) -> Binned:
    """The counts of (n, columns) rows."""
    if not len(rows):
        return Binned()
    columns = zip(rows.T, cut.edges, strict=True)
    counts = [count for column, edges in columns for count in histogram(column, edges).counts]
    return Binned(np.array(counts, dtype="<i8").tobytes())


class Source(msgspec.Struct, frozen=True):
    """What one property of the events told: how often it could have, and how large it was."""

    told: int = 0  # events that could have held it
    read: int = 0  # that held a value of its type
    unlisted: int = 0  # that held a category which the journey file does not list
    n: int = 0  # numbers other than 0
    logs: float = 0.0  # sum of log |number|
    logs2: float = 0.0

    def __add__(self, other: Source) -> Source:
        return Source(
            *(self.told + other.told, self.read + other.read, self.unlisted + other.unlisted),
            *(self.n + other.n, self.logs + other.logs, self.logs2 + other.logs2),
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


class Sources(msgspec.Struct, frozen=True):
    """The properties by name."""

    names: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()

    def __add__(self, other: Sources) -> Sources:
        found = dict(self.items())
        for name, source in other.items():
            found[name] = found.get(name, Source()) + source
        return sources_of(found)

    def items(self) -> Iterable[tuple[str, Source]]:
        """(name, source) in order."""
        return zip(self.names, self.sources, strict=True)

    def of(self, name: str) -> Source:
        """One of them; an empty one where it never came."""
        return dict(self.items()).get(name, Source())


def sources_of(found: Mapping[str, Source]) -> Sources:
    """The sources by name."""
    names = tuple(sorted(found))
    return Sources(names, tuple(found[name] for name in names))


class Rewards(msgspec.Struct, frozen=True):
    """Rewards of decisions by buckets of customers, so that a mean knows how they cluster.

    A customer is in one bucket on all days, and whatever makes her rewards alike is within it.
    """

    n: tuple[int, ...] = (0,) * BUCKETS  # decisions
    y: tuple[float, ...] = (0.0,) * BUCKETS
    customers: Distinct = Distinct()

    def __add__(self, other: Rewards) -> Rewards:
        return Rewards(
            tuple(a + b for a, b in zip(self.n, other.n, strict=True)),
            tuple(a + b for a, b in zip(self.y, other.y, strict=True)),
            self.customers + other.customers,
        )

    @property
    def level(self) -> SampleMean:
        """Reward per decision, with customers as the units."""
        n = np.array(self.n, dtype=float)
        sums = moments(np.array(self.y)[n > 0.0], n[n > 0.0])
        found, customers = ratio_mean(sums), self.customers.count
        return SampleMean(found.mean, found.error2 * customers if found.n else 0.0, customers)


def rewards_of(hashes: np.ndarray, values: np.ndarray) -> Rewards:
    """The rewards of n decisions; `hashes` (n,) uint64 of their customers."""
    places = (hashes % np.uint64(BUCKETS)).astype(np.int64)
    return Rewards(
        tuple(np.bincount(places, minlength=BUCKETS).tolist()),
        tuple(np.bincount(places, weights=values, minlength=BUCKETS).tolist()),
        distinct(hashes.tolist()),
    )
