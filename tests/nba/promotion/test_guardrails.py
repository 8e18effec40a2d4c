"""The drill: a canary or a champion that is planted bad is taken back by itself, a good one not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from benchmarks.error_rates.error_trials_gate import guard_trials
from models.policies.from_journey import strategy_of
from nba.decisions.decision import Mode
from nba.decisions.request import Request
from nba.engine.pipeline import make_pipeline
from nba.engine.redecision import redecided
from nba.engine.scorer import CalibratedScorer
from nba.journey.exploration import Exploration
from nba.promotion.guardrails import BY, Guardrails, Keep, RollBack, act
from nba.promotion.rollout import (
    GuardrailLimits,
    Rollout,
    begin,
    changes,
    make_champion,
    rollout_of,
)
from nba.rewards.attribution import Attribution
from nba.stores.memory.log import MemoryLog
from nba.stores.versioned import CHAMPION
from serving.replica.arms import RolledOut, arms_of
from tests.fixtures.open_replica import OPEN
from tests.fixtures.small_replica import NOON, SmallReplica, StubScorer, event

ACCEPTED = {"card_offer": 0.5}  # whatever else is offered is hardly wanted
ELSE = 0.05
JOURNEY = replace(OPEN, exploration=Exploration(policy="epsilon_greedy", epsilon=0.4))


class Named(StubScorer):
    """A scorer with an id of its own."""

    def __init__(self, bundle_id: str, best: str) -> None:
        ids = [action.id for action in JOURNEY.actions]
        super().__init__([0.6 if one == best else 0.1 for one in ids] + [0.0])
        self.bundle_id = bundle_id


GOOD, BAD, TWIN = (
    Named(*one) for one in (("good", "card_offer"), ("bad", "loan_offer"), ("twin", "card_offer"))
)


class Drill:
    """The good champion, and customers who come in waves and answer a day later."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        for one in (GOOD, BAD, TWIN):
            self.log.save_bundle(one.bundle_id, {})
        self.log.set_alias(CHAMPION, "good", NOON)
        self.replica = SmallReplica(JOURNEY, log=self.log, scorer=GOOD)
        self.rng = np.random.default_rng(5)
        self.now = NOON
        self.customers = 0

    def canary(self, challenger: Named, share: float = 0.5, **rails: Any) -> Guardrails:
        self.rollout = begin(
            *(self.log, "canary", challenger.bundle_id, self.now),
            **{"by": "ada", "why": "drill", "share": share, "guardrails": GuardrailLimits(**rails)},
        )
        base = self.replica.decider.pipeline.strategy
        rolled_out = RolledOut(self.rollout, CalibratedScorer(challenger))
        arms = arms_of(
            *((), base, JOURNEY, lambda bundle: CalibratedScorer(GOOD)), rolled_out=rolled_out
        )
        self.replica.decide_by(arms=arms)
        return self.guard()

    def promote(self, challenger: Named, before: Named = GOOD) -> Guardrails:
        found = make_champion(self.log, challenger.bundle_id, self.now, by="ada", why="drill")
        assert found is not None
        self.rollout = found
        self.replica.decide_by(scorer=CalibratedScorer(challenger))
        strategy = strategy_of(JOURNEY, CalibratedScorer(before))
        pipeline = make_pipeline(self.replica.fold.schema, strategy)
        return self.guard(lambda decisions: redecided(pipeline, decisions))

    def guard(self, other: Any = None) -> Guardrails:
        rule = Attribution(JOURNEY, self.replica.fold.encoder.kind)
        return Guardrails(
            self.log, journey=JOURNEY, attribution=rule, rollout=self.rollout, redecide=other
        )

    def wave(self, customers: int = 100, returning: bool = False) -> None:
        """New customers, or the first ones again."""
        first = 0 if returning else self.customers
        self.customers += 0 if returning else customers
        requests = [Request(customer_id=f"c{first + n}") for n in range(customers)]
        decisions = self.replica.decide(*requests, now=self.now)
        self.now += timedelta(days=1)
        self.log.append_events(
            [
                event(
                    *("Action Accepted", self.now, {"decision_id": decision.decision_id}),
                    customer_id=decision.request.customer_id,
                )
                for decision in decisions
                if decision.action_id != "no_action"
                and self.rng.random() < ACCEPTED.get(decision.action_id, ELSE)
            ]
        )

    def until_moved(self, guard: Guardrails, waves: int) -> Keep | RollBack:
        """Waves with a look after each, until the guard moves something."""
        found: Keep | RollBack = Keep("")
        for _ in range(waves):
            self.wave()
            found = guard.look(self.now)
            if act(self.log, self.rollout, found, self.now):
                break
        return found


def test_a_bad_canary_is_taken_back_by_itself_and_the_trail_says_why() -> None:
    drill = Drill()
    found = drill.until_moved(drill.canary(BAD), 8)
    assert isinstance(found, RollBack) and "the canary than with its control" in found.why
    assert rollout_of(drill.log) is None and drill.log.alias(CHAMPION) == "good"
    [last, *_] = changes(drill.log)
    assert last.by == BY and found.why in last.why


def test_a_canary_that_decides_like_the_champion_goes_on() -> None:
    drill = Drill()
    found = drill.until_moved(drill.canary(TWIN), 8)
    assert isinstance(found, Keep) and "not enough evidence" in found.sentence
    assert rollout_of(drill.log) == drill.rollout


def test_a_bad_champion_is_taken_back_by_what_the_one_before_would_have_done() -> None:
    drill = Drill()
    found = drill.until_moved(drill.promote(BAD), 6)  # within the days that it is watched
    assert isinstance(found, RollBack) and "the champion before" in found.why
    assert drill.log.alias(CHAMPION) == "good" and rollout_of(drill.log) is None
    assert drill.log.alias_changes(CHAMPION)[0].by == BY


def test_a_better_champion_is_left_alone_once_it_was_watched_to_the_end() -> None:
    drill = Drill()
    drill.log.set_alias(CHAMPION, "bad", NOON)
    found = drill.until_moved(drill.promote(GOOD, before=BAD), 8)
    assert isinstance(found, Keep)
    assert rollout_of(drill.log) is None and drill.log.alias(CHAMPION) == "good"
    assert "watched for 7 days" in changes(drill.log)[0].why


def test_sums_grow_with_the_log_and_are_those_of_one_reading() -> None:
    drill = Drill()
    watching = drill.canary(TWIN)
    for n in range(4):
        drill.wave(120, returning=n % 2 == 1)
        grown = watching.look(drill.now)
    assert drill.guard().look(drill.now) == grown
    assert isinstance(grown, Keep) and grown.sentence


def test_a_margin_is_what_may_be_lost() -> None:
    drill = Drill()
    assert isinstance(drill.until_moved(drill.canary(BAD, margin_eur=100.0), 4), Keep)


def test_few_customers_decide_nothing() -> None:
    drill = Drill()
    guard = drill.canary(BAD)
    drill.wave(60)
    found = guard.look(drill.now)
    assert isinstance(found, Keep) and "customers with it, under 100" in found.sentence


def test_a_champion_that_cannot_decide_is_taken_back() -> None:
    drill = Drill()
    guard = drill.promote(BAD)
    drill.replica.decide_by(scorer=None, fallback_reason="its bundle does not fit")
    drill.wave(300)
    found = guard.look(drill.now)
    assert isinstance(found, RollBack) and "share of the fallback" in found.why
    assert act(drill.log, drill.rollout, found, drill.now)
    assert drill.log.alias(CHAMPION) == "good"


def test_what_somebody_else_has_moved_since_stays() -> None:
    drill = Drill()
    old: Rollout = drill.canary(BAD) and drill.rollout
    begin(drill.log, "canary", "twin", drill.now, by="eve", why="no, this one", share=0.1)
    assert not act(drill.log, old, RollBack("bad"), drill.now)
    found = rollout_of(drill.log)
    assert found is not None and found.bundle_id == "twin"


@pytest.mark.parametrize("other", ["bad", "twin"])
def test_another_champion_ends_the_comparison(other: str) -> None:
    drill = Drill()
    guard = drill.canary(BAD)
    drill.wave(300)
    drill.log.set_alias(CHAMPION, other, drill.now)
    assert guard.look(drill.now) == Keep("the champion is not good any more")


def test_looked_at_fifty_times_the_guard_seldom_errs_and_sees_what_is_bad() -> None:
    rng = np.random.default_rng(4)
    assert guard_trials(rng, 60, gain=0.0) <= 0.1
    assert guard_trials(rng, 20, gain=-0.3) == 1.0
    assert guard_trials(rng, 20, gain=0.3) == 0.0


def test_decisions_again_by_the_same_judge_are_the_same() -> None:
    drill = Drill()
    drill.wave(40)
    logged = [one for _, one in drill.log.page_decisions()]
    assert {one.mode for one in logged} == {Mode.LIVE}
    assert redecided(drill.replica.decider.pipeline, logged) == logged
