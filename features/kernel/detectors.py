"""Detectors, compiled: one event against what is remembered of those before it.

`nba.events.signals` states each rule. A signal is counted like an event, belongs to the touchpoint
of the event that completes it, and names the events that it comes from. A signal of silence (a form
left, a refund not paid, a survey not answered) happens at its deadline, whenever that is noticed.
"""

from __future__ import annotations

import numpy as np

from features.kernel.browsing_detectors import (
    close_view,
    on_click,
    on_error,
    on_page,
    on_search,
    on_view,
)
from features.kernel.compilation import compiled
from features.kernel.firing import fire_at
from features.kernel.layout import (
    BEYOND,
    FORM_KEY,
    FORM_PAGE,
    NEXT_DUE,
    REFUND_DUE,
    REFUND_KEY,
    REFUND_SEQ,
    REFUND_SIZE,
    REFUND_TOUCHPOINT,
    REFUNDS,
    REFUNDS_END,
    ROLE,
    RULE,
    SEARCH_KEY,
    SEARCH_SKETCH,
    SURVEY_DUE,
    SURVEY_SEQ,
    SURVEY_TOUCHPOINT,
    VIEW_OPEN,
    WITHIN,
)
from features.kernel.service_detectors import (
    abandon_form,
    form_due,
    on_contact,
    on_failure,
    on_field,
    on_long_wait,
    on_refund_request,
    on_success,
    schedule,
)

_WAIT_OVER, _REFUND_DELAYED = RULE["wait_over"], RULE["refund_delayed"]
_SURVEY_UNANSWERED = RULE["survey_unanswered"]

_CLICK, _ERROR, _PAGE, _VIEW = ROLE["click"], ROLE["error"], ROLE["page"], ROLE["view"]
_SEARCH, _RESULT_CLICK, _FIELD = ROLE["search"], ROLE["result_click"], ROLE["field"]
_FIELD_ERROR, _SUBMIT, _CONTACT = ROLE["field_error"], ROLE["submit"], ROLE["contact"]
_CONTACT_END, _FAILURE, _SUCCESS = ROLE["contact_end"], ROLE["failure"], ROLE["success"]
_REFUND_REQUEST, _REFUND_PAID = ROLE["refund_request"], ROLE["refund_paid"]
_SURVEY_SENT, _NPS, _CES = ROLE["survey_sent"], ROLE["nps"], ROLE["ces"]

_TOUCHPOINT_KEYS = 2.0**52  # from here: keys of events that do not say what they are about


@compiled
def close_previous(state, plan, row, trace):  # type: ignore[no-untyped-def]
    """Fire what an event says of the visit before it, before it has a node of its own."""
    role = row["role"]
    if state[VIEW_OPEN] > 0.0:
        close_view(state, plan, row, trace)
    if state[FORM_KEY] == 0.0:
        return
    key = _key(row)
    other_page = role == _PAGE and state[FORM_PAGE] != key
    other_form = (role == _FIELD or role == _FIELD_ERROR) and state[FORM_KEY] != key
    if other_page or other_form:
        abandon_form(state, plan, trace, row["time"])
        schedule(state, plan)


@compiled
def _key(row):  # type: ignore[no-untyped-def]
    """What an event is about; where it does not say, its touchpoint."""
    return float(row["key"]) if row["key"] != 0 else _TOUCHPOINT_KEYS + row["touchpoint"]


@compiled
def detect(state, plan, row, trace):  # type: ignore[no-untyped-def]
    """Let every detector see one event, whose own node is already there."""
    role = row["role"]
    if role == 0:
        return
    key = _key(row)
    if role == _CLICK:
        on_click(state, plan, row, trace, key)
    elif role == _ERROR:
        on_error(state, plan, row, trace)
    elif role == _PAGE:
        on_page(state, plan, row, trace, key)
    elif role == _VIEW:
        on_view(state, plan, row, trace, key)
    elif role == _SEARCH:
        on_search(state, plan, row, trace)
    elif role == _RESULT_CLICK:
        state[SEARCH_KEY] = 0.0
        state[SEARCH_SKETCH] = 0.0
    elif role == _FIELD or role == _FIELD_ERROR:
        on_field(state, plan, row, trace, key)
    elif role == _SUBMIT:
        if state[FORM_KEY] == key:
            state[FORM_KEY] = 0.0
            schedule(state, plan)
    elif role == _CONTACT:
        on_contact(state, plan, row, trace, key)
    elif role == _CONTACT_END:
        if row["number"] > plan[_WAIT_OVER + BEYOND]:
            on_long_wait(state, plan, row, trace)
        if row["flag"] == 0:
            on_failure(state, plan, row, key)
        elif row["flag"] == 1:
            on_success(state, plan, row, trace, key)
    elif role == _FAILURE:
        on_failure(state, plan, row, key)
    elif role == _SUCCESS:
        on_success(state, plan, row, trace, key)
    elif role == _REFUND_REQUEST:
        on_refund_request(state, plan, row, key)
    elif role == _REFUND_PAID:
        for slot in range(REFUNDS, REFUNDS_END, REFUND_SIZE):
            if state[slot + REFUND_KEY] == key:
                state[slot + REFUND_KEY] = 0.0
        schedule(state, plan)
    elif role == _SURVEY_SENT:
        state[SURVEY_DUE] = row["time"] + plan[_SURVEY_UNANSWERED + WITHIN]
        state[SURVEY_SEQ] = row["seq"]
        state[SURVEY_TOUCHPOINT] = row["touchpoint"]
        schedule(state, plan)
    elif _NPS <= role <= _CES:
        state[SURVEY_DUE] = np.inf
        schedule(state, plan)


@compiled
def fire_due(state, plan, trace, upto):  # type: ignore[no-untyped-def]
    """Fire what a silence up to `upto` has brought, in order of time."""
    while state[NEXT_DUE] <= upto and state[NEXT_DUE] < np.inf:
        due = state[NEXT_DUE]
        if state[SURVEY_DUE] == due:
            state[SURVEY_DUE] = np.inf
            touchpoint = int(state[SURVEY_TOUCHPOINT])
            origins = (state[SURVEY_SEQ], 0.0, 0.0, 0.0)
            fire_at(
                state,
                plan,
                trace,
                _SURVEY_UNANSWERED,
                touchpoint,
                time=due,
                visited=due,
                origins=origins,
            )
        elif form_due(state, plan) == due:
            abandon_form(state, plan, trace, due)
        else:
            for slot in range(REFUNDS, REFUNDS_END, REFUND_SIZE):
                if state[slot + REFUND_KEY] != 0.0 and state[slot + REFUND_DUE] == due:
                    state[slot + REFUND_KEY] = 0.0
                    touchpoint = int(state[slot + REFUND_TOUCHPOINT])
                    origins = (state[slot + REFUND_SEQ], 0.0, 0.0, 0.0)
                    fire_at(
                        state,
                        plan,
                        trace,
                        _REFUND_DELAYED,
                        touchpoint,
                        time=due,
                        visited=due,
                        origins=origins,
                    )
                    break
        schedule(state, plan)
