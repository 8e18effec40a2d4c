"""The contact policy: how often we may address one customer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from nba.contact_policy import ContactPolicy
from nba.context import Contact, Context
from nba.decision import Stage
from nba.journey import CONTACTS_KEPT, ContactCap
from tests.house import JOURNEY, NOON, changed

CODES = [0, 1, 2, 3]
IDS = [action.id for action in JOURNEY.actions]
CHANNELS = JOURNEY.channels()
HOUR = timedelta(hours=1)


def contact(action_id: str, ago: timedelta = HOUR, channel: str | None = None) -> Contact:
    code = IDS.index(action_id) if action_id in IDS else -1
    channel = channel or JOURNEY.actions[code].channel
    return Contact(
        at_s=(NOON - ago).timestamp(),
        action=code,
        channel=CHANNELS.index(channel) if channel in CHANNELS else -1,
    )


def allowed(cap: ContactCap | None, *contacts: Contact) -> tuple[list[str], Any]:
    context = Context(
        customer_id="ada", as_of=NOON, seq=9, known=True, values=np.empty(0), contacts=contacts
    )
    kept, refused = ContactPolicy(changed(cap=cap)).allowed(CODES, context)
    assert {IDS[code] for code in kept} | {one.action_id for one in refused} == set(IDS)
    return [IDS[code] for code in kept], refused


def test_without_a_cap_everything_is_allowed() -> None:
    assert allowed(None, *[contact("help_popup")] * 32) == (IDS, [])


def test_a_cap_per_action_holds_back_that_action() -> None:
    cap = ContactCap(times=2, days=7)
    assert allowed(cap, contact("help_popup"), contact("card_offer"))[0] == IDS
    kept, [refused] = allowed(cap, contact("help_popup"), contact("help_popup"))
    assert kept == IDS[1:]
    assert (refused.action_id, refused.stage, refused.rule) == (
        *("help_popup", Stage.CONTACT_POLICY, "contact_cap"),
    )
    assert refused.detail == "2 contacts per action in 7 days, at most 2"


def test_a_cap_per_channel_holds_back_every_action_of_the_channel_on_which_we_spoke() -> None:
    cap = ContactCap(times=1, days=7, per="channel")
    assert allowed(cap, contact("help_popup"))[0] == ["card_offer", "agent_callback"]
    elsewhere = contact("help_popup", channel="app")  # what was shown counts where it was shown
    assert allowed(cap, elsewhere)[0] == ["help_popup", "agent_callback", "loan_offer"]


def test_a_cap_per_customer_counts_all_even_what_left_the_journey_file() -> None:
    cap = ContactCap(times=2, days=7, per="customer")
    assert allowed(cap, contact("help_popup"))[0] == IDS
    assert allowed(cap, contact("help_popup"), contact("gone", channel="pigeon"))[0] == []


def test_an_exempt_action_neither_counts_nor_is_held_back() -> None:
    cap = ContactCap(times=1, days=7, per="customer", exempt=["help_popup"])
    assert allowed(cap, contact("help_popup"), contact("help_popup"))[0] == IDS
    assert allowed(cap, contact("card_offer"))[0] == ["help_popup"]


@pytest.mark.parametrize(
    ("ago", "counts"),
    [
        (timedelta(), True),
        (timedelta(days=7) - timedelta(microseconds=1), True),
        (timedelta(days=7), False),
        (timedelta(days=8), False),
    ],
)
def test_a_contact_counts_for_the_days_of_the_cap(ago: timedelta, counts: bool) -> None:
    kept, _ = allowed(ContactCap(times=1, days=7), contact("help_popup", ago))
    assert ("help_popup" not in kept) is counts


def test_where_the_contacts_kept_do_not_reach_back_nothing_more_is_allowed() -> None:
    cap = ContactCap(times=2, days=7, exempt=["help_popup"])
    crowded = [contact("help_popup")] * CONTACTS_KEPT
    kept, refused = allowed(cap, *crowded)
    assert kept == ["help_popup"]
    assert {one.detail for one in refused} == {"at least 32 contacts of all kinds in 7 days"}
    older = [contact("help_popup", ago=timedelta(days=8)), *crowded[1:]]
    assert allowed(cap, *older)[0] == IDS
