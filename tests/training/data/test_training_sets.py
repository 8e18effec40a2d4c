"""Training sets: what was known then, and what came of it later."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from nba.durations import DAY_S
from nba.events.event import Event
from nba.journey.actions import NO_ACTION
from nba.journey.goals import ChurnRule, RewardRule
from tests.fixtures.small_replica import (
    FOLD,
    JOURNEY,
    SmallReplica,
    changed,
    event,
)
from tests.fixtures.training_history import (
    CLOSING,
    HOUR,
    RESPONSE,
    VALUE,
    after,
    column,
    days,
    decided,
    history,
    labels,
    outcome,
)
from training.data.history import history_of
from training.data.training_sets import churn_set, decided_set

DAY = timedelta(days=1)


SILENCE = ChurnRule(inactive=["page"], horizon_days=10, every_days=2)


# Churn


def test_who_closes_her_account_within_the_horizon_has_left() -> None:
    made = history(event("page", after(1)), event("Account Closed", after(50)))
    data = churn_set(made, CLOSING)
    asked = days(data, "ada")
    assert asked == [7.0, 14.0, 21.0, 28.0, 35.0, 42.0, 49.0]  # back from day 70, while she is here
    assert data.labels[data.customers == "ada"].tolist() == [float(50 <= day + 30) for day in asked]
    assert data.horizon_s == 30 * DAY_S


def test_who_stays_has_not_left() -> None:
    data = churn_set(history(event("page", after(0))), CLOSING)
    assert days(data, "ada")[-1] == 70.0
    assert set(data.labels.tolist()) == {0.0}


def test_who_is_silent_for_the_horizon_has_left() -> None:
    visits = [event("page", after(day)) for day in (0, 5, 30)]
    noise = [event("Complaint Filed", after(day)) for day in (12, 45)]
    data = churn_set(history(*visits, *noise, end_days=60), SILENCE)
    found = dict(zip(days(data, "ada"), data.labels.tolist(), strict=True))
    for day, label in found.items():
        assert label == float(not any(day < visit <= day + 10 for visit in (0, 5, 30))), day
    assert set(found.values()) == {0.0, 1.0}


@pytest.mark.parametrize("rule", [CLOSING, SILENCE], ids=["event", "silence"])
def test_no_churn_label_looks_beyond_the_end_of_the_log(rule: ChurnRule) -> None:
    made = history(event("page", after(0)), event("page", after(95)))
    data = churn_set(made, rule)
    assert len(data.labels) and (data.at_s + data.horizon_s <= made.end_s).all()


def test_a_log_shorter_than_the_horizon_gives_no_rows() -> None:
    data = churn_set(history(event("page", after(0)), end_days=20), CLOSING)
    assert data.rows.shape == (0, len(FOLD.schema.columns)) and len(data.labels) == 0


def test_nobody_is_asked_about_before_her_first_event() -> None:
    data = churn_set(history(event("page", after(40))), CLOSING)
    assert min(days(data, "ada")) >= 40.0


# Decisions and their rewards


def test_a_positive_outcome_within_the_window_is_a_response() -> None:
    made = history(
        *(decided(f"d{n}", after(n)) for n in range(6)),
        outcome("Action Accepted", "d0", after(0) + HOUR),
        outcome("Action Accepted", "d1", after(1 + 7)),
        outcome("Action Accepted", "d2", after(2 + 7) + timedelta(microseconds=1)),
        outcome("Action Dismissed", "d3", after(3) + HOUR),
        outcome("Action Accepted", "d4", after(4) + HOUR, received_at=after(90)),
        outcome("Action Shown", "d5", after(5)),
    )
    assert labels(made, RESPONSE) == [1.0, 1.0, 0.0, 0.0, 1.0, 0.0]


def test_a_given_reward_is_taken_as_it_is_within_0_and_1() -> None:
    given_rewards = {"d0": 0.25, "d1": 7, "d2": -1, "d3": "much", "d4": None}
    made = history(
        *(decided(name, after(0)) for name in given_rewards),
        *(
            outcome("Reward Given", name, after(1), reward=reward)
            for name, reward in given_rewards.items()
        ),
        outcome("Reward Given", "d0", after(20), reward=1),  # after the window
    )
    assert labels(made, RESPONSE) == [0.25, 1.0, 0.0, 0.0, 0.0]


def test_a_value_is_what_was_paid_after_the_decision_and_within_its_window() -> None:
    def paid(amount: Any, day: float, customer_id: str = "ada") -> Event:
        return event("Order Completed", after(day), {"revenue": amount}, customer_id=customer_id)

    made = history(
        decided("d0", after(10)),
        *(paid(1, 9.9), paid(2, 10), paid(4, 10.1), paid(8, 17), paid(16, 17.001)),
        *(paid(32, 11, "bob"), paid("64", 11), event("page", after(11))),
        paid(-0.5, 12),
    )
    assert labels(made, VALUE) == [4 + 8 - 0.5]


def test_amounts_of_the_kinds_under_minus_are_taken_away() -> None:
    mappings = [replace(m, amount="loss_eur") if m.id == "complaint" else m for m in JOURNEY.events]
    replica = SmallReplica(changed(events=mappings))
    events = [
        decided("d0", after(0)),
        event("Order Completed", after(1), {"revenue": 10}),
        event("Complaint Filed", after(2), {"loss_eur": 3}),
        event("page", after(50)),
    ]
    made = history_of(replica.fold, [replace(one, seq=n) for n, one in enumerate(events, start=1)])
    rule = RewardRule(target="value", window_days=7, events=["purchase"], minus=["complaint"])
    assert labels(made, rule) == [7.0]


def test_decisions_whose_window_is_still_open_are_left_out() -> None:
    made = history(*(decided(f"d{day}", after(day)) for day in (92, 93, 94)), end_days=100)
    data = decided_set(made, RESPONSE)
    assert days(data.set, "ada") == [92.0, 93.0]
    assert (data.set.at_s + data.set.horizon_s <= made.end_s).all()


def test_a_reward_is_the_value_of_a_response_less_the_cost_of_the_offer() -> None:
    made = history(
        decided("d0", after(0), "card_offer"),
        decided("d1", after(1), "card_offer"),
        decided("d2", after(2), NO_ACTION),
        outcome("Action Accepted", "d0", after(0) + HOUR),
    )
    assert decided_set(made, RESPONSE).reward_eur.tolist() == [40 - 0.05, -0.05, 0.0]


def test_no_action_teaches_no_response_and_may_teach_value() -> None:
    made = history(decided("d0", after(0)), decided("d1", after(1), NO_ACTION))
    response, value = decided_set(made, RESPONSE), decided_set(made, VALUE)
    assert (len(response.set.labels), len(response.touchpoint_set().labels)) == (2, 1)
    assert len(value.touchpoint_set().labels) == 2


def test_an_action_that_left_the_journey_file_is_not_taken_for_no_action() -> None:
    made = history(decided("d0", after(0), "old_offer"), decided("d1", after(1), NO_ACTION))
    data = decided_set(made, VALUE)
    assert np.isnan(column(data.set, "action")[0])
    assert column(data.set, "action")[1] == len(JOURNEY.actions)
    assert data.actions.tolist() == ["old_offer", NO_ACTION]


def test_propensities_and_candidates_are_those_that_were_logged() -> None:
    made = history(
        decided("d0", after(0), propensity=0.25, candidates=["help_popup", NO_ACTION]),
        decided("d1", after(1)),
        decided("d2", after(2), propensity="high", candidates="all"),
    )
    data = decided_set(made, RESPONSE)
    assert data.propensity[0] == 0.25 and np.isnan(data.propensity[1:]).all()
    assert data.candidates == [("help_popup", NO_ACTION), (), ()]


def test_the_fingerprint_names_the_data() -> None:
    one = [event("page", after(0), event_id="a"), event("page", after(1), event_id="b")]
    ending = event("page", after(100), customer_id="the end", event_id="end")

    def fingerprint(*events: Event) -> str:
        return history_of(FOLD, [*events, ending]).fingerprint()

    assert fingerprint(*one) == fingerprint(*one)
    moved = replace(one[1], received_at=after(2))
    assert len({fingerprint(*one), fingerprint(one[0]), fingerprint(one[0], moved)}) == 3
