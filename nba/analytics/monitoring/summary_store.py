"""Daily summaries stored in the log as bundles, so that replicas hold no state of their own.

The alias `health` points at an index: which bundle holds which day, and up to where the log is in
them. A pass saves one bundle with its index and the days that it has changed; bundles that no index
names any more are stripped by the pass after the next, so that a reader finds what its index names.
"""

from __future__ import annotations

import zlib
from datetime import date, datetime
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from nba.analytics.monitoring.context_bins import ContextBins
from nba.analytics.monitoring.daily_summary import DailySummary
from nba.analytics.monitoring.health_report import DatedSummary
from nba.content_ids import content_id
from nba.errors import InvalidBundle
from nba.rewards.changes import LeftOut, LogPosition
from nba.stores.log import Log
from nba.stores.versioned import save_version

HEALTH = "health"  # the alias, and the turn in which it is moved
FORMAT = 2  # 2: outcomes by groups of customers
_INDEX, _BINS = "index.json", "cut"
Stored = TypeVar("Stored", DailySummary, ContextBins)
_TRIES = 3  # a pass may strip what was just read


class SummaryCursors(msgspec.Struct, frozen=True, kw_only=True):
    """Up to where the log is in the summaries, by their parts."""

    events: int = msgspec.field(default=0, name="told")
    decisions: int = msgspec.field(default=0, name="drawn")
    early: int = 0
    settled: int = 0
    # customers whose outcomes could not be settled there; unset where nobody is
    early_left_out: tuple[LeftOut, ...] | UnsetType = UNSET
    settled_left_out: tuple[LeftOut, ...] | UnsetType = UNSET

    def outcomes(self, *, early: bool) -> LogPosition:
        """Up to where the outcomes of one of the two ages are in, and who is left out of them."""
        return LogPosition(
            position=self.early if early else self.settled,
            customers_left_out=self.early_left_out if early else self.settled_left_out,
        )

    def with_outcomes(self, at: LogPosition, *, early: bool) -> SummaryCursors:
        """The same with these."""
        changed = (
            {"early": at.position, "early_left_out": at.customers_left_out}
            if early
            else {"settled": at.position, "settled_left_out": at.customers_left_out}
        )
        return msgspec.structs.replace(self, **changed)

    @property
    def left_out(self) -> tuple[str, ...]:
        """The customers some of whose outcomes wait to be settled, each once."""
        both = (*(self.early_left_out or ()), *(self.settled_left_out or ()))
        return tuple(dict.fromkeys(one.customer_id for one in both))


class SummaryIndex(msgspec.Struct, frozen=True, kw_only=True):
    """Which bundle holds which day, and up to where the log was read."""

    format: int = FORMAT
    cursors: SummaryCursors = msgspec.field(default=SummaryCursors(), name="places")
    at: datetime | None = None  # of the pass
    files: dict[str, str] = {}  # name, a day or the cut -> the bundle that holds it
    stale: tuple[str, ...] = ()  # bundles that are stripped next


class SummaryStore:
    """The summaries as this replica holds them; `load` before anything else."""

    def __init__(self, log: Log, kept_days: int) -> None:
        self._log = log
        self._kept_days = kept_days
        self._name: str | None = None
        self._index = SummaryIndex()
        self._changed: set[str] = set()
        self.bins: ContextBins | None = None
        self.days: dict[date, DailySummary] = {}
        self.cursors = SummaryCursors()

    @property
    def begun(self) -> bool:
        """Whether any pass was saved."""
        return self._name is not None

    @property
    def at(self) -> datetime | None:
        """When the last pass was saved."""
        return self._index.at

    @property
    def dated(self) -> list[DatedSummary]:
        """The days in order."""
        return sorted(self.days.items())

    def load(self) -> None:
        """Take up what was saved last; what was not saved is dropped.

        Raises InvalidBundle where it cannot be read, StoreUnavailable.
        """
        for attempt in range(_TRIES):
            name = self._log.alias(HEALTH)
            if name == self._name and not self._changed:
                return
            try:
                self._take(name)
                return
            except KeyError:
                if attempt == _TRIES - 1:
                    raise InvalidBundle(
                        f"{name}: a part of it is gone; the next pass begins anew"
                    ) from None

    def add(self, when: date, day: DailySummary) -> None:
        """Add to a day."""
        self.days[when] = self.days.get(when, DailySummary()) + day
        self._changed.add(when.isoformat())

    def replace_bins(self, bins: ContextBins | None, position: int) -> None:
        """Take other bins for contexts: decisions are counted anew, from this position on."""
        self.bins = bins
        self.cursors = msgspec.structs.replace(self.cursors, decisions=position)
        self.days = {
            when: DailySummary(events=day.events, early=day.early, settled=day.settled)
            for when, day in self.days.items()
        }
        self._changed |= {_BINS, *(when.isoformat() for when in self.days)}

    def clear(self) -> None:
        """Begin anew."""
        self._index, self.bins, self.days, self.cursors = SummaryIndex(), None, {}, SummaryCursors()
        self._changed = set()

    def save(self, at: datetime) -> bool:
        """Save what has changed; False where nothing has. Raises StoreUnavailable."""
        if self.begun and not self._changed and self.cursors == self._index.cursors:
            return False
        newest = sorted(self.days, reverse=True)[: self._kept_days]
        self.days = {when: self.days[when] for when in newest}
        names = {when.isoformat() for when in newest} | (
            {_BINS} if self.bins is not None else set()
        )
        written = {name: self._bytes(name) for name in sorted(self._changed & names)}
        marker = msgspec.json.encode([self.cursors, at, sorted(written)])
        name = content_id(HEALTH, b"".join([marker, *written.values()]))
        before = self._index.files
        files = {part: name if part in written else before[part] for part in sorted(names)}
        gone = ({*before.values()} | ({self._name} if self._name else set())) - {*files.values()}
        index = SummaryIndex(
            cursors=self.cursors, at=at, files=files, stale=tuple(sorted(gone - {name}))
        )
        content = {_INDEX: msgspec.json.encode(index), **written}
        save_version(self._log, alias=HEALTH, version=name, files=content, at=at, by=HEALTH)
        self._log.strip_bundles([old for old in self._index.stale if old not in files.values()])
        self._name, self._index, self._changed = name, index, set()
        return True

    def _take(self, name: str | None) -> None:
        if name is None:
            self.clear()
            self._name = None
            return
        index = _index(self._file(name, _INDEX))
        known = {
            part
            for part, file_name in index.files.items()
            if self._index.files.get(part) == file_name
        }
        fresh = [part for part in index.files if part not in known or part in self._changed]
        contents = {part: self._file(index.files[part], part) for part in fresh}
        days = {when: day for when, day in self.days.items() if when.isoformat() in index.files}
        days |= {
            date.fromisoformat(part): _decoded(part, content, DailySummary)
            for part, content in contents.items()
            if part != _BINS
        }
        bins = self.bins if _BINS in index.files else None
        self.bins = _decoded(_BINS, contents[_BINS], ContextBins) if _BINS in contents else bins
        self._name, self._index, self._changed = name, index, set()
        self.days, self.cursors = days, index.cursors

    def _file(self, bundle_id: str, name: str) -> bytes:
        stored = self._log.bundle(bundle_id)
        return ({} if stored is None else stored.files)[name]

    def _bytes(self, name: str) -> bytes:
        part = self.bins if name == _BINS else self.days[date.fromisoformat(name)]
        return zlib.compress(msgspec.msgpack.encode(part), 6)


def _index(content: bytes) -> SummaryIndex:
    try:
        index = msgspec.json.decode(content, type=SummaryIndex)
    except msgspec.DecodeError as error:
        raise InvalidBundle(f"{_INDEX}: {error}") from None
    if index.format != FORMAT:
        raise InvalidBundle(f"{_INDEX}: format {index.format}; this program reads {FORMAT}")
    return index


def _decoded(name: str, content: bytes, kind: type[Stored]) -> Stored:
    try:
        return msgspec.msgpack.decode(zlib.decompress(content), type=kind)
    except (msgspec.DecodeError, zlib.error) as error:
        raise InvalidBundle(f"{name}: {error}") from None
