"""The whole loop, once, in memory: events, decisions, feedback, training, promotion, and again."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from models.bundles.prior import prior_bundle
from nba.decisions.decision import Mode
from nba.decisions.request import Request
from nba.events.names import ACTION_DECIDED
from nba.events.parsing import parse_event
from nba.journey.actions import NO_ACTION
from nba.journey_file.loader import load_journey
from nba.stores.memory.log import MemoryLog
from nba.stores.versioned import CHAMPION
from serving.api.answers import decide_answer
from serving.api.feedback import feedback_event
from serving.api.schemas import FeedbackRequest
from serving.jobs.event_import import import_files
from serving.replica.assembly import assemble
from serving.replica.replica import Replica
from serving.settings import Settings
from tests.fixtures.files import BANK_JOURNEY
from training.data.history import read_history
from training.data.training_sets import decided_set
from training.fitting.fit import train
from training.simulation.history import frustrated_customer, write_history
from training.simulation.world import WorldConfig

BANK = load_journey(BANK_JOURNEY)


class Clock:
    """Time that passes when it is told to."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at


def replica_on(log: MemoryLog, clock: Clock) -> Replica:
    """The service's own composition, with what it takes from outside given."""
    ids, seeds = count(1), count(1)
    return assemble(
        Settings(),
        log=log,
        journey=BANK,
        now=clock,
        new_id=lambda: f"dec-{next(ids)}",
        seed_for=lambda *_: next(seeds),
    )


def test_the_loop_closes(tmp_path: Path) -> None:
    # events: a bank's history comes in
    config = WorldConfig(customers=600, seed=1)
    history = tmp_path / "history.jsonl"
    write_history(config, history)
    log = MemoryLog()
    clock = Clock(config.start + timedelta(days=config.days))
    replica = replica_on(log, clock)
    imported = import_files(log, replica.engine.fold.schema, [history])
    assert imported.accepted == log.position() > 20_000

    # decide: nothing is trained yet, so that the owner's guesses are drawn from
    ada = [
        parse_event(event, clock())
        for event in frustrated_customer("ada", clock.at - timedelta(minutes=5))
    ]
    log.append_events(ada)
    question = Request(customer_id="ada", channel="web", placement="web_search")
    [first] = replica.engine.decider.decide([question], replica.now(), replica.chance)
    assert (first.mode, first.action_id) == (Mode.LIVE, "help_popup")
    assert first.bundle_id == prior_bundle(replica.engine.fold.schema).bundle_id
    assert 0.0 < first.propensity < 1.0 and first.churn is None

    # feedback: she accepts, and the log knows which decision that was
    body = FeedbackRequest(decision_id=first.decision_id, outcome="accepted")
    log.append_events([feedback_event(body, first, clock())])
    log.append_events([feedback_event(body, first, clock())])  # sent twice, counted once
    assert [event.name for event in log.outcomes(first.decision_id)] == ["Action Accepted"]

    # train: once her reward is settled, it is among what is learned from
    clock.at += timedelta(days=4)
    stranger = {"customer_id": "bob", "name": "App Opened"}
    log.append_events([parse_event(stranger, clock())])
    read = read_history(replica.engine.fold, log)
    training = train(read, seed=3)
    decided = decided_set(read, BANK.reward)
    mine = np.flatnonzero(decided.set.customers == "ada")
    assert decided.set.labels[mine].tolist() == [1.0]
    width = len(replica.engine.fold.schema.columns)
    assert decided.set.rows[mine[0], :width].astype("<f8").tobytes() == first.context

    # promote: a running replica and a new one take the bundle up
    bundle = training.bundle
    log.save_bundle(bundle.bundle_id, bundle.files())
    log.set_alias(CHAMPION, bundle.bundle_id, clock())
    assert replica.reload() and not replica.reload()
    assert replica_on(log, clock).champion == replica.champion == bundle.bundle_id

    # decide: live, drawn, explained, and aware of the first contact
    log.append_events(
        [parse_event(event, clock()) for event in frustrated_customer("ada", clock.at)]
    )
    [second] = replica.engine.decider.decide([question], replica.now(), replica.chance)
    assert (second.mode, second.bundle_id) == (Mode.LIVE, bundle.bundle_id)
    answer = decide_answer(second, replica.engine.fold.schema)
    assert not answer.fallback_used and answer.model_version == bundle.bundle_id
    assert {candidate.action_id for candidate in answer.candidates} == {"help_popup", NO_ACTION}
    assert sum(candidate.propensity for candidate in answer.candidates) == pytest.approx(
        1.0, abs=1e-12
    )
    assert answer.candidates[0].action_id == "help_popup"
    assert answer.candidates[0].propensity == pytest.approx(1 - BANK.exploration.epsilon / 2)
    assert answer.churn is not None and 0 < answer.churn.risk < 1 and answer.churn.reasons
    assert answer.emotion["sum10"] is not None and answer.emotion["sum10"] < -1
    [chosen] = answer.actions
    assert chosen.action_id == "help_popup" and chosen.reasons
    assert chosen.p_accept is not None and 0 < chosen.p_accept < 1

    # and round again: the cap of three contacts in seven days holds over both kinds of decision
    decider = replica.engine.decider
    more = [
        decider.decide([question], replica.now(), replica.chance)[0].action_id for _ in range(12)
    ]
    assert more.count("help_popup") == 1
    events = [event for event in log.page_events(imported.accepted) if event.name == ACTION_DECIDED]
    assert len(events) == 14
