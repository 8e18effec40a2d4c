"""The compiled fold against its definitions, written out in plain Python."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from features.fold import CustomerState, untraced
from features.kernel import fold_events as kernel
from features.kernel.layout import QUERY, ROLE, ROW
from nba.customer.context import HALF_LIVES_DAYS, Context
from nba.durations import DAY_S
from nba.events.event import Event
from tests.fixtures.customer_with_signals import FOLD_OF_SIGNALS
from tests.fixtures.examples import examples
from tests.fixtures.small_replica import FOLD, JOURNEY, NOON, event, failed_search

SECONDS = st.floats(0, 90 * DAY_S)
HOUR = timedelta(hours=1)


def folded(*events: Event) -> CustomerState:
    state = FOLD.advance(FOLD.empty, events)
    assert state is not None
    return state


def context(*events: Event, as_of: timedelta = timedelta()) -> Context:
    return FOLD.context("ada", folded(*events), NOON + as_of)


def column(seen: Context, name: str) -> float:
    return float(seen.values[FOLD.schema.index[name]])


def visit(minutes: float, name: str = "page") -> Event:
    return event(name, NOON + timedelta(minutes=minutes))


def decided(action_id: Any, minutes: float = 0, **properties: Any) -> Event:
    at = NOON + timedelta(minutes=minutes)
    return event("Action Decided", at, {"action_id": action_id, **properties})


@given(
    st.lists(st.tuples(SECONDS, st.floats(-1e3, 1e3)), min_size=1, max_size=30),
    st.floats(0, 60 * DAY_S),
)
@examples(150)
def test_decayed_counts_and_sums_are_what_their_definition_says(
    bought: list[tuple[float, float]], wait_s: float
) -> None:
    """sum of amount x 2^(-age / half-life), to 1e-9 of the undecayed sum of magnitudes."""
    rows = np.zeros(len(bought), dtype=ROW)
    rows["time"], rows["amount"] = zip(*sorted(bought), strict=True)
    rows["kind"] = FOLD.schema.kinds.index("purchase")
    rows["touchpoint"] = -1
    state = FOLD.empty.values.copy()
    kernel.fold(state, FOLD.plan, rows, untraced())
    as_of = rows["time"][-1] + wait_s
    out = np.empty(len(FOLD.schema.columns))
    kernel.emit(state, FOLD.plan, as_of, np.empty(FOLD.size), untraced(), out)
    found = dict(zip(FOLD.schema.columns, out.tolist(), strict=True))
    # a decayed amount may be too small to be a normal number
    magnitude = sum(abs(amount) for _, amount in bought) + np.finfo(float).tiny
    for window, days in HALF_LIVES_DAYS.items():
        weights = [2 ** (-(as_of - at) / (days * DAY_S)) for at, _ in sorted(bought)]
        amounts = [amount for _, amount in sorted(bought)]
        total = math.fsum(w * a for w, a in zip(weights, amounts, strict=True))
        assert found[f"purchase.count_{window}"] == pytest.approx(math.fsum(weights), rel=1e-9)
        assert found[f"purchase.sum_{window}"] == pytest.approx(total, abs=1e-9 * magnitude)
    assert found["purchase.total"] == len(bought)
    assert found["purchase.sum_total"] == pytest.approx(
        math.fsum(amount for _, amount in bought), abs=1e-9 * magnitude
    )
    assert found["purchase.days_since"] == pytest.approx(wait_s / DAY_S, abs=1e-9)


def test_counts_halve_with_each_half_life() -> None:
    seen = context(failed_search(), as_of=timedelta(days=7))
    assert column(seen, "search_failed.count_7d") == 0.5
    assert column(seen, "search_failed.count_1d") == 2.0**-7
    assert column(seen, "search_failed.total") == 1.0
    assert column(seen, "search_failed.days_since") == 7.0


def test_a_kind_that_never_happened_has_count_0_and_no_recency() -> None:
    seen = context(failed_search())
    assert column(seen, "complaint.count_30d") == 0.0
    assert math.isnan(column(seen, "complaint.days_since"))


def test_of_a_customer_without_events_nothing_is_known() -> None:
    seen = FOLD.context("nobody", FOLD.empty, NOON)
    zero = {c for c in FOLD.schema.columns if ".count_" in c or ".sum_" in c or ".total" in c}
    unknown = ("mean10", "min10", "last", "peak_end", "slope10", "days_since_negative")
    zero |= set(FOLD.schema.emotion) - {f"emotion.{name}" for name in unknown}
    assert not seen.known and seen.seq == 0 and seen.as_of == NOON and seen.contacts == ()
    for name, value in zip(FOLD.schema.columns, seen.values.tolist(), strict=True):
        assert value == 0.0 if name in zero else math.isnan(value), name


def test_visits_to_one_touchpoint_within_30_minutes_are_one_node() -> None:
    seen = context(visit(0), visit(29), visit(30))
    assert column(seen, "emotion.nodes") == 1.0
    assert column(context(visit(0), visit(31)), "emotion.nodes") == 2.0


def test_a_node_lasts_30_minutes_from_its_first_visit() -> None:
    seen = context(visit(0), visit(20), visit(40))
    assert column(seen, "emotion.nodes") == 2.0


def test_another_touchpoint_begins_another_node() -> None:
    seen = context(visit(0), visit(1, "Application Opened"), visit(2))
    assert column(seen, "emotion.nodes") == 3.0


def test_valence_adds_up_in_a_node_and_stays_within_one() -> None:
    seen = context(visit(0), visit(1, "Rage Click"))
    assert column(seen, "emotion.last") == -0.6
    angry = context(*(visit(n, "Rage Click") for n in range(4)), visit(200))
    assert column(angry, "emotion.min10") == -1.0
    assert column(angry, "emotion.sum10") == -1.0
    assert column(angry, "emotion.last") == 0.0


def test_emotion_looks_at_the_last_10_nodes() -> None:
    """Eleven hourly nodes: the complaint falls out of sum and trough, the count keeps all."""
    nice = [visit(60 * n, "Branch Visited") for n in range(1, 11)]
    before = context(visit(0, "Complaint Filed"), *nice[:9])
    assert column(before, "emotion.min10") == -0.8
    assert column(before, "emotion.sum10") == pytest.approx(9 * 0.2 - 0.8)
    after = context(visit(0, "Complaint Filed"), *nice)
    assert column(after, "emotion.min10") == 0.2
    assert column(after, "emotion.sum10") == pytest.approx(10 * 0.2)
    assert column(after, "emotion.last") == 0.2
    assert column(after, "emotion.nodes") == 11.0


def test_the_stage_is_that_of_the_last_touchpoint_and_its_days_run_from_the_first_visit() -> None:
    stay = [visit(0), visit(60 * 24)]
    seen = context(*stay, as_of=timedelta(days=2))
    assert FOLD.schema.value("journey.stage", column(seen, "journey.stage")) == "explore"
    assert column(seen, "journey.days_in_stage") == 2.0
    moved = context(*stay, visit(60 * 36, "Application Opened"), as_of=timedelta(days=2))
    assert FOLD.schema.value("journey.stage", column(moved, "journey.stage")) == "use"
    assert column(moved, "journey.days_in_stage") == 0.5
    assert column(moved, "customer.days_known") == 2.0


def test_an_event_without_touchpoint_leaves_stage_and_nodes_as_they_are() -> None:
    seen = context(event("Action Accepted"))
    assert math.isnan(column(seen, "journey.stage"))
    assert math.isnan(column(seen, "journey.days_in_stage"))
    assert column(seen, "emotion.nodes") == 0.0
    assert column(seen, "action_accepted.total") == 1.0


def test_traits_hold_the_last_value_and_forget_one_of_another_type() -> None:
    first = event("identify", NOON, {"segment": "affluent", "tenure_months": 7})
    second = event("identify", NOON + HOUR, {"segment": "private", "has_mortgage": False})
    seen = context(first, second)
    named = {f"traits.{t}": FOLD.schema.value(f"traits.{t}", column(seen, f"traits.{t}"))
             for t in FOLD.schema.traits}  # fmt: skip
    assert named == {
        "traits.segment": "private",
        "traits.tenure_months": 7.0,
        "traits.has_mortgage": False,
    }
    wrong = event("identify", NOON + 2 * HOUR, {"tenure_months": "seven"})
    assert math.isnan(column(context(first, second, wrong), "traits.tenure_months"))


def test_contacts_are_counted_per_channel_and_the_last_32_are_kept() -> None:
    made = [decided("help_popup", n) for n in range(40)]
    seen = context(*made, decided("card_offer", 40), decided("no_action", 41))
    assert column(seen, "contact.web.total") == 40.0
    assert column(seen, "contact.app.total") == 1.0
    assert len(seen.contacts) == 32
    assert [c.action for c in seen.contacts] == [0] * 31 + [1]
    at = [c.at_s for c in seen.contacts]
    assert at == sorted(at) and at[0] == NOON.timestamp() + 9 * 60


def test_days_since_offered_are_of_the_latest_contact_with_that_action() -> None:
    state = folded(decided("help_popup", 0), decided("help_popup", 60), decided("card_offer", 90))
    out = np.empty(2)
    as_of = NOON.timestamp() + 3600 * 13
    kernel.emit_offered(state.values, FOLD.plan, as_of, 0, out)
    assert out.tolist() == [0.5, 2.0]
    kernel.emit_offered(state.values, FOLD.plan, as_of, 2, out)
    assert math.isnan(out[0]) and out[1] == 0.0


def test_a_contact_with_an_action_that_left_the_journey_counts_for_its_channel_alone() -> None:
    seen = context(decided("old_offer", 0, channel="web"))
    assert column(seen, "contact.web.total") == 1.0
    web = JOURNEY.channels().index("web")
    assert [(c.action, c.channel) for c in seen.contacts] == [(-1, web)]


@st.composite
def replays(draw: st.DrawFn) -> tuple[np.ndarray, ...]:
    """Rows of two customers with late arrivals and ties, and queries about them."""
    n = draw(st.integers(1, 25))
    rows = np.zeros(n, dtype=ROW)
    times = draw(st.lists(st.integers(0, 12), min_size=n, max_size=n))
    customers = np.array(draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    rows["time"] = np.array(times) * 600.0
    rows["op"] = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    rows["kind"] = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    rows["subject"] = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    rows["touchpoint"] = draw(st.lists(st.integers(-1, 3), min_size=n, max_size=n))
    rows["amount"] = draw(st.lists(st.integers(-5, 5), min_size=n, max_size=n))
    rows["valence"] = np.array(draw(st.lists(st.integers(-10, 10), min_size=n, max_size=n))) / 10
    rows["role"] = draw(st.lists(st.integers(0, len(ROLE)), min_size=n, max_size=n))
    rows["key"] = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    rows["number"] = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    seqs = rows["seq"] = np.array(draw(st.permutations(range(1, n + 1))))
    delays = np.array(draw(st.lists(st.integers(0, 5), min_size=n, max_size=n)))
    received = rows["time"] + delays * 600.0
    m = draw(st.integers(1, 10))
    asked = np.array(draw(st.lists(st.integers(0, 1), min_size=m, max_size=m)))
    as_of = np.array(draw(st.lists(st.integers(-1, 14), min_size=m, max_size=m))) * 600.0
    seen_seq = np.array(draw(st.lists(st.integers(0, n + 1), min_size=m, max_size=m)))
    seen_received = as_of + np.array(draw(st.lists(st.integers(0, 3), min_size=m, max_size=m)))
    order, queries = np.lexsort((seqs, rows["time"], customers)), np.lexsort((as_of, asked))
    return (
        *(rows[order], received[order], customers[order]),
        *(asked[queries], as_of[queries], seen_seq[queries], seen_received[queries]),
    )


@given(replays())
@examples(150)
def test_replay_equals_folding_every_query_from_nothing(case: tuple[np.ndarray, ...]) -> None:
    rows, received, customers, asked, as_of, seen_seq, seen_received = case
    n, width = len(as_of), len(FOLD_OF_SIGNALS.schema.columns)
    actions = np.arange(n) % 4
    found, offered = np.empty((n, width)), np.empty((n, 2))
    queries = np.empty(n, dtype=QUERY)
    queries["as_of"], queries["action"] = as_of, actions
    queries["seen_seq"], queries["seen_received"] = seen_seq, seen_received
    kernel.replay(
        plan=FOLD_OF_SIGNALS.plan,
        rows=rows,
        received=received,
        row_starts=np.searchsorted(customers, [0, 1, 2]),
        queries=queries,
        query_starts=np.searchsorted(asked, [0, 1, 2]),
        states=np.empty((2, FOLD_OF_SIGNALS.size)),
        trace=untraced(),
        out=found,
        offered=offered,
    )
    for query in range(n):
        seen = (
            (customers == asked[query])
            & (rows["time"] <= as_of[query])
            & (rows["seq"] <= seen_seq[query])
            & (received <= seen_received[query])
        )
        state = FOLD_OF_SIGNALS.empty.values.copy()
        kernel.fold(state, FOLD_OF_SIGNALS.plan, rows[seen], untraced())
        row, past = np.empty(width), np.empty(2)
        kernel.emit(
            state,
            FOLD_OF_SIGNALS.plan,
            as_of[query],
            np.empty(FOLD_OF_SIGNALS.size),
            untraced(),
            row,
        )
        kernel.emit_offered(state, FOLD_OF_SIGNALS.plan, as_of[query], actions[query], past)
        assert found[query].tobytes() == row.tobytes()
        assert offered[query].tobytes() == past.tobytes()
