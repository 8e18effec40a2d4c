"""History: a log, read once and encoded for every training set that is drawn from it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from features.fold import Fold
from features.replay.point_in_time import EncodedLog, encode
from nba.decisions.candidate import Candidate
from nba.decisions.decision import Mode
from nba.events.event import Event, micros
from nba.events.numbers import number_of
from nba.events.parsing import parse_event
from nba.stores.log import Log
from nba.stores.pages import decision_pages, event_pages

_NEVER = datetime(2100, 1, 1, tzinfo=UTC)  # when payloads that do not say it were received


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """A log, encoded once for every training set that is drawn from it."""

    fold: Fold
    events: Sequence[Event]
    rows: EncodedLog
    end_s: float  # when the log ends, seconds since 1970 UTC
    # of our own decisions, by decision id; the fallback's are not here: it chose with certainty
    candidates: Mapping[str, tuple[Candidate, ...]]

    def fingerprint(self) -> str:
        """A hash over the ids and times of all events, in the order of the log."""
        digest = self._digest()
        for event in self.events:
            digest.update(_line(event))
        return _named(digest)

    def events_until(self, fingerprint: str) -> Sequence[Event] | None:
        """The first events of the log that have this fingerprint, None where none have."""
        digest = self._digest()
        for n, event in enumerate(self.events, start=1):
            digest.update(_line(event))
            if _named(digest) == fingerprint:
                return self.events[:n]
        return None

    def _digest(self) -> hashlib._Hash:
        return hashlib.sha256(self.fold.schema.schema_hash.encode())


def _line(event: Event) -> bytes:
    return f"{event.event_id}\t{micros(event.received_at)}\n".encode()


def _named(digest: hashlib._Hash) -> str:
    return "data-" + digest.hexdigest()[:16]


def history_of(
    fold: Fold,
    events: Sequence[Event],
    candidates: Mapping[str, tuple[Candidate, ...]] | None = None,
) -> History:
    """The history in these events, which are in the order of the log."""
    end_s = max((micros(event.received_at) / 1e6 for event in events), default=0.0)
    return History(fold, events, encode(fold, events), end_s, candidates or {})


def events_from(payloads: Iterable[Mapping[str, Any]]) -> list[Event]:
    """Canonical event payloads as a log would hold them, in the given order.

    Raises InvalidInput for one that the log would refuse.
    """
    return [
        msgspec.structs.replace(parse_event(payload, _NEVER, trusted=True), seq=seq)
        for seq, payload in enumerate(payloads, start=1)
    ]


def read_history(
    fold: Fold, log: Log, progress: Callable[[int], None] = lambda events: None
) -> History:
    """The whole log; `progress` is told how many events were read. Raises StoreUnavailable."""
    events: list[Event] = []
    for page in event_pages(log, progress=progress):
        events += page
    candidates: dict[str, tuple[Candidate, ...]] = {}
    for decisions in decision_pages(log):
        candidates |= {
            decision.decision_id: decision.candidates
            for decision in decisions
            if decision.mode is Mode.LIVE
        }
    return history_of(fold, events, candidates)


def number(event: Event, name: str, missing: float = float("nan")) -> float:
    """A numeric property of an event, `missing` where it is absent or of another type."""
    value = number_of(event.properties.get(name))
    return missing if value is None else value
