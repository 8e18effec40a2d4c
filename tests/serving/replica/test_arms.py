"""Arms in force: who is decided how, and that each such decision can be replayed."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from nba.engine.scorer import CalibratedScorer
from nba.engine.strategy import Arm
from nba.errors import InvalidBundle, NotFound
from nba.experiments.experiment import ArmSpec, ExplorationChange
from nba.journey.exploration import Exploration
from nba.randomization import HOLDOUT, RANDOM_SLICE, in_share
from serving.replica.arms import RolledOut, arms_of
from tests.fixtures.open_replica import OPEN, capped, contacts, open_replica, propensities
from tests.fixtures.running_experiment import (
    an_experiment,
    arms_in,
    decide_each,
    in_force,
    names,
    rollout_at,
    scorer_of,
)
from tests.fixtures.small_replica import NOON, SmallReplica, changed

WHO = {"by": "ada", "why": "to know"}
GREEDY = ExplorationChange(policy="greedy")
CAP_OFF = an_experiment("cap", arms=[ArmSpec("a", 0.5), ArmSpec("b", 0.5, without=["cap"])])


def with_shares(**shares: float) -> SmallReplica:
    return open_replica(journey=changed(OPEN, exploration=Exploration(epsilon=0.2, **shares)))


def test_the_holdout_and_the_random_slice_are_in_no_experiment() -> None:
    replica = with_shares(holdout_share=0.2, random_share=0.3)
    arms = arms_in(replica, in_force(an_experiment(), replica.log))
    seen = {"holdout": 0, "random": 0, "arm": 0}
    for customer in names(500):
        found = arms.of(customer)
        if in_share(HOLDOUT, 0.2, customer):
            seen["holdout"] += 1
            assert found == Arm(())
        elif in_share(RANDOM_SLICE, 0.3, customer):
            seen["random"] += 1
            assert found.labels == ("random_slice",)
        else:
            seen["arm"] += 1
            assert found.labels in (("colour.a",), ("colour.b",))
    assert min(seen.values()) > 50


def test_every_draw_of_the_random_slice_is_uniform() -> None:
    replica = with_shares(random_share=0.3)
    arms_in(replica)
    for decision in decide_each(replica, names(60)):
        drawn = propensities(decision)
        if decision.arms:
            assert decision.arms == ("random_slice",)
            assert list(drawn.values()) == [pytest.approx(1.0 / len(drawn))] * len(drawn)
        else:
            assert max(drawn.values()) > 0.8


def test_an_arm_changes_what_it_says_and_nothing_else() -> None:
    greedy = [ArmSpec("a", 0.5), ArmSpec("b", 0.5, GREEDY)]
    replica = open_replica()
    arms_in(replica, in_force(an_experiment(arms=greedy), replica.log))
    for decision in decide_each(replica, names(40)):
        sure = max(propensities(decision).values()) == 1.0
        assert sure == (decision.arms == ("colour.b",))
        assert decision.bundle_id == "bundle-stub"


def test_a_bundle_decides_for_its_arm_alone() -> None:
    arms = [ArmSpec("a", 0.5), ArmSpec("b", 0.5, bundle="bundle-other")]
    replica = open_replica()
    arms_in(replica, in_force(an_experiment(arms=arms), replica.log))
    for decision in decide_each(replica, names(40)):
        other = decision.arms == ("colour.b",)
        assert decision.bundle_id == ("bundle-other" if other else "bundle-stub")
        best = max(propensities(decision).items(), key=lambda item: item[1])[0]
        assert (best == "loan_offer") == other


def test_what_an_arm_leaves_out_does_not_hold_for_its_customers() -> None:
    replica = open_replica(journey=capped(times=1, days=7.0, per="customer"))
    arms_in(replica, in_force(CAP_OFF, replica.log))
    customers = names(30)
    replica.log.append_events(
        [
            replace(contact, customer_id=c)
            for c in customers
            for contact in contacts("loan_offer", 1)
        ]
    )
    for decision in decide_each(replica, customers):
        free = decision.arms == ("cap.b",)
        assert (len(decision.candidates) > 1) == free
        assert decision.dropped_rules == (("cap",) if free else ())


def test_two_layers_are_decided_together_and_a_combination_is_one_strategy() -> None:
    colour = an_experiment(arms=[ArmSpec("a", 0.5), ArmSpec("b", 0.5, GREEDY)])
    bundle = an_experiment(
        "model", arms=[ArmSpec("a", 0.5), ArmSpec("b", 0.5, bundle="bundle-x")], layer="models"
    )
    replica = open_replica(journey=capped(times=9, days=7.0))
    arms = arms_in(replica, *(in_force(one, replica.log) for one in (colour, bundle, CAP_OFF)))
    found = {id(arm): arm for arm in map(arms.of, names(300))}.values()
    assert len(found) == 8  # one for each combination
    assert sum(one.strategy is None for one in found) == 2  # decided like everybody
    both = next(one for one in found if one.labels == ("colour.b", "model.b", "cap.b"))
    assert both.strategy is not None and both.strategy.scorer is not None
    assert both.strategy.exploration.policy == "greedy"
    assert both.strategy.scorer.base.bundle_id == "bundle-x"
    assert both.dropped_rules == {"cap"}


@pytest.mark.parametrize("error", [NotFound("gone"), InvalidBundle("trained on other columns")])
def test_an_experiment_with_an_arm_that_cannot_decide_is_suspended_as_a_whole(
    error: Exception,
) -> None:
    def broken(bundle_id: str) -> CalibratedScorer:
        raise error

    replica = open_replica()
    arms = [ArmSpec("a", 0.5), ArmSpec("b", 0.5, bundle="bundle-gone")]
    running = [in_force(an_experiment(arms=arms), replica.log)]
    found = arms_of(running, replica.decider.pipeline.strategy, replica.journey, broken)
    assert found.suspended == {"colour": str(error)}
    assert {found.of(c) for c in names(50)} == {Arm(())}


def test_an_ended_experiment_decides_for_nobody() -> None:
    replica = open_replica()
    arms = arms_in(replica, in_force(an_experiment(), replica.log, ended_at=NOON))
    assert arms.of("ada") == Arm(())


def test_a_canary_and_its_control_come_before_experiments_and_after_the_random_slice() -> None:
    replica = with_shares(random_share=0.2)
    rollout = rollout_at("canary", share=0.3)
    rolled_out = RolledOut(rollout, scorer_of("bundle-new"))
    base = replica.decider.pipeline.strategy
    running = [in_force(an_experiment(), replica.log)]
    arms = arms_of(running, base, replica.journey, scorer_of, rolled_out=rolled_out)
    for customer in names(200):
        found = arms.of(customer)
        if in_share(RANDOM_SLICE, 0.2, customer):
            assert found.labels == ("random_slice",)
        elif in_share("canary:bundle-new", 0.3, customer):
            assert found.labels == ("canary",)
            assert found.strategy is not None and found.strategy.scorer is rolled_out.scorer
        elif in_share("canary:bundle-new", 0.6, customer):
            assert found == Arm(("control",))
        else:
            assert found.labels[0].startswith("colour.")


def test_without_a_champion_an_experiment_of_which_one_arm_could_decide_is_suspended() -> None:
    replica = open_replica()
    base = replica.decider.pipeline.strategy._replace(scorer=None, fallback_reason="it is broken")
    other = [ArmSpec("a", 0.5), ArmSpec("b", 0.5, bundle="bundle-other")]
    own = [ArmSpec("a", 0.5, bundle="bundle-one"), ArmSpec("b", 0.5, bundle="bundle-other")]
    for arms, suspended in ((other, {"colour": "the champion: it is broken"}), (own, {})):
        running = [in_force(an_experiment(arms=arms), replica.log)]
        assert arms_of(running, base, replica.journey, scorer_of).suspended == suspended
