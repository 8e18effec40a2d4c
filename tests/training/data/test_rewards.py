"""Rewards of the past: what is known only at the close of the window, carried and reported."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from features.fold import Fold
from models.bundles.bundle import load_bundle
from nba.decisions.request import Request
from nba.durations import DAY_S
from nba.events.event import Event
from nba.journey.goals import Bounds, RewardRule
from nba.stores.memory.log import MemoryLog
from tests.fixtures.small_replica import (
    JOURNEY,
    NOON,
    SmallReplica,
    StubScorer,
    changed,
    event,
    failed_search,
)
from training.data.history import History, history_of, read_history
from training.data.rewards import Risk, learned_rule
from training.data.training_sets import decided_set
from training.fitting.fit import Fitted, train
from training.gates.evaluation import evaluate
from training.runs.model_card import model_card

WORTH = replace(JOURNEY.arbitration, customer_value_eur=1_000.0, annoyance_eur=0.25)
REPLICA = SmallReplica(changed(arbitration=WORTH))
VALUE = RewardRule(target="value", window_days=2.0, events=["purchase"])
STAYING = replace(VALUE, staying=True)
FEELING = replace(VALUE, feeling_eur=3.0)


def history(*events: Event, fold: Fold = REPLICA.fold) -> History:
    ending = event("page", NOON + timedelta(days=60), customer_id="the end")
    received = sorted([*events, ending], key=lambda one: one.received_at)
    return history_of(fold, [replace(one, seq=n) for n, one in enumerate(received, start=1)])


def at(name: str, day: float, received: float | None = None, **properties: Any) -> Event:
    late = None if received is None else NOON + timedelta(days=received)
    return event(name, NOON + timedelta(days=day), properties, received_at=late)


def decided(name: str, day: float, **more: Any) -> Event:
    return at("Action Decided", day, decision_id=name, action_id="help_popup", **more)


def complaints(rows: np.ndarray) -> np.ndarray:
    """A churn model: a tenth for each complaint so far."""
    return rows[:, REPLICA.fold.schema.index["complaint.total"]] / 10.0


def labels(rule: RewardRule, *events: Event, risk: Risk | None = complaints) -> list[float]:
    return decided_set(history(*events), rule, risk).set.labels.tolist()


def test_the_value_of_staying_compares_the_risk_then_with_the_risk_at_the_close() -> None:
    before, within, after = (at("Complaint Filed", day) for day in (-1, 1, 3))
    paid = at("Order Completed", 1, revenue=20)
    assert labels(STAYING, before, decided("d0", 0), paid, after) == pytest.approx([20])
    assert labels(STAYING, before, decided("d0", 0), paid, within) == pytest.approx([20 - 100])


def test_a_straggler_changes_the_money_and_no_reading() -> None:
    late = (
        at("Order Completed", 1, received=9, revenue=20),
        at("Complaint Filed", 1, received=9),
    )
    assert labels(STAYING, decided("d0", 0), *late) == pytest.approx([20])


def test_no_reward_with_the_value_of_staying_is_complete_without_a_churn_model() -> None:
    events = (decided("d0", 0), at("Order Completed", 1, revenue=20))
    assert labels(STAYING, *events, risk=None) == []
    assert labels(FEELING, *events, risk=None) != []


def test_a_change_in_emotion_is_worth_what_the_file_says() -> None:
    schema = REPLICA.fold.schema
    feels = schema.appraisal("complaint", "complaint_desk").valence
    assert feels < 0
    found = labels(FEELING, decided("d0", 0), at("Complaint Filed", 1))
    assert found == pytest.approx([3.0 * feels])


def test_a_step_learns_from_the_next_one_and_reports_its_own() -> None:
    rule = replace(VALUE, carry=0.5)
    made = history(
        decided("d0", 0, episode_id="e"),
        decided("d1", 2.5, episode_id="e", previous_id="d0"),
        at("Order Completed", 3.5, revenue=20),
        at("Page Viewed", 9),
    )
    data = decided_set(made, rule)
    assert data.set.labels.tolist() == [10.0, 20.0]
    assert data.reward_eur.tolist() == pytest.approx([-0.01, 19.99])
    assert data.set.horizon_s == pytest.approx(4 * DAY_S)  # how far the first label looks ahead


def test_the_annoyance_of_a_contact_is_reported_where_the_file_says_so() -> None:
    reported = {}
    for said in (False, True):
        replica = SmallReplica(REPLICA.journey, scorer=StubScorer([0.9] * len(JOURNEY.actions)))
        replica.log.append_events([failed_search()])
        made = []
        for hours in (1, 2):
            replica.log.append_events([failed_search(NOON + timedelta(hours=hours))])
            made += replica.decide(Request(customer_id="ada"), later=timedelta(hours=hours))
        replica.log.append_events([event("page", NOON + timedelta(days=9))])
        rule = replace(VALUE, annoyance=said)
        reported[said] = decided_set(read_history(replica.fold, replica.log), rule).reward_eur
        drawn = [
            next(c.annoyance_eur for c in one.candidates if c.action_id == one.action_id)
            for one in made
        ]
    assert max(drawn) > 0
    assert reported[True].tolist() == pytest.approx((reported[False] - drawn).tolist())


def bought(absurd: float | None) -> History:
    """1,600 customers, half of whom buy for 5 to 15 EUR whatever they are offered."""
    rng, events = np.random.default_rng(3), []
    for n in range(1_600):
        then, action = n / 16, ("help_popup", "no_action")[n % 2]
        drawn = {"decision_id": f"d{n}", "action_id": action, "propensity": 0.5}
        ours = [at("Action Decided", then, candidates=["help_popup", "no_action"], **drawn)]
        if rng.random() < 0.5:
            amount = rng.uniform(5.0, 15.0)
            revenue = absurd if n == 400 and absurd is not None else amount
            ours.append(at("Order Completed", then + 1 / 24, revenue=revenue))
        events += [replace(one, customer_id=f"c{n}") for one in ours]
    return history(*events, fold=Fold(changed(reward=VALUE)))


def test_one_absurd_reward_moves_neither_the_labels_nor_the_model_nor_the_residual() -> None:
    """A million once: the mean label of its action was 1,280 EUR and the mean prediction 993."""
    without, with_it = (train(bought(absurd), seed=1) for absurd in (None, 1e6))
    for training in (without, with_it):
        decided_, fitted = training.decided, training.touchpoint
        offered = decided_.actions == "help_popup"
        assert decided_.set.labels[offered].mean() == pytest.approx(4.95, abs=0.25)
        assert isinstance(fitted, Fitted)
        assert fitted.predicted.mean() == pytest.approx(5.0, abs=0.4)
        assert training.bundle.warm is not None
        assert training.bundle.warm.sums.spec.variance_eur2 < 150.0
    bundle, cut = with_it.bundle, with_it.decided.cut
    assert cut is not None and (cut.above, cut.below) == (1, 0) and 190.0 < cut.high < 210.0
    assert load_bundle(bundle.files()).reward_bounds == Bounds(low=-cut.high, high=cut.high)
    assert cut.sentence in model_card(with_it, "code").replace("- Rewards", "- rewards")
    again = train(with_it.history, seed=1).bundle
    assert (again.bundle_id, again.files()) == (bundle.bundle_id, bundle.files())
    judged = evaluate(with_it.history, MemoryLog(), bundle)
    assert isinstance(judged.touchpoint, dict) and judged.touchpoint["mean_eur"] < 6.0


def test_bounds_that_the_owner_sets_are_those_that_are_learned_with() -> None:
    bounds = Bounds(low=0.0, high=10.0)
    made = bought(1e6)
    fold = Fold(changed(reward=replace(VALUE, bounds=bounds)))
    owned = history_of(fold, made.events)
    assert learned_rule(owned).bounds == bounds
    training = train(owned, seed=1)
    assert training.bundle.reward_bounds is None  # they are in the journey file
    assert training.decided.cut is not None and training.decided.cut.high == 10.0
    assert training.decided.set.labels.max() == 10.0
