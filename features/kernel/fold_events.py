"""The fold, compiled: one function per event, one to read the row.

`features.kernel.layout` says where plan and state keep what. A trace (n, TRACE_COLUMNS) takes what
the nodes are made of, as far as it is long; its first row counts them.
"""

from __future__ import annotations

import numpy as np

from features.kernel.counters import count, emit_counts
from features.kernel.detectors import conclude, detect, settle
from features.kernel.emotion import emit_emotion, feel
from features.kernel.layout import (
    CHANNELS,
    CONTACT,
    CONTACT_SIZE,
    CONTACTS_AT,
    EVENTS,
    FIRST,
    INVITATION,
    LAST,
    N_CONTACTS,
    N_TRAITS,
    NEXT_DUE,
    STAGE,
    STAGE_TIME,
    TOUCHPOINTS_AT,
    TRAIT,
    TRAITS_AT,
    compiled,
    confidence_of,
    valence_of,
)
from nba.customer.context import CONTACTS_KEPT
from nba.durations import DAY_S

_CONTACTS = CONTACTS_KEPT


@compiled
def update(state, plan, row, trace):  # type: ignore[no-untyped-def]
    """Fold one row of dtype ROW into `state`, in place. Rows come in order of time."""
    time = row["time"]
    if state[NEXT_DUE] <= time:
        settle(state, plan, time, trace)
    if state[EVENTS] == 0.0:
        state[FIRST] = time
    state[EVENTS] += 1.0
    state[LAST] = time
    op = row["op"]
    if op == TRAIT:
        state[int(plan[TRAITS_AT]) + row["a"]] = row["amount"]
        return
    if op == CONTACT:
        slot = int(plan[CONTACTS_AT]) + CONTACT_SIZE * (int(state[N_CONTACTS]) % _CONTACTS)
        state[slot] = time
        state[slot + 1] = (row["a"] + 1) * CHANNELS + row["c"] + 1
        state[N_CONTACTS] += 1.0
        if row["b"] >= 0:
            count(state, plan, row["b"], time, 0.0)
        return
    conclude(state, plan, row, trace)
    kind = row["a"]
    count(state, plan, kind, time, row["amount"])
    touchpoint = row["b"]
    valence = row["valence"]
    confidence = row["confidence"]
    if np.isnan(valence):
        valence = valence_of(plan, kind, touchpoint)
        confidence = confidence_of(plan, kind, touchpoint)
    seqs = (float(row["seq"]), 0.0, 0.0, 0.0)
    feel(state, plan, kind, touchpoint, time, time, valence, confidence, 0, seqs, trace)
    if touchpoint >= 0:
        stage = plan[int(plan[TOUCHPOINTS_AT]) + 2 * touchpoint]
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
        settle(state, plan, as_of, trace)
    at = emit_counts(state, plan, as_of, out)
    at = emit_emotion(state, plan, as_of, out, at)
    known = state[EVENTS] > 0.0
    staged = known and state[STAGE] >= 0.0
    out[at] = state[STAGE] if staged else np.nan
    out[at + 1] = (as_of - state[STAGE_TIME]) / DAY_S if staged else np.nan
    out[at + 2] = (as_of - state[FIRST]) / DAY_S if known else np.nan
    at += 3
    traits = int(plan[TRAITS_AT])
    for trait in range(int(plan[N_TRAITS])):
        out[at + trait] = state[traits + trait]


@compiled
def offered(state, plan, as_of, action, out):  # type: ignore[no-untyped-def]
    """Of one action, among the contacts kept: days since the last (NaN: never), and how many.

    Action -1 is no_action, which is never a contact; contacts of actions that are no longer in
    the journey file have that code too.
    """
    out[0] = np.nan
    out[1] = 0.0
    if action < 0:
        return
    contacts = int(plan[CONTACTS_AT])
    for slot in range(min(int(state[N_CONTACTS]), _CONTACTS)):
        base = contacts + CONTACT_SIZE * slot
        if int(state[base + 1]) // CHANNELS - 1 == action:
            out[1] += 1.0
            days = (as_of - state[base]) / DAY_S
            if np.isnan(out[0]) or days < out[0]:
                out[0] = days


@compiled
def clear(state, plan):  # type: ignore[no-untyped-def]
    """Make `state` that of a customer of whom nothing is known."""
    state[:] = 0.0
    state[STAGE] = -1.0
    state[NEXT_DUE] = np.inf
    state[INVITATION] = np.inf
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
        begun = int(trace[0, 0])
        for index in range(row_starts[customer], row_starts[customer + 1]):
            if rows[index]["time"] > upto:
                break
            update(state, plan, rows[index], trace)
        settle(state, plan, upto, trace)
        customers[begun : int(trace[0, 0])] = customer


@compiled
def replay(  # type: ignore[no-untyped-def]
    plan, rows, received, row_starts,
    as_of, seen_seq, seen_received, actions, query_starts, state, trace, out, out_offered,
):  # fmt: skip
    """Context rows at many moments, one customer after the other.

    Rows are sorted by (customer, time, seq); `row_starts` and `query_starts` (n_customers + 1)
    cut them and the queries, which are sorted by (customer, as_of). A query sees the rows with
    time <= as_of, seq <= seen_seq and received <= seen_received; where a late row makes that
    more than a prefix, the customer is folded again for that query. `state` is (2, state size).
    """
    spare = state[1]
    state = state[0]
    for customer in range(len(row_starts) - 1):
        begin = row_starts[customer]
        end = row_starts[customer + 1]
        clear(state, plan)
        upto = begin
        last_seq = -1
        last_received = -np.inf
        dirty = False
        for query in range(query_starts[customer], query_starts[customer + 1]):
            if dirty:
                clear(state, plan)
                for index in range(begin, upto):
                    update(state, plan, rows[index], trace)
                dirty = False
            while upto < end and rows[upto]["time"] <= as_of[query]:
                update(state, plan, rows[upto], trace)
                last_seq = max(last_seq, rows[upto]["seq"])
                last_received = max(last_received, received[upto])
                upto += 1
            if last_seq > seen_seq[query] or last_received > seen_received[query]:
                clear(state, plan)
                dirty = True
                for index in range(begin, upto):
                    known = rows[index]["seq"] <= seen_seq[query]
                    if known and received[index] <= seen_received[query]:
                        update(state, plan, rows[index], trace)
            emit(state, plan, as_of[query], spare, trace, out[query])
            offered(state, plan, as_of[query], actions[query], out_offered[query])
