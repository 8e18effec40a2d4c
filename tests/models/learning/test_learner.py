"""The learner: each outcome is learned once, whatever happens to whoever learns it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import pytest

from models.bundles.bundle import Bundle
from models.learning.versions import (
    MODE,
    POLICY,
    back_to,
    emptied,
    policy_state,
    set_mode,
    versions,
)
from models.residual.sums import ResidualSums
from nba.events.event import Event
from nba.journey.actions import NO_ACTION
from nba.stores.log import Log
from nba.stores.memory.log import MemoryLog
from nba.stores.postgres.log import PostgresLog
from serving.api.replay import replayed
from tests.fixtures.learning_bank import Bank, answered, learner_on, promote, teachable
from tests.fixtures.small_replica import event
from tests.models.bundles.test_bundle import made

ACCEPTED, EXPIRED = "Action Accepted", "Action Expired"
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


def sums_of(log: Log) -> ResidualSums:
    state = policy_state(log)
    assert state is not None
    return state.sums


def apart(one: ResidualSums, other: ResidualSums) -> float:
    """The largest difference of two states, relative to the numbers in them."""
    found = 0.0
    for name in ("precision", "moment", "exposed"):
        mine, theirs = getattr(one, name), getattr(other, name)
        found = max(found, float(np.abs(mine - theirs).max() / max(np.abs(mine).max(), 1e-300)))
    return found


def test_what_is_shown_counts_at_once_and_a_good_answer_when_it_comes(bundle: Bundle) -> None:
    bank = Bank(MemoryLog())
    promote(bank.log, bundle)
    replica = bank.replica()
    learner = learner_on(replica)
    decisions = bank.decide(replica, CUSTOMERS)
    shown = [decision for decision in decisions if decision.action_id != NO_ACTION]
    done = learner.step()
    assert done is not None and done.version is not None
    assert done.changes == len(shown) and sums_of(bank.log).exposures == len(shown)
    before = sums_of(bank.log).moment.copy()
    bank.log.append_events([bank.outcome(shown[0], ACCEPTED)])
    done = learner.step()
    assert done is not None and done.changes == 1
    after = sums_of(bank.log)
    assert after.exposures == len(shown) and np.abs(after.moment - before).max() > 0.1
    done = learner.step()
    assert done is not None and done.rests and done.version is None


def test_a_duplicate_teaches_nothing_and_neither_does_an_expiry(bundle: Bundle) -> None:
    bank = Bank(MemoryLog())
    promote(bank.log, bundle)
    replica = bank.replica()
    learner = learner_on(replica)
    (decision, *_) = [one for one in bank.decide(replica, CUSTOMERS) if one.action_id != NO_ACTION]
    learner.step()
    accepted = bank.outcome(decision, ACCEPTED)
    bank.log.append_events([accepted, accepted])
    learner.step()
    once = sums_of(bank.log)
    bank.log.append_events([accepted])
    bank.log.append_events([event("Rage Click", bank.now)])
    learner.step()
    assert apart(once, sums_of(bank.log)) == 0.0
    others = bank.decide(replica, [f"new{number}" for number in range(20)])
    learner.step()
    more = sums_of(bank.log)
    assert more.exposures > once.exposures
    version = bank.log.alias("policy")
    bank.log.append_events([bank.outcome(other, EXPIRED) for other in others])
    learner.step()
    assert apart(more, sums_of(bank.log)) == 0.0
    assert bank.log.alias("policy") == version  # a decision counts whatever becomes of it


def test_what_comes_after_the_window_is_not_learned(bundle: Bundle) -> None:
    bank = Bank(MemoryLog())
    promote(bank.log, bundle)
    replica = bank.replica()
    learner = learner_on(replica)
    (decision, *_) = [one for one in bank.decide(replica, CUSTOMERS) if one.action_id != NO_ACTION]
    learner.step()
    before = sums_of(bank.log)
    hours = 24 * replica.engine.journey.reward.window_days + 1
    bank.now += timedelta(hours=hours + 1)
    bank.log.append_events([bank.outcome(decision, ACCEPTED, hours=hours)])
    learner.step()
    assert apart(before, sums_of(bank.log)) == 0.0


def disorder(bank: Bank, rng: np.random.Generator, rounds: int) -> None:
    """Decisions, with outcomes that come late, twice, out of order, and are taken back."""
    replica = bank.replica()
    waiting: list[Event] = []
    for _ in range(rounds):
        decisions = bank.decide(replica, CUSTOMERS)
        waiting += [bank.outcome(one, ACCEPTED) for one in answered(decisions, rng)]
        waiting += [
            bank.outcome(decision, EXPIRED, hours=2)
            for decision in decisions
            if rng.random() < 0.05
        ]
        rng.shuffle(waiting)  # type: ignore[arg-type]
        now, waiting = waiting[: len(waiting) // 2], waiting[len(waiting) // 2 :]
        bank.log.append_events([*now, *now[: len(now) // 3]])
    bank.log.append_events(waiting)


@pytest.mark.parametrize("page", [7, 100, 5_000])
def test_in_whatever_pages_it_is_read_the_state_is_the_same(bundle: Bundle, page: int) -> None:
    bank = Bank(MemoryLog())
    promote(bank.log, bundle)
    learner = learner_on(bank.replica())
    disorder(bank, np.random.default_rng(5), 6)
    while not (done := learner.step(page=page)) or not done.rests:
        pass
    paged = sums_of(bank.log)
    again = Bank(MemoryLog())
    promote(again.log, bundle)
    for _, one in bank.log.page_decisions():
        again.log.append_decisions([one])
    events = [one for one in bank.log.page_events() if one.name != "Action Decided"]
    again.log.append_events(events[::-1])
    clean = learner_on(again.replica())
    while not (done := clean.step()) or not done.rests:
        pass
    assert paged.exposures > 60 and apart(paged, sums_of(again.log)) < 1e-12


def test_two_replicas_and_learners_that_are_killed_learn_what_one_would(
    bundle: Bundle, log: Log
) -> None:
    bank = Bank(log)
    promote(log, bundle)
    rng = np.random.default_rng(11)
    one, other = bank.replica(), bank.replica()
    for round_ in range(5):
        decisions = bank.decide((one, other)[round_ % 2], CUSTOMERS)
        log.append_events([bank.outcome(d, ACCEPTED) for d in answered(decisions, rng)])
        learner = learner_on((other, one)[round_ % 2])  # each is forgotten after one pass
        killed = rng.random() < 0.5
        learner.step(stopping=lambda killed=killed: killed, page=30)
        learner.step(page=30)
        one.reload()
        other.reload()
    last = learner_on(one)
    while not (done := last.step()) or not done.rests:
        pass
    learned = sums_of(log)
    state = policy_state(log)
    assert state is not None and state.head.learned_to.position <= log.position()
    clean = Bank(MemoryLog())
    promote(clean.log, bundle)
    for _, decision in log.page_decisions():
        clean.log.append_decisions([decision])
    clean.log.append_events([e for e in log.page_events() if e.name != "Action Decided"])
    only = learner_on(clean.replica())
    while not (done := only.step()) or not done.rests:
        pass
    assert learned.exposures > 50 and apart(learned, sums_of(clean.log)) < 1e-12


def test_while_one_replica_learns_no_other_does(bundle: Bundle, log: Log) -> None:
    bank = Bank(log)
    promote(log, bundle)
    learner = learner_on(bank.replica())
    with log.turn("learner") as mine:
        assert mine and learner.step() is None
    assert learner.step() is not None


def test_replicas_take_up_what_was_learned_and_replay_what_they_decided(bundle: Bundle) -> None:
    bank = Bank(MemoryLog())
    promote(bank.log, bundle)
    replica, other = bank.replica(), bank.replica()
    (first, *_) = bank.decide(replica, CUSTOMERS)
    assert first.policy_version is not None and first.policy_version.startswith("warm-")
    learner = learner_on(replica)
    rng = np.random.default_rng(2)
    for _ in range(4):
        decisions = bank.decide(replica, CUSTOMERS)
        bank.log.append_events([bank.outcome(one, ACCEPTED) for one in answered(decisions, rng)])
        learner.step()
        assert not other.reload()  # neither champion nor catalogue are others
    (second, *_) = bank.decide(other, CUSTOMERS)
    assert second.policy_version == bank.log.alias(POLICY)
    assert second.learned_from == sums_of(bank.log).exposures
    moved = [candidate for candidate in second.candidates if candidate.batch_score is not None]
    assert any(one.p_accept != one.batch_score and one.spread_eur > 0 for one in moved)
    for decision in (first, second):
        assert replayed(bank.log, decision).to_json() == decision.to_json()


def test_a_pause_a_reset_and_a_way_back(bundle: Bundle) -> None:
    bank = Bank(MemoryLog())
    promote(bank.log, bundle)
    replica = bank.replica()
    learner = learner_on(replica)
    bank.decide(replica, CUSTOMERS)
    learner.step()
    early = bank.log.alias(POLICY)
    assert early is not None
    bank.decide(replica, CUSTOMERS)
    learner.step()
    late = bank.log.alias(POLICY)
    assert late != early

    set_mode(bank.log, "paused", bank.now, by="ada", why="a bad feed")
    bank.decide(replica, CUSTOMERS)
    done = learner.step()
    assert done is not None and done.rests and bank.log.alias(POLICY) == late
    assert bank.log.alias_changes(MODE)[0].why == "a bad feed"

    back_to(bank.log, early, bank.now, by="ada", why="before the feed", kept=50)
    replica.reload()
    assert bank.log.alias(POLICY) == early
    scorer = replica.engine.pipeline.strategy.scorer
    assert scorer is not None and scorer.residual is not None
    assert scorer.residual.version == early

    target = learner.target()
    assert target is not None
    state = emptied(bank.log, bundle, target.attribution)
    assert state.sums.exposures == 0
    assert [change.after for change in versions(bank.log)] == [early, late, early]


def test_old_versions_keep_their_names_and_lose_their_files(bundle: Bundle) -> None:
    bank = Bank(MemoryLog())
    promote(bank.log, bundle)
    replica = bank.replica()
    learner = learner_on(replica, kept=2)
    for _ in range(5):
        bank.decide(replica, CUSTOMERS)
        learner.step()
    named = [change.after for change in versions(bank.log)]
    kept = [bool((found := bank.log.bundle(one)) and found.files) for one in named]
    assert kept == [True, True, False, False, False]
