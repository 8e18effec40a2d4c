"""The fold, compiled: one function per event, one to write the context row.

`features.kernel.layout` says where plan, state and trace keep what. A trace (n, TRACE_COLUMNS)
takes the parts of the nodes, as far as it is long.
"""

from __future__ import annotations

import numpy as np

from features.kernel.compilation import compiled
from features.kernel.counters import count_event, emit_counts
from features.kernel.detectors import close_previous, detect, fire_due
from features.kernel.emotion import Part, add_to_node, emit_emotion
from features.kernel.layout import (
    CHANNELS,
    CONTACT,
    CONTACT_SIZE,
    CONTACT_SUBJECT,
    CONTACT_TIME,
    CONTACTS_AT,
    FIRST_TIME,
    LAST_TIME,
    N_CONTACTS,
    N_EVENTS,
    N_TRAITS,
    NEXT_DUE,
    STAGE,
    STAGE_TIME,
    SURVEY_DUE,
    TRACE_COUNT,
    TRAIT,
    TRAITS_AT,
)
from features.kernel.plan import confidence_of, stage_of, valence_of
from nba.customer.context import CONTACTS_KEPT
from nba.durations import DAY_S
from nba.events.parsing import EARLIEST

_EARLIEST_S = EARLIEST.timestamp()


@compiled
def update(state, plan, row, trace):  # type: ignore[no-untyped-def]
    """Fold one row of dtype ROW into `state`, in place. Rows come in order of time."""
    time = row["time"]
    if state[NEXT_DUE] <= time:
        fire_due(state, plan, trace, time)
    if state[FIRST_TIME] == 0.0 and time >= _EARLIEST_S:  # not by a clock at its zero
        state[FIRST_TIME] = time
    state[N_EVENTS] += 1.0
    state[LAST_TIME] = time
    op = row["op"]
    kind = row["kind"]
    if op == TRAIT:
        state[int(plan[TRAITS_AT]) + row["subject"]] = row["amount"]
        return
    if op == CONTACT:
        slot = int(plan[CONTACTS_AT]) + CONTACT_SIZE * (int(state[N_CONTACTS]) % CONTACTS_KEPT)
        state[slot + CONTACT_TIME] = time
        state[slot + CONTACT_SUBJECT] = row["subject"]
        state[N_CONTACTS] += 1.0
        if kind >= 0:
            count_event(state, plan, kind, time, 0.0)
        return
    close_previous(state, plan, row, trace)
    count_event(state, plan, kind, time, row["amount"])
    touchpoint = row["touchpoint"]
    valence = row["valence"]
    confidence = row["confidence"]
    if np.isnan(valence):
        valence = valence_of(plan, kind, touchpoint)
        confidence = confidence_of(plan, kind, touchpoint)
    origins = (float(row["seq"]), 0.0, 0.0, 0.0)
    part = Part(kind, touchpoint, time, time, valence, confidence, 0, origins)
    add_to_node(state, plan, part, trace)
    if touchpoint >= 0:
        stage = stage_of(plan, touchpoint)
        if stage != state[STAGE]:
            state[STAGE] = stage
            state[STAGE_TIME] = time
    detect(state, plan, row, trace)


@compiled
def emit(state, plan, as_of, spare, trace, out):  # type: ignore[no-untyped-def]
    """Write the context row at `as_of` (seconds, not before the last event) into `out`.

    `spare` (state size,) takes the state as the silence up to `as_of` has left it.
    """
    if state[NEXT_DUE] <= as_of:
        for index in range(len(state)):
            spare[index] = state[index]
        state = spare
        fire_due(state, plan, trace, as_of)
    column = emit_counts(state, plan, as_of, out)
    column = emit_emotion(state, plan, as_of, out, column)
    known = state[N_EVENTS] > 0.0
    staged = known and state[STAGE] >= 0.0
    out[column] = state[STAGE] if staged else np.nan
    out[column + 1] = (as_of - state[STAGE_TIME]) / DAY_S if staged else np.nan
    out[column + 2] = (as_of - state[FIRST_TIME]) / DAY_S if state[FIRST_TIME] > 0.0 else np.nan
    column += 3
    traits = int(plan[TRAITS_AT])
    for trait in range(int(plan[N_TRAITS])):
        out[column + trait] = state[traits + trait]


@compiled
def emit_offered(state, plan, as_of, action, out):  # type: ignore[no-untyped-def]
    """Of one action, among the contacts kept: days since the last (NaN: never), and how many.

    Action -1 is no_action, which is never a contact; contacts of actions that are no longer in
    the journey file have that code too.
    """
    out[0] = np.nan
    out[1] = 0.0
    if action < 0:
        return
    contacts = int(plan[CONTACTS_AT])
    for number in range(min(int(state[N_CONTACTS]), CONTACTS_KEPT)):
        slot = contacts + CONTACT_SIZE * number
        if int(state[slot + CONTACT_SUBJECT]) // CHANNELS - 1 == action:
            out[1] += 1.0
            days = (as_of - state[slot + CONTACT_TIME]) / DAY_S
            if np.isnan(out[0]) or days < out[0]:
                out[0] = days


@compiled
def clear(state, plan):  # type: ignore[no-untyped-def]
    """Make `state` that of a customer of whom nothing is known."""
    state[:] = 0.0
    state[STAGE] = -1.0
    state[NEXT_DUE] = np.inf
    state[SURVEY_DUE] = np.inf
    traits = int(plan[TRAITS_AT])
    state[traits : traits + int(plan[N_TRAITS])] = np.nan


@compiled
def fold(state, plan, rows, trace):  # type: ignore[no-untyped-def]
    """Fold rows of dtype ROW, in order of time."""
    for index in range(len(rows)):
        update(state, plan, rows[index], trace)


@compiled
def trace_all(state, plan, rows, row_starts, upto, trace, customers):  # type: ignore[no-untyped-def]
    """Fold customer after customer up to `upto` seconds; `customers` takes whose each entry is."""
    for customer in range(len(row_starts) - 1):
        clear(state, plan)
        begin = int(trace[0, TRACE_COUNT])
        for index in range(row_starts[customer], row_starts[customer + 1]):
            if rows[index]["time"] > upto:
                break
            update(state, plan, rows[index], trace)
        fire_due(state, plan, trace, upto)
        customers[begin : int(trace[0, TRACE_COUNT])] = customer


@compiled
def replay(  # type: ignore[no-untyped-def]
    plan, rows, received, row_starts, queries, query_starts, states, trace, out, offered
):
    """Context rows at many moments, one customer after the other.

    Rows of dtype ROW are sorted by (customer, time, seq), queries of dtype QUERY by (customer,
    as_of); `row_starts` and `query_starts` (n_customers + 1) cut them. A query sees the rows with
    time <= as_of, seq <= seen_seq and received <= seen_received; where a late row makes that
    more than a prefix, the customer is folded again for that query. `states`: (2, state size).
    """
    state = states[0]
    spare = states[1]
    for customer in range(len(row_starts) - 1):
        begin = row_starts[customer]
        end = row_starts[customer + 1]
        clear(state, plan)
        upto = begin
        last_seq = -1
        last_received = -np.inf
        is_partial = False
        for number in range(query_starts[customer], query_starts[customer + 1]):
            query = queries[number]
            if is_partial:
                clear(state, plan)
                for index in range(begin, upto):
                    update(state, plan, rows[index], trace)
                is_partial = False
            while upto < end and rows[upto]["time"] <= query["as_of"]:
                update(state, plan, rows[upto], trace)
                last_seq = max(last_seq, rows[upto]["seq"])
                last_received = max(last_received, received[upto])
                upto += 1
            if last_seq > query["seen_seq"] or last_received > query["seen_received"]:
                clear(state, plan)
                is_partial = True
                for index in range(begin, upto):
                    known = rows[index]["seq"] <= query["seen_seq"]
                    if known and received[index] <= query["seen_received"]:
                        update(state, plan, rows[index], trace)
            emit(state, plan, query["as_of"], spare, trace, out[number])
            emit_offered(state, plan, query["as_of"], query["action"], offered[number])
