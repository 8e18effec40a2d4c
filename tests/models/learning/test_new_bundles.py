"""Where learning on top of a new bundle begins: with what it brings."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from models.bundles.bundle import Bundle
from models.learning.versions import learner_state
from models.residual.delay_curve import BUCKETS
from models.residual.past_delays import StreamDelays
from models.residual.pending import PendingExposures
from nba.journey.actions import NO_ACTION
from nba.stores.memory.log import MemoryLog
from tests.fixtures.learning_bank import Bank, learner_on, promote, teachable
from tests.fixtures.open_replica import IDS
from tests.models.bundles.test_bundle import made
from tests.models.learning.test_learner import CUSTOMERS, sums_of


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return teachable(made())


def test_a_new_bundle_begins_with_what_it_brings_and_the_decisions_still_open(
    bundle: Bundle,
) -> None:
    bank = Bank(MemoryLog())
    promote(bank.log, bundle)
    replica = bank.replica()
    old = bank.decide(replica, CUSTOMERS)
    bank.now += timedelta(days=replica.engine.journey.reward.window_days)
    settled_s = bank.now.timestamp() + 60.0  # the windows of these are over by then
    fresh = bank.decide(replica, CUSTOMERS)
    learner_on(replica).step()
    assert sums_of(bank.log).exposures == sum(d.action_id != NO_ACTION for d in [*old, *fresh])
    promote(bank.log, teachable(made(), settled_s=settled_s))
    replica.reload()
    learner_on(replica).step()
    assert sums_of(bank.log).exposures == sum(one.action_id != NO_ACTION for one in fresh)


def test_a_new_bundle_knows_when_rewards_come(bundle: Bundle) -> None:
    bank = Bank(MemoryLog())
    known = StreamDelays((0.0,) * (BUCKETS - 1) + (50.0,), 50.0, 50.0)
    told = teachable(made(), delays={IDS[0]: known})
    promote(bank.log, told)
    replica = bank.replica()
    decisions = bank.decide(replica, CUSTOMERS)
    assert {one.policy_version for one in decisions} == {told.warm.version if told.warm else None}
    learner_on(replica).step()
    state = learner_state(bank.log)
    assert state is not None and state.pending is not None
    pending = PendingExposures.from_bytes(state.pending, state.sums.spec)
    assert pending.delays() == {IDS[0]: known}
    share, _ = pending.curves(bank.now.timestamp()).at(np.full((len(pending.waits_s), 1), 0.9))
    assert share[0, 0] < 0.05
