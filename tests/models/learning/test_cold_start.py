"""Before anything is trained: what the guesses are told of the log, as it grows."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from models.bundles.prior import is_prior, seen_decisions
from models.learning.cold_start import COLUMNS, FIRST, OF_A_KIND, telling_columns
from models.learning.versions import policy_state
from nba.decisions.decision import Decision
from nba.journey.actions import NO_ACTION
from nba.stores.memory.log import MemoryLog
from serving.replica.replica import Replica
from tests.fixtures.cold_bank import COLD, assert_replays, drawn
from tests.fixtures.learning_bank import Bank, learner_on
from tests.fixtures.small_replica import event, failed_search

FIRST_ACTION = COLD.actions[0].id


def test_the_columns_that_tell_of_rewards_are_found_among_many() -> None:
    rng = np.random.default_rng(1)
    names = [f"kind{n}.count_{span}" for n in range(60) for span in ("1d", "7d", "30d", "90d")]
    values = rng.normal(size=(600, len(names)))
    actions = np.array(["loan", "card"])[rng.integers(0, 2, 600)]
    chance = 0.2 + 0.2 * (actions == "loan") * np.sign(values[:, 17]) * 0.9
    chosen = telling_columns(names, values, actions, (rng.random(600) < chance).astype(float))
    assert names[17] in chosen and len(chosen) <= COLUMNS
    kinds = [name.partition(".")[0] for name in chosen]
    assert max(map(kinds.count, kinds)) <= OF_A_KIND


@pytest.mark.parametrize("rewards", [np.zeros(40), np.ones(40)])
def test_rewards_that_are_all_alike_choose_nothing(rewards: np.ndarray) -> None:
    values = np.random.default_rng(2).normal(size=(40, 3))
    values[:, 1] = np.nan
    assert telling_columns(["a.b", "c.d", "e.f"], values, np.array(["loan"] * 40), rewards) == []


def lived(bank: Bank, replica: Replica, hours: int) -> list[Decision]:
    """Twelve customers an hour, every second of whom has just searched in vain and takes the first
    action, which nobody else does."""
    rng, learner, decided = np.random.default_rng(5), learner_on(replica), []
    for hour in range(hours):
        customers = [f"h{hour}-{n}" for n in range(12)]
        searched = [failed_search(bank.now, customer) for customer in customers[::2]]
        bank.log.append_events(searched)
        decisions = bank.decide(replica, customers)
        decided += decisions
        vain = {one.customer_id for one in searched}
        bank.log.append_events(
            [
                bank.outcome(one, "Action Accepted", hours=0.2)
                for one in decisions
                if one.action_id == FIRST_ACTION
                and one.request.customer_id in vain
                and rng.random() < 0.9
            ]
        )
        learner.step()
        replica.reload()
    return decided


def test_as_decisions_double_the_guesses_know_more_of_each_customer() -> None:
    bank = Bank(MemoryLog(), COLD)
    replica = bank.replica()
    decided = lived(bank, replica, 28)
    bundles = list(dict.fromkeys(str(one.bundle_id) for one in decided))
    assert len(bundles) >= 3  # none known, from 100 decisions on, from 200 on
    bundle = replica.engine.bundle
    assert bundle is not None and is_prior(bundle) and seen_decisions(bundle) >= 2 * FIRST
    state = policy_state(bank.log)
    assert state is not None and state.head.bundle_id == bundle.bundle_id
    assert any(name.startswith("search_failed") for name in state.sums.spec.columns)
    assert state.sums.exposures == sum(one.action_id != NO_ACTION for one in decided)
    bank.log.append_events([failed_search(bank.now, "vain")])
    p_accept = [
        next(c.p_accept for c in one.candidates if c.action_id == FIRST_ACTION)
        for one in drawn(replica, ["vain", "calm"])
    ]
    assert (p_accept[0] or 0.0) > (p_accept[1] or 0.0) + 0.2
    assert_replays(bank.log, decided[::20])


def test_whoever_learns_before_looking_again_goes_on_where_the_other_stopped() -> None:
    bank = Bank(MemoryLog(), COLD)
    replica, late = bank.replica(), bank.replica()
    lived(bank, replica, 12)
    before = policy_state(bank.log)
    done = learner_on(late).step()  # it has the first guesses in its hands still
    after = policy_state(bank.log)
    assert done is not None and before is not None and after is not None
    assert after.head.bundle_id == before.head.bundle_id


def test_the_risk_of_leaving_is_the_share_who_left() -> None:
    bank = Bank(MemoryLog(), COLD)
    replica = bank.replica()
    for n in range(60):
        closed = bank.now + timedelta(days=1)
        bank.log.append_events([event("Account Closed", closed, customer_id=f"h0-{n}")])
    assert drawn(replica, ["x"])[0].churn is None
    lived(bank, replica, 12)
    (decision,) = drawn(replica, ["x"])
    assert decision.churn is not None and 0.02 < decision.churn.risk < 0.98
    assert decision.churn.reasons == ()
