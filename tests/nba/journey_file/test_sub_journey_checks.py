"""Sub-journeys that could send without end are errors, with what to write instead."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from nba.journey.policies import Cap, ContactRules, CoolDown
from nba.journey.sub_journeys import Step, SubJourney
from nba.journey_file.checks import check_journey
from tests.fixtures.random_catalogues import governed

REMIND = Step(id="remind", action="card_offer", outbound=True)
AGAIN = SubJourney(id="cart", enter="complaint.total >= 1", steps=[REMIND], again_after_days=0.0)


def errors(sub_journey: SubJourney, **rules: object) -> list[str]:
    """What the file's check says of the repetition of this sub-journey."""
    policy = ContactRules(**rules)  # type: ignore[arg-type]
    journey = replace(governed(), sub_journeys=[sub_journey], contact_policy=policy)
    return [str(error) for error in check_journey(journey) if "again_after_days" in error.field]


@pytest.mark.parametrize("days", [0.0, 0.0001, 0.99])
def test_an_outbound_loop_without_a_cap_is_an_error_that_says_what_to_write(days: float) -> None:
    [error] = errors(replace(AGAIN, again_after_days=days))
    assert error.startswith("sub_journeys[0].again_after_days:")
    assert "cart may be entered again at once" in error and "outbound step remind" in error
    assert "caps: [{id: cart_remind, times: 1, days: 1, actions: [card_offer]}]" in error
    followed = Cap(id="cart_remind", times=1, days=1, actions=["card_offer"])
    assert errors(AGAIN, caps=[followed]) == []


def test_what_has_a_limit_or_addresses_nobody_is_no_loop() -> None:
    assert errors(replace(AGAIN, again_after_days=1.0)) == []
    assert errors(replace(AGAIN, again_after_days=None)) == []
    assert errors(replace(AGAIN, steps=[replace(REMIND, outbound=False)])) == []
    assert errors(AGAIN, cool_downs=[CoolDown(id="rest", hours=1)]) == []


def test_a_limit_on_others_or_on_what_the_customer_does_is_none() -> None:
    assert errors(AGAIN, caps=[Cap(id="other", times=1, days=1, actions=["help_popup"])]) != []
    assert errors(AGAIN, caps=[Cap(id="said_no", times=1, days=1, on="dismissed")]) != []


@pytest.mark.parametrize(
    "limits",
    [
        {"caps": [Cap(id="much", times=1_000_000, days=1)]},
        {"caps": [Cap(id="short", times=1, days=0.00001)]},
        {"cool_downs": [CoolDown(id="short", hours=0.001)]},
        {"caps": [Cap(id="seen", times=1, days=1, on="shown")]},  # a sender need not report it
    ],
)
def test_a_limit_that_lets_nearly_all_through_is_none(limits: dict[str, Any]) -> None:
    assert errors(AGAIN, **limits) != []
