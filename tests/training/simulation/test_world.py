"""The simulated bank: its truth is known, repeatable, and moved only by what it should be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.fixtures.simulated_world import SMALL, Always, Recorder, count
from training.simulation.history import (
    NeverAct,
    RandomPolicy,
    customer_values_eur,
    policy_value,
)
from training.simulation.outbound import OCCASIONS, PLACEMENTS, ROUTINE
from training.simulation.policies import SELLING, AlwaysAct as AlwaysShown, LastNode, Oracle
from training.simulation.responses import WORLD_ACTIONS
from training.simulation.world import (
    NO_ACTION,
    ContactOpportunity,
    EventJson,
    SimulatedChoice,
    World,
    WorldConfig,
)


class HelpAfterFailure:
    """`help_popup` after an empty search or a form error, else nothing."""

    def __init__(self) -> None:
        self._failed: dict[str, bool] = {}

    def observe(self, events: Sequence[EventJson]) -> None:
        """The last thing that each customer met."""
        for event in events:
            empty = event["properties"].get("results_count") == 0
            self._failed[event["customer_id"]] = empty or event["name"] == "Form Error"

    def choose(self, opportunity: ContactOpportunity) -> SimulatedChoice:
        """Help where the last event was a failure."""
        wanted = self._failed.get(opportunity.customer_id) and "help_popup" in opportunity.offered
        decision_id = f"{opportunity.customer_id}@{opportunity.at.isoformat()}"
        return SimulatedChoice("help_popup" if wanted else NO_ACTION, 1.0, decision_id)


def test_the_same_seed_gives_the_same_events_and_another_seed_does_not() -> None:
    once = list(World(SMALL).play(RandomPolicy(5)))
    assert once == list(World(SMALL).play(RandomPolicy(5)))
    assert once != list(World(replace(SMALL, seed=2)).play(RandomPolicy(5)))


def test_a_customer_lives_the_same_life_whoever_else_is_played() -> None:
    everybody = [e for e in World(SMALL).play(RandomPolicy()) if e["customer_id"] == "w1-00007"]
    assert everybody == list(World(SMALL).play(RandomPolicy(), customers=[7]))


def test_policies_that_act_alike_get_identical_values() -> None:
    nothing = customer_values_eur(SMALL, NeverAct())
    unheard_of = customer_values_eur(SMALL, Always("cold_call"))
    assert np.array_equal(nothing, unheard_of)
    assert policy_value(SMALL, lambda seed: NeverAct(), [1, 2]).mean_eur == 0.0


def test_two_policies_part_only_after_their_first_different_action() -> None:
    quiet = list(World(SMALL).play(NeverAct(), log_decisions=False))
    loud = list(World(SMALL).play(Always("card_offer"), log_decisions=False))
    acted = {e["customer_id"] for e in loud if e["name"] == "Action Shown"}
    assert acted
    for customer_id in {e["customer_id"] for e in quiet}:
        mine = [e for e in quiet if e["customer_id"] == customer_id]
        theirs = [e for e in loud if e["customer_id"] == customer_id]
        names = [e["name"] for e in theirs]
        first = names.index("Action Shown") if customer_id in acted else len(theirs)
        assert mine[:first] == theirs[:first]


def test_an_action_outside_the_offered_ones_is_not_shown() -> None:
    events = list(World(SMALL).play(Always("cold_call")))
    assert count(events, "Action Shown") == 0 < count(events, "Action Decided")


def test_the_policy_observes_every_event_before_it_is_asked() -> None:
    policy = Recorder()
    events = list(World(replace(SMALL, customers=40)).play(policy, log_decisions=False))
    assert len(policy.seen) == len(events)
    inbound = {"web", "app", "ivr", "phone", "branch"}
    assert {opportunity.channel for opportunity in policy.asked} == inbound | {
        "push",
        "email",
        "mail",
    }


def test_referral_changes_nothing_but_its_cost() -> None:
    config = replace(SMALL, customers=400, fatigue_effect=0.0)
    world, played = World(config), World(config)
    list(world.play(NeverAct()))
    shown = count(list(played.play(Always("referral"))), "Action Shown")
    assert shown > 100
    assert played.closed == world.closed
    loss_eur = sum(world.value_eur.values()) - sum(played.value_eur.values())
    assert loss_eur == pytest.approx(0.3 * shown)
    no_referral = list(World(replace(config, referral=False)).play(Always("referral")))
    assert count(no_referral, "Action Shown") == 0


def test_help_after_failure_is_worth_money_only_where_emotion_has_an_effect() -> None:
    config = WorldConfig(customers=500)
    worth = policy_value(config, lambda seed: HelpAfterFailure(), [11, 12])
    assert worth.mean_eur > 3 * worth.stderr_eur
    emotionless = replace(config, customers=200, emotion_effect=0.0, fatigue_effect=0.0)
    nothing_gained = policy_value(emotionless, lambda seed: HelpAfterFailure(), [11])
    assert -1.0 < nothing_gained.mean_eur < 0.0  # what the help costs


def test_removing_the_contact_cap_lowers_value() -> None:
    pushy = ("card_offer", "loan_offer", "ivr_payment_tip")
    lost_eur = []
    for seed in (21, 22):
        config = WorldConfig(customers=500, seed=seed)
        capped = customer_values_eur(config, Always(*pushy, cap=1))
        lost_eur.append(capped - customer_values_eur(config, Always(*pushy)))
    assert np.mean(lost_eur) > 2 * np.std(lost_eur) / np.sqrt(np.size(lost_eur))


def test_selling_at_every_moment_costs_more_in_churn_than_it_earns() -> None:
    config = WorldConfig(customers=150, days=90)
    worth = policy_value(config, lambda seed: AlwaysShown(SELLING), [31, 32])
    assert worth.mean_eur < -3 * worth.stderr_eur
    world = World(replace(config, seed=31))
    list(world.play(AlwaysShown(SELLING)))
    assert world.breaches > 100  # it does not ask for consent either
    calm = replace(config, emotion_effect=0.0, fatigue_effect=0.0)
    assert policy_value(calm, lambda seed: AlwaysShown(SELLING), [31, 32]).mean_eur > 0


def test_outbound_contacts_tire_too() -> None:
    config = WorldConfig(customers=250, days=120, emotion_effect=0.0)
    sent = ("app_tour", "branch_appointment", "premium_account", "mortgage_offer")
    closed = []
    for effect in (0.0, 6.0):
        world = World(replace(config, fatigue_effect=effect))
        shown = [e for e in world.play(Always(*sent)) if e["name"] == "Action Shown"]
        assert {e["properties"]["channel"] for e in shown} == {"push", "email", "phone", "mail"}
        closed.append(world.closed)
    assert len(closed[0]) < len(closed[1])


def test_making_up_after_failures_pays_and_the_truth_pays_most() -> None:
    config = WorldConfig(customers=250, days=90)
    made_up = Always("agent_callback", "fee_refund", "personal_apology", "apology_credit", cap=1)

    class AfterBadDays(HelpAfterFailure):
        """Makes up where the last thing was a failure, and nothing else."""

        def choose(self, opportunity: ContactOpportunity) -> SimulatedChoice:
            """Every kind of apology."""
            failed = self._failed.get(opportunity.customer_id)
            return made_up.choose(opportunity) if failed else NeverAct().choose(opportunity)

        def observe(self, events: Sequence[EventJson]) -> None:
            """Calls that settled nothing, and complaints."""
            for event in events:
                bad = event["properties"].get("resolved") is False
                kept = self._failed.get(event["customer_id"], False)
                told = event["name"] in ("Action Shown", "Contact Ended", "Branch Visited")
                complained = event["name"] == "Complaint Filed"
                self._failed[event["customer_id"]] = bad or complained or (kept and not told)

    seeds = [51, 52, 53]
    made = policy_value(config, lambda seed: AfterBadDays(), seeds)
    best = policy_value(config, lambda seed: Oracle(), seeds)
    assert made.mean_eur > 2 * made.stderr_eur
    assert best.mean_eur > made.mean_eur + best.stderr_eur
    assert best.mean_eur > policy_value(config, lambda seed: LastNode(), seeds).mean_eur


def test_the_oracle_alone_is_shown_the_truth() -> None:
    with pytest.raises(RuntimeError, match="shows the moment"):
        Oracle().choose(
            ContactOpportunity("ada", SMALL.start, "web", "web_search", ("help_popup",))
        )


def test_the_bank_knows_thirty_actions_and_shows_each_of_them(
    random_play: tuple[World, list[EventJson]],
) -> None:
    shown = {
        (e["properties"]["action_id"], e["properties"]["channel"])
        for e in random_play[1]
        if e["name"] == "Action Shown"
    }
    assert len(WORLD_ACTIONS) == 30
    assert sorted(action_id for action_id, _ in shown) == sorted(
        WORLD_ACTIONS
    )  # on one channel each
    offered = {name for names in ROUTINE.values() for name in names}
    offered |= {name for ways in OCCASIONS.values() for _, names in ways for name in names}
    assert offered <= set(WORLD_ACTIONS)
    assert set(ROUTINE) < set(PLACEMENTS)
