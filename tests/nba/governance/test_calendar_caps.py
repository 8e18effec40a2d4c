"""At most one a calendar day: on the customer's own clock, also where its days are not 24 hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from nba.customer.contact_history import Contact, ContactHistory
from nba.governance.candidate_set import CandidateSet, Variants
from nba.governance.contact_limits import ContactLimits
from nba.governance.quiet_hours import zone
from nba.journey.policies import Cap, ContactRules
from tests.fixtures.examples import examples
from tests.fixtures.random_catalogues import governed

ZONES = ["Europe/Berlin", "Australia/Lord_Howe", "America/Santiago", "America/Havana", "Asia/Tokyo"]


def has_room(sent: datetime, now: datetime, name: str, days: int) -> bool:
    """Whether a cap of one in so many calendar days leaves room at `now`, after one at `sent`."""
    cap = Cap(id="one", times=1, days=days, calendar=True)
    journey = governed(contact_policy=ContactRules(caps=[cap]))
    variants = Variants(journey)
    limits = ContactLimits(journey, variants, ~variants.everything)
    candidate_set = CandidateSet(variants, customer_id="ada")
    contact = Contact(action="card_offer", channel="app", at_s=sent.timestamp())
    history = ContactHistory(contacts=(contact,))
    limits.apply(candidate_set, history, now.timestamp(), now.astimezone(zone(name)))
    return bool(candidate_set.codes)


@pytest.mark.parametrize(("hour", "room"), [(23, False), (32, True)])
def test_one_at_22_leaves_room_for_one_on_the_next_morning(hour: int, room: bool) -> None:
    midnight = datetime(2026, 5, 4, tzinfo=zone("America/New_York")).astimezone(UTC)
    sent, now = midnight + timedelta(hours=22), midnight + timedelta(hours=hour)
    assert has_room(sent, now, "America/New_York", 1) is room


@examples(100)
@given(
    st.sampled_from(ZONES), st.integers(0, 365 * 1440), st.integers(0, 3 * 1440), st.integers(1, 3)
)
def test_a_calendar_cap_counts_the_dates_on_the_wall(
    name: str, minute: int, later: int, days: int
) -> None:
    sent = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    now = sent + timedelta(minutes=later)
    apart = now.astimezone(zone(name)).date() - sent.astimezone(zone(name)).date()
    assert has_room(sent, now, name, days) is (apart >= timedelta(days=days))
