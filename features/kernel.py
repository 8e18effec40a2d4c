"""The fold, compiled: one function per event, one to read the row.

The state of a customer is one float64 array (`Layout.size` long):

    head      events, first and last time, stage, time of stage, ring and contact lengths
    kinds     per kind: last time, count, 4 decayed counts, sum, 4 decayed sums
    nodes     the last 10 nodes: touchpoint, valence, time of the first event
    contacts  the last 32 contacts: time, action, channel
    traits    one number each, NaN where unknown

Times are seconds since 1970 UTC. A decayed count is the sum over events of 2^(-age / half-life),
kept by one multiplication per event and exact at any later moment (forward decay: Cormode,
Shkapenyuk, Srivastava and Xu, ICDE 2009, section 3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from nba.context import DAY_S, HALF_LIVES_DAYS
from nba.journey import CONTACTS_KEPT, NODE_MINUTES, NODES_KEPT

EVENT, TRAIT, CONTACT = 0, 1, 2  # what a row does

_WINDOWS = len(HALF_LIVES_DAYS)
_RATES = tuple(-1.0 / (days * DAY_S) for days in HALF_LIVES_DAYS.values())
_NODE_S = NODE_MINUTES * 60.0
_NODES = NODES_KEPT
_CONTACTS = CONTACTS_KEPT

EVENTS, _FIRST, LAST, _STAGE, _STAGE_TIME, _N_NODES, N_CONTACTS = range(7)
HEAD = 7
KIND = 3 + 2 * _WINDOWS  # last time, count, decayed counts, sum, decayed sums
NODE = 3
CONTACT_SIZE = 3

ROW = np.dtype(
    [
        ("time", "f8"),
        ("op", "i4"),
        ("a", "i4"),  # kind, trait or action
        ("b", "i4"),  # touchpoint, or the kind of the contact's channel
        ("c", "i4"),  # channel of the contact
        ("amount", "f8"),
        ("valence", "f8"),
    ]
)


def _compiled(function: Callable[..., Any]) -> Any:
    """Compile and cache; where no folder can be written, compile without a cache."""
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:
        return njit(nogil=True)(function)


@_compiled
def update(state, layout, stage_of, row):  # type: ignore[no-untyped-def]
    """Fold one row of dtype ROW into `state`, in place. Rows come in order of time."""
    time = row["time"]
    if state[EVENTS] == 0.0:
        state[_FIRST] = time
    state[EVENTS] += 1.0
    state[LAST] = time
    op = row["op"]
    if op == TRAIT:
        state[layout[3] + row["a"]] = row["amount"]
        return
    if op == CONTACT:
        slot = layout[2] + CONTACT_SIZE * (int(state[N_CONTACTS]) % _CONTACTS)
        state[slot] = time
        state[slot + 1] = row["a"]
        state[slot + 2] = row["c"]
        state[N_CONTACTS] += 1.0
        if row["b"] >= 0:
            _count(state, HEAD + KIND * row["b"], time, 0.0)
        return
    _count(state, HEAD + KIND * row["a"], time, row["amount"])
    touchpoint = row["b"]
    if touchpoint >= 0:
        _visit(state, layout[1], time, touchpoint, row["valence"])
        stage = stage_of[touchpoint]
        if stage != state[_STAGE]:
            state[_STAGE] = stage
            state[_STAGE_TIME] = time


@_compiled
def _count(state, at, time, amount):  # type: ignore[no-untyped-def]
    seen = state[at + 1] > 0.0
    age = time - state[at] if seen else 0.0
    state[at] = time
    state[at + 1] += 1.0
    sums = at + 2 + _WINDOWS
    state[sums] += amount
    for window in range(_WINDOWS):
        decay = np.exp2(age * _RATES[window]) if seen else 0.0
        state[at + 2 + window] = state[at + 2 + window] * decay + 1.0
        state[sums + 1 + window] = state[sums + 1 + window] * decay + amount


@_compiled
def _visit(state, nodes, time, touchpoint, valence):  # type: ignore[no-untyped-def]
    visits = int(state[_N_NODES])
    slot = nodes + NODE * ((visits - 1) % _NODES)
    if visits > 0 and state[slot] == touchpoint and time - state[slot + 2] <= _NODE_S:
        state[slot + 1] = min(1.0, max(-1.0, state[slot + 1] + valence))
        return
    slot = nodes + NODE * (visits % _NODES)
    state[slot] = touchpoint
    state[slot + 1] = valence
    state[slot + 2] = time
    state[_N_NODES] += 1.0


@_compiled
def emit(state, layout, has_amount, as_of, out):  # type: ignore[no-untyped-def]
    """Write the context row at `as_of` (seconds, not before the last event) into `out`."""
    at = 0
    for kind in range(layout[0]):
        base = HEAD + KIND * kind
        seen = state[base + 1] > 0.0
        age = as_of - state[base] if seen else 0.0
        for window in range(_WINDOWS):
            out[at + window] = state[base + 2 + window] * np.exp2(age * _RATES[window])
        at += _WINDOWS
        out[at] = state[base + 1]
        out[at + 1] = age / DAY_S if seen else np.nan
        at += 2
        if has_amount[kind]:
            sums = base + 2 + _WINDOWS
            for window in range(_WINDOWS):
                out[at + window] = state[sums + 1 + window] * np.exp2(age * _RATES[window])
            out[at + _WINDOWS] = state[sums]
            at += _WINDOWS + 1
    at = _emit_emotion(state, layout[1], out, at)
    known = state[EVENTS] > 0.0
    staged = known and state[_STAGE] >= 0.0
    out[at] = state[_STAGE] if staged else np.nan
    out[at + 1] = (as_of - state[_STAGE_TIME]) / DAY_S if staged else np.nan
    out[at + 2] = (as_of - state[_FIRST]) / DAY_S if known else np.nan
    at += 3
    for trait in range(layout[4]):
        out[at + trait] = state[layout[3] + trait]


@_compiled
def _emit_emotion(state, nodes, out, at):  # type: ignore[no-untyped-def]
    visits = int(state[_N_NODES])
    kept = min(visits, _NODES)
    total = 0.0
    trough = np.nan
    last = np.nan
    for step in range(kept):
        last = state[nodes + NODE * ((visits - kept + step) % _NODES) + 1]
        total += last
        trough = last if step == 0 else min(trough, last)
    out[at] = total
    out[at + 1] = last
    out[at + 2] = trough
    out[at + 3] = visits
    return at + 4


@_compiled
def offered(state, contacts, as_of, action, out):  # type: ignore[no-untyped-def]
    """Of one action, among the contacts kept: days since the last (NaN: never), and how many.

    Action -1 is no_action, which is never a contact; contacts of actions that are no longer in
    the journey file have that code too.
    """
    out[0] = np.nan
    out[1] = 0.0
    if action < 0:
        return
    for slot in range(min(int(state[N_CONTACTS]), _CONTACTS)):
        base = contacts + CONTACT_SIZE * slot
        if state[base + 1] == action:
            out[1] += 1.0
            days = (as_of - state[base]) / DAY_S
            if np.isnan(out[0]) or days < out[0]:
                out[0] = days


@_compiled
def clear(state, layout):  # type: ignore[no-untyped-def]
    """Make `state` that of a customer of whom nothing is known."""
    state[:] = 0.0
    state[_STAGE] = -1.0
    state[layout[3] : layout[3] + layout[4]] = np.nan


@_compiled
def fold(state, layout, stage_of, rows):  # type: ignore[no-untyped-def]
    """Fold rows of dtype ROW, in order of time."""
    for index in range(len(rows)):
        update(state, layout, stage_of, rows[index])


@_compiled
def replay(  # type: ignore[no-untyped-def]
    layout, stage_of, has_amount, rows, seqs, received, row_starts,
    as_of, seen_seq, seen_received, actions, query_starts, state, out, out_offered,
):  # fmt: skip
    """Context rows at many moments, one customer after the other.

    Rows are sorted by (customer, time, seq); `row_starts` and `query_starts` (n_customers + 1)
    cut them and the queries, which are sorted by (customer, as_of). A query sees the rows with
    time <= as_of, seq <= seen_seq and received <= seen_received; where a late row makes that
    more than a prefix, the customer is folded again for that query.
    """
    for customer in range(len(row_starts) - 1):
        begin = row_starts[customer]
        end = row_starts[customer + 1]
        clear(state, layout)
        upto = begin
        last_seq = -1
        last_received = -np.inf
        dirty = False
        for query in range(query_starts[customer], query_starts[customer + 1]):
            if dirty:
                clear(state, layout)
                for index in range(begin, upto):
                    update(state, layout, stage_of, rows[index])
                dirty = False
            while upto < end and rows[upto]["time"] <= as_of[query]:
                update(state, layout, stage_of, rows[upto])
                last_seq = max(last_seq, seqs[upto])
                last_received = max(last_received, received[upto])
                upto += 1
            if last_seq > seen_seq[query] or last_received > seen_received[query]:
                clear(state, layout)
                dirty = True
                for index in range(begin, upto):
                    if seqs[index] <= seen_seq[query] and received[index] <= seen_received[query]:
                        update(state, layout, stage_of, rows[index])
            emit(state, layout, has_amount, as_of[query], out[query])
            offered(state, layout[2], as_of[query], actions[query], out_offered[query])
