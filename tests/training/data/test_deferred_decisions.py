"""Which decisions count in a training set, and from when: activated, expired."""

from __future__ import annotations

from typing import Any

import pytest

from nba.customer.contact_history_fold import fold
from nba.events.event import Event
from nba.journey.actions import NO_ACTION
from tests.fixtures.small_replica import (
    FOLD,
    event,
    failed_search,
)
from tests.fixtures.training_history import (
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
from training.data.training_sets import PastDecisions, decided_set

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
