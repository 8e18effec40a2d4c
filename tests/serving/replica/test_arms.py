"""Arms in force: who is decided how, and that each such decision can be replayed."""

from __future__ import annotations

from functools import partial
from itertools import count

import pytest
from msgspec.structs import replace

from models.bundles.bundle import Bundle
from nba.decisions.decision import Decision, Mode
from nba.decisions.request import Request
from nba.engine.scorer import CalibratedScorer
from nba.engine.strategy import Arm
from nba.errors import InvalidBundle, NotFound
from nba.experiments.experiment import ArmSpec, ExplorationChange, Slot
from nba.experiments.registry import start, stop
from nba.journey.actions import NO_ACTION
from nba.journey.exploration import Exploration
from nba.randomization import HOLDOUT, RANDOM_SLICE, in_share
from nba.stores.memory.log import MemoryLog
from nba.stores.versioned import CHAMPION
from serving.api.replay import replayed
from serving.replica.arms import Canary, arms_of
from serving.replica.assembly import assemble
from serving.replica.bundle_checks import check_arm_bundle
from serving.replica.replica import Replica
from serving.settings import Settings
from tests.fixtures.open_replica import OPEN, capped, contacts, open_replica, propensities
from tests.fixtures.running_experiment import (
    an_experiment,
    arms_in,
    decide_each,
    in_force,
    names,
    scorer_of,
)
from tests.fixtures.small_replica import JOURNEY, NOON, SmallReplica, changed, failed_search
from tests.models.bundles.test_bundle import made

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
            assert found == Arm()
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
    assert {found.of(c) for c in names(50)} == {Arm()}


def test_an_ended_experiment_decides_for_nobody() -> None:
    replica = open_replica()
    arms = arms_in(replica, in_force(an_experiment(), replica.log, ended_at=NOON))
    assert arms.of("ada") == Arm()


def test_a_canary_comes_before_experiments_and_after_the_random_slice() -> None:
    replica = with_shares(random_share=0.2)
    canary = Canary("canary", 0.3, "canary:bundle-new", scorer_of("bundle-new"))
    base = replica.decider.pipeline.strategy
    running = [in_force(an_experiment(), replica.log)]
    arms = arms_of(running, base, replica.journey, scorer_of, canary=canary)
    for customer in names(200):
        found = arms.of(customer)
        if in_share(RANDOM_SLICE, 0.2, customer):
            assert found.labels == ("random_slice",)
        elif in_share("canary:bundle-new", 0.3, customer):
            assert found.labels == ("canary",)
            assert found.strategy is not None and found.strategy.scorer is canary.scorer
        else:
            assert found.labels[0].startswith("colour.")


# On the service's own composition


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return made()


def replica_on(log: MemoryLog) -> Replica:
    ids, seeds = count(1), count(1)
    return assemble(
        Settings(),
        log=log,
        journey=JOURNEY,
        now=lambda: NOON,
        new_id=lambda: f"dec-{next(ids)}",
        new_seed=lambda: next(seeds),
    )


def another(bundle: Bundle) -> Bundle:
    """The same models under another id."""
    manifest = replace(bundle.manifest, dataset="data-2")
    return Bundle(manifest, bundle.churn, bundle.touchpoint, bundle.table)


def decided(replica: Replica, customers: list[str]) -> list[Decision]:
    replica.log.append_events([failed_search(customer_id=customer) for customer in customers])
    requests = [Request(customer_id=customer) for customer in customers]
    return replica.engine.decider.decide(requests, replica.now(), replica.chance)


def test_a_service_takes_experiments_up_and_each_decision_is_replayed_byte_for_byte(
    bundle: Bundle,
) -> None:
    log = MemoryLog()
    other = another(bundle)
    for one in (bundle, other):
        log.save_bundle(one.bundle_id, one.files())
    log.set_alias(CHAMPION, bundle.bundle_id, NOON)
    replica = replica_on(log)
    assert {one.arms for one in decided(replica, names(5, "before"))} == {()}

    softmax = ExplorationChange(policy="softmax", temperature_eur=3.0)
    arms = [
        ArmSpec("a", 0.3),
        ArmSpec("b", 0.3, softmax, without=["three_a_week", "call_more"]),
        ArmSpec("c", 0.4, bundle=other.bundle_id),
    ]
    experiment = an_experiment(arms=arms, share=0.9)
    started = start(
        log,
        experiment,
        JOURNEY,
        NOON,
        by="ada",
        why="to know",
        check_bundle=partial(check_arm_bundle, log, JOURNEY),
    )
    assert started.slots == (Slot(0.0, 0.9),)
    replica.reload()
    found = decided(replica, names(60))
    assert {one.arms for one in found} == {(), ("colour.a",), ("colour.b",), ("colour.c",)}
    for one in found:
        assert one.mode is Mode.LIVE
        assert (one.bundle_id == other.bundle_id) == (one.arms == ("colour.c",))
        assert replayed(log, one).to_json() == one.to_json()

    stop(log, "colour", NOON, by="ada", why="seen enough")
    replica.reload()
    assert {one.arms for one in decided(replica, names(20, "after"))} == {()}
    for one in found:  # whatever has ended since
        assert replayed(log, one).to_json() == one.to_json()


def test_without_a_champion_nobody_is_in_an_arm() -> None:
    log = MemoryLog()
    start(
        log,
        an_experiment(),
        JOURNEY,
        NOON,
        by="ada",
        why="to know",
        check_bundle=partial(check_arm_bundle, log, JOURNEY),
    )
    for one in decided(replica_on(log), names(10)):
        assert (one.mode, one.arms) == (Mode.FALLBACK, ())
        assert one.action_id in ("help_popup", NO_ACTION)
