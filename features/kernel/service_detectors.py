"""Detectors of forms, contacts, failures and refunds, compiled; the rules: `nba.events.signals`."""

from __future__ import annotations

import numpy as np

from features.kernel.compilation import compiled
from features.kernel.firing import add_signal, append_entry, find_recent, fire, fire_at
from features.kernel.layout import (
    AGAIN,
    ENTRY_KEY,
    ENTRY_SIZE,
    FAILURE_KEY,
    FAILURE_RING,
    FAILURE_SEQ,
    FAILURE_SIZE,
    FAILURE_STATUS,
    FAILURE_TIME,
    FAILURES_KEPT,
    FORM_ERROR_SEQ,
    FORM_ERROR_TIME,
    FORM_ERRORS,
    FORM_FIRST_SEQ,
    FORM_KEY,
    FORM_LAST_SEQ,
    FORM_PAGE,
    FORM_TIME,
    FORM_TOUCHPOINT,
    ISSUE_RING,
    ISSUES_KEPT,
    NEXT_DUE,
    PAGE_RING,
    PAGES_KEPT,
    REFUND_DUE,
    REFUND_KEY,
    REFUND_SEQ,
    REFUND_SIZE,
    REFUND_TOUCHPOINT,
    REFUNDS,
    REFUNDS_END,
    ROLE,
    RULE,
    RULE_KIND,
    SURVEY_DUE,
    TIMES,
    WITHIN,
)
from features.kernel.plan import channel_of, valence_of

_FORM_ABANDONED, _FORM_ERRORS = RULE["form_abandoned"], RULE["form_errors"]
_REPEAT_CONTACT, _WAIT_OVER = RULE["repeat_contact"], RULE["wait_over"]
_CHANNEL_SWITCH, _RECOVERY = RULE["channel_switch"], RULE["recovery"]
_REFUND_DELAYED, _SURVEY_UNANSWERED = RULE["refund_delayed"], RULE["survey_unanswered"]
_FIELD_ERROR = ROLE["field_error"]

# A failure's status: the code of its channel + 1; beyond this, once a channel switch was seen or
# where there is no channel; negative, once it is settled.
_SWITCHED = 100_000.0
_FAILURES_BEGIN = FAILURE_RING + 1
_FAILURES_END = _FAILURES_BEGIN + FAILURE_SIZE * FAILURES_KEPT
_WORST_WAIT, _WAIT_STEP = -0.9, 0.1


@compiled
def on_field(state, plan, row, trace, form):  # type: ignore[no-untyped-def]
    time = row["time"]
    seq = float(row["seq"])
    if state[FORM_KEY] == 0.0:
        state[FORM_KEY] = form
        state[FORM_FIRST_SEQ] = seq
        state[FORM_ERRORS] = 0.0
        state[FORM_TOUCHPOINT] = row["touchpoint"]
        pages = int(state[PAGE_RING])
        last = PAGE_RING + 1 + ENTRY_SIZE * ((pages - 1) % PAGES_KEPT)
        state[FORM_PAGE] = abs(state[last + ENTRY_KEY]) if pages > 0 else 0.0
        state[FORM_ERROR_SEQ] = 0.0
    if row["role"] == _FIELD_ERROR:
        since = time - state[FORM_ERROR_TIME]
        if state[FORM_ERRORS] > 0.0 and since > plan[_FORM_ERRORS + WITHIN]:
            state[FORM_ERRORS] = 0.0
        state[FORM_ERRORS] += 1.0
        if state[FORM_ERRORS] == plan[_FORM_ERRORS + TIMES]:
            state[FORM_ERRORS] = -np.inf  # once a form
            origins = (state[FORM_ERROR_SEQ], seq, 0.0, 0.0)
            fire(state, plan, row, trace, rule=_FORM_ERRORS, factor=1.0, origins=origins)
        state[FORM_ERROR_SEQ] = seq
        state[FORM_ERROR_TIME] = time
    state[FORM_TIME] = time
    state[FORM_LAST_SEQ] = seq
    schedule(state, plan)


@compiled
def form_due(state, plan):  # type: ignore[no-untyped-def]
    """When the open form counts as abandoned; infinite for none."""
    if state[FORM_KEY] == 0.0 or plan[_FORM_ABANDONED + RULE_KIND] < 0.0:
        return np.inf
    return state[FORM_TIME] + plan[_FORM_ABANDONED + WITHIN]


@compiled
def abandon_form(state, plan, trace, time):  # type: ignore[no-untyped-def]
    """The open form is left, at `time`; it belongs to the visit of its last interaction."""
    origins = (state[FORM_FIRST_SEQ], state[FORM_LAST_SEQ], 0.0, 0.0)
    if state[FORM_FIRST_SEQ] == state[FORM_LAST_SEQ]:
        origins = (state[FORM_FIRST_SEQ], 0.0, 0.0, 0.0)
    state[FORM_KEY] = 0.0
    touchpoint, visited = int(state[FORM_TOUCHPOINT]), state[FORM_TIME]
    fire_at(
        state, plan, trace, _FORM_ABANDONED, touchpoint, time=time, visited=visited, origins=origins
    )


@compiled
def on_contact(state, plan, row, trace, issue):  # type: ignore[no-untyped-def]
    time = row["time"]
    seq = float(row["seq"])
    touchpoint = row["touchpoint"]
    times = int(plan[_REPEAT_CONTACT + TIMES])
    within = plan[_REPEAT_CONTACT + WITHIN]
    found, a, b, c = find_recent(state, ISSUE_RING, ISSUES_KEPT, issue, time, within, times)
    append_entry(state, ISSUE_RING, ISSUES_KEPT, issue, time, seq)
    if found + 1 >= times > 0:
        origins = (a, b, c, seq)
        fire(state, plan, row, trace, rule=_REPEAT_CONTACT, factor=1.0, origins=origins)
    if touchpoint < 0:
        return
    channel = channel_of(plan, touchpoint) + 1.0
    failed = 0.0
    for slot in range(_FAILURES_BEGIN, _FAILURES_END, FAILURE_SIZE):
        status = state[slot + FAILURE_STATUS]
        passed = time - state[slot + FAILURE_TIME]
        recent = state[slot + FAILURE_KEY] == issue and passed <= plan[_CHANNEL_SWITCH + WITHIN]
        if recent and 0.0 < status < _SWITCHED and status != channel:
            state[slot + FAILURE_STATUS] = status + _SWITCHED
            failed = max(failed, state[slot + FAILURE_SEQ])
    if failed > 0.0:
        origins = (failed, seq, 0.0, 0.0)
        fire(state, plan, row, trace, rule=_CHANNEL_SWITCH, factor=1.0, origins=origins)


@compiled
def on_long_wait(state, plan, row, trace):  # type: ignore[no-untyped-def]
    kind = int(plan[_WAIT_OVER + RULE_KIND])
    if kind < 0:
        return
    base = valence_of(plan, kind, row["touchpoint"])
    valence = max(base - _WAIT_STEP * row["number"], min(base, _WORST_WAIT))
    add_signal(
        state,
        plan,
        trace,
        kind=kind,
        touchpoint=row["touchpoint"],
        time=row["time"],
        visited=row["time"],
        valence=valence,
        origins=(float(row["seq"]), 0.0, 0.0, 0.0),
    )


@compiled
def on_failure(state, plan, row, issue):  # type: ignore[no-untyped-def]
    slot = _FAILURES_BEGIN + FAILURE_SIZE * (int(state[FAILURE_RING]) % FAILURES_KEPT)
    touchpoint = row["touchpoint"]
    state[slot + FAILURE_KEY] = issue
    state[slot + FAILURE_TIME] = row["time"]
    state[slot + FAILURE_SEQ] = row["seq"]
    status = channel_of(plan, touchpoint) + 1.0 if touchpoint >= 0 else _SWITCHED
    state[slot + FAILURE_STATUS] = status
    state[FAILURE_RING] += 1.0


@compiled
def on_success(state, plan, row, trace, issue):  # type: ignore[no-untyped-def]
    """Settle the failures of an issue; those already settled still make it a second one."""
    failures = 0
    last = -1
    end = _FAILURES_BEGIN + FAILURE_SIZE * min(int(state[FAILURE_RING]), FAILURES_KEPT)
    for slot in range(_FAILURES_BEGIN, end, FAILURE_SIZE):
        if state[slot + FAILURE_KEY] != issue:
            continue
        failed = state[slot + FAILURE_TIME]
        recent = row["time"] - failed <= plan[_RECOVERY + WITHIN]
        failures += recent
        if state[slot + FAILURE_STATUS] > 0.0:
            state[slot + FAILURE_STATUS] = -state[slot + FAILURE_STATUS]
            if recent and (last < 0 or failed > state[last + FAILURE_TIME]):
                last = slot
    if last >= 0:
        factor = plan[_RECOVERY + AGAIN] if failures > 1 else 1.0
        origins = (state[last + FAILURE_SEQ], float(row["seq"]), 0.0, 0.0)
        fire(state, plan, row, trace, rule=_RECOVERY, factor=factor, origins=origins)


@compiled
def on_refund_request(state, plan, row, refund):  # type: ignore[no-untyped-def]
    """Await a refund; with no room left, in the place of the one that is due last."""
    chosen = REFUNDS
    for slot in range(REFUNDS, REFUNDS_END, REFUND_SIZE):
        if state[slot + REFUND_KEY] == refund:  # asked for again
            return
        free = state[slot + REFUND_KEY] == 0.0
        later = state[slot + REFUND_DUE] > state[chosen + REFUND_DUE]
        if free or (state[chosen + REFUND_KEY] != 0.0 and later):
            chosen = slot
    state[chosen + REFUND_KEY] = refund
    state[chosen + REFUND_DUE] = row["time"] + plan[_REFUND_DELAYED + WITHIN]
    state[chosen + REFUND_SEQ] = row["seq"]
    state[chosen + REFUND_TOUCHPOINT] = row["touchpoint"]
    schedule(state, plan)


@compiled
def schedule(state, plan):  # type: ignore[no-untyped-def]
    """Note when the next silence is over."""
    if plan[_SURVEY_UNANSWERED + RULE_KIND] < 0.0:
        state[SURVEY_DUE] = np.inf
    due = min(state[SURVEY_DUE], form_due(state, plan))
    if plan[_REFUND_DELAYED + RULE_KIND] >= 0.0:
        for slot in range(REFUNDS, REFUNDS_END, REFUND_SIZE):
            if state[slot + REFUND_KEY] != 0.0:
                due = min(due, state[slot + REFUND_DUE])
    state[NEXT_DUE] = due
