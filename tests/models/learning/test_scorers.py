"""What decides on top of a bundle: a version of the policy, or the bundle's own warm start."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from models.bundles.prior import prior_bundle
from models.learning.scorers import check_version, deciding_bundle, scorer_now
from models.learning.versions import policy_state
from models.residual.version import PolicyState
from nba.customer.context import ContextSchema
from nba.errors import InvalidBundle, InvalidInput
from nba.journey.goals import RewardRule
from nba.stores.memory.log import MemoryLog
from tests.fixtures.learning_bank import EXPLORING, Bank, learner_on, promote, teachable
from tests.fixtures.outages import without_a_usable_champion
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


def test_what_decides_is_the_champion_or_else_the_guesses() -> None:
    log = MemoryLog()
    cold = prior_bundle(ContextSchema(EXPLORING)).bundle_id
    assert deciding_bundle(log, EXPLORING).bundle_id == cold
    promote(log, BUNDLE)
    assert deciding_bundle(log, EXPLORING).bundle_id == BUNDLE.bundle_id
    value = replace(EXPLORING, reward=RewardRule(target="value", events=["purchase"]))
    in_eur = prior_bundle(ContextSchema(value)).bundle_id
    assert deciding_bundle(log, value).bundle_id == in_eur != cold
    with pytest.raises(InvalidBundle, match="manifest.json: absent"):
        deciding_bundle(without_a_usable_champion(log), EXPLORING)


def test_a_version_that_was_learned_on_guesses_can_be_put_in_force_again() -> None:
    bank = Bank(MemoryLog())
    assert learner_on(bank.replica()).step() is not None
    learned = policy_state(bank.log)
    assert learned is not None
    check_version(learned, deciding_bundle(bank.log, EXPLORING), EXPLORING)
    promote(bank.log, BUNDLE)
    with pytest.raises(InvalidInput, match="it was learned on bundle-"):
        check_version(learned, deciding_bundle(bank.log, EXPLORING), EXPLORING)
