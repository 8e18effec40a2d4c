"""Lengths of time, in seconds."""

from __future__ import annotations

HOUR_S = 3_600.0
DAY_S = 86_400.0
WEEK_S = 604_800.0
DAY_US = 86_400_000_000  # microseconds
