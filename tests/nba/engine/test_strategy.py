"""Who decides: the whole draw, with a challenger, arms, a holdout and what was learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from models.policies.epsilon_greedy import EpsilonGreedy
from models.policies.thompson import Thompson
from nba.customer.context import Context
from nba.decisions.candidate import Reason
from nba.decisions.decision import Churn, Mode, decision_from_json
from nba.decisions.request import Request
from nba.engine.policy import ExplorationPolicy, Floats, choose, mixed, worth_of
from nba.engine.scorer import CalibratedScorer
from nba.engine.strategy import Arm, Challenger, Strategy
from nba.errors import InvalidInput
from nba.journey.actions import NO_ACTION
from nba.journey.arbitration import Lever, Weight
from nba.journey.exploration import Exploration
from nba.randomization import HOLDOUT, in_share
from tests.fixtures.open_replica import (
    ADA,
    IDS,
    OPEN,
    SCORES,
    all_eligible,
    open_replica,
    propensities,
)
from tests.fixtures.small_replica import SmallReplica, StubScorer

RIVAL = StubScorer([0.1, 0.1, 0.9, 0.1, 0.0])


class Lifted(NamedTuple):
    """A residual that adds the same to every score."""

    by: float
    spread: float
    version: str = "policy-test"
    exposures: float = 30.0

    def correct(
        self, contexts: Sequence[Context], codes: Sequence[Sequence[int]], scores: Floats
    ) -> tuple[Floats, Floats]:
        return scores + self.by, np.full(len(scores), self.spread)


class Everybody(NamedTuple):
    """Everybody in one arm."""

    arm: Arm

    def of(self, customer_id: str) -> Arm:
        return self.arm


def test_a_challenger_gets_its_share_of_every_draw() -> None:
    replica = open_replica(policy=ExplorationPolicy(EpsilonGreedy(0.0), floor=0.1))
    replica.decide_by(
        scorer=CalibratedScorer(StubScorer(SCORES)),
        challenger=Challenger(CalibratedScorer(RIVAL), 0.2),
    )
    replica.log.append_events(all_eligible())
    [decision] = replica.draw(ADA)
    chances = propensities(decision)
    floor = 0.1 / len(chances)
    assert chances[IDS[0]] == pytest.approx(0.7 + floor)
    assert chances[IDS[2]] == pytest.approx(0.2 + floor)
    assert sum(chances.values()) == pytest.approx(1.0, abs=1e-12)
    assert decision.challenger == RIVAL.bundle_id
    assert decision.policy == "epsilon_greedy(0), floor 0.1, challenger 0.2"


@given(
    st.lists(st.floats(0.01, 1.0), min_size=1, max_size=8),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(0, 2**32),
)
def test_the_mixture_is_a_distribution_above_its_floor(
    weights: list[float], floor: float, share: float, seed: int
) -> None:
    own = np.array(weights) / sum(weights)
    other = own[::-1].copy()
    found = mixed(own, floor=floor, challenger=other, share=share)
    assert found.sum() == pytest.approx(1.0, abs=1e-9)
    assert (found >= floor / len(own) - 1e-12).all()
    drawn = choose(found, np.random.default_rng(seed))
    assert found[drawn.at] == drawn.propensity > 0.0
    alone = mixed(own, floor=floor, challenger=None, share=share)
    assert alone == pytest.approx((1 - floor) * own + floor / len(own))


def test_what_was_learned_moves_the_priority_and_how_unsure_it_is_moves_the_draw() -> None:
    replica = open_replica(policy=ExplorationPolicy(Thompson(1.0)))
    replica.decide_by(scorer=CalibratedScorer(StubScorer(SCORES), Lifted(0.1, 0.05)))
    replica.log.append_events(all_eligible())
    [decision] = replica.draw(ADA)
    best = decision.candidates[0]
    assert (best.p_accept, best.batch_score) == (pytest.approx(0.6), 0.5)
    assert best.priority == pytest.approx(6.0) and best.spread_eur == pytest.approx(0.5)
    none = next(candidate for candidate in decision.candidates if candidate.action_id == NO_ACTION)
    assert (none.priority, none.spread_eur) == (1.0, 0.0)
    assert 0.9 < best.propensity < 1.0
    assert (decision.policy_version, decision.learned_from) == ("policy-test", 30.0)
    codes = [
        IDS.index(candidate.action_id) if candidate is not none else -1
        for candidate in decision.candidates
    ]
    again = Thompson(1.0).probabilities(worth_of(decision.candidates, codes, 30.0))
    assert again == pytest.approx(
        [candidate.propensity for candidate in decision.candidates], abs=1e-9
    )


def test_an_arm_leaves_out_rules_weights_and_levers() -> None:
    weight = Weight(id="calm", when="customer.days_known >= 0", factor=3.0)
    lever = Lever(id="push", factor=2.0, actions=[IDS[0]], ends="2030-01-01")
    journey = replace(OPEN, weights=[weight], levers=[lever])
    replica = SmallReplica(journey, scorer=StubScorer(SCORES))
    replica.log.append_events(all_eligible())
    [before] = replica.draw(ADA)
    replica.decide_by(arms=Everybody(Arm(("plain.without",), frozenset({"calm", "push"}), None)))
    [after] = replica.draw(ADA)
    assert before.candidates[0].because == ("calm", "push")
    assert after.candidates[0].because == ()
    assert before.candidates[0].priority == pytest.approx(6 * (after.candidates[0].priority or 0))
    assert (after.arms, after.dropped_rules) == (("plain.without",), ("calm", "push"))


def test_customers_of_several_strategies_are_decided_in_the_order_of_their_requests() -> None:
    replica = open_replica(policy=ExplorationPolicy(EpsilonGreedy(0.0)))
    other = Strategy(Exploration(), ExplorationPolicy(EpsilonGreedy(0.0)), CalibratedScorer(RIVAL))

    class ByName(NamedTuple):
        def of(self, customer_id: str) -> Arm:
            return Arm(("x.b",), strategy=other) if customer_id.startswith("b") else Arm(())

    replica.decide_by(arms=ByName())
    names = ["ada", "bob", "amy", "ben"]
    found = replica.draw(*(replace(ADA, customer_id=name) for name in names))
    assert [one.request.customer_id for one in found] == names
    assert [one.arms for one in found] == [(), ("x.b",), (), ("x.b",)]
    assert {one.action_id for one in found[1::2]} == {IDS[2]}
    assert [one.decision_id for one in found] == ["d1", "d2", "d3", "d4"]


def test_nothing_but_transactional_actions_reaches_the_holdout() -> None:
    journey = replace(OPEN, exploration=Exploration(holdout_share=0.3))
    replica = SmallReplica(journey, scorer=StubScorer(SCORES))
    customers = [f"c{number}" for number in range(60)]
    found = replica.draw(*(Request(customer_id=customer) for customer in customers))
    held = [one for one in found if in_share(HOLDOUT, 0.3, one.request.customer_id)]
    assert 8 < len(held) < 30
    for decision in found:
        codes = {one.code for one in decision.refused}
        assert ("holdout" in codes) == (decision in held)
        assert decision not in held or decision.action_id == NO_ACTION


class Risky(StubScorer):
    """A churn model that gives this."""

    risk = float("nan")

    def churn(self, contexts: Sequence[Context]) -> list[Churn]:
        return [Churn(risk=self.risk, horizon_days=30.0) for _ in contexts]


@pytest.mark.parametrize("policy", [EpsilonGreedy(0.1), Thompson(0.25)])
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_no_finite_number_falls_back_and_is_marked(
    number: float, policy: EpsilonGreedy | Thompson
) -> None:
    """Whichever part gives it; and the record can be read back."""
    strategies = {
        "the worth of 1 of 5 candidates": [
            CalibratedScorer(StubScorer([*SCORES[:1], number, *SCORES[2:]])),
            CalibratedScorer(StubScorer([*SCORES[:1], number, *SCORES[2:]]), Lifted(0.1, 0.05)),
        ],
        "the worth of 4 of 5 candidates": [
            CalibratedScorer(StubScorer(SCORES), Lifted(0.1, number)),
            CalibratedScorer(StubScorer(SCORES), Lifted(number, 0.1)),
        ],
        "the churn risk": [CalibratedScorer(Risky(SCORES))],
    }
    for what, scorers in strategies.items():
        for scorer in scorers:
            replica = open_replica(policy=policy)
            replica.decide_by(scorer=scorer)
            replica.log.append_events(all_eligible())
            [decision] = replica.decide(ADA)
            assert decision.mode is Mode.FALLBACK and decision.propensity == 1.0
            assert decision.note == f"score_not_finite: {what}"
            assert decision.bundle_id == "bundle-stub" and decision.policy == "fallback"
            assert decision_from_json(decision.to_json()) == decision


def test_one_customers_score_does_not_touch_the_others() -> None:
    class OfOne(StubScorer):
        def touchpoint(
            self, contexts: Sequence[Context], codes: Sequence[Sequence[int]]
        ) -> np.ndarray:
            scores = super().touchpoint(contexts, codes)
            whose = np.repeat([context.customer_id for context in contexts], [*map(len, codes)])
            return np.where(whose == "bad", np.nan, scores)

    replica = open_replica(policy=EpsilonGreedy(0.1))
    everybody = [Request(customer_id=name) for name in ("ada", "bad", "eve")]
    alone = replica.draw(everybody[0], everybody[2])
    replica.decide_by(scorer=CalibratedScorer(OfOne(SCORES)))
    together = replica.draw(*everybody)
    assert [decision.mode for decision in together] == [Mode.LIVE, Mode.FALLBACK, Mode.LIVE]
    assert [propensities(together[0]), propensities(together[2])] == [*map(propensities, alone)]


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_a_challenger_whose_score_is_no_finite_number_has_no_share(number: float) -> None:
    replica = open_replica(policy=ExplorationPolicy(EpsilonGreedy(0.0), floor=0.1))
    replica.log.append_events(all_eligible())
    [alone] = replica.draw(ADA)
    rival = StubScorer([0.1, number, 0.9, 0.1, 0.0])
    replica.decide_by(challenger=Challenger(CalibratedScorer(rival), 0.2))
    [decision] = replica.draw(ADA)
    assert propensities(decision) == propensities(alone)
    assert (decision.challenger, decision.policy) == (None, alone.policy)


def test_a_record_that_could_not_be_read_back_is_not_written() -> None:
    replica = open_replica(policy=EpsilonGreedy(0.1))
    [decision] = replica.draw(ADA)
    first = replace(decision.candidates[0], priority=float("inf"))
    churn = Churn(risk=float("nan"), horizon_days=30.0)
    reason = Reason(column="age", value=None, contribution=float("inf"), text="why")
    for change in (
        {"propensity": float("nan")},
        {"candidates": (first,)},
        {"churn": churn},
        {"reasons": (reason,)},
    ):
        with pytest.raises(InvalidInput, match="could not be read back"):
            replace(decision, **change).to_json()
