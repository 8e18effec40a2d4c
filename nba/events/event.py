"""Event: what happened to a customer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What happened. `seq` is the log's own sequence, 0 before the event is appended."""

    event_id: str
    customer_id: str
    name: str
    occurred_at: datetime  # UTC, corrected for the sender's clock, never after received_at
    received_at: datetime  # UTC
    properties: dict[str, Any] = {}
    seq: int = 0

    @property
    def decision_id(self) -> str | None:
        """The decision that this event is an outcome of, where it names one."""
        value = self.properties.get("decision_id")
        return value if isinstance(value, str) else None

    def to_json(self) -> bytes:
        """Canonical JSON: field order as declared, properties sorted by key, UTC times."""
        return msgspec.json.encode(self, order="deterministic")


def micros(time: datetime) -> int:
    """Whole microseconds since 1970-01-01 UTC.

    >>> micros(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    return (time - _EPOCH) // _MICROSECOND


def from_micros(value: int) -> datetime:
    """The inverse of `micros`."""
    return _EPOCH + timedelta(microseconds=value)
