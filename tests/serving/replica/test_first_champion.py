"""From guesses to the first champion, and what becomes of one that cannot decide."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from models.bundles.bundle import Bundle
from models.bundles.prior import MISSING, prior_bundle
from models.learning.versions import policy_state
from models.residual.warm_start import WARM_START_PREFIX
from nba.customer.context import ContextSchema
from nba.decisions.decision import Mode
from nba.stores.memory.log import MemoryLog
from nba.stores.versioned import CHAMPION
from serving.api.handlers import Handlers
from serving.replica.replica import Replica
from serving.settings import Settings
from tests.fixtures.cold_bank import COLD, CUSTOMERS, assert_replays
from tests.fixtures.learning_bank import Bank, answered, learner_on, promote, teachable
from tests.fixtures.outages import WHY, a_log_without_a_usable_champion, without_a_usable_champion
from tests.models.bundles.test_bundle import made


@pytest.fixture(scope="module")
def trained() -> Bundle:
    return teachable(made())


def test_the_first_champion_takes_over_and_learning_goes_on_with_it(trained: Bundle) -> None:
    bank = Bank(MemoryLog(), COLD)
    replica = bank.replica()
    learner = learner_on(replica)
    cold = bank.decide(replica, CUSTOMERS)
    accepted = answered(cold, np.random.default_rng(1))
    bank.log.append_events([bank.outcome(one, "Action Accepted") for one in accepted])
    before = learner.step()
    assert before is not None

    promote(bank.log, trained, bank.now)
    assert replica.reload()
    warm = bank.decide(replica, [f"warm-{name}" for name in CUSTOMERS])
    assert {one.bundle_id for one in warm} == {trained.bundle_id}
    assert all(one.mode is Mode.LIVE and one.churn is not None for one in warm)
    # what was learned on guesses is no correction of a trained model
    assert all((one.policy_version or "").startswith(WARM_START_PREFIX) for one in warm)
    done = learner.step()
    state = policy_state(bank.log)
    assert done is not None and state is not None
    assert state.head.bundle_id == trained.bundle_id and state.version == done.version
    assert done.changes >= before.changes  # from the log's beginning: they were its customers too
    assert_replays(bank.log, [*cold, *warm])


def test_a_champion_of_another_journey_file_leaves_decisions_to_the_guesses() -> None:
    log = MemoryLog()
    promote(log, made("value"))
    bank = Bank(log, COLD)
    replica = bank.replica()
    (one,) = bank.decide(replica, ["ada"])
    assert (one.mode, one.bundle_id) == (Mode.LIVE, prior_bundle(ContextSchema(COLD)).bundle_id)
    assert replica.misfit.startswith("the guesses of the journey file decide: bundle-")
    assert_replays(log, [one])
    promote(log, teachable(made()))
    replica.reload()
    assert replica.misfit == "" and replica.engine.bundle is not None
    assert replica.engine.bundle.bundle_id == log.alias(CHAMPION)


def test_a_champion_that_cannot_be_read_is_an_outage_which_the_fallback_is_for() -> None:
    bank = Bank(a_log_without_a_usable_champion(), COLD)
    replica = bank.replica()
    (one,) = bank.decide(replica, ["ada"])
    assert one.mode is Mode.FALLBACK and one.bundle_id is None
    assert replica.engine.bundle is None and learner_on(replica).step() is not None
    assert policy_state(bank.log) is None  # nothing can be learned
    assert_replays(bank.log, [one])


def ready(replica: Replica) -> dict[str, object]:
    """What GET /readyz says."""
    status, body = asyncio.run(Handlers(replica, Settings()).ready())
    assert status == 200
    return body


def test_readiness_says_what_was_not_trained_and_why_the_champion_does_not_decide() -> None:
    log = MemoryLog()
    bank = Bank(log, COLD)
    replica = bank.replica()
    cold = {"degraded": False, "reason": None, "missing": MISSING}
    assert cold.items() <= ready(replica).items()
    assert ready(replica)["model_version"] == prior_bundle(ContextSchema(COLD)).bundle_id
    promote(log, made("value"))
    replica.reload()
    assert (cold | {"reason": replica.misfit}).items() <= ready(replica).items()
    promote(log, teachable(made()))
    replica.reload()
    assert (cold | {"missing": {}}).items() <= ready(replica).items()
    without_a_usable_champion(log)
    replica.reload()
    assert {"degraded": True, "reason": WHY, "missing": {}}.items() <= ready(replica).items()
