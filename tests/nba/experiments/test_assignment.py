"""A customer's place follows from their id alone, and a rollout has a control whatever runs."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from nba.experiments.assignment import Assignment
from nba.measurement.statistics.intervals import wilson
from nba.promotion.rollout import Rollout, Stage
from nba.randomization import HOLDOUT, in_share
from nba.stores.memory.log import MemoryLog
from tests.fixtures.running_experiment import an_experiment, in_force, names, rollout_at

CUSTOMERS = names(4_000)
WHOLE_LAYER = in_force(an_experiment(), MemoryLog())  # nobody is left


def counted(**in_force: Any) -> Counter[str]:
    assignment = Assignment(experiments=(WHOLE_LAYER,), **in_force)
    return Counter(",".join(assignment.of(customer).labels) for customer in CUSTOMERS)


@pytest.mark.parametrize(
    ("stage", "share", "canary", "control"),
    [
        ("canary", 0.05, 0.05, 0.05),
        ("canary", 0.7, 0.7, 0.3),
        ("champion", 0.0, 0.0, 0.05),
        ("shadow", 0.0, 0.0, 0.0),
        ("over", 0.0, 0.0, 0.0),
    ],
)
def test_a_rollout_has_a_control_though_an_experiment_holds_its_whole_layer(
    stage: Stage, share: float, canary: float, control: float
) -> None:
    found = counted(rollout=rollout_at(stage, share))
    for label, expected in (("canary", canary), ("control", control)):
        low, high = wilson(found[label], len(CUSTOMERS))
        assert low - 1e-12 <= expected <= high
    left = found["colour.a"] + found["colour.b"]
    assert left + found["canary"] + found["control"] == len(CUSTOMERS)


def test_a_customer_stays_in_the_control_while_experiments_start_and_stop() -> None:
    rollout = rollout_at("canary", 0.2)
    with_one = Assignment(rollout=rollout, experiments=(WHOLE_LAYER,))
    without = Assignment(rollout=rollout)
    for customer in CUSTOMERS:
        kept_out = with_one.kept_out(customer)
        assert kept_out == without.kept_out(customer)
        assert without.of(customer).labels == (kept_out or ())


def test_the_holdout_is_in_nothing_and_comes_first() -> None:
    assignment = Assignment(
        holdout_share=0.3, random_share=0.5, rollout=rollout_at("canary", 0.5),
        experiments=(WHOLE_LAYER,),
    )  # fmt: skip
    held_out = [customer for customer in CUSTOMERS if in_share(HOLDOUT, 0.3, customer)]
    assert {assignment.of(customer) for customer in held_out} == {((), ())}
    others = set(CUSTOMERS) - set(held_out)
    assert {len(assignment.of(customer).labels) for customer in others} == {1}


def test_two_canaries_draw_their_customers_independently() -> None:
    def canary(bundle_id: str) -> set[str]:
        rollout = Rollout(
            stage="canary", bundle_id=bundle_id, share=0.5, control=0.5, champion="c",
            since=WHOLE_LAYER.started_at, since_seq=0,
        )  # fmt: skip
        return {customer for customer in CUSTOMERS if rollout.label_of(customer) == "canary"}

    first, second = canary("bundle-1"), canary("bundle-2")
    low, high = wilson(len(first & second), len(first))
    assert low < 0.5 < high
