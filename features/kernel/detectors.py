"""Detectors, compiled: one event against what is remembered of those before it.

`nba.events.signals` states each rule. A signal is counted like an event, felt at the touchpoint of
the
event that completes it, and names the events that it comes from. A signal of silence (a form left,
a refund not paid, a survey not answered) happens at its deadline, whenever that is noticed.
"""

from __future__ import annotations

import numpy as np

from features.kernel.browsing_detectors import click, dwell, error, item_viewed, page_viewed, search
from features.kernel.firing import BEYOND, WITHIN, fire
from features.kernel.layout import (
    DWELL,
    FORM,
    INVITATION,
    NEXT_DUE,
    REFUND,
    REFUNDS,
    ROLE,
    SEARCH,
    SIGNAL,
    SIGNALS,
    compiled,
)
from features.kernel.service_detectors import (
    abandon,
    contact,
    failure,
    form_due,
    form_touched,
    refund,
    schedule,
    success,
    wait,
)

_WAIT_OVER, _REFUND_DELAYED = SIGNAL["wait_over"], SIGNAL["refund_delayed"]
_SURVEY_UNANSWERED = SIGNAL["survey_unanswered"]

_CLICK, _ERROR, _PAGE, _VIEW = ROLE["click"], ROLE["error"], ROLE["page"], ROLE["view"]
_SEARCH, _RESULT_CLICK, _FIELD = ROLE["search"], ROLE["result_click"], ROLE["field"]
_FIELD_ERROR, _SUBMIT, _CONTACT = ROLE["field_error"], ROLE["submit"], ROLE["contact"]
_CONTACT_END, _FAILURE, _SUCCESS = ROLE["contact_end"], ROLE["failure"], ROLE["success"]
_REFUND_REQUEST, _REFUND_PAID = ROLE["refund_request"], ROLE["refund_paid"]
_SURVEY_SENT, _NPS, _CES = ROLE["survey_sent"], ROLE["nps"], ROLE["ces"]

_NAMELESS = 2.0**52  # keys of events that do not say what they are about: their touchpoint


@compiled
def conclude(state, plan, row, trace):  # type: ignore[no-untyped-def]
    """Fire what one event says of the visit before it, before it has a node of its own."""
    role = row["role"]
    if state[DWELL] > 0.0:
        dwell(state, plan, row, trace)
    if state[FORM] == 0.0:
        return
    about = _about(row)
    other_page = role == _PAGE and state[FORM + 6] != about
    other_form = (role == _FIELD or role == _FIELD_ERROR) and state[FORM] != about
    if other_page or other_form:
        abandon(state, plan, row["time"], trace)
        schedule(state, plan)


@compiled
def _about(row):  # type: ignore[no-untyped-def]
    return float(row["key"]) if row["key"] != 0 else _NAMELESS + row["b"]


@compiled
def detect(state, plan, row, trace):  # type: ignore[no-untyped-def]
    """Let every detector see one event, whose own node is already there."""
    role = row["role"]
    if role == 0:
        return
    about = _about(row)
    if role == _CLICK:
        click(state, plan, row, about, trace)
    elif role == _ERROR:
        error(state, plan, row, trace)
    elif role == _PAGE:
        page_viewed(state, plan, row, about, trace)
    elif role == _VIEW:
        item_viewed(state, plan, row, about, trace)
    elif role == _SEARCH:
        search(state, plan, row, trace)
    elif role == _RESULT_CLICK:
        state[SEARCH] = 0.0
        state[SEARCH + 1] = 0.0
    elif role == _FIELD or role == _FIELD_ERROR:
        form_touched(state, plan, row, about, trace)
    elif role == _SUBMIT:
        if state[FORM] == about:
            state[FORM] = 0.0
            schedule(state, plan)
    elif role == _CONTACT:
        contact(state, plan, row, about, trace)
    elif role == _CONTACT_END:
        if row["number"] > plan[SIGNALS + 5 * _WAIT_OVER + BEYOND]:
            wait(state, plan, row, trace)
        if row["flag"] == 0:
            failure(state, plan, row, about)
        elif row["flag"] == 1:
            success(state, plan, row, about, trace)
    elif role == _FAILURE:
        failure(state, plan, row, about)
    elif role == _SUCCESS:
        success(state, plan, row, about, trace)
    elif role == _REFUND_REQUEST:
        refund(state, plan, row, about)
    elif role == _REFUND_PAID:
        for slot in range(REFUND, REFUND + 4 * REFUNDS, 4):
            if state[slot] == about:
                state[slot] = 0.0
        schedule(state, plan)
    elif role == _SURVEY_SENT:
        state[INVITATION] = row["time"] + plan[SIGNALS + 5 * _SURVEY_UNANSWERED + WITHIN]
        state[INVITATION + 1] = row["seq"]
        state[INVITATION + 2] = row["b"]
        schedule(state, plan)
    elif _NPS <= role <= _CES:
        state[INVITATION] = np.inf
        schedule(state, plan)


@compiled
def settle(state, plan, upto, trace):  # type: ignore[no-untyped-def]
    """Fire what a silence up to `upto` has brought, in order of time."""
    while state[NEXT_DUE] <= upto and state[NEXT_DUE] < np.inf:
        due = state[NEXT_DUE]
        if state[INVITATION] == due:
            state[INVITATION] = np.inf
            seqs = (state[INVITATION + 1], 0.0, 0.0, 0.0)
            touchpoint = int(state[INVITATION + 2])
            fire(state, plan, _SURVEY_UNANSWERED, touchpoint, due, due, 1.0, seqs, trace)
        elif form_due(state, plan) == due:
            abandon(state, plan, due, trace)
        else:
            for slot in range(REFUND, REFUND + 4 * REFUNDS, 4):
                if state[slot] != 0.0 and state[slot + 1] == due:
                    state[slot] = 0.0
                    seqs = (state[slot + 2], 0.0, 0.0, 0.0)
                    touchpoint = int(state[slot + 3])
                    fire(
                        *(state, plan, _REFUND_DELAYED, touchpoint, due, due, 1.0, seqs),
                        trace,
                    )
                    break
        schedule(state, plan)
