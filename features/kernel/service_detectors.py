"""Detectors of forms, contacts, failures and refunds, compiled; the rules: `nba.events.signals`."""

from __future__ import annotations

import numpy as np

from features.kernel.firing import AGAIN, TIMES, WITHIN, again, fire, fire_at, push
from features.kernel.layout import (
    FAILURE,
    FAILURES,
    FORM,
    INVITATION,
    ISSUE,
    ISSUES,
    NEXT_DUE,
    PAGE,
    PAGES,
    REFUND,
    REFUNDS,
    ROLE,
    SIGNAL,
    SIGNALS,
    channel_of,
    compiled,
    valence_of,
)

_FORM_ABANDONED, _FORM_ERRORS = SIGNAL["form_abandoned"], SIGNAL["form_errors"]
_REPEAT_CONTACT, _WAIT_OVER = SIGNAL["repeat_contact"], SIGNAL["wait_over"]
_CHANNEL_SWITCH, _RECOVERY = SIGNAL["channel_switch"], SIGNAL["recovery"]
_REFUND_DELAYED, _SURVEY_UNANSWERED = SIGNAL["refund_delayed"], SIGNAL["survey_unanswered"]
_FIELD_ERROR = ROLE["field_error"]

_SWITCHED = 100_000.0  # added to a failure's mark once a channel switch was seen; negative: settled
_WORST_WAIT, _WAIT_STEP = -0.9, 0.1


@compiled
def form_touched(state, plan, row, form, trace):  # type: ignore[no-untyped-def]
    time = row["time"]
    seq = float(row["seq"])
    if state[FORM] == 0.0:
        state[FORM] = form
        state[FORM + 2] = seq
        state[FORM + 4] = 0.0
        state[FORM + 5] = row["b"]
        pages = int(state[PAGE])
        state[FORM + 6] = abs(state[PAGE + 1 + 3 * ((pages - 1) % PAGES)]) if pages > 0 else 0.0
        state[FORM + 7] = 0.0
    if row["role"] == _FIELD_ERROR:
        apart = time - state[FORM + 8]
        if state[FORM + 4] > 0.0 and apart > plan[SIGNALS + 5 * _FORM_ERRORS + WITHIN]:
            state[FORM + 4] = 0.0
        state[FORM + 4] += 1.0
        if state[FORM + 4] == plan[SIGNALS + 5 * _FORM_ERRORS + TIMES]:
            state[FORM + 4] = -np.inf  # once a form
            seqs = (state[FORM + 7], seq, 0.0, 0.0)
            fire(state, plan, _FORM_ERRORS, row["b"], time, time, 1.0, seqs, trace)
        state[FORM + 7] = seq
        state[FORM + 8] = time
    state[FORM + 1] = time
    state[FORM + 3] = seq
    schedule(state, plan)


@compiled
def form_due(state, plan):  # type: ignore[no-untyped-def]
    if state[FORM] == 0.0 or plan[SIGNALS + 5 * _FORM_ABANDONED] < 0.0:
        return np.inf
    return state[FORM + 1] + plan[SIGNALS + 5 * _FORM_ABANDONED + WITHIN]


@compiled
def abandon(state, plan, time, trace):  # type: ignore[no-untyped-def]
    """The open form is left, at `time`; it belongs to the visit of its last interaction."""
    seqs = (state[FORM + 2], state[FORM + 3], 0.0, 0.0)
    if state[FORM + 2] == state[FORM + 3]:
        seqs = (state[FORM + 2], 0.0, 0.0, 0.0)
    touchpoint = int(state[FORM + 5])
    visited = state[FORM + 1]
    state[FORM] = 0.0
    fire(state, plan, _FORM_ABANDONED, touchpoint, time, visited, 1.0, seqs, trace)


@compiled
def contact(state, plan, row, issue, trace):  # type: ignore[no-untyped-def]
    time = row["time"]
    seq = float(row["seq"])
    touchpoint = row["b"]
    times = int(plan[SIGNALS + 5 * _REPEAT_CONTACT + TIMES])
    within = plan[SIGNALS + 5 * _REPEAT_CONTACT + WITHIN]
    found, a, b, c = again(state, ISSUE, ISSUES, issue, time, within, times)
    push(state, ISSUE, ISSUES, issue, time, seq)
    if found + 1 >= times > 0:
        seqs = (a, b, c, seq)
        fire(state, plan, _REPEAT_CONTACT, touchpoint, time, time, 1.0, seqs, trace)
    if touchpoint < 0:
        return
    within = plan[SIGNALS + 5 * _CHANNEL_SWITCH + WITHIN]
    channel = channel_of(plan, touchpoint) + 1.0
    switched = 0.0
    for slot in range(FAILURE + 1, FAILURE + 1 + 4 * FAILURES, 4):
        mark = state[slot + 3]
        fresh = state[slot] == issue and time - state[slot + 1] <= within
        if fresh and 0.0 < mark < _SWITCHED and mark != channel:
            state[slot + 3] = mark + _SWITCHED
            switched = max(switched, state[slot + 2])
    if switched > 0.0:
        seqs = (switched, seq, 0.0, 0.0)
        fire(state, plan, _CHANNEL_SWITCH, touchpoint, time, time, 1.0, seqs, trace)


@compiled
def wait(state, plan, row, trace):  # type: ignore[no-untyped-def]
    kind = int(plan[SIGNALS + 5 * _WAIT_OVER])
    if kind < 0:
        return
    base = valence_of(plan, kind, row["b"])
    worse = max(base - _WAIT_STEP * row["number"], min(base, _WORST_WAIT))
    seqs = (float(row["seq"]), 0.0, 0.0, 0.0)
    time = row["time"]
    fire_at(state, plan, kind, row["b"], time, time, worse, seqs, trace)


@compiled
def failure(state, plan, row, issue):  # type: ignore[no-untyped-def]
    slot = FAILURE + 1 + 4 * (int(state[FAILURE]) % FAILURES)
    state[slot] = issue
    state[slot + 1] = row["time"]
    state[slot + 2] = row["seq"]
    state[slot + 3] = channel_of(plan, row["b"]) + 1.0 if row["b"] >= 0 else _SWITCHED
    state[FAILURE] += 1.0


@compiled
def success(state, plan, row, issue, trace):  # type: ignore[no-untyped-def]
    """Settle the failures of an issue; those already settled still make it a second one."""
    time = row["time"]
    within = plan[SIGNALS + 5 * _RECOVERY + WITHIN]
    failures = 0
    last = -1
    for step in range(min(int(state[FAILURE]), FAILURES)):
        slot = FAILURE + 1 + 4 * step
        if state[slot] != issue:
            continue
        fresh = time - state[slot + 1] <= within
        failures += fresh
        if state[slot + 3] > 0.0:
            state[slot + 3] = -state[slot + 3]
            if fresh and (last < 0 or state[slot + 1] > state[last + 1]):
                last = slot
    if last >= 0:
        factor = plan[SIGNALS + 5 * _RECOVERY + AGAIN] if failures > 1 else 1.0
        seqs = (state[last + 2], float(row["seq"]), 0.0, 0.0)
        fire(state, plan, _RECOVERY, row["b"], time, time, factor, seqs, trace)


@compiled
def refund(state, plan, row, refund):  # type: ignore[no-untyped-def]
    """Await a refund; with no room left, in the place of the one that is due last."""
    chosen = REFUND
    for slot in range(REFUND, REFUND + 4 * REFUNDS, 4):
        if state[slot] == refund:  # asked for again
            return
        free = state[slot] == 0.0
        if free or (state[chosen] != 0.0 and state[slot + 1] > state[chosen + 1]):
            chosen = slot
    state[chosen] = refund
    state[chosen + 1] = row["time"] + plan[SIGNALS + 5 * _REFUND_DELAYED + WITHIN]
    state[chosen + 2] = row["seq"]
    state[chosen + 3] = row["b"]
    schedule(state, plan)


@compiled
def schedule(state, plan):  # type: ignore[no-untyped-def]
    """Note when the next silence is over."""
    if plan[SIGNALS + 5 * _SURVEY_UNANSWERED] < 0.0:
        state[INVITATION] = np.inf
    due = min(state[INVITATION], form_due(state, plan))
    if plan[SIGNALS + 5 * _REFUND_DELAYED] >= 0.0:
        for slot in range(REFUND, REFUND + 4 * REFUNDS, 4):
            if state[slot] != 0.0:
                due = min(due, state[slot + 1])
    state[NEXT_DUE] = due
