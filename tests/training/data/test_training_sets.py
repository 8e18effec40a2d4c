"""Training sets: what was known then, and what came of it later."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from nba.customer.contact_history_fold import fold
from nba.decisions.request import Request
from nba.durations import DAY_S
from nba.events.event import Event
from nba.journey.actions import NO_ACTION
from nba.journey.goals import ChurnRule, RewardRule
from tests.fixtures.examples import examples
from tests.fixtures.small_replica import (
    FOLD,
    JOURNEY,
    NOON,
    SmallReplica,
    changed,
    event,
    failed_search,
)
from training.data.history import History, history_of, read_history
from training.data.training_sets import PastDecisions, TrainingSet, churn_set, decided_set

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
RESPONSE = RewardRule(target="response", window_days=7)
VALUE = RewardRule(target="value", window_days=7, events=["purchase"])
CLOSING = ChurnRule(event="account_closed", horizon_days=30, every_days=7)
SILENCE = ChurnRule(inactive=["page"], horizon_days=10, every_days=2)


def after(days: float) -> datetime:
    return NOON + timedelta(days=days)


def history(*events: Event, end_days: float = 100) -> History:
    """A log in order of receipt that ends `end_days` after noon, with the visit of a stranger."""
    ending = event("page", after(end_days), customer_id="the end")
    received = sorted([*events, ending], key=lambda one: one.received_at)
    return history_of(FOLD, [replace(one, seq=n) for n, one in enumerate(received, start=1)])


def decided(
    decision_id: str, at: datetime, action_id: str = "help_popup", **properties: Any
) -> Event:
    content = {"decision_id": decision_id, "action_id": action_id, **properties}
    return event("Action Decided", at, content)


def outcome(name: str, decision_id: str, at: datetime, **properties: Any) -> Event:
    received_at = properties.pop("received_at", None)
    return event(name, at, {"decision_id": decision_id, **properties}, received_at=received_at)


def labels(made: History, rule: RewardRule) -> list[float]:
    return decided_set(made, rule).set.labels.tolist()


def column(data: TrainingSet, name: str) -> list[float]:
    return data.rows[:, data.columns.index(name)].tolist()


def days(data: TrainingSet, customer_id: str) -> list[float]:
    mine = data.at_s[data.customers == customer_id]
    return [(at - NOON.timestamp()) / DAY_S for at in mine.tolist()]


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
    assert (len(response.set.labels), len(response.lessons().labels)) == (2, 1)
    assert len(value.lessons().labels) == 2


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


# Which decisions count, and from when


def waiting(decision_id: str, day: float, action_id: str = "help_popup", **more: Any) -> Event:
    return decided(decision_id, after(day), action_id, deferred=True, **more)


def test_a_deferred_decision_counts_once_it_was_activated_and_no_action_always() -> None:
    made = history(
        *(waiting("left", 0), waiting("used", 1), waiting("clicked", 2), waiting("sent", 3)),
        *(waiting("none", 4, NO_ACTION, propensity=0.4), decided("d5", after(5), NO_ACTION)),
        decided("d6", after(6)),
        outcome("Action Activated", "used", after(1.5)),
        outcome("Action Clicked", "clicked", after(2.5)),
        outcome("Action Delivered", "sent", after(3.5)),
    )
    data = decided_set(made, RESPONSE)
    assert data.actions.tolist() == [*["help_popup"] * 3, *[NO_ACTION] * 2, "help_popup"]
    assert data.propensity[3] == 0.4


@pytest.mark.parametrize("sign", ["Action Activated", "Action Shown", "Action Dismissed"])
def test_the_window_of_a_deferred_decision_begins_with_its_activation(sign: str) -> None:
    def paid(amount: float, day: float) -> Event:
        return event("Order Completed", after(day), {"revenue": amount})

    made = history(
        *(waiting("d0", 0), waiting("d1", 0.1)),
        *(outcome(sign, "d0", after(10)), outcome("Action Activated", "d0", after(11))),
        *(outcome("Action Accepted", "d0", after(16.9)), outcome(sign, "d1", after(10))),
        outcome("Action Accepted", "d1", after(17.1)),
        *(paid(1, 5), paid(2, 10), paid(4, 16.9), paid(8, 17.1)),
    )
    assert labels(made, RESPONSE) == [1.0, 0.0]
    assert labels(made, VALUE) == [2 + 4, 2 + 4]  # what came with the sign is of its making


def test_a_deferred_decision_is_settled_when_the_window_from_its_activation_is_over() -> None:
    def activated(day: float) -> PastDecisions:
        return decided_set(
            history(
                failed_search(after(70)),
                waiting("d0", 80),
                failed_search(after(85)),
                outcome("Action Activated", "d0", after(day)),
            ),
            RESPONSE,
        )

    assert len(activated(93.5).set.labels) == 0
    data = activated(93)
    assert days(data.set, "ada") == [93.0]  # that the split in time keeps its label apart
    assert column(data.set, "search_failed.total") == [1.0]  # the context of the decision


@pytest.mark.parametrize(
    ("signs", "counts"),
    [
        (["Action Expired"], False),
        (["Action Delivered", "Action Expired"], False),
        (["Action Activated", "Action Expired"], False),
        (["Action Shown", "Action Expired"], True),
        (["Action Expired", "Action Shown"], True),
        (["Action Expired", "Action Dismissed", "Action Expired"], True),
        (["Action Expired", "Action Delivered"], True),
        (["Action Expired", "Action Activated"], True),
        (["Action Expired", "Action Activated", "Action Expired"], False),
    ],
)
@pytest.mark.parametrize("deferred", [False, True])
def test_what_expired_counts_where_the_ledger_counts_it(
    signs: list[str], counts: bool, deferred: bool
) -> None:
    events = [decided("d0", after(0), deferred=deferred)]
    events += [outcome(name, "d0", after(n)) for n, name in enumerate(signs, start=1)]
    made = history(*events)
    assert len(decided_set(made, RESPONSE).set.labels) == counts
    (touch,) = fold(((one, None) for one in events), FOLD.contact_history_rules).contacts
    assert (touch.counted or touch.shown is not None) == counts


def test_an_expiry_that_names_no_decision_ends_none() -> None:
    imported = event("Action Decided", after(0), {"action_id": "help_popup"})
    made = history(imported, event("Action Expired", after(1)))
    assert labels(made, RESPONSE) == [0.0]


# What was known


def served(late: Sequence[Event]) -> tuple[SmallReplica, PastDecisions]:
    """Three decisions with events in between; `late` is appended after them."""
    replica = SmallReplica()
    for day in range(3):
        replica.log.append_events([failed_search(after(day))])
        replica.decide(Request(customer_id="ada"), now=after(day) + HOUR)
    replica.log.append_events([*late, event("page", after(60), customer_id="the end")])
    return replica, decided_set(read_history(FOLD, replica.log), RESPONSE)


def test_our_own_decision_is_learned_on_the_context_that_it_was_made_on() -> None:
    """Events that happened before it and came later are not in its row."""
    late = [event("Complaint Filed", after(day) - HOUR, received_at=after(50)) for day in range(3)]
    replica, data = served(late)
    decisions = [decision for _, decision in replica.log.page_decisions()]
    width = len(FOLD.schema.columns)
    assert [row[:width].astype("<f8").tobytes() for row in data.set.rows] == [
        decision.context for decision in decisions
    ]
    assert data.propensity.tolist() == [1.0] * 3
    # the fallback chose with certainty: it says nothing about other policies
    assert data.candidates == [()] * 3


def test_our_own_decision_sees_those_before_it_and_not_itself() -> None:
    _, data = served([])
    assert column(data.set, "contact.web.total") == [0.0, 1.0, 2.0]
    assert column(data.set, "offered.times") == [0.0, 1.0, 2.0]


def test_an_imported_decision_does_not_see_itself_either() -> None:
    made = history(failed_search(after(0)), *(decided(f"d{n}", after(n + 1)) for n in range(3)))
    data = decided_set(made, RESPONSE)
    assert column(data.set, "contact.web.total") == [0.0, 1.0, 2.0]
    assert column(data.set, "offered.times") == [0.0, 1.0, 2.0]
    assert column(data.set, "search_failed.total") == [1.0, 1.0, 1.0]


def test_an_imported_decision_knows_what_had_been_received() -> None:
    late = event("Complaint Filed", after(0), received_at=after(2))
    made = history(late, decided("d0", after(1)), decided("d1", after(2)), decided("d2", after(3)))
    assert column(decided_set(made, RESPONSE).set, "complaint.total") == [0.0, 1.0, 1.0]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["page", "Complaint Filed", "Order Completed", "Action Decided"]),
            st.integers(0, 60),  # days after noon
            st.integers(0, 30),  # days of delay
        ),
        min_size=1,
        max_size=15,
    )
)
@examples(40)
def test_no_row_uses_an_event_that_was_received_later(made: list[tuple[str, int, int]]) -> None:
    """Each row is the fold of what had been received by its moment."""
    events = [
        event(
            name,
            after(day),
            {"action_id": "help_popup", "revenue": day},
            received_at=after(day + (0 if name == "Action Decided" else delay)),
        )
        for name, day, delay in made
    ]
    whole = history(*events)
    width = len(FOLD.schema.columns)
    for data in (churn_set(whole, CLOSING), decided_set(whole, RESPONSE).set):
        for row, at_s, customer_id in zip(data.rows, data.at_s, data.customers, strict=True):
            moment = NOON + timedelta(seconds=at_s - NOON.timestamp())
            seen = [
                one
                for one in whole.events
                if one.customer_id == customer_id and one.received_at <= moment
            ]
            if len(row) > width:  # an imported decision is looked at one microsecond before it
                moment -= timedelta(microseconds=1)
            seen = [one for one in seen if one.occurred_at <= moment]
            state = FOLD.advance(FOLD.empty, seen)
            assert state is not None
            expected = FOLD.context(customer_id, state, moment).values
            assert row[:width].tobytes() == expected.tobytes()


def test_the_fingerprint_names_the_data() -> None:
    one = [event("page", after(0), event_id="a"), event("page", after(1), event_id="b")]
    ending = event("page", after(100), customer_id="the end", event_id="end")

    def fingerprint(*events: Event) -> str:
        return history_of(FOLD, [*events, ending]).fingerprint()

    assert fingerprint(*one) == fingerprint(*one)
    moved = replace(one[1], received_at=after(2))
    assert len({fingerprint(*one), fingerprint(one[0]), fingerprint(one[0], moved)}) == 3
