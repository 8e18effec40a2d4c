"""Contexts counted by column, in bins that the reference's quantiles give."""

from __future__ import annotations

from itertools import accumulate

import msgspec
import numpy as np

from nba.errors import InvalidInput
from nba.measurement.statistics.drift import Histogram, histogram, quantile_edges


class ContextBins(msgspec.Struct, frozen=True):
    """The edges of the bins in which each column of a context is counted."""

    schema: str  # hash of the columns
    names: tuple[str, ...] = ()
    edges: tuple[tuple[float, ...], ...] = ()  # a column each
    bundle_id: str | None = None  # the champion before whose time they were chosen


def context_bins(
    schema: str, names: tuple[str, ...], rows: np.ndarray, bundle_id: str | None
) -> ContextBins:
    """Bins between the quantiles of (n, columns) reference rows."""
    return ContextBins(schema, names, tuple(quantile_edges(column) for column in rows.T), bundle_id)


class ContextCounts(msgspec.Struct, frozen=True):
    """Counts of every column, one after the other; empty before bins are chosen."""

    counts: bytes = b""  # int64 little-endian; of a column: one more than its bins, for missing

    def __add__(self, other: ContextCounts) -> ContextCounts:
        if not self.counts or not other.counts:
            return self if self.counts else other
        left = np.frombuffer(self.counts, "<i8")
        right = np.frombuffer(other.counts, "<i8")
        if left.shape != right.shape:
            raise InvalidInput("columns", len(right), f"{len(left)} counts, in the same bins")
        return ContextCounts((left + right).tobytes())

    def columns(self, bins: ContextBins) -> list[Histogram]:
        """The histogram of each column; empty where nothing was counted."""
        widths = [len(edges) + 2 for edges in bins.edges]
        counts = [0] * sum(widths)
        if self.counts:
            counts = np.frombuffer(self.counts, "<i8").tolist()
        ends = list(accumulate(widths))
        return [
            Histogram(edges=edges, counts=tuple(counts[end - width : end]))
            for edges, end, width in zip(bins.edges, ends, widths, strict=True)
        ]


def count_contexts(rows: np.ndarray, bins: ContextBins) -> ContextCounts:
    """The counts of (n, columns) rows."""
    if not len(rows):
        return ContextCounts()
    columns = zip(rows.T, bins.edges, strict=True)
    counts = [count for column, edges in columns for count in histogram(column, edges).counts]
    return ContextCounts(np.array(counts, dtype="<i8").tobytes())
