"""What a new bundle brings to its residual: what the log says of its scores, and of delays."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace as with_fields

from models.bundles.bundle import load_bundle
from models.residual.delay_curve import AGES
from models.residual.past_delays import PastDelays
from nba.durations import DAY_S
from nba.journey.goals import RewardRule
from tests.fixtures.small_replica import FOLD, event
from tests.fixtures.training_history import after
from tests.models.bundles.test_bundle import made
from training.data.history import History, history_of
from training.data.training_sets import decided_set
from training.fitting.warm_start import warm_start

RULE = RewardRule(target="response", window_days=7)
A, B = (action.id for action in FOLD.schema.journey.actions[:2])


class Same:
    """A batch model that gives every row the same score."""

    is_probability = True

    def __init__(self, columns: tuple[str, ...]) -> None:
        self.columns = columns

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return np.full(len(rows), 0.5)

    def importance(self) -> dict[str, float]:
        return {}


def world(days: dict[str, float]) -> History:
    """Decisions over 40 days, half of which are answered so many days later, by action."""
    events = []
    for n in range(400):
        at, action = after(n / 10), (A, B)[n % 2]
        customer = {"customer_id": f"c{n}"}
        content = {"decision_id": f"d{n}", "action_id": action}
        events.append(event("Action Decided", at, content, **customer))
        if n % 4 < 2:
            later = at + timedelta(days=days[action])
            events.append(event("Action Accepted", later, {"decision_id": f"d{n}"}, **customer))
    events.append(event("page", after(50), customer_id="the end"))
    events.sort(key=lambda one: one.received_at)
    return history_of(FOLD, [with_fields(one, seq=n) for n, one in enumerate(events, start=1)])


def delays_of(history: History) -> PastDelays:
    data = decided_set(history, RULE)
    found = warm_start(history, data, Same(data.set.columns), RULE).delays  # type: ignore[arg-type]
    assert isinstance(found, dict)
    return found


def test_it_says_when_the_rewards_of_each_action_came() -> None:
    found = delays_of(world({A: 6.1, B: 0.5}))
    assert set(found) == {A, B}
    for action, days in ((A, 6.1), (B, 0.5)):
        arrived = np.array(found[action].arrived)
        assert arrived.sum() == found[action].size == found[action].square == 100.0
        bucket = int(np.flatnonzero(arrived)[0])
        assert arrived[bucket] == 100.0
        assert AGES[bucket] * 7.0 <= days <= AGES[bucket + 1] * 7.0


def test_a_bundle_keeps_it_and_one_from_before_has_none() -> None:
    history = world({A: 6.1, B: 0.5})
    data, plain = decided_set(history, RULE), made()
    warm = warm_start(history, data, Same(data.set.columns), RULE)  # type: ignore[arg-type]
    part = warm.part()
    again = msgspec.json.decode(msgspec.json.encode(part), type=type(part))
    assert again.delays == warm.delays
    assert plain.warm is None or plain.warm.delays is msgspec.UNSET
    assert load_bundle(plain.files()).bundle_id == plain.bundle_id
    assert b"delays" not in plain.files()["manifest.json"]


def test_decisions_that_wait_are_in_no_curve() -> None:
    """A reward on the first day of a window that is not over would make the curve too fast."""
    history = world({A: 6.1, B: 0.5})
    open_from = history.end_s - 7 * DAY_S
    assert all(event_s <= open_from for event_s in decided_set(history, RULE).set.at_s)


@pytest.mark.parametrize("delayed", [A, B])
def test_an_action_that_nobody_answered_is_left_out(delayed: str) -> None:
    other = B if delayed == A else A
    found = delays_of(world({other: 1.0, delayed: 30.0}))  # after the window: it counts for nothing
    assert set(found) == {other}
