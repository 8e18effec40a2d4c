"""The simulated bank's clock: moments as the text that an event carries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def iso(moment: datetime) -> str:
    """A UTC moment as ISO 8601 with microseconds and Z."""
    return moment.isoformat(timespec="microseconds")[:26] + "Z"


def stamp(micros: int) -> str:
    """`iso` of microseconds since 1970, without making a datetime: most of a play's time."""
    seconds, micros = divmod(micros, 1_000_000)
    day, second = divmod(seconds, 86_400)
    return f"{_date(day)}T{_clock(second)}.{micros:06d}Z"


@lru_cache(maxsize=4_096)
def _date(day: int) -> str:
    return (EPOCH + timedelta(days=day)).date().isoformat()


@lru_cache(maxsize=86_400)
def _clock(second: int) -> str:
    return f"{second // 3_600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
