"""Quiet hours on a customer's own clock. Reason code: `quiet_hours`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np

from nba.governance.candidate_set import CandidateSet, Mask, Variants
from nba.journey.file import JourneyFile
from nba.journey.policies import QuietHours

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@cache
def zone(name: str) -> ZoneInfo:
    """The time zone of this name. Raises ValueError for an unknown one."""
    try:
        return ZoneInfo(name)
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(f"{name!r} is no time zone of the IANA list") from error


class QuietHoursRule:
    """One rule of quiet hours; they may reach past midnight."""

    def __init__(self, rule: QuietHours) -> None:
        self.rule = rule
        self._from = time.fromisoformat(rule.from_)
        self._until = time.fromisoformat(rule.until)
        self._days = {_DAYS.index(day) for day in rule.days or _DAYS}

    def over_at(self, local: datetime) -> datetime | None:
        """The time on the wall clock (without a zone) at which they end, where `local` falls into
        them. The days are those on which they begin."""
        wall = local.replace(tzinfo=None)
        for back in (0, 1):
            begun = wall.date() - timedelta(days=back)
            if begun.weekday() not in self._days:
                continue
            ended = begun + timedelta(days=self._until <= self._from)
            end = datetime.combine(ended, self._until)
            if datetime.combine(begun, self._from) <= wall < end:
                return end
        return None


def next_allowed(rules: Sequence[QuietHoursRule], local: datetime) -> datetime | None:
    """The first moment from `local` on whose time on the wall clock is in none of these quiet
    hours; None where there is none within a week.

    From one change of the clock to the next a wall clock runs like any other, so that the end it
    shows is that much later; what it shows after a change is asked anew. So an end that the clock
    skips is the moment of the change, and of an hour that comes twice each pass counts.
    """
    at, last = local.astimezone(UTC), local.astimezone(UTC) + timedelta(days=8)
    there = local
    while at <= last:
        ends = [end for rule in rules if (end := rule.over_at(there)) is not None]
        if not ends:
            return there
        over = at + (max(ends) - there.replace(tzinfo=None))
        at = _change_of_clock(at, over, local.tzinfo) or over
        # the offset is fixed: two times of one zone are compared by what its wall clock shows
        there = at.astimezone(timezone(_offset(at, local.tzinfo)))
    return None


def _change_of_clock(begin: datetime, end: datetime, clock: tzinfo | None) -> datetime | None:
    """The moment after `begin`, at most `end` (both UTC, at most a day later), from which `clock`
    has another offset; None where it has not."""
    known = _offset(begin, clock)
    if _offset(end, clock) == known:
        return None
    before, after = begin, end
    while after - before > timedelta(seconds=1):  # clocks are changed at whole seconds
        middle = before + (after - before) / 2
        before, after = (middle, after) if _offset(middle, clock) == known else (before, middle)
    return after.replace(microsecond=0)


def _offset(at: datetime, clock: tzinfo | None) -> timedelta:
    return at.astimezone(clock).utcoffset() or timedelta()


class QuietHoursPolicy:
    """All quiet hours, each with the variants that it concerns."""

    def __init__(self, journey: JourneyFile, variants: Variants, exempt: Mask) -> None:
        """`exempt`: the variants that no quiet hours concern."""
        self._code = variants.code
        self._rules = [
            (QuietHoursRule(rule), variants.mask(rule) & ~exempt)
            for rule in journey.contact_policy.quiet_hours
        ]

    @property
    def masks(self) -> list[Mask]:
        """What each of them concerns."""
        return [mask for _, mask in self._rules]

    def apply(self, candidate_set: CandidateSet, local: datetime) -> dict[int, datetime]:
        """Refuse what is dropped now; by action code, when what may wait can be shown."""
        waiting: dict[int, str] = {}  # by code: the rule for which it waits
        for quiet, mask in self._rules:
            over_at = quiet.over_at(local)
            if over_at is None or not candidate_set.meets(mask):
                continue
            if quiet.rule.blocked == "next_allowed":
                codes = np.unique(self._code[candidate_set.alive & mask]).tolist()
                waiting |= dict.fromkeys(codes, quiet.rule.id)
                continue
            detail = f"it is {local:%H:%M} for her, quiet until {over_at:%H:%M}"
            candidate_set.refuse(mask, "quiet_hours", rule=quiet.rule.id, detail=detail)
        not_before: dict[int, datetime] = {}
        for code, rule_id in waiting.items():
            variants = self._code == code
            concerning = [quiet for quiet, mask in self._rules if bool((mask & variants).any())]
            allowed_at = next_allowed(concerning, local)
            if allowed_at is None:
                detail = "her quiet hours never end"
                candidate_set.refuse(variants, "quiet_hours", rule=rule_id, detail=detail)
            else:
                not_before[code] = allowed_at
        return not_before
