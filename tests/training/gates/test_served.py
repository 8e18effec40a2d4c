"""What is judged is what would serve: the batch model with what its residual had learned."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace as with_fields

from features.fold import Fold
from models.bundles.bundle import Bundle
from models.learning.versions import LEARNER, put_in_force
from models.predictors.touchpoint_columns import ACTION
from models.residual.version import PolicyHead, PolicyState
from models.residual.warm_start import WarmStart
from nba.decisions.request import Request
from nba.journey.exploration import Exploration
from nba.journey.goals import RewardRule
from nba.measurement.statistics.estimate import Undecided
from nba.promotion.verdict import Gate
from nba.rewards.changes import LogPosition
from nba.stores.memory.log import MemoryLog
from tests.fixtures.open_replica import IDS, OPEN, SCORES, propensities
from tests.fixtures.small_replica import NOON, SmallReplica, StubScorer, event
from tests.fixtures.training_history import after
from tests.models.bundles.test_bundle import made
from training.data.history import History, history_of, read_history
from training.data.training_sets import PastDecisions, decided_set
from training.fitting.warm_start import warm_start
from training.gates.evaluation import judged
from training.gates.gates import of_its_models
from training.gates.limits import GateLimits
from training.gates.off_policy_gate import off_policy_gate
from training.gates.served import ServedBundle, own_chances, served_bundle

JOURNEY = with_fields(
    OPEN,
    exploration=Exploration(policy="softmax", temperature_eur=0.3, epsilon=0.0),
    reward=RewardRule(target="response", window_days=7),
)
DAYS, DECISIONS, CUSTOMERS = 40.0, 10_000, 1_500
FITTED, TESTED = 17.0, 32.0  # days: until when models are fitted, and from when they are tested
A, B = IDS[:2]
GOOD, BAD, BLIND = (0.1, 0.3), (0.3, 0.1), (0.2, 0.2)  # what a batch model says of A and B
LIMITS = GateLimits(ess=200.0)


@dataclass(frozen=True, slots=True)
class ByAction:
    """A batch model that tells actions apart and nothing else."""

    scores: tuple[float, float]
    columns: tuple[str, ...]
    is_probability: bool = True

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return np.where(rows[:, self.columns.index(ACTION)] == 0.0, *self.scores)

    def importance(self) -> dict[str, float]:
        return {}


def world(reversed_days: tuple[float, float] = (0.0, 0.0)) -> History:
    """Two actions drawn evenly; B is answered three times as often as A, but on those days, on
    which it is the other way round."""
    rng = np.random.default_rng(7)
    events: list[Any] = []
    for n, day in enumerate(np.sort(rng.uniform(0.0, DAYS, DECISIONS)).tolist()):
        action = A if rng.random() < 0.5 else B
        turned = reversed_days[0] <= day < reversed_days[1]
        fields = {"customer_id": f"c{n % CUSTOMERS}"}
        content = {"decision_id": f"d{n}", "action_id": action, "propensity": 0.5}
        content |= {"candidates": [A, B]}
        events.append(event("Action Decided", after(day), content, **fields))
        if rng.random() < (0.3 if (action == B) != turned else 0.1):
            accepted = {"decision_id": f"d{n}"}
            at = after(day) + timedelta(hours=2)
            events.append(event("Action Accepted", at, accepted, **fields))
    events.append(event("page", after(DAYS + 8.0), customer_id="the end"))
    events.sort(key=lambda one: one.received_at)
    numbered = [with_fields(one, seq=n) for n, one in enumerate(events, start=1)]
    return history_of(Fold(JOURNEY), numbered)


def past(history: History) -> PastDecisions:
    return decided_set(history, JOURNEY.reward)


def bundle_of(history: History, scores: tuple[float, float], *, learns: bool) -> Bundle:
    """Trained at the end of the log; `learns`: with the warm start that training gives it."""
    data, plain = past(history), made()
    model: Any = ByAction(scores, data.set.columns)
    warm = warm_start(history, data, model, JOURNEY.reward) if learns else None
    manifest = with_fields(plain.manifest, schema_hash=history.fold.schema.schema_hash)
    return replace(plain, manifest=manifest, touchpoint=model, warm=warm)


def gate(history: History, challenger: Bundle, champion: Bundle) -> Gate:
    found = judged(history, MemoryLog(), challenger, champion=champion).compared
    assert not isinstance(found, tuple) or found.champion is not None
    return off_policy_gate(found.evidence, found.champion, LIMITS)  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def usual() -> History:
    return world()


def test_a_bad_model_with_a_good_warm_start_is_judged_by_both(usual: History) -> None:
    """By its batch model alone it lost 1 EUR a decision."""
    blind = bundle_of(usual, BLIND, learns=False)
    found = gate(usual, bundle_of(usual, BAD, learns=True), blind)
    assert found.status == "passed", found.reason
    assert found.numbers["gain_eur"] == pytest.approx(1.0, abs=0.35)
    assert gate(usual, bundle_of(usual, BAD, learns=False), blind).status == "failed"


def test_a_good_model_whose_warm_start_is_bad_is_judged_by_both() -> None:
    """What the residual had learned from was the other way round; by the batch model alone it won
    1 EUR a decision."""
    history = world(reversed_days=(FITTED, TESTED))
    blind = bundle_of(history, BLIND, learns=False)
    assert gate(history, bundle_of(history, GOOD, learns=True), blind).status == "failed"
    assert gate(history, bundle_of(history, GOOD, learns=False), blind).status == "passed"


def test_what_the_warm_start_has_learned_of_the_tested_days_is_not_judged() -> None:
    """The world turns on the day on which the test begins. The warm start that was trained on the
    whole log has seen it; judged is what it would have known before."""
    history = world(reversed_days=(TESTED, DAYS))
    data = past(history)
    bundle = bundle_of(history, BLIND, learns=True)
    before = served_bundle(history, data, bundle, after(TESTED).timestamp())
    assert bundle.warm is not None and before.residual is not None
    assert before.residual.exposures < bundle.warm.sums.exposures
    found = gate(history, bundle, bundle_of(history, BLIND, learns=False))
    assert found.status == "failed", found.reason


def test_a_champion_that_has_learned_is_not_replaced_by_what_is_worse_than_it(
    usual: History,
) -> None:
    """Its batch model is the worst of all, and it was trained on a third of the log: what serves is
    what it has learned since."""
    champion, early = bundle_of(usual, BAD, learns=True), after(DAYS / 3).timestamp()
    assert champion.warm is not None
    champion = replace(champion, warm=replace(champion.warm, settled_s=early))
    challenger = bundle_of(usual, BLIND, learns=False)
    found = gate(usual, challenger, champion)
    assert found.status == "failed", found.reason
    assert found.numbers["gain_eur"] == pytest.approx(-1.0, abs=0.35)
    assert gate(usual, challenger, replace(champion, warm=None)).status == "passed"


# What the champion had learned, and what was taken back


def policy(warm: WarmStart, bundle: Bundle, position: LogPosition) -> PolicyState:
    head = PolicyHead(
        bundle_id=bundle.bundle_id,
        reward_version=warm.reward_version,
        learned_to=position,
        prior=warm.prior,
        as_of_s=warm.settled_s,
    )
    return PolicyState(head, warm.sums)


def test_a_paused_champion_is_judged_by_the_version_that_serves(usual: History) -> None:
    """Its learner stopped before the test began: nothing is learned again from the log."""
    bundle, data = bundle_of(usual, BAD, learns=True), past(usual)
    assert bundle.warm is not None
    begin = after(TESTED).timestamp()
    state = policy(bundle.warm, bundle, LogPosition(position=5, end_s=begin - 1.0))
    log = MemoryLog()
    put_in_force(log, state, NOON, by=LEARNER, why="learned", kept=5)
    served = served_bundle(usual, data, bundle, begin, online=log)
    assert served.residual is not None and served.residual.version == state.version


def test_what_was_dropped_by_a_reset_is_not_learned_again(usual: History) -> None:
    bundle, data = bundle_of(usual, BAD, learns=True), past(usual)
    assert bundle.warm is not None
    early, begin = after(DAYS / 3).timestamp(), after(TESTED).timestamp()
    bundle = replace(bundle, warm=replace(bundle.warm, settled_s=early))
    log = MemoryLog()
    log.append_events(list(usual.events))
    end = log.position()
    state = policy(bundle.warm, bundle, LogPosition(position=end, begin=end, end_s=begin + 1.0))
    learned = served_bundle(usual, data, bundle, begin, online=log).residual
    put_in_force(log, state, NOON, by=LEARNER, why="reset", kept=5)
    dropped = served_bundle(usual, data, bundle, begin, online=log).residual
    assert learned is not None and dropped is not None
    assert dropped.exposures < learned.exposures


# The engine decides


def test_our_own_decisions_are_decided_again_to_the_letter() -> None:
    """A policy that decided them gives the probabilities that it logged."""
    replica = SmallReplica(JOURNEY, scorer=StubScorer(SCORES))
    replica.log.append_events([event("page", NOON, customer_id=f"c{n}") for n in range(60)])
    replica.decide(*(Request(customer_id=f"c{n}") for n in range(60)))
    logged = {one.decision_id: one for _, one in replica.log.page_decisions()}
    history = read_history(replica.fold, replica.log)
    same = ServedBundle(made(), None, replica.decider.pipeline)
    (found,) = own_chances(history, replica.log, list(logged), [same])
    assert found == {name: propensities(one) for name, one in logged.items()}


def test_bundles_without_a_churn_model_are_judged_as_they_would_serve(usual: History) -> None:
    """They serve, with retention worth nothing: so they are judged, and nothing of theirs is
    undecided for the model that they have not."""

    def without_churn(bundle: Bundle) -> Bundle:
        manifest = with_fields(bundle.manifest, churn=None, missing={"churn": "not trained"})
        return replace(bundle, churn=None, manifest=manifest)

    good, blind = (
        without_churn(bundle_of(usual, scores, learns=False)) for scores in (GOOD, BLIND)
    )
    found = gate(usual, good, blind)
    assert found.status == "passed", found.reason
    assert found.numbers["gain_eur"] == pytest.approx(1.0, abs=0.35)
    held_out = judged(usual, MemoryLog(), good).held_out
    assert isinstance(held_out["churn"], Undecided)
    assert list(of_its_models(good, held_out)) == ["touchpoint"]
