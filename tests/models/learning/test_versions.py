"""Versions of the policy: what waits in them, where it is kept, and how learning goes on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import pytest
from msgspec import UNSET
from msgspec.structs import replace

from models.bundles.bundle import Bundle
from models.learning.versions import (
    LEARNER,
    PENDING_KEPT,
    POLICY,
    back_to,
    learner_state,
    put_in_force,
    set_mode,
    state_before,
)
from models.residual.features import fit_spec
from models.residual.pending import PendingExposures
from models.residual.posterior import ResidualPosterior, ResidualPrior
from models.residual.sums import ResidualSums
from models.residual.version import DISCOUNT, PolicyHead, PolicyState
from nba.journey.actions import NO_ACTION
from nba.rewards.changes import LogPosition
from nba.stores.log import Log
from nba.stores.memory.log import MemoryLog
from nba.stores.postgres.log import PostgresLog
from tests.fixtures.learning_bank import Bank, answered, learner_on, promote, teachable
from tests.fixtures.small_replica import NOON, event
from tests.models.bundles.test_bundle import made

ACCEPTED = "Action Accepted"
CUSTOMERS = [f"c{number}" for number in range(40)]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return teachable(made())


@pytest.fixture(params=["memory", "postgres"])
def log(request: pytest.FixtureRequest) -> Iterator[Log]:
    if request.param == "memory":
        yield MemoryLog()
        return
    log = PostgresLog.open(request.getfixturevalue("postgres_url"))
    yield log
    log.close()


def learned(log: Log) -> PolicyState:
    state = learner_state(log)
    assert state is not None
    return state


def waiting(state: PolicyState) -> PendingExposures:
    assert state.pending is not None
    return PendingExposures.from_bytes(state.pending, state.sums.spec)


def days_of(bank: Bank, days: int, seed: int, *, killed: bool) -> None:
    """Decisions twice a day, answered within four days; the learner learns after each, one that
    has just begun where it is `killed`."""
    rng = np.random.default_rng(seed)
    replica = bank.replica()
    learner = learner_on(replica)
    due = []
    for _ in range(2 * days):
        decisions = bank.decide(replica, CUSTOMERS)
        due += [
            bank.outcome(d, ACCEPTED, hours=rng.uniform(1, 96)) for d in answered(decisions, rng)
        ]
        bank.now += timedelta(hours=11)
        come = [one for one in due if one.occurred_at <= bank.now]
        due = [one for one in due if one.occurred_at > bank.now]
        bank.log.append_events([replace(one, received_at=bank.now) for one in come])
        learner = learner_on(replica) if killed else learner
        learner.step(page=30)
        while not (done := learner.step()) or not done.rests:
            pass


def test_what_waits_is_the_same_whoever_learns_and_in_whatever_pages(
    bundle: Bundle, log: Log
) -> None:
    bank = Bank(log)
    promote(log, bundle)
    days_of(bank, 5, 3, killed=True)
    state = learned(log)
    clean = Bank(MemoryLog())
    promote(clean.log, bundle)
    for _, decision in log.page_decisions():
        clean.log.append_decisions([decision])
    clean.log.append_events([one for one in log.page_events() if one.name != "Action Decided"])
    learner = learner_on(clean.replica())
    while not (done := learner.step()) or not done.rests:
        pass
    other = learned(clean.log)
    assert state.sums.to_bytes() == other.sums.to_bytes()
    one, two = waiting(state), waiting(other)
    assert sorted(one.cohorts) == sorted(two.cohorts) and len(one.cohorts) > 8
    for number, cohort in one.cohorts.items():
        assert cohort.sums == pytest.approx(two.cohorts[number].sums, rel=1e-9, abs=1e-9)
        assert (cohort.arrived == two.cohorts[number].arrived).all()
        assert (cohort.seconds == two.cohorts[number].seconds).all()
    assert state.discount is not None and other.discount is not None


def test_what_is_published_compares_what_came_with_what_could_have(bundle: Bundle) -> None:
    """Customers accept the first action 8 times in 10, within four days of the seven. After three
    days the sums, whole, say less than the truth; what is published does not."""
    bank = Bank(MemoryLog())
    promote(bank.log, bundle)
    days_of(bank, 3, 5, killed=False)
    state = learned(bank.log)
    exposed = state.sums.exposed[0]
    as_of_s, prior = state.head.as_of_s, state.head.prior
    whole, counted = (
        ResidualPosterior.of(found, prior, as_of_s) for found in (state.sums, state.counted)
    )
    assert whole.exposures == counted.exposures and exposed > 20
    assert counted.theta[0, 0] > whole.theta[0, 0]
    average = np.eye(state.sums.spec.size)[0]
    spread = [float(np.linalg.norm(one.root[0] @ average)) for one in (whole, counted)]
    assert spread[1] > spread[0]


def test_exposures_age_where_nothing_is_learned_and_wait_no_more_in_the_end(
    bundle: Bundle,
) -> None:
    bank = Bank(MemoryLog())
    promote(bank.log, bundle)
    replica = bank.replica()
    learner = learner_on(replica)
    shown = [one for one in bank.decide(replica, CUSTOMERS) if one.action_id != NO_ACTION]
    learner.step()
    weights = []
    for days in (1, 2, 2, 4, 4):
        bank.now += timedelta(days=days)
        bank.log.append_events([event("Rage Click", bank.now, received_at=bank.now)])
        done = learner.step()
        assert done is not None and done.changes == 0
        state = learned(bank.log)
        weights.append(float(state.counted.decayed(0.0)[0][:, 0, 0].sum()))
        done = learner.step()
        assert done is not None and done.rests and done.version is None
    assert weights == sorted(weights) and weights[0] < 0.5 * weights[-1]
    assert state.discount is None and state.sums.exposures == len(shown)
    assert weights[-1] == state.sums.decayed(0.0)[0][:, 0, 0].sum()
    assert DISCOUNT not in state.files()


def test_a_version_of_an_earlier_program_is_gone_on_with(bundle: Bundle) -> None:
    bank = Bank(MemoryLog())
    promote(bank.log, bundle)
    replica = bank.replica()
    first = bank.decide(replica, CUSTOMERS)
    learner_on(replica).step()
    now = learned(bank.log)
    old = PolicyState(replace(now.head, pending=UNSET, discount=UNSET), now.sums)
    assert b"pending" not in old.files()["state.json"]
    put_in_force(bank.log, old, bank.now, by=LEARNER, why="before", kept=50)
    assert learned(bank.log).pending is None
    second = bank.decide(replica, [f"new{number}" for number in range(40)])
    bank.log.append_events([bank.outcome(first[0], ACCEPTED)])
    learner_on(replica).step()
    state = learned(bank.log)
    shown = [one for one in (*first, *second) if one.action_id != NO_ACTION]
    assert state.sums.exposures == len(shown)
    exposed = sum(cohort.exposed.sum() for cohort in waiting(state).cohorts.values())
    assert exposed == sum(one.action_id != NO_ACTION for one in second)


def test_what_waits_is_kept_of_the_newest_versions_and_learned_again_for_others(
    bundle: Bundle, log: Log
) -> None:
    bank = Bank(log)
    promote(log, bundle)
    replica = bank.replica()
    learner = learner_on(replica, kept=100)
    named = []
    for _ in range(PENDING_KEPT + 2):
        bank.decide(replica, CUSTOMERS[:10])
        learner.step()
        named.append(log.alias(POLICY))
    kept = [bool((found := log.bundle(f"{one}-pending")) and found.files) for one in named]
    assert kept == [False, False] + [True] * PENDING_KEPT
    whole = learned(log).sums.to_bytes()
    assert named[0] is not None
    back_to(log, named[0], bank.now, by="ada", why="to look", kept=100)
    assert learned(log).pending is None
    set_mode(log, "learning", bank.now, by="ada", why="and on")
    learner_on(replica).step()
    assert learned(log).sums.to_bytes() == whole


# What served when

HOUR = timedelta(hours=1)
SPEC = fit_spec((), np.zeros((9, 0)), np.full(9, 0.5))


def version_of(bundle_id: str, changes: int) -> PolicyState:
    head = PolicyHead(
        bundle_id=bundle_id,
        reward_version="reward-1",
        learned_to=LogPosition(),
        prior=ResidualPrior(),
        as_of_s=0.0,
        changes=changes,
    )
    return PolicyState(head, ResidualSums(SPEC, ["call"]))


def test_what_a_champion_had_learned_when_it_was_replaced_is_found() -> None:
    """The guard holds the new champion against the one before as that served, not against its
    batch model or its warm start."""
    log = MemoryLog()
    told = {"by": "learner", "why": "learned", "kept": 3}
    first, last = version_of("bundle-a", 1), version_of("bundle-a", 2)
    put_in_force(log, first, NOON, **told)  # type: ignore[arg-type]
    put_in_force(log, last, NOON + HOUR, **told)  # type: ignore[arg-type]
    put_in_force(log, version_of("bundle-b", 3), NOON + 3 * HOUR, **told)  # type: ignore[arg-type]
    found = state_before(log, "bundle-a", NOON + 2 * HOUR, 100)
    assert found is not None and found.version == last.version
    assert state_before(log, "bundle-b", NOON + 2 * HOUR, 100) is None
    assert state_before(log, "bundle-a", NOON - HOUR, 100) is None
    assert state_before(log, "bundle-a", NOON + 4 * HOUR, 100) is None  # the new one learns


def test_a_version_whose_files_are_gone_is_none() -> None:
    log = MemoryLog()
    for n in range(60):
        moment = NOON + n * HOUR
        put_in_force(log, version_of("bundle-a", n), moment, by="learner", why="learned", kept=3)
    assert state_before(log, "bundle-a", NOON + HOUR, 100) is None
