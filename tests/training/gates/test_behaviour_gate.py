"""The gates of data, reproduction and behaviour, on decisions of a small replica."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from models.bundles.bundle import Bundle, RecipeNote, differences
from models.policies.from_journey import strategy_of
from nba.decisions.candidate import Refused, Stage
from nba.decisions.decision import Decision, Mode
from nba.decisions.request import Request
from nba.engine.pipeline import make_pipeline
from nba.engine.scorer import CalibratedScorer
from nba.errors import InvalidBundle
from nba.journey.exploration import Exploration
from nba.measurement.off_policy.propensity_audit import PropensityAudit
from nba.measurement.statistics.estimate import Undecided
from tests.fixtures.open_replica import OPEN, SCORES
from tests.fixtures.small_replica import NOON, SmallReplica, StubScorer, event
from tests.models.bundles.test_bundle import made
from training.data.history import History, history_of, read_history
from training.fitting.options import FitOptions
from training.gates.behaviour_gate import RepeatedDecisions, again, behaviour_gate
from training.gates.data_gate import (
    audited,
    reproduction_gate,
    unequal_contexts,
)
from training.gates.gates import trained_again

JOURNEY = replace(OPEN, exploration=Exploration(policy="softmax", temperature_eur=2.0))


@pytest.fixture(scope="module")
def replica() -> Iterator[SmallReplica]:
    """300 customers with something behind them, each decided once."""
    small = SmallReplica(JOURNEY, scorer=StubScorer(SCORES))
    for n in range(300):
        small.log.append_events(
            [event("page", NOON - timedelta(hours=n % 30), customer_id=f"c{n}")]
        )
    small.decide(*(Request(customer_id=f"c{n}") for n in range(300)))
    yield small


@pytest.fixture(scope="module")
def logged(replica: SmallReplica) -> list[Decision]:
    return [one for _, one in replica.log.page_decisions()]


@pytest.fixture(scope="module")
def history(replica: SmallReplica) -> History:
    return read_history(replica.fold, replica.log)


def by(
    replica: SmallReplica,
    scores: list[float],
    logged: list[Decision],
    seconds: float = 1.0,
    exploration: Exploration = JOURNEY.exploration,
) -> RepeatedDecisions:
    strategy = strategy_of(JOURNEY, CalibratedScorer(StubScorer(scores)), exploration=exploration)
    pipeline = make_pipeline(replica.fold.schema, strategy)
    ticks = (seconds * n for n in count())
    return again(pipeline, logged, lambda: next(ticks))


# Behaviour


def test_a_challenger_that_does_much_the_same_passes(
    replica: SmallReplica, logged: list[Decision]
) -> None:
    champion = by(replica, SCORES, logged)
    gate = behaviour_gate(logged, by(replica, [0.3, 0.5, 0.2, 0.05, 0.0], logged, 1.5), champion)
    assert gate.status == "passed"
    assert gate.numbers["impossible"] == 0 and gate.numbers["latency_ratio"] == 1.5
    assert gate.numbers["coverage"] == 1.0


def test_a_challenger_that_always_does_one_thing_is_refused(
    replica: SmallReplica, logged: list[Decision]
) -> None:
    champion = by(replica, SCORES, logged)
    one_thing = [9.0, 0.0, 0.0, 0.0, 0.0]
    gate = behaviour_gate(logged, by(replica, one_thing, logged), champion)
    assert gate.status == "failed"
    assert "help_popup is 94% of all that it does" in gate.reason and "collapsed" in gate.reason
    greedy = Exploration(policy="greedy")
    gate = behaviour_gate(logged, by(replica, one_thing, logged, exploration=greedy), champion)
    assert "it hardly draws agent_callback, card_offer, loan_offer" in gate.reason


def test_a_slow_challenger_is_refused(replica: SmallReplica, logged: list[Decision]) -> None:
    champion = by(replica, SCORES, logged)
    gate = behaviour_gate(logged, by(replica, SCORES, logged, 3.0), champion)
    assert gate.status == "failed" and "3 times as long" in gate.reason


def test_an_action_that_the_log_forbids_is_impossible(
    replica: SmallReplica, logged: list[Decision]
) -> None:
    """The same decisions, of which the log says that a limit had removed an action."""
    own, first = by(replica, SCORES, logged), logged[0]
    drawn = next(c.action_id for c in first.candidates if c.action_id != "no_action")
    struck = Refused(drawn, Stage.CONTACT_POLICY, "cap_reached", "cap", "3 of 3")
    forbidden = [replace(first, refused=(*first.refused, struck)), *logged[1:]]
    gate = behaviour_gate(forbidden, own, None)
    assert gate.status == "failed" and gate.numbers["impossible"] == 1
    assert first.decision_id in gate.reason


def test_scores_that_are_no_numbers_are_impossible(
    replica: SmallReplica, logged: list[Decision]
) -> None:
    own = by(replica, SCORES, logged)
    broken = [replace(c, propensity=float("nan")) for c in own.decisions[0].candidates]
    first = replace(own.decisions[0], candidates=tuple(broken))
    gate = behaviour_gate(logged, RepeatedDecisions([first, *own.decisions[1:]], 1.0), None)
    assert gate.status == "failed" and gate.numbers["impossible"] == 1


def test_a_bundle_that_cannot_decide_is_refused_and_few_decisions_say_nothing(
    replica: SmallReplica, logged: list[Decision]
) -> None:
    gate = behaviour_gate(logged, InvalidBundle("trained on other columns"), None)
    assert gate.status == "failed" and "trained on other columns" in gate.reason
    few = logged[:20]
    assert behaviour_gate(few, by(replica, SCORES, few), None).status == "undecided"


# Reproduction


def test_the_audit_of_a_log_is_green_and_sees_a_draw_that_is_not_what_it_says(
    history: History,
) -> None:
    found = audited(history)
    assert isinstance(found, PropensityAudit) and not found.alarm and found.n == 300
    lied = {
        name: tuple(
            replace(one, propensity=1.0 if one.action_id == "loan_offer" else 0.0) for one in mine
        )
        for name, mine in history.candidates.items()
    }
    wrong = History(history.fold, history.events, history.rows, history.end_s, lied)
    assert isinstance(audited(wrong), str)


def test_contexts_folded_again_are_those_that_were_served(
    history: History, logged: list[Decision]
) -> None:
    gate = reproduction_gate([], history, logged)
    assert gate.status == "passed" and gate.numbers["contexts"] == 300
    assert {one.mode for one in logged} == {Mode.LIVE}


def test_one_changed_byte_of_a_context_is_seen(history: History, logged: list[Decision]) -> None:
    wrong = replace(logged[7], context=logged[7].context[:-1] + b"\x01")
    assert unequal_contexts(history, [*logged[:7], wrong]) == [wrong.decision_id]
    gate = reproduction_gate([], history, [wrong])
    assert gate.status == "failed" and wrong.decision_id in gate.reason


def test_another_bundle_from_the_same_data_is_refused(
    history: History, logged: list[Decision]
) -> None:
    gate = reproduction_gate(["the fitted churn is another"], history, logged)
    assert gate.status == "failed" and "the fitted churn is another" in gate.reason
    skipped = reproduction_gate(Undecided(reason="it was not"), history, logged)
    assert skipped.status == "undecided"
    assert reproduction_gate([], history, []).status == "undecided"


def test_what_a_bundle_was_trained_on_is_found_in_a_log_that_went_on(history: History) -> None:
    before = history_of(history.fold, history.events[:250])
    assert history.events_until(before.fingerprint()) == history.events[:250]
    assert history.events_until("data-0") is None


def of_data(dataset: str, **recipes: RecipeNote) -> Bundle:
    whole = made()
    manifest = replace(whole.manifest, dataset=dataset, seed=7, recipes=recipes)
    return Bundle(manifest, whole.churn, whole.touchpoint)


def test_it_is_trained_again_on_its_own_data_with_its_own_parameters(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int, FitOptions]] = []

    def train(before: History, *, seed: int, options: FitOptions) -> SimpleNamespace:
        asked.append((len(before.events), seed, options))
        return SimpleNamespace(bundle=made())

    monkeypatch.setattr("training.gates.gates.train", train)
    before = history_of(history.fold, history.events[:250])
    note = RecipeNote(parameters={"num_leaves": 7})
    bundle = of_data(before.fingerprint(), touchpoint=note)
    assert trained_again(history, bundle, {}) == differences(bundle.manifest, made().manifest)
    [(events, seed, options)] = asked
    assert (events, seed) == (250, 7)
    assert options.parameters == {"touchpoint": {"num_leaves": 7}}
    gone = trained_again(history, of_data("data-gone"), {})
    assert isinstance(gone, Undecided) and "events have left it" in gone.reason


def test_no_code_is_imported_because_a_bundle_names_it(history: History) -> None:
    note = RecipeNote(estimator="os:system")
    found = trained_again(history, of_data(history.fingerprint(), churn=note), {})
    assert found == Undecided(reason="churn: os:system is not in the settings")
