"""The thirty actions of the simulated bank: offered, answered, held against consent."""

from __future__ import annotations

from dataclasses import replace

from tests.fixtures.simulated_world import SMALL, Always, Recorder
from training.simulation.history import (
    NeverAct,
)
from training.simulation.outbound import OCCASIONS, PLACEMENTS
from training.simulation.world import (
    World,
    WorldConfig,
)


def test_without_outbound_nobody_is_written_to_or_called() -> None:
    policy = Recorder()
    list(World(replace(SMALL, customers=60, outbound=False)).play(policy))
    assert {opportunity.channel for opportunity in policy.asked} <= {
        "web",
        "app",
        "ivr",
        "phone",
    }
    assert {opportunity.placement for opportunity in policy.asked} == {
        *("web_search", "loan_application", "app_home", "ivr_menu", "contact_centre")
    }


def test_occasions_open_the_moments_that_answer_them() -> None:
    policy = Recorder()
    events = list(World(replace(SMALL, customers=300)).play(policy, log_decisions=False))
    offered = {(opportunity.placement, opportunity.offered) for opportunity in policy.asked}
    for kind, ways in OCCASIONS.items():
        assert any((PLACEMENTS[channel], names) in offered for channel, names in ways), kind
    assert ("closing_page", ("retention_rate",)) in offered
    names = {"Payment Overdue", "Account Opened", "Account Dormant", "Dealer Quote Requested"}
    assert names <= {event["name"] for event in events}


def test_a_retention_offer_can_keep_somebody_who_has_decided_to_leave() -> None:
    config = WorldConfig(customers=600, days=120)
    world, played = World(config), World(config)
    list(world.play(NeverAct()))
    list(played.play(Always("retention_rate", "retention_call")))
    assert len(played.closed) < len(world.closed)


def test_consent_is_said_and_the_world_counts_what_is_done_against_it() -> None:
    config = replace(SMALL, customers=300)
    world = World(config)
    events = list(world.play(Always("car_owner_card")))
    said = [e for e in events if e["name"] in ("Consent Given", "Consent Withdrawn")]
    assert all(e["properties"]["purpose"] == "marketing" for e in said)
    may: dict[str, dict[str | None, bool]] = {}
    breaches = 0
    for event in events:
        customer = may.setdefault(event["customer_id"], {})
        if event["name"].startswith("Consent"):
            given, channel = event["name"] == "Consent Given", event["properties"].get("channel")
            if channel is None:
                customer.clear()
            customer[channel] = given
        elif event["name"] == "Action Shown" and event["properties"]["channel"] == "email":
            breaches += not customer.get("email", customer.get(None, False))
    assert world.breaches == breaches > 50
    gave = {e["customer_id"] for e in said if e["name"] == "Consent Given"}
    assert 0.5 < len(gave) / config.customers < 0.75
    service = World(config)
    list(service.play(Always("fee_refund")))
    assert service.breaches == 0
