"""A lever is priced by the draw that each decision had: an arm's, the random slice's, its own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from models.policies.from_journey import ExplorationPolicies, strategy_of
from nba.analytics.rules.prices import PAGE, RuleReport, report_rules
from nba.decisions.request import Request
from nba.engine.scorer import CalibratedScorer
from nba.engine.strategy import Arm, Challenger, Strategy
from nba.journey.arbitration import Lever
from nba.journey.exploration import Exploration, Kind
from nba.measurement.statistics.estimate import Undecided
from nba.stores.pages import decision_pages
from tests.fixtures.examples import examples
from tests.fixtures.rule_prices import SCORES, number, plain
from tests.fixtures.small_replica import SmallReplica, StubScorer

EXPLORING = Exploration(policy="softmax", epsilon=0.2, temperature_eur=5.0, challenger_share=0.3)
KINDS: list[Kind] = ["thompson", "gap_weighting", "epsilon_greedy", "softmax", "random", "fixed"]
ORDERED = Exploration(policy="fixed", order=["card_offer"], epsilon=0.4)
ARMS = ("", "random_slice", "greedy", "ordered", "without", "shadow")


class ByName:
    """Customers of an arm by the first part of their name."""

    def __init__(self, base: Strategy, replica: SmallReplica) -> None:
        own = {
            "random_slice": Exploration(policy="random", epsilon=0.0),
            "greedy": Exploration(policy="greedy"),
            "ordered": ORDERED,
        }
        strategies = {
            arm: strategy_of(replica.journey, base.scorer, exploration=exploration)
            for arm, exploration in own.items()
        }
        other = CalibratedScorer(StubScorer((0.1, 0.4, 0.2, 0.3, 0.0)))
        rival = Challenger(other, base.exploration.challenger_share)
        strategies["shadow"] = base._replace(challenger=rival)
        self._arms = {
            arm: Arm((arm,) if arm else (), strategy=strategies.get(arm)) for arm in ARMS
        } | {"without": Arm(("without",), dropped_rules=frozenset({"push"}))}

    def of(self, customer_id: str) -> Arm:
        return self._arms[customer_id.partition("-")[0]]


def priced(
    factor: float, *, customers: int = 40, arms: tuple[str, ...] = ARMS,
    exploration: Exploration = EXPLORING, worth: float = 0.0,
) -> RuleReport:  # fmt: skip
    """The report on customers of each arm, whose reward is `worth` more where the loan is drawn."""
    lever = Lever(id="push", factor=factor, actions=["help_popup"], ends="2030-01-01")
    journey = plain(levers=[lever], exploration=exploration)
    replica = SmallReplica(journey, scorer=StubScorer(SCORES))
    base = replica.decider.pipeline.strategy
    replica.decide_by(arms=ByName(base, replica))
    rng, rewards = np.random.default_rng(3), {}
    for arm in arms:
        for k in range(customers):
            (decision,) = replica.decide(Request(customer_id=f"{arm}-{k}"))
            drawn = worth if decision.action_id == "loan_offer" else 0.0
            rewards[decision.decision_id] = drawn + rng.normal()
    return report_rules(
        decision_pages(replica.log, size=PAGE),
        replica.fold.schema,
        base,
        ExplorationPolicies([action.id for action in journey.actions]),
        rewards=rewards,
    )


@given(kind=st.sampled_from(KINDS), epsilon=st.sampled_from([0.05, 0.3]))
@examples(6)
def test_a_lever_that_changes_nothing_is_worth_nothing_in_every_arm(
    kind: Kind, epsilon: float
) -> None:
    """With the base policy in place of each decision's own, it was worth 0.64 EUR a decision."""
    exploration = Exploration(policy=kind, epsilon=epsilon, order=["loan_offer"])
    report = priced(1.0, exploration=exploration, worth=9.0)
    (push,) = report.rules
    assert push.decisions == 40 * (len(ARMS) - 1)  # in one arm it is left out
    for value in (number(push.model_eur), number(push.measured_eur)):
        assert (value.value, value.low, value.high) == (0.0, 0.0, 0.0)
    assert push.moved == 0.0


def test_the_random_slice_is_no_evidence_of_what_a_lever_does() -> None:
    report = priced(5.0, arms=("random_slice",), customers=200, worth=9.0)
    (push,) = report.rules
    value = number(push.measured_eur)
    assert (value.value, value.low, value.high) == (0.0, 0.0, 0.0)
    assert number(push.model_eur).value == 0.0 and push.moved == 0.0


def test_what_a_lever_costs_is_found_among_customers_of_all_arms_that_can_tell() -> None:
    """Known: of each arm, how much more probable the loan is without the lever, times 9 EUR."""
    explored = ("", "random_slice", "ordered", "shadow")
    report = priced(5.0, arms=explored, customers=2_000, worth=9.0)
    (push,) = report.rules
    # worth with the lever: 12.49, 7.95, 10, 11.95, .1; without: 2.49 in place of the first
    with_it, without = (np.array([first, 7.95, 10.0, 11.95, 0.1]) for first in (12.49, 2.49))

    def loan(mean: np.ndarray) -> float:
        return float(np.exp(mean / 5.0)[3] / np.exp(mean / 5.0).sum())

    moved = loan(without) - loan(with_it)
    # the base explores a fifth of the draw; a challenger has three tenths of it in shadow
    truth = 9.0 * moved * (0.8 + 0.0 + 0.0 + 0.5) / 4
    value = number(push.measured_eur)
    assert value.low < truth < value.high and value.low > 0.0
    assert push.left_out.decisions == 0


def test_a_greedy_arm_cannot_tell_and_is_left_out_aloud() -> None:
    report = priced(5.0, arms=("", "greedy"), customers=400, worth=9.0)
    (push,) = report.rules
    assert (push.left_out.decisions, push.left_out.arms) == (400, ("greedy",))
    assert number(push.measured_eur).n == 400
    alone = priced(5.0, arms=("greedy",), customers=400, worth=9.0).rules[0].measured_eur
    assert isinstance(alone, Undecided) and "could not be drawn" in alone.reason


@pytest.mark.parametrize("arm", ["", "random_slice", "greedy", "ordered", "shadow"])
def test_the_model_prices_each_arm_by_its_own_draw(arm: str) -> None:
    report = priced(5.0, arms=(arm,), customers=40)
    (push,) = report.rules
    lost = {"": 0.8, "random_slice": 0.0, "greedy": 1.0, "ordered": 0.0, "shadow": 0.8}
    assert (push.moved == 0.0) == (lost[arm] == 0.0)
    assert push.moved <= 40 * lost[arm]
