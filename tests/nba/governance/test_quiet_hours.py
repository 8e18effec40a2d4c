"""Quiet hours on the customer's clock, also where it is put forward or back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from nba.governance.capacities import period
from nba.governance.quiet_hours import QuietHoursRule, next_allowed, zone
from nba.journey.policies import QuietHours
from tests.fixtures.examples import examples

BERLIN = zone("Europe/Berlin")
NIGHT = {"from_": "22:00", "until": "07:00"}


def quiet(**fields: Any) -> QuietHoursRule:
    return QuietHoursRule(QuietHours(id="night", **(NIGHT | fields)))


def at(day: int, hour: int, minute: int = 0, month: int = 3, fold: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=BERLIN, fold=fold)


@pytest.mark.parametrize(
    ("local", "over"),
    [
        (at(2, 21, 59), None),
        (at(2, 22), datetime(2026, 3, 3, 7)),
        (at(3, 0), datetime(2026, 3, 3, 7)),
        (at(3, 6, 59), datetime(2026, 3, 3, 7)),
        (at(3, 7), None),
    ],
)
def test_they_reach_past_midnight(local: datetime, over: datetime | None) -> None:
    assert quiet().over_at(local) == over


def test_the_days_are_those_on_which_they_begin() -> None:
    friday = quiet(days=["fri"])  # the 6th of March
    assert friday.over_at(at(6, 23)) == datetime(2026, 3, 7, 7) == friday.over_at(at(7, 6))
    assert friday.over_at(at(6, 6)) is None and friday.over_at(at(7, 23)) is None
    noon = datetime(2026, 3, 7, 12)
    assert quiet(from_="09:00", until="12:00", days=["sat"]).over_at(at(7, 11)) == noon


def test_a_night_is_as_long_as_its_clock_says() -> None:
    for month, day, hours in ((3, 28, 8), (10, 24, 10), (6, 5, 9)):
        begins = at(day, 22, month=month)
        over = next_allowed([quiet()], begins)
        assert over is not None
        assert over.astimezone(UTC) - begins.astimezone(UTC) == timedelta(hours=hours)


def test_an_hour_that_comes_twice_is_quiet_twice() -> None:
    early = quiet(until="02:30")
    for fold, utc_hour in ((0, 0), (1, 1)):
        over = next_allowed([early], at(25, 2, 15, month=10, fold=fold))
        assert over is not None
        assert over.astimezone(UTC) == datetime(2026, 10, 25, utc_hour, 30, tzinfo=UTC)


def test_an_end_that_the_clock_skips_is_the_moment_of_the_change() -> None:
    over = next_allowed([quiet(until="02:30")], at(29, 1))  # 01:59 is followed by 03:00
    assert over is not None and over.astimezone(UTC) == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert (over.hour, over.minute) == (3, 0)


def test_a_clock_that_is_put_back_before_they_begin_ends_them() -> None:
    new_york = zone("America/New_York")
    first_pass = datetime(2026, 11, 1, 1, 45, tzinfo=new_york)  # 01:59 is followed by 01:00
    over = next_allowed([quiet(from_="01:30", until="02:30")], first_pass)
    assert over is not None and over.astimezone(UTC) == datetime(2026, 11, 1, 6, tzinfo=UTC)


def test_what_may_wait_waits_for_all_rules() -> None:
    morning = quiet(from_="06:30", until="09:00", days=["tue"])
    assert next_allowed([quiet(), morning], at(2, 23)) == at(3, 9)
    assert next_allowed([quiet(), morning], at(3, 23)) == at(4, 7)
    assert next_allowed([quiet(), quiet(from_="07:00", until="22:00")], at(2, 23)) is None
    assert next_allowed([], at(2, 23)) == at(2, 23)


times = st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.sampled_from([0, 15, 30]))
days = st.sampled_from([[], ["sun"], ["sat", "sun"], ["mon", "wed"]])
rules = st.builds(QuietHours, id=st.just("q"), from_=times, until=times, days=days).filter(
    lambda rule: rule.from_ != rule.until
)
# by zone, days about which its clock changes: by an hour, by half an hour (Lord Howe), on southern
# dates, at midnight (Santiago, Beirut, Havana, Cairo), and by a whole day (Apia)
CHANGES = {
    "Europe/Berlin": [(2026, 3, 29), (2026, 10, 25)],
    "America/New_York": [(2026, 3, 8), (2026, 11, 1)],
    "Australia/Lord_Howe": [(2026, 4, 5), (2026, 10, 4)],
    "Australia/Sydney": [(2026, 4, 5), (2026, 10, 4)],
    "Pacific/Auckland": [(2026, 4, 5), (2026, 9, 27)],
    "America/Santiago": [(2026, 4, 5), (2026, 9, 6)],
    "Asia/Beirut": [(2026, 3, 29), (2026, 10, 25)],
    "America/Havana": [(2026, 3, 8), (2026, 11, 1)],
    "Africa/Cairo": [(2026, 4, 24), (2026, 10, 30)],
    "Atlantic/Azores": [(2026, 3, 29), (2026, 10, 25)],
    "Africa/Casablanca": [(2026, 2, 15), (2026, 3, 22)],
    "Pacific/Apia": [(2011, 12, 31)],
    "Asia/Tokyo": [(2026, 3, 29)],
}
MINUTE = timedelta(minutes=1)


@st.composite
def moments(draw: st.DrawFn) -> tuple[str, datetime]:
    """(zone, moment): on any day, or within 30 hours of a change of its clock."""
    name = draw(st.sampled_from(sorted(CHANGES)))
    if draw(st.integers(0, 3)) == 0:
        minute = draw(st.integers(0, 365 * 1440))
        return name, datetime(2026, 1, 1, tzinfo=UTC) + minute * MINUTE
    day = draw(st.sampled_from(CHANGES[name]))
    return name, datetime(*day, tzinfo=UTC) + draw(st.integers(-30 * 60, 30 * 60)) * MINUTE


@examples(400)
@given(st.lists(rules, min_size=1, max_size=2), moments())
def test_the_first_allowed_moment_is_the_first_that_no_wall_clock_finds_quiet(
    given_rules: list[QuietHours], moment: tuple[str, datetime]
) -> None:
    clock, begin = zone(moment[0]), moment[1]
    local = begin.astimezone(clock)
    found = [QuietHoursRule(rule) for rule in given_rules]
    for one, rule in zip(found, given_rules, strict=True):
        assert (one.over_at(local) is not None) == _is_quiet(rule, local)
    free, at = next_allowed(found, local), begin
    while any(_is_quiet(rule, at.astimezone(clock)) for rule in given_rules):
        at += MINUTE
        if at - begin > timedelta(days=8):
            assert free is None
            return
    assert free is not None and free.astimezone(UTC) == at


def test_every_minute_of_the_nights_in_which_clocks_change() -> None:
    """No chance: four rules, every zone, both nights, minute by minute against plain search."""
    spans = [("21:00", "08:00"), ("22:00", "02:30"), ("01:30", "02:30"), ("23:30", "00:30")]
    for name, changes in CHANGES.items():
        for day in changes:
            begin = datetime(*day, tzinfo=UTC) - timedelta(hours=14)
            locals_ = [(begin + n * MINUTE).astimezone(zone(name)) for n in range(52 * 60)]
            for from_, until in spans:
                rule = QuietHours(id="q", from_=from_, until=until)
                free: datetime | None = None  # the first moment after that is not quiet
                for local in reversed(locals_):
                    if not _is_quiet(rule, local):
                        free = local.astimezone(UTC)
                    if free is not None and local.minute % 10 == 0:
                        found = next_allowed([QuietHoursRule(rule)], local)
                        assert found is not None and found.astimezone(UTC) == free, (name, local)


def _is_quiet(rule: QuietHours, local: datetime) -> bool:
    """By definition: the hours of the wall clock, on the weekday on which they begin."""
    weekdays = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    clock, today = f"{local:%H:%M}", weekdays[local.weekday()]
    yesterday, chosen = weekdays[local.weekday() - 1], rule.days or weekdays
    if rule.from_ < rule.until:
        return today in chosen and rule.from_ <= clock < rule.until
    return (today in chosen and clock >= rule.from_) or (yesterday in chosen and clock < rule.until)


def test_periods_are_days_weeks_and_months_of_a_clock() -> None:
    local = datetime(2026, 12, 31, 23, 30, tzinfo=UTC).astimezone(BERLIN)
    assert [period(every, local) for every in ("day", "week", "month")] == [
        *("2027-01-01", "2026-W53", "2027-01"),
    ]


def test_an_unknown_zone_is_refused() -> None:
    for name in ("Europe/Berln", "", "../etc/passwd"):
        with pytest.raises(ValueError, match="no time zone of the IANA list"):
            zone(name)
