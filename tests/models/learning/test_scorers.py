"""What decides on top of a bundle: a version of the policy, or the bundle's own warm start."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from models.learning.scorers import check_version, scorer_now
from models.learning.versions import policy_state
from models.residual.version import PolicyState
from nba.customer.context import ContextSchema
from nba.errors import InvalidInput
from nba.stores.memory.log import MemoryLog
from tests.fixtures.learning_bank import EXPLORING, Bank, learner_on, promote, teachable
from tests.models.bundles.test_bundle import made

BUNDLE = teachable(made())
LONGER = replace(EXPLORING, reward=replace(EXPLORING.reward, window_days=3.0))


@pytest.fixture
def state() -> PolicyState:
    bank = Bank(MemoryLog())
    promote(bank.log, BUNDLE)
    replica = bank.replica()
    bank.decide(replica, [f"c{n}" for n in range(5)])
    learner_on(replica).step()
    found = policy_state(bank.log)
    assert found is not None
    return found


def test_a_version_that_was_learned_on_the_bundle_decides(state: PolicyState) -> None:
    check_version(state, BUNDLE, EXPLORING)
    residual = scorer_now(BUNDLE, state, ContextSchema(EXPLORING, BUNDLE.table)).residual
    assert residual is not None and residual.version == state.version


def test_one_that_would_take_no_part_is_not_put_in_force_again(state: PolicyState) -> None:
    other = PolicyState(replace(state.head, bundle_id="bundle-other"), state.sums)
    with pytest.raises(InvalidInput, match="it was learned on bundle-other, the champion is"):
        check_version(other, BUNDLE, EXPLORING)
    with pytest.raises(InvalidInput, match="by another reward rule .* nba rollback the file"):
        check_version(state, BUNDLE, LONGER)
    residual = scorer_now(BUNDLE, other, ContextSchema(EXPLORING, BUNDLE.table)).residual
    assert residual is not None and residual.version != other.version
