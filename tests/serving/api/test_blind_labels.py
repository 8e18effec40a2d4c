"""Labels without a context: who belongs where follows from the id, also of what is answered so."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from nba.customer.context import Context
from nba.decisions.decision import Mode
from nba.engine.scorer import CalibratedScorer
from nba.journey.exploration import Exploration
from nba.promotion.guardrails import RollBack
from nba.promotion.rollout import begin, rollout_of
from nba.stores.versioned import CHAMPION
from serving.replica.arms import RolledOut, arms_of
from serving.workers.rollout_watch import RolloutWatch
from tests.fixtures.governed_routes import GOVERNED, HeldLog, checked, routes_on, until
from tests.fixtures.routes_in_process import InProcess
from tests.fixtures.running_experiment import an_experiment, in_force, names, scorer_of
from tests.fixtures.small_replica import NOON, StubScorer

SCORES = [0.9, 0.05, 0.04, 0.03, 0.02, 0.0]
SHARES = Exploration(epsilon=0.0, holdout_share=0.2, random_share=0.2)
JOURNEY = checked(msgspec.structs.replace(GOVERNED, exploration=SHARES))


class Stuck(StubScorer):
    """A bundle that never answers before it is told to go on."""

    bundle_id = "bundle-stuck"

    def __init__(self) -> None:
        super().__init__(SCORES)
        self.go_on = threading.Event()

    def touchpoint(self, contexts: Sequence[Context], codes: Sequence[Sequence[int]]) -> np.ndarray:
        assert self.go_on.wait(20.0)
        return super().touchpoint(contexts, codes)


def decide_by(client: InProcess, canary: CalibratedScorer, share: float = 0.5) -> None:
    """A champion, a canary beside it, and an experiment that holds its whole layer."""
    log, replica = client.log, client.replica
    for bundle_id in ("bundle-stub", canary.base.bundle_id):
        log.save_bundle(bundle_id, {})
    log.set_alias(CHAMPION, "bundle-stub", NOON)
    rollout = begin(log, "canary", canary.base.bundle_id, NOON, by="ada", why="", share=share)
    pipeline = replica.engine.pipeline
    strategy = pipeline.strategy._replace(
        scorer=CalibratedScorer(StubScorer(SCORES)), fallback_reason=""
    )
    arms = arms_of(
        [in_force(an_experiment(), log)],
        *(strategy, replica.engine.journey, scorer_of),
        rolled_out=RolledOut(rollout, canary),
    )
    replica.engine = replica.engine.deciding_by(replace(pipeline, strategy=strategy, arms=arms))


def test_an_answer_without_a_context_has_the_labels_of_one_that_was_scored() -> None:
    customers = names(60)
    log = HeldLog()
    with routes_on(log, JOURNEY, breaker_misses=3) as client:
        decide_by(client, scorer_of("bundle-canary"), share=0.3)
        scored = {c: tuple(client.decide(c, dry_run=True)["arms"]) for c in customers}
        log.down = True
        answers = {customer: client.decide(customer) for customer in customers}
        assert {answer["policy"] for answer in answers.values()} == {"blind"}
        assert len({answer["note"] for answer in answers.values()}) == 2  # the log, the breaker
        assert {c: tuple(answer["arms"]) for c, answer in answers.items()} == scored
        log.down = False
        until(lambda: len(list(log.page_decisions())) == len(customers))
    logged = {one.request.customer_id: one.arms for _, one in log.page_decisions()}
    assert logged == scored
    found = Counter(arms for arms in scored.values())
    assert set(found) == {
        (), ("random_slice",), ("canary",), ("control",), ("colour.a",), ("colour.b",)
    }  # fmt: skip


def test_a_canary_that_misses_every_deadline_is_taken_back() -> None:
    log, stuck = HeldLog(), Stuck()
    journey = checked(msgspec.structs.replace(GOVERNED, exploration=Exploration(epsilon=0.0)))
    with routes_on(log, journey, deadline_ms=40, breaker_misses=99) as client:
        decide_by(client, CalibratedScorer(stuck))
        for customer in names(230):
            stuck.go_on.clear()
            answer = client.decide(customer)
            stuck.go_on.set()
            assert answer["arms"] in (["canary"], ["control"])
            assert answer["fallback_used"] or answer["arms"] == ["control"]
        until(lambda: len({one.request.customer_id for _, one in log.page_decisions()}) == 230)
        found = RolloutWatch(log, lambda: client.replica.engine, client.replica.now).look()
    assert isinstance(found, RollBack)
    assert "share of the fallback" in found.why and "the canary than with its control" in found.why
    assert rollout_of(log) is None and log.alias(CHAMPION) == "bundle-stub"


@pytest.mark.parametrize("blind", [False, True])
def test_a_blind_answer_beside_another_system_is_a_fallback_and_the_contact_theirs(
    blind: bool,
) -> None:
    log = HeldLog()
    with routes_on(log) as client:
        log.down = blind
        answer = client.decide(shadow_of="card_offer")
        log.down = False
        assert answer["mode"] == ("fallback" if blind else "shadow")
        assert answer["fallback_used"] is blind
        until(lambda: len(list(log.page_decisions())) == 1)
        ((_, decision),) = log.page_decisions()
        assert decision.mode is (Mode.FALLBACK if blind else Mode.SHADOW)
        decided = list(log.page_events())[-1]
        assert decided.properties["action_id"] == "card_offer"
        assert decided.properties["shadow_action_id"] == decision.action_id
        path = f"/decisions/{answer['decision_id']}"
        assert client.post(f"{path}/replay").json()["differs"] == []
        (contact,) = client.get("/customers/ada").json()["contacts"]
        assert contact[0] == "card_offer"
        refused = client.post("/activate", json={"decision_id": answer["decision_id"]})
        assert refused.status_code == 422
