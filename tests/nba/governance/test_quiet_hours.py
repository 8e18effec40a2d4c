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
        (at(2, 22), at(3, 7)),
        (at(3, 0), at(3, 7)),
        (at(3, 6, 59), at(3, 7)),
        (at(3, 7), None),
    ],
)
def test_they_reach_past_midnight(local: datetime, over: datetime | None) -> None:
    assert quiet().over_at(local) == over


def test_the_days_are_those_on_which_they_begin() -> None:
    friday = quiet(days=["fri"])  # the 6th of March
    assert friday.over_at(at(6, 23)) == at(7, 7) == friday.over_at(at(7, 6))
    assert friday.over_at(at(6, 6)) is None and friday.over_at(at(7, 23)) is None
    assert quiet(from_="09:00", until="12:00", days=["sat"]).over_at(at(7, 11)) == at(7, 12)


def test_a_night_is_as_long_as_its_clock_says() -> None:
    for month, day, hours in ((3, 28, 8), (10, 24, 10), (6, 5, 9)):
        begins = at(day, 22, month=month)
        over = quiet().over_at(begins)
        assert over is not None
        assert over.astimezone(UTC) - begins.astimezone(UTC) == timedelta(hours=hours)


def test_an_hour_that_comes_twice_is_quiet_twice() -> None:
    early = quiet(until="02:30")
    for fold, utc_hour in ((0, 0), (1, 1)):
        over = early.over_at(at(25, 2, 15, month=10, fold=fold))
        assert over is not None
        assert over.astimezone(UTC) == datetime(2026, 10, 25, utc_hour, 30, tzinfo=UTC)


def test_an_end_that_the_clock_skips_is_the_moment_after() -> None:
    over = next_allowed([quiet(until="02:30")], at(29, 1))
    assert over is not None and (over.hour, over.minute) == (3, 30)


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
zones = st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Tokyo"])
moments = st.one_of(
    st.integers(0, 365 * 96).map(lambda n: datetime(2026, 1, 1, tzinfo=UTC) + n * QUARTER),
    st.sampled_from([(3, 8), (3, 29), (4, 4), (10, 3), (10, 24), (11, 1)]).flatmap(
        lambda day: st.integers(-48, 144).map(
            lambda n: datetime(2026, *day, tzinfo=UTC) + n * QUARTER
        )
    ),
)
QUARTER = timedelta(minutes=15)


@examples(400)
@given(st.lists(rules, min_size=1, max_size=2), zones, moments)
def test_quiet_hours_are_what_the_clock_on_the_wall_says(
    given_rules: list[QuietHours], name: str, moment: datetime
) -> None:
    local = moment.astimezone(zone(name))
    found = [QuietHoursRule(rule) for rule in given_rules]
    for one, rule in zip(found, given_rules, strict=True):
        assert (one.over_at(local) is not None) == _is_quiet(rule, local)
    free = next_allowed(found, local)
    if free is not None:
        assert free.astimezone(UTC) >= moment
        assert not any(_is_quiet(rule, free) for rule in given_rules)
        assert (free == local) == (not any(_is_quiet(rule, local) for rule in given_rules))


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
