"""The simulated bank: its truth is known, repeatable, and moved only by what it should be."""

from __future__ import annotations

import ast
import json
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from training.simulation.config import Mechanism, draw_parameters
from training.simulation.customers import HiddenState, closing_probability, draw_customer
from training.simulation.history import (
    NeverAct,
    RandomPolicy,
    as_delivered,
    customer_values_eur,
    frustrated_customer,
    policy_value,
    write_history,
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

SMALL = WorldConfig(customers=150, days=90)


class Always:
    """The first of these actions that is offered, at most `cap` times in 14 days."""

    def __init__(self, *actions: str, cap: int | None = None) -> None:
        self._actions, self._cap = actions, cap
        self._contacts: dict[str, list[datetime]] = {}

    def observe(self, events: Sequence[EventJson]) -> None:
        """Nothing is learned."""

    def choose(self, opportunity: ContactOpportunity) -> SimulatedChoice:
        """The action, unless the cap is reached."""
        wanted = next((a for a in self._actions if a in opportunity.offered), NO_ACTION)
        kept = self._contacts.setdefault(opportunity.customer_id, [])
        recent = [at for at in kept if opportunity.at - at < timedelta(days=14)]
        if self._cap is not None and len(recent) >= self._cap:
            wanted = NO_ACTION
        if wanted != NO_ACTION:
            kept.append(opportunity.at)
        return SimulatedChoice(
            wanted, 1.0, f"{opportunity.customer_id}@{opportunity.at.isoformat()}"
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


class Recorder(NeverAct):
    """Does nothing and remembers what it was shown and asked."""

    def __init__(self) -> None:
        self.seen: list[EventJson] = []
        self.asked: list[ContactOpportunity] = []

    def observe(self, events: Sequence[EventJson]) -> None:
        """Keep them."""
        self.seen.extend(events)

    def choose(self, opportunity: ContactOpportunity) -> SimulatedChoice:
        """No action."""
        mine = [e for e in self.seen if e["customer_id"] == opportunity.customer_id]
        assert all(datetime.fromisoformat(e["received_at"]) <= opportunity.at for e in mine)
        self.asked.append(opportunity)
        return super().choose(opportunity)


@pytest.fixture(scope="module")
def random_play() -> tuple[World, list[EventJson]]:
    world = World(WorldConfig(customers=800, seed=3))
    return world, list(world.play(RandomPolicy(3)))


def count(events: Sequence[EventJson], name: str) -> int:
    return sum(event["name"] == name for event in events)


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


def test_almost_everybody_has_a_time_zone_and_some_are_new() -> None:
    events = list(World(replace(SMALL, customers=600, days=1)).play(NeverAct()))
    traits = [event["properties"] for event in events if event["name"] == "identify"]
    zones = [trait.get("time_zone") for trait in traits]
    assert set(zones) == {"Europe/Berlin", "Europe/London", "America/New_York", None}
    assert 0 < zones.count(None) < 60
    new = [trait for trait in traits if trait["tenure_months"] == 0]
    assert len(new) == count(events, "Account Opened") > 20


def test_a_loss_weighs_twice_a_gain() -> None:
    customer = draw_customer(0, draw_parameters(SMALL), SMALL)
    glad, sad = HiddenState(expectation=0.0), HiddenState(expectation=0.0)
    glad.feel(0.2, customer, 0.0)
    sad.feel(-0.2, customer, 0.0)
    assert sad.emotion == pytest.approx(-2.0 * glad.emotion)


def test_the_ivr_leaks_as_the_bank_case_says() -> None:
    config = WorldConfig(customers=1_500)
    events = list(World(config).play(NeverAct(), log_decisions=False))
    calls = count(events, "IVR Started")
    attempts = count(events, "IVR Payment Attempted")
    paid = count(events, "IVR Payment Completed")
    assert 1 - paid / calls == pytest.approx(0.82, abs=0.02)
    assert 1 - attempts / calls == pytest.approx(0.60, abs=0.04)
    assert paid / attempts == pytest.approx(0.45, abs=0.05)
    completed = count(events, "Payment Completed") / count(events, "Payment Started")
    assert 1 - completed == pytest.approx(0.41, abs=0.03)
    assert count(list(World(replace(SMALL, ivr=False)).play(NeverAct())), "IVR Started") == 0


def test_search_frustration_can_be_switched_off() -> None:
    searches = [
        event["properties"]["results_count"]
        for event in World(replace(SMALL, search_frustration=False)).play(NeverAct())
        if event["name"] == "Products Searched"
    ]
    assert searches and 0 not in searches


def test_churn_is_realistic_and_follows_emotion(
    random_play: tuple[World, list[EventJson]],
) -> None:
    world, events = random_play
    first_90_days = world.config.start + timedelta(days=90)
    closed = [
        event
        for event in events
        if event["name"] == "Account Closed"
        and datetime.fromisoformat(event["occurred_at"]) < first_90_days
    ]
    assert 0.07 <= len(closed) / world.config.customers <= 0.16
    last = {key: felt[-1].emotion for key, felt in world.felt.items() if felt}
    gone = np.mean([emotion for key, emotion in last.items() if key in world.closed])
    stayed = np.mean([emotion for key, emotion in last.items() if key not in world.closed])
    assert gone < stayed - 0.7


def test_propensities_are_exact_and_add_up(random_play: tuple[World, list[EventJson]]) -> None:
    decided = [e["properties"] for e in random_play[1] if e["name"] == "Action Decided"]
    assert all(p["propensity"] == 1.0 / len(p["candidates"]) for p in decided)
    assert all(p["action_id"] in p["candidates"] for p in decided)
    pairs = [p for p in decided if p["placement"] == "web_search"]
    helped = sum(p["action_id"] == "help_popup" for p in pairs)
    assert helped / len(pairs) == pytest.approx(1 / 3, abs=0.03)


def test_responses_are_learnable_and_referral_never_works(
    random_play: tuple[World, list[EventJson]],
) -> None:
    def share(action_id: str) -> float:
        mine = [e for e in random_play[1] if e["properties"].get("action_id") == action_id]
        return count(mine, "Action Accepted") / count(mine, "Action Shown")

    for action_id in ("help_popup", "agent_callback", "apology_credit", "card_offer"):
        assert 0.05 < share(action_id) < 0.5
    assert 0.03 < share("loan_offer") < 0.2
    assert share("referral") < 0.02


def test_every_event_is_json_with_its_fields_and_a_time(
    random_play: tuple[World, list[EventJson]],
) -> None:
    fields = {"event_id", "customer_id", "name", "occurred_at", "received_at", "properties"}
    ids = set()
    last: dict[str, str] = {}
    for event in random_play[1]:
        assert json.loads(json.dumps(event)) == event
        assert set(event) == fields and event["occurred_at"].endswith("Z")
        assert datetime.fromisoformat(event["occurred_at"]).tzinfo is not None
        assert last.get(event["customer_id"], "") <= event["occurred_at"] <= event["received_at"]
        last[event["customer_id"]] = event["occurred_at"]
        ids.add(event["event_id"])
    assert len(ids) == len(random_play[1])


def test_a_written_history_is_in_order_of_receipt_and_as_dirty_as_asked(tmp_path: Path) -> None:
    config = replace(SMALL, customers=400)
    ticks: list[int] = []
    summary = write_history(config, tmp_path / "history.jsonl", ticks.append)
    events = [json.loads(line) for line in summary.path.read_text().splitlines()]
    received = [event["received_at"] for event in events]
    assert received == sorted(received) and len(events) == summary.lines
    dirtiable = sum(n for name, n in summary.names if name != "Action Decided")
    assert summary.duplicates / dirtiable == pytest.approx(0.03, abs=0.006)
    assert summary.late / dirtiable == pytest.approx(0.05, abs=0.008)
    assert len({e["event_id"] for e in events}) == summary.lines - summary.duplicates
    assert ticks == sorted(ticks) and ticks[-1] == summary.lines - summary.duplicates


def test_a_clean_history_has_neither_duplicates_nor_late_arrivals() -> None:
    events = list(World(replace(SMALL, customers=20)).play(NeverAct()))
    assert list(as_delivered(events, replace(SMALL, dirty=False))) == events


def test_the_frustrated_customer_searches_in_vain_and_clicks_in_rage() -> None:
    start = datetime(2026, 5, 1, 9, 30, tzinfo=UTC)
    events = frustrated_customer("demo-1", start, searches=4)
    names = ["identify", *["Products Searched"] * 4, "Rage Click"]
    assert [e["name"] for e in events] == names
    assert all(e["properties"]["results_count"] == 0 for e in events[1:5])
    span = datetime.fromisoformat(events[-1]["occurred_at"]) - start
    assert timedelta() < span < timedelta(minutes=10)
    with pytest.raises(ValueError, match="searches 7"):
        frustrated_customer("demo-1", start, searches=7)


def test_the_world_knows_nothing_of_the_service() -> None:
    files = sorted(Path("training/simulation").glob("*.py"))
    assert files
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                own = name.startswith("training.simulation.")
                root = name.split(".")[0]
                assert own or root == "numpy" or root in sys.stdlib_module_names, (file, name)


@pytest.mark.parametrize(
    ("mechanism", "moves"),
    [
        ("accumulation", {"emotion"}),
        ("blocking", {"last_gap"}),
        ("peak_end", {"last_gap", "worst_gap"}),
        ("confounded", {"trouble"}),
        ("null", set()),
    ],
)
def test_customers_leave_for_the_reason_that_the_mechanism_says(
    mechanism: Mechanism, moves: set[str]
) -> None:
    config = replace(SMALL, mechanism=mechanism)
    parameters = draw_parameters(config)
    customer = replace(draw_customer(0, parameters, config), trouble=0.0)
    worse = {
        "emotion": (customer, HiddenState(expectation=0.0, emotion=-2.0)),
        "last_gap": (customer, HiddenState(expectation=0.0, last_gap=-2.0)),
        "worst_gap": (customer, HiddenState(expectation=0.0, gaps=deque([-2.0, 0.0]))),
        "trouble": (replace(customer, trouble=2.0), HiddenState(expectation=0.0)),
    }
    usual = closing_probability(customer, HiddenState(expectation=0.0), 0.0, parameters, config)
    for name, (somebody, state) in worse.items():
        risk = closing_probability(somebody, state, 0.0, parameters, config)
        assert risk > 2 * usual if name in moves else risk == usual
    tired = closing_probability(customer, HiddenState(expectation=0.0), 2.0, parameters, config)
    assert tired > usual
