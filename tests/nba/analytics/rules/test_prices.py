"""The price of rules: what they removed, by the model and from rewards, or `undecided`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from models.policies.epsilon_greedy import EpsilonGreedy
from nba.analytics.rules.prices import PAGE, RulePrice, RuleReport, report_rules
from nba.decisions.decision import Decision
from nba.decisions.request import Request
from nba.engine.policy import ExplorationPolicy, Worth
from nba.engine.scorer import CalibratedScorer
from nba.engine.strategy import Strategy
from nba.journey.arbitration import Lever, Weight
from nba.journey.exploration import Exploration
from nba.journey.file import JourneyFile
from nba.journey.policies import Cap, Capacity, Consent, ContactRules, EngagementRule
from nba.measurement.statistics.estimate import Undecided
from nba.stores.pages import decision_pages
from serving.reports.rule_tables import rules_json
from tests.fixtures.rule_prices import SCORES, number, plain
from tests.fixtures.small_replica import NOON, SmallReplica, StubScorer, changed


def report_on(
    replica: SmallReplica,
    rewards: dict[str, float] | None = None,
    scorer: Any = None,
    since: datetime | None = None,
) -> RuleReport:
    return report_rules(
        decision_pages(replica.log, size=PAGE),
        replica.fold.schema,
        judged_by(scorer or replica.scorer, replica.journey.exploration.epsilon),
        greedy_of,
        rewards=rewards or {},
        since=since,
        seed=3,
    )


def greedy_of(exploration: Exploration) -> ExplorationPolicy:
    return ExplorationPolicy(EpsilonGreedy(exploration.epsilon))


def judged_by(scorer: Any, epsilon: float) -> Strategy:
    """Everybody decided by this scorer, above a floor."""
    drawing = ExplorationPolicy(EpsilonGreedy(epsilon))
    judge, fallback_reason = None, "no bundle is promoted"
    if scorer is not None:
        judge, fallback_reason = CalibratedScorer(scorer), ""
    return Strategy(Exploration(epsilon=epsilon), drawing, judge, fallback_reason)


def price(report: RuleReport, rule: str) -> RulePrice:
    (found,) = [one for one in report.rules if one.rule == rule]
    return found


def decided(journey: JourneyFile, n: int = 60) -> tuple[SmallReplica, list[Decision]]:
    replica = SmallReplica(journey, scorer=StubScorer(SCORES))
    return replica, [d for k in range(n) for d in replica.decide(Request(customer_id=f"c{k}"))]


def test_a_rule_costs_what_would_have_been_drawn_without_it() -> None:
    rule = EngagementRule(
        id="no_calls", layer="suitability", when="complaint.total > 5", actions=["agent_callback"]
    )
    replica, _ = decided(plain(engagement=[rule]))
    report = report_on(replica)
    found = price(report, "no_calls")
    assert (found.actions, found.decisions, found.customers) == (60, 60, 60)
    # worth: help 0.5*5-.01, card 0.2*40-.05, call 0.3*60-8, loan 0.1*120-.05, none 0.1
    with_it, without = [2.49, 7.95, 11.95, 0.1], [2.49, 7.95, 10.0, 11.95, 0.1]

    def worth(all_: list[float]) -> float:
        mean = np.array(all_)
        nothing = np.zeros(len(mean))
        chances = EpsilonGreedy(0.1).probabilities(
            Worth(np.arange(len(mean)), mean, nothing, nothing)
        )
        return float(chances @ mean)

    value = number(found.model_eur)
    assert value.value == pytest.approx(60 * (worth(without) - worth(with_it)))
    assert value.low <= value.value <= value.high
    assert found.moved == pytest.approx(60 * 0.02)
    assert isinstance(found.measured_eur, Undecided) and "lifted" in found.measured_eur.reason


def test_an_action_that_two_rules_refuse_does_not_come_back_without_one() -> None:
    rules = [
        EngagementRule(id=one, layer="suitability", when="complaint.total > 5",
                       actions=["loan_offer"])
        for one in ("first", "second")
    ]  # fmt: skip
    replica, _ = decided(plain(engagement=rules))
    report = report_on(replica)
    assert number(price(report, "first").model_eur).value == 0.0
    assert price(report, "second").actions == 0  # the first has struck it before


@pytest.mark.parametrize(
    ("kind", "fields", "rule"),
    [
        ("cap", {"contact_policy": ContactRules(caps=[Cap(id="r", times=1, days=7)])}, "r"),
        (
            "capacity",
            {"contact_policy": ContactRules(capacities=[Capacity(id="r", most=0)])},
            "r",
        ),
        ("consent", {"consents": {"r": Consent()}}, "r"),
        ("inline", {}, "loan_offer.applicable"),
    ],
)
def test_every_kind_of_rule_has_its_price(kind: str, fields: dict[str, Any], rule: str) -> None:
    journey = plain(**fields)
    if kind == "consent":
        journey = changed(journey, actions=[replace(a, purpose="r") for a in journey.actions])
    if kind == "inline":
        actions = [
            replace(a, applicable="complaint.total > 5") if a.id == "loan_offer" else a
            for a in journey.actions
        ]
        journey = changed(journey, actions=actions)
    replica = SmallReplica(journey, scorer=StubScorer(SCORES))
    for k in range(40):
        replica.decide(Request(customer_id=f"c{k}"), now=NOON - timedelta(days=1))
        replica.decide(Request(customer_id=f"c{k}"))
    found = price(report_on(replica), rule)
    assert found.kind == kind and found.actions > 0
    assert number(found.model_eur).value > 0.0


def test_levers_and_weights_cost_what_they_turn_away_from() -> None:
    lever = Lever(id="push", factor=5.0, actions=["help_popup"], ends="2030-01-01")
    weight = Weight(id="idle", when="complaint.total > 9", factor=9.0)
    replica, _ = decided(plain(levers=[lever], weights=[weight]))
    report = report_on(replica)
    pushed = price(report, "push")
    assert pushed.decisions == 60 and pushed.moved == pytest.approx(60 * 0.9)
    # with the lever the popup's 12.49 is drawn, worth 2.49; without, the loan's 11.95
    assert number(pushed.model_eur).value == pytest.approx(60 * 0.9 * (11.95 - 2.49))
    idle = price(report, "idle")
    assert (idle.actions, idle.moved, number(idle.model_eur).value) == (0, 0.0, 0.0)
    assert isinstance(idle.measured_eur, Undecided)


def test_a_lever_is_measured_from_rewards_where_the_draw_explored() -> None:
    lever = Lever(id="push", factor=5.0, actions=["help_popup"], ends="2030-01-01")
    replica = SmallReplica(
        plain(levers=[lever]), scorer=StubScorer(SCORES), policy=EpsilonGreedy(0.5)
    )
    rewards = {}
    for k in range(800):
        (one,) = replica.decide(Request(customer_id=f"c{k}"))
        rewards[one.decision_id] = 10.0 if one.action_id == "loan_offer" else 1.0
    report = report_rules(
        decision_pages(replica.log, size=PAGE),
        replica.fold.schema,
        judged_by(replica.scorer, 0.5),
        lambda exploration: ExplorationPolicy(EpsilonGreedy(0.5)),
        rewards=rewards,
    )  # fmt: skip
    value = number(price(report, "push").measured_eur)
    assert value.low < 0.5 * 9.0 < value.high and value.low > 0  # half of the draws move


def test_a_lifted_share_measures_a_rule_from_rewards() -> None:
    rule = EngagementRule(
        id="no_loans", layer="suitability", when="complaint.total > 5", actions=["loan_offer"],
        lifted_share=0.5,
    )  # fmt: skip
    replica, decisions = decided(plain(engagement=[rule]), 300)
    rng = np.random.default_rng(1)
    rewards = {
        decision.decision_id: (8.0 if decision.action_id == "loan_offer" else 0.0) + rng.normal()
        for decision in decisions
    }
    found = number(price(report_on(replica, rewards), "no_loans").measured_eur)
    assert 5.0 < found.low < found.value < found.high < 9.0
    none = price(report_on(replica), "no_loans").measured_eur
    assert isinstance(none, Undecided) and "reward" in none.reason
    few = dict(list(rewards.items())[:20])
    little = price(report_on(replica, few), "no_loans").measured_eur
    assert isinstance(little, Undecided) and "under 30" in little.reason


def test_a_catalogue_without_the_share_is_not_the_side_that_holds() -> None:
    """What changed with time between two catalogues is no price."""
    rule = EngagementRule(
        id="no_loans", layer="suitability", when="complaint.total > 5", actions=["loan_offer"]
    )
    before, older = decided(plain(engagement=[rule]), 200)
    replica = SmallReplica(
        plain(engagement=[replace(rule, lifted_share=0.5)]),
        log=before.log,
        scorer=StubScorer(SCORES),
        name="new",
    )
    newer = [d for k in range(200) for d in replica.decide(Request(customer_id=f"n{k}"))]
    rng = np.random.default_rng(7)
    rewards = {one.decision_id: rng.normal() for one in older}
    rewards |= {one.decision_id: 1.0 + rng.normal() for one in newer}
    found = number(price(report_on(replica, rewards), "no_loans").measured_eur)
    assert found.low < 0.0 < found.high
    assert found.n == 200
    only_older = {one.decision_id: rewards[one.decision_id] for one in older}
    none = price(report_on(replica, only_older), "no_loans").measured_eur
    assert isinstance(none, Undecided) and "catalogue in force" in none.reason


def capped(customers: int = 200, days: int = 4) -> tuple[SmallReplica, list[list[Decision]]]:
    """A cap of one offer in 30 days, lifted for half; the decisions of each day."""
    cap = Cap(id="one", times=1, days=30, lifted_share=0.5)
    journey = plain(contact_policy=ContactRules(caps=[cap]))
    replica = SmallReplica(journey, scorer=StubScorer(SCORES))
    return replica, [
        [
            replica.decide(Request(customer_id=f"c{k}"), later=timedelta(days=day))[0]
            for k in range(customers)
        ]
        for day in range(days)
    ]


def test_only_the_first_decision_in_which_a_rule_binds_is_compared() -> None:
    replica, by_day = capped()
    rng = np.random.default_rng(8)
    rewards, met = {}, set()
    for decisions in by_day:
        for decision in decisions:
            again = decision.request.customer_id in met
            # only later decisions are worth more where it was lifted
            rewards[decision.decision_id] = rng.normal() + (
                5.0 if again and decision.lifted else 0.0
            )
            if decision.lifted or decision.refused:
                met.add(decision.request.customer_id)
    found = number(price(report_on(replica, rewards), "one").measured_eur)
    assert found.low < 0.0 < found.high
    assert found.n == 200  # of 800 decisions
    # where what came of the first is not known yet, no later one stands in for it
    later = {one.decision_id: rng.normal() for one in by_day[3]}
    assert isinstance(price(report_on(replica, later), "one").measured_eur, Undecided)


def test_who_met_the_rule_before_the_report_begins_is_not_met_for_the_first_time_in_it() -> None:
    replica, by_day = capped()
    rng = np.random.default_rng(9)
    rewards = {decision.decision_id: rng.normal() for decisions in by_day for decision in decisions}
    report = report_on(replica, rewards, since=NOON + timedelta(days=1))
    assert report.decisions == 600 and number(price(report, "one").measured_eur).n == 200
    report = report_on(replica, rewards, since=NOON + timedelta(days=2))
    assert report.decisions == 400
    few = price(report, "one").measured_eur  # those who were offered nothing on the first day
    assert isinstance(few, Undecided) and "under 30" in few.reason


def test_without_a_champion_or_on_another_catalogue_the_model_is_undecided() -> None:
    replica, _ = decided(plain())
    report = report_rules(
        decision_pages(replica.log, size=PAGE),
        replica.fold.schema,
        judged_by(None, 0.1),
        greedy_of,
        rewards={},
    )
    other, _ = decided(plain(no_action_value_eur=5.0, levers=[
        Lever(id="push", factor=2.0, ends="2030-01-01")]))  # fmt: skip
    other.log = replica.log
    moved = report_on(other)
    assert (moved.decisions, moved.rescored) == (60, 0)
    assert isinstance(price(moved, "push").model_eur, Undecided)
    assert all(isinstance(rule.model_eur, Undecided) for rule in report.rules)
    assert rules_json(moved)["rescored"] == 0
