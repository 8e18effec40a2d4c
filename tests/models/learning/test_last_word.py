"""The last word: an outcome that is revised is taken back online, exactly."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from msgspec import UNSET
from msgspec.structs import replace

from models.residual.sums import ResidualSums
from nba.journey.actions import NO_ACTION
from nba.stores.memory.log import MemoryLog
from tests.fixtures.learning_bank import EXPLORING, Bank, learner_on, promote, teachable
from tests.models.bundles.test_bundle import made
from tests.models.learning.test_learner import CUSTOMERS, sums_of


def learned(outcomes: Any, *told: tuple[str, float], shuffle: int = 0) -> ResidualSums:
    """What a learner has learned of one decision after these outcomes, one pass for each."""
    journey = replace(EXPLORING, reward=replace(EXPLORING.reward, outcomes=outcomes))
    bank = Bank(MemoryLog(), journey)
    promote(bank.log, teachable(made(), journey=journey))
    replica = bank.replica()
    learner = learner_on(replica)
    learner.step()
    decisions = bank.decide(replica, CUSTOMERS)
    one = next(decision for decision in decisions if decision.action_id != NO_ACTION)
    learner.step()
    events = [bank.outcome(one, name, hours=hours) for name, hours in told]
    random.Random(shuffle).shuffle(events)
    for event in events:
        bank.log.append_events([event])
        learner.step()
    return sums_of(bank.log)


def same(one: ResidualSums, other: ResidualSums) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("precision", "moment", "exposed")
    )


YES, NO, AGAIN = ("Action Accepted", 1.0), ("Action Dismissed", 2.0), ("Action Accepted", 3.0)


@pytest.mark.parametrize("shuffle", range(3))
def test_accepted_and_then_dismissed_is_what_was_never_accepted(shuffle: int) -> None:
    """In whatever order they come: the last word is the last that was said."""
    silent, positive = learned("last"), learned("last", YES)
    assert not same(silent, positive)
    assert same(learned("last", YES, NO, shuffle=shuffle), silent)
    assert same(learned("last", YES, NO, AGAIN, shuffle=shuffle), positive)


@pytest.mark.parametrize("outcomes", [UNSET, "best"])
def test_by_default_a_response_stays_one(outcomes: Any) -> None:
    assert same(learned(outcomes, YES, NO), learned(outcomes, YES))
