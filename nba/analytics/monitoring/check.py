"""A check of the loop: one value, its limit, a verdict and a sentence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec

from nba.analytics.monitoring.context_bins import ContextBins
from nba.analytics.monitoring.daily_summary import DailySummary

State: TypeAlias = Literal["ok", "warn", "red", "undecided"]

MIN_DECISIONS = 500  # live ones on either side, before distributions are compared
MIN_SHARE = 100  # of anything, before a share of it is shown


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One item of the report."""

    name: str
    state: State
    text: str  # one plain sentence; the reason where it is undecided
    value: float | None = None
    limit: float | None = None


class ComparedPeriods(msgspec.Struct, frozen=True, kw_only=True):
    """What is compared: the days of the reference and the days now, added up."""

    reference: DailySummary
    now: DailySummary
    last: DailySummary  # the newest days, where now is longer
    own: DailySummary  # days of the champion before those of now
    bins: ContextBins | None
    champion: str | None
    catalogue: tuple[str, ...]  # action ids
    schema: str  # hash of the columns that the champion reads


def undecided(name: str, reason: str, limit: float | None = None) -> Check:
    """No verdict, and why."""
    return Check(name=name, state="undecided", text=reason, limit=limit)


def listed(names: Iterable[str]) -> str:
    """Some of the names."""
    every = tuple(names)
    more = f" and {len(every) - 5} more" if len(every) > 5 else ""
    return ", ".join(every[:5]) + more
