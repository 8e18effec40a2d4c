"""The batch: what a base gets is what each customer would have got alone, kills included."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, strategies as st

from models.bundles.scorer import BundleScorer
from models.policies.epsilon_greedy import EpsilonGreedy
from nba.decisions.decision import Decision
from nba.engine.batch import BatchPlan
from nba.engine.decider import IdsAndSeeds
from tests.fixtures.batches import SCORES, batch_on, filled, governed
from tests.fixtures.examples import examples
from tests.fixtures.small_replica import (
    FOLD,
    NOON,
    SmallReplica,
    StubScorer,
    event,
)
from tests.models.bundles.test_bundle import made


def alone(replica: SmallReplica, plan: BatchPlan, customer_id: str) -> Decision:
    """The same request as a single one."""
    chance = IdsAndSeeds(
        lambda: plan.decision_id(customer_id), lambda *_: plan.draw_seed(customer_id)
    )
    (decision,) = replica.decider.decide([plan.request(customer_id)], plan.now, chance)
    return decision


@examples(25)
@given(
    n=st.integers(1, 30),
    most=st.sampled_from([0.0, 1.0, 5.0, 8.5, 40.0]),
    unit=st.sampled_from(["contacts", "cost_eur"]),
    seed=st.integers(0, 2**48),
    channel=st.sampled_from([None, "web", "phone"]),
    deferred=st.booleans(),
    chunk=st.sampled_from([1, 4, 13, 250]),
)
def test_a_batch_equals_the_same_decisions_taken_one_by_one(
    n: int, most: float, unit: str, seed: int, channel: str | None, deferred: bool, chunk: int
) -> None:
    journey = governed(most, unit)
    one, other = (SmallReplica(journey, scorer=StubScorer(SCORES)) for _ in range(2))
    customers = filled(one, n)
    filled_other = filled(other, n)
    assert customers == filled_other
    plan = BatchPlan(name="b", seed=seed, now=NOON, channel=channel, deferred=deferred)
    batch = batch_on(one, plan)
    decided: list[Decision] = []
    for begin in range(0, n, chunk):
        decided += batch.decide(customers[begin : begin + chunk])
    singly = [alone(other, plan, customer) for customer in customers]
    for mine, theirs in zip(decided, singly, strict=True):
        assert mine.to_json() == theirs.to_json()


def test_with_real_trees_too_every_byte_is_the_same() -> None:
    bundle = made()
    one, other = (
        SmallReplica(scorer=BundleScorer(bundle, FOLD.schema), policy=EpsilonGreedy(0.3))
        for _ in range(2)
    )
    customers = filled(one, 90)
    filled(other, 90)
    plan = BatchPlan(name="b", seed=8, now=NOON)
    decided = batch_on(one, plan).decide(customers)
    for mine, customer in zip(decided, customers, strict=True):
        assert mine.to_json() == alone(other, plan, customer).to_json()


def test_a_base_larger_than_a_capacity_takes_exactly_what_is_there() -> None:
    replica = SmallReplica(governed(7.0, "contacts"), scorer=StubScorer((0.9, 0.0, 0.9, 0.0, 0.0)))
    customers = [f"c{n}" for n in range(60)]
    replica.log.append_events(
        [
            event("Complaint Filed", NOON - timedelta(hours=1), customer_id=customer)
            for customer in customers
        ]
    )
    decided = batch_on(replica, BatchPlan(name="b", seed=1, now=NOON)).decide(customers)
    assert sum(one.action_id in ("agent_callback", "help_popup") for one in decided) == 7


def test_the_order_of_the_customers_changes_no_draw() -> None:
    plan = BatchPlan(name="b", seed=3, now=NOON, logged=False)
    replica = SmallReplica(scorer=StubScorer(SCORES))
    customers = filled(replica, 40)
    forth = batch_on(replica, plan).decide(customers)
    back = batch_on(replica, plan).decide(customers[::-1])[::-1]
    assert [one.to_json() for one in forth] == [one.to_json() for one in back]
    assert len({one.seed for one in forth}) == 40


def test_a_dry_run_logs_nothing_and_rations_all_the_same() -> None:
    replica = SmallReplica(governed(3.0, "contacts"), scorer=StubScorer((0.9, 0.0, 0.9, 0.0, 0.0)))
    customers = filled(replica, 40)
    before = replica.log.position()
    batch = batch_on(replica, BatchPlan(name="b", seed=1, now=NOON, logged=False))
    decided = batch.decide(customers[:20]) + batch.decide(customers[20:])
    assert replica.log.position() == before
    taken = sum(one.action_id in ("agent_callback", "help_popup") for one in decided)
    assert taken + sum(replica.log.used([("few", "2026-03-01")]).values()) == 3
