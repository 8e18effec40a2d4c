"""Alarms of the data that come in: the last day against the days before it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date

import numpy as np
from scipy.special import ndtri

from nba.analytics.monitoring.check import Check, State, listed, undecided
from nba.analytics.monitoring.daily_summary import EventCounts

MIN_EVENTS = 50  # of a kind or a source, before it is judged
MIN_UNKNOWN = 20  # events of a new name, and the share of the day's events
UNKNOWN_SHARE = 0.005
UNLISTED_SHARE = 0.01  # of values, and as much above what it was
MOST_NULL = 0.2  # of a source was known before: none of fifty is then no chance, 1e-5
UNIT_FACTOR = 10.0  # by which the typical size of a number changes where its unit did
UNIT_LEVEL = 1e-6
MIN_VOLUME = 0.6  # of what a day of its kind brings
VOLUME_DEVIATIONS = 3.0  # of the days before, that it must be below as well
MIN_DAYS = 3  # of reference, before a volume is judged


def data_checks(
    before: Sequence[tuple[date, EventCounts]],
    last: tuple[date, EventCounts] | None,
    today: EventCounts,
) -> list[Check]:
    """Every alarm of the data. `before`: the days of the reference, `last`: the last whole day.

    Today is judged by itself, as soon as there is enough of it, and so is the day before.
    """
    known = EventCounts()
    for _, events in before:
        known = known + events
    newest = [today] if last is None else [last[1], today]
    checks = [
        max((function(known, events) for events in newest), key=_badness)
        for function in (unknown_event, new_category, unit_change, null_column)
    ]
    return [*checks, volume(before, last)]


def _badness(check: Check) -> int:
    return ("undecided", "ok", "warn", "red").index(check.state)


def unknown_event(known: EventCounts, now: EventCounts) -> Check:
    """Events of a name that the journey file does not map, and that never came before."""
    name = "unknown_event"
    if known.events < MIN_EVENTS or now.events < MIN_EVENTS:
        return undecided(name, _few(known.events, now.events))
    limit = max(float(MIN_UNKNOWN), UNKNOWN_SHARE * now.events)
    new = {
        event: count
        for event, count in now.unmapped.items()
        if count >= limit and known.unmapped.of(event) == 0
    }
    value = float(max(new.values(), default=0))
    if not new:
        text = "no event of a new name"
        return Check(name=name, state="ok", value=value, limit=limit, text=text)
    names = listed(f"{event!r} ({new[event]:,})" for event in sorted(new, key=lambda n: -new[n]))
    text = f"events of new names that the journey file does not map: {names}"
    return Check(name=name, state="warn", value=value, limit=limit, text=text)


def new_category(known: EventCounts, now: EventCounts) -> Check:
    """Values of a category that the journey file does not list."""
    name, worst, sources = "new_category", 0.0, []
    judged = 0
    for source, current in now.sources.items():
        earlier = known.sources.of(source)
        values = current.read + current.unlisted
        if values < MIN_EVENTS or earlier.read + earlier.unlisted < MIN_EVENTS:
            continue
        judged += 1
        share = current.unlisted / values
        was = earlier.unlisted / (earlier.read + earlier.unlisted)
        worst = max(worst, share)
        noise = 4.0 * math.sqrt(max(was * (1.0 - was), 1e-4) / values)
        if share > was + max(UNLISTED_SHARE, noise):
            sources.append(f"{source} ({share:.1%})")
    if not judged:
        return undecided(name, f"no trait came {MIN_EVENTS} times", UNLISTED_SHARE)
    text = f"unlisted values in {listed(sources)}" if sources else "no trait has new values"
    state: State = "warn" if sources else "ok"
    return Check(name=name, state=state, value=worst, limit=UNLISTED_SHARE, text=text)


def unit_change(known: EventCounts, now: EventCounts) -> Check:
    """Numbers whose typical size is another: cents for euros, seconds for minutes."""
    name = "unit_change"
    sources, worst, judged = [], 0.0, 0
    beyond = sum(sums.beyond for _, sums in (known.sources + now.sources).items())
    more = f"; {beyond:,} amounts beyond their range count as its bound" if beyond else ""
    for source, current in now.sources.items():
        earlier = known.sources.of(source)
        if min(current.n, earlier.n) < MIN_EVENTS:
            continue
        judged += 1
        moved = current.size - earlier.size
        error = math.sqrt(current.size_error2 + earlier.size_error2)
        worst = max(worst, abs(moved), key=abs)
        sure = abs(moved) > -float(ndtri(UNIT_LEVEL / 2)) * error
        if abs(moved) > math.log(UNIT_FACTOR) and sure:
            sources.append(f"{source} (x {math.exp(moved):.3g})")
    if not judged:
        reason = f"no number came {MIN_EVENTS} times on both sides{more}"
        return undecided(name, reason, UNIT_FACTOR)
    text = (
        f"numbers of another size: {listed(sources)}" if sources else "no number changed its size"
    )
    state: State = "red" if sources else "ok"
    value = math.exp(worst)
    return Check(name=name, state=state, value=value, limit=UNIT_FACTOR, text=text + more)


def null_column(known: EventCounts, now: EventCounts) -> Check:
    """Properties that were known and do not come any more."""
    name, sources, judged = "null_column", [], 0
    for source, earlier in known.sources.items():
        current = now.sources.of(source)
        if earlier.carriers < MIN_EVENTS or earlier.read < MOST_NULL * earlier.carriers:
            continue
        if current.carriers < MIN_EVENTS:
            continue
        judged += 1
        if current.read == 0:
            sources.append(source)
    if not judged:
        return undecided(name, f"no property could have come {MIN_EVENTS} times", 0.0)
    text = f"every value is missing or unreadable in {listed(sources)}"
    if not sources:
        text = f"{judged} properties still come"
    state: State = "red" if sources else "ok"
    return Check(name=name, state=state, value=float(len(sources)), limit=0.0, text=text)


def volume(
    before: Sequence[tuple[date, EventCounts]], last: tuple[date, EventCounts] | None
) -> Check:
    """Events of the last whole day against those of its weekday, or of all days before."""
    name = "volume"
    if last is None or len(before) < MIN_DAYS:
        return undecided(name, f"{len(before)} days before, under {MIN_DAYS}", MIN_VOLUME)
    day, counts = last
    same_weekday = [
        earlier.events for on_date, earlier in before if on_date.weekday() == day.weekday()
    ]
    enough = len(same_weekday) >= MIN_DAYS
    events = np.array(same_weekday if enough else [earlier.events for _, earlier in before])
    usual, spread = float(events.mean()), float(events.std(ddof=1))
    if usual < MIN_EVENTS:
        return undecided(name, f"{usual:.0f} events a day, under {MIN_EVENTS}", MIN_VOLUME)
    share = counts.events / usual
    noise = max(spread, math.sqrt(usual))
    fell = share < MIN_VOLUME and counts.events < usual - VOLUME_DEVIATIONS * noise
    text = f"{counts.events:,} events on {day}, where {usual:,.0f} are usual"
    state: State = "red" if fell else "ok"
    return Check(name=name, state=state, value=share, limit=MIN_VOLUME, text=text)


def _few(before: int, now: int) -> str:
    return f"{before} events before and {now} now: {MIN_EVENTS} each are needed"
