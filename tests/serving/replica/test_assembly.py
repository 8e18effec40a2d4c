"""Chance of a service: draws follow from the seed and what is decided, on whatever worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from msgspec.structs import replace as changed_fields

from models.policies.uniform import Random
from nba.decisions.request import Request
from nba.engine.batch import Batch, BatchPlan
from nba.engine.policy import ExplorationPolicy
from nba.stores.memory.log import MemoryLog
from serving.replica.assembly import assemble
from serving.replica.replica import Replica
from serving.settings import Settings
from tests.fixtures.open_replica import OPEN, SCORES
from tests.fixtures.running_experiment import names
from tests.fixtures.small_replica import NOON, StubScorer, score_with

CUSTOMERS = names(600)
PLAN = BatchPlan(name="batch:week-1", seed=7, now=NOON, logged=False)


def worker(seed: int | None = 7) -> Replica:
    """One that draws evenly; on a log of its own, so that no answer is repeated from it."""
    replica = assemble(Settings(seed=seed), log=MemoryLog(), journey=OPEN, now=lambda: NOON)
    score_with(replica, StubScorer(SCORES))
    pipeline = replica.engine.pipeline
    strategy = pipeline.strategy._replace(exploration_policy=ExplorationPolicy(Random()))
    replica.engine = replica.engine.deciding_by(replace(pipeline, strategy=strategy))
    return replica


def drawn(replica: Replica, key: str | None = None) -> list[str]:
    requests = [Request(customer_id=customer, request_id=key) for customer in CUSTOMERS]
    found = replica.engine.decider.decide(requests, NOON, replica.chance)
    return [one.action_id for one in found]


def in_batch(plan: BatchPlan) -> list[str]:
    return [one.action_id for one in Batch(plan, worker().engine.decider).decide(CUSTOMERS)]


def assert_as_by_chance(first: Sequence[str], second: Sequence[str]) -> None:
    """Two rows of even draws are equal as often as independent ones are, within 4 errors."""
    equal = sum(a == b for a, b in zip(first, second, strict=True))
    p = 1.0 / (len(OPEN.actions) + 1)
    assert abs(equal / len(first) - p) < 4.0 * (p * (1.0 - p) / len(first)) ** 0.5, equal


def test_two_batches_of_one_seed_are_independent_and_one_batch_is_drawn_alike() -> None:
    first = in_batch(PLAN)
    assert first == in_batch(PLAN)
    assert_as_by_chance(first, in_batch(changed_fields(PLAN, name="batch:week-2")))
    assert_as_by_chance(first, in_batch(changed_fields(PLAN, seed=8)))


def test_workers_and_restarts_of_one_seed_do_not_repeat_each_others_draws() -> None:
    assert_as_by_chance(drawn(worker()), drawn(worker()))
    assert_as_by_chance(drawn(worker(None)), drawn(worker(None)))


def test_the_same_request_is_drawn_alike_on_every_worker_and_another_is_not() -> None:
    first = drawn(worker(), "monday")
    assert first == drawn(worker(), "monday")
    assert_as_by_chance(first, drawn(worker(), "tuesday"))
    assert_as_by_chance(first, drawn(worker(8), "monday"))


def test_draws_of_different_customers_are_independent() -> None:
    for draws in (drawn(worker()), drawn(worker(), "monday"), in_batch(PLAN)):
        assert_as_by_chance(draws[:-1], draws[1:])
