"""Every decision is in a training set, whatever was drawn and whatever became of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nba.customer.contact_history_fold import fold
from nba.durations import DAY_S
from nba.events.event import Event
from nba.journey.actions import NO_ACTION
from nba.measurement.off_policy.propensity_audit import chosen_by_draw, draw_counts
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
from training.data.rewards import attribution_of, settled
from training.data.training_sets import PastDecisions, decided_set


def waiting(decision_id: str, day: float, action_id: str = "help_popup", **more: Any) -> Event:
    return decided(decision_id, after(day), action_id, deferred=True, **more)


def test_every_decision_counts_deferred_activated_or_not() -> None:
    made = history(
        *(waiting("left", 0), waiting("used", 1), waiting("clicked", 2), waiting("sent", 3)),
        *(waiting("none", 4, NO_ACTION, propensity=0.4), decided("d5", after(5), NO_ACTION)),
        decided("d6", after(6)),
        outcome("Action Activated", "used", after(1.5)),
        outcome("Action Clicked", "clicked", after(2.5)),
        outcome("Action Delivered", "sent", after(3.5)),
    )
    data = decided_set(made, RESPONSE)
    assert data.actions.tolist() == [*["help_popup"] * 4, *[NO_ACTION] * 2, "help_popup"]
    assert data.propensity[4] == 0.4
    assert days(data.set, "ada") == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("sign", ["Action Activated", "Action Shown", "Action Dismissed"])
def test_outcomes_that_name_a_deferred_decision_count_from_its_activation(sign: str) -> None:
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
    # what they do anyway is looked at for the same time after every draw
    assert labels(made, VALUE) == [1, 1]


@pytest.mark.parametrize("action", ["help_popup", NO_ACTION])
def test_a_deferred_decision_is_settled_two_windows_after_it_whatever_was_drawn(
    action: str,
) -> None:
    def made(day: float) -> PastDecisions:
        return decided_set(
            history(
                failed_search(after(70)),
                waiting("d0", day, action),
                failed_search(after(87)),
                outcome("Action Activated", "d0", after(day + 3)),
            ),
            RESPONSE,
        )

    assert len(made(86.5).set.labels) == 0
    data = made(86)
    assert days(data.set, "ada") == [86.0]
    assert data.set.horizon_s == 14 * DAY_S  # that the split in time keeps its label apart
    assert column(data.set, "search_failed.total") == [1.0]  # the context of the decision


@pytest.mark.parametrize(
    ("signs", "reached"),
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
def test_what_expired_counts_and_reached_them_where_the_contact_history_says_so(
    signs: list[str], reached: bool, deferred: bool
) -> None:
    events = [decided("d0", after(0), deferred=deferred)]
    events += [outcome(name, "d0", after(n)) for n, name in enumerate(signs, start=1)]
    made = history(*events)
    assert labels(made, RESPONSE) == [0.0]
    (settlement,) = settled(made, attribution_of(made, RESPONSE))
    assert settlement.credit.reached == reached
    (touch,) = fold(((one, None) for one in events), FOLD.contact_history_rules).contacts
    assert (touch.counted or touch.shown is not None) == reached


def test_an_expiry_that_names_no_decision_ends_none() -> None:
    imported = event("Action Decided", after(0), {"action_id": "help_popup"})
    made = history(imported, event("Action Expired", after(1)))
    assert labels(made, RESPONSE) == [0.0]


# The law: which decisions count does not depend on the draw


@pytest.mark.parametrize("fate", ["expired", "deferred", "consent withdrawn"])
def test_the_mean_weight_of_every_target_is_one_whatever_becomes_of_what_was_drawn(
    fate: str,
) -> None:
    """Of target no_action it was 1.28 at 30 % expired and 1.68 at half activated."""
    rng = np.random.default_rng(9)
    p, n = {"help_popup": 0.5, "card_offer": 0.3, NO_ACTION: 0.2}, 2_000
    names = list(p)
    drawn = rng.choice(names, n, p=list(p.values())).tolist()
    events = []
    for k, action in enumerate(drawn):
        more = {"deferred": True} if fate == "deferred" else {}
        events.append(decided(f"d{k}", after(k / n), action, propensity=p[action], **more))
        if action != NO_ACTION and rng.random() < 0.5:
            sign = "Action Activated" if fate == "deferred" else "Action Expired"
            events.append(outcome(sign, f"d{k}", after(1 + k / n)))
    data = decided_set(history(*events), RESPONSE)
    assert len(data.actions) == n
    for action, propensity in p.items():
        weights = (data.actions == action) / propensity
        assert abs(weights.mean() - 1.0) < 4 * weights.std() / n**0.5
    chances = np.tile(list(p.values()), (n, 1))
    positions = np.array([names.index(action) for action in data.actions])
    assert not chosen_by_draw(draw_counts(tuple(names), chances, positions))
    arrived = rng.random(n) < np.where(data.actions == NO_ACTION, 1.0, 0.7)
    only = draw_counts(tuple(names), chances[arrived], positions[arrived])
    assert "no_action was drawn" in chosen_by_draw(only)  # the audit sees such a choice
