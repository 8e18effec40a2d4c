"""Replay: point-in-time rows, which know what had been received and nothing else."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from hypothesis import given, strategies as st
from msgspec.structs import replace

from features.replay.point_in_time import ContextQuestions, encode, frame, replay
from nba.customer.context import OFFERED
from nba.events.event import Event, micros
from tests.fixtures.examples import examples
from tests.fixtures.small_replica import FOLD, NOON, event, failed_search

HOUR = timedelta(hours=1)
KINDS = ("page", "Products Searched", "Complaint Filed", "Order Completed", "Never Heard Of")


def logged(events: list[Event]) -> list[Event]:
    return [replace(one, seq=seq) for seq, one in enumerate(events, start=1)]


def rows_at(events: list[Event], *moments: tuple[str, datetime]) -> np.ndarray:
    customers = np.array([customer for customer, _ in moments], dtype=object)
    as_of = np.array([micros(at) / 1e6 for _, at in moments])
    values, _ = replay(FOLD, encode(FOLD, events), ContextQuestions.at(customers, as_of))
    return values


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ada", "bob"]),
            st.sampled_from(KINDS),
            st.integers(0, 20),  # hours after noon
            st.integers(0, 20),  # hours of delay
        ),
        min_size=1,
        max_size=20,
    ),
    st.lists(st.integers(-1, 41), min_size=1, max_size=6),
)
@examples(100)
def test_what_is_received_later_changes_nothing_earlier(
    made: list[tuple[str, str, int, int]], looks: list[int]
) -> None:
    """The rows of the whole log are the rows of the log as it was received by each moment."""
    events = [
        event(name, NOON + at * HOUR, customer_id=customer, received_at=NOON + (at + delay) * HOUR)
        for customer, name, at, delay in made
    ]
    events = logged(sorted(events, key=lambda one: one.received_at))
    for hours in looks:
        moment = NOON + hours * HOUR
        asked = (("ada", moment), ("bob", moment))
        early = [one for one in events if one.received_at <= moment]
        assert rows_at(events, *asked).tobytes() == rows_at(early, *asked).tobytes()


def test_an_event_received_later_is_not_known_before() -> None:
    late = event("Complaint Filed", NOON, received_at=NOON + 2 * HOUR)
    events = logged([failed_search(NOON - HOUR), late])
    moments = [("ada", NOON + hour * HOUR) for hour in (3, 1, 2)]
    complaints = rows_at(events, *moments)[:, FOLD.schema.index["complaint.total"]]
    assert complaints.tolist() == [1.0, 0.0, 1.0]


def test_rows_come_in_the_order_of_the_moments() -> None:
    events = logged([failed_search(NOON, "bob"), failed_search(NOON + HOUR, "ada")])
    moments = [("bob", NOON + HOUR), ("ada", NOON), ("ada", NOON + HOUR), ("bob", NOON - HOUR)]
    totals = rows_at(events, *moments)[:, FOLD.schema.index["search_failed.total"]]
    assert totals.tolist() == [1.0, 0.0, 1.0, 0.0]


def test_a_customer_of_whom_the_log_holds_nothing_has_the_empty_row() -> None:
    empty = FOLD.context("x", FOLD.empty, NOON).values
    events = logged([failed_search(NOON, "mia")])
    for name in ("ada", "zoe", "mi", "mia "):
        assert rows_at(events, (name, NOON)).tobytes() == empty.tobytes()


def test_an_empty_log_replays_to_empty_rows() -> None:
    empty = FOLD.context("x", FOLD.empty, NOON).values
    assert rows_at([], ("ada", NOON), ("bob", NOON)).tobytes() == empty.tobytes() * 2


def test_no_moments_give_no_rows() -> None:
    values, offered = replay(
        FOLD, encode(FOLD, logged([failed_search()])), ContextQuestions.at([], [])
    )
    assert values.shape == (0, len(FOLD.schema.columns)) and offered.shape == (0, 2)


def test_a_table_names_its_columns_and_moments() -> None:
    events = logged([failed_search(), event("Action Decided", NOON, {"action_id": "help_popup"})])
    moments = ContextQuestions(
        customers=np.array(["ada"], dtype=object),
        as_of=np.array([micros(NOON + 12 * HOUR) / 1e6]),
        seen_seq=np.array([2]),
        seen_received=np.array([np.inf]),
        actions=np.array([0]),
    )
    table = frame(FOLD, encode(FOLD, events), moments)
    assert list(table.columns) == ["customer_id", "as_of", *FOLD.schema.columns, *OFFERED]
    [row] = table.to_dict(orient="records")
    assert row["customer_id"] == "ada" and row["as_of"] == pd.Timestamp(NOON + 12 * HOUR)
    assert row["search_failed.total"] == 1.0
    assert [row[name] for name in OFFERED] == [0.5, 1.0]


def test_a_moment_that_knows_a_log_position_sees_no_later_event() -> None:
    events = logged([failed_search(), failed_search()])
    totals = []
    for seen in (0, 1, 2):
        moments = ContextQuestions(
            customers=np.array(["ada"], dtype=object),
            as_of=np.array([micros(NOON) / 1e6]),
            seen_seq=np.array([seen]),
            seen_received=np.array([np.inf]),
            actions=np.array([-1]),
        )
        values, _ = replay(FOLD, encode(FOLD, events), moments)
        totals.append(values[0, FOLD.schema.index["search_failed.total"]])
    assert totals == [0.0, 1.0, 2.0]
