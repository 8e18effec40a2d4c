"""Consent and suppression: in force with the very next decision."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, strategies as st

from nba.decisions.candidate import Refused, Stage
from nba.decisions.request import Request
from nba.journey.file import JourneyFile
from nba.journey.policies import Consent
from tests.fixtures.examples import examples
from tests.fixtures.random_catalogues import (
    DAY,
    OPEN_ACTIONS,
    SCORES,
    catalogues,
    governed,
    histories,
    requests,
)
from tests.fixtures.small_replica import NOON, SmallReplica, StubScorer, event

GIVEN, WITHDRAWN = "Consent Given", "Consent Withdrawn"
WITHHELD = governed(consents={"marketing": Consent()})


def refused(*events: Any, journey: Any = None, now: Any = NOON) -> dict[str, Refused]:
    replica = SmallReplica(journey or governed(), scorer=StubScorer(SCORES))
    replica.log.append_events(events)
    [decision] = replica.decide(Request(customer_id="ada"), now=now)
    return {one.action_id: one for one in decision.refused}


def said(name: str, **about: str) -> Any:
    return event(name, NOON, about)


def test_a_purpose_has_a_default_for_those_who_have_said_nothing() -> None:
    assert refused() == {}
    found = refused(journey=WITHHELD)
    assert set(found) == {"card_offer", "loan_offer"}
    one = found["card_offer"]
    assert (one.stage, one.code, one.rule) == (Stage.CONSENT, "no_consent", "marketing")
    assert one.detail == "consent to marketing on app: the customer has not given it"


@pytest.mark.parametrize(
    ("about", "offered"),
    [
        ({"purpose": "marketing"}, {"card_offer", "loan_offer"}),
        ({"purpose": "marketing", "channel": "app"}, {"card_offer"}),
        ({"channel": "web"}, {"loan_offer"}),
        ({}, {"card_offer", "loan_offer"}),
        ({"purpose": "research"}, set()),
    ],
)
def test_consent_is_by_purpose_and_channel(about: dict[str, str], offered: set[str]) -> None:
    sold = {"card_offer", "loan_offer"}
    assert sold - set(refused(said(GIVEN, **about), journey=WITHHELD)) == offered
    assert set(refused(said(WITHDRAWN, **about))) == offered


def test_what_she_said_last_holds() -> None:
    every, app = {"purpose": "marketing"}, {"purpose": "marketing", "channel": "app"}
    assert set(refused(said(WITHDRAWN, **every), said(GIVEN, **app))) == {"loan_offer"}
    assert set(refused(said(GIVEN, **app), said(WITHDRAWN, **every))) == {
        *("card_offer", "loan_offer"),
    }
    one = refused(said(WITHDRAWN, **app))["card_offer"]
    assert one.detail == "consent to marketing on app: the customer has withdrawn it"


def test_stopped_contacts_are_all_but_the_transactional_ones() -> None:
    found = refused(event("Contact Suppressed", NOON))
    assert set(found) == {"help_popup", "card_offer", "loan_offer"}
    one = found["help_popup"]
    assert (one.stage, one.code, one.rule) == (Stage.CONSENT, "suppressed", "web")
    assert set(refused(event("Contact Suppressed", NOON, {"channel": "app"}))) == {"card_offer"}
    until = {"until": (NOON + DAY).isoformat()}
    assert refused(event("Contact Suppressed", NOON, until), now=NOON + DAY) == {}
    stop_and_go = [event("Contact Suppressed", NOON), event("Contact Resumed", NOON)]
    assert refused(*stop_and_go) == {}


@examples(100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    catalogues(),
    histories(most=8),
    requests(),
    st.sampled_from([None, "marketing"]),
    st.sampled_from([None, "web", "app"]),
    st.integers(0, 1),
)
def test_the_very_next_decision_after_a_withdrawal_honours_it(
    journey: JourneyFile,
    events: list[Any],
    request: Request,
    purpose: str | None,
    channel: str | None,
    late: int,
) -> None:
    """Whatever was decided and said before, on another replica that has her in its cache."""
    replica = SmallReplica(journey, scorer=StubScorer(SCORES))
    replica.log.append_events(events)
    replica.decide(request)
    about = {k: v for k, v in (("purpose", purpose), ("channel", channel)) if v}
    at = NOON + timedelta(minutes=1)
    replica.log.append_events([event(WITHDRAWN, at, about)])
    [decision] = replica.decide(request, now=at + late * DAY)
    concerned = {
        action.id
        for action in OPEN_ACTIONS
        if action.purpose is not None
        and purpose in (None, action.purpose)
        and channel in (None, action.channel)
    }
    assert not concerned & {candidate.action_id for candidate in decision.candidates}
    assert decision.action_id not in concerned
