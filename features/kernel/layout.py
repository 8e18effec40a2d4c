"""Where the compiled fold keeps what: the fields of a row, the places in state and plan.

The state of a customer is one float64 array: head, detectors, kinds, nodes, contacts, traits. The
plan, one float64 array too, is what the fold knows of a journey (`features.kernel.plan`). Times are
seconds since 1970 UTC; keys (a query, an issue, a target) are 52-bit hashes. Names that end in
`_AT` are places in the plan that hold a place; `_KEPT`: how many entries there is room for.
"""

from __future__ import annotations

import numpy as np

from nba.customer.context import HALF_LIVES_DAYS
from nba.events.detectors import DETECTORS
from nba.events.signals import ROLES

EVENT, TRAIT, CONTACT = range(3)  # what a row does
ROLE = {role: code for code, role in enumerate(ROLES, start=1)}  # 0: no role

ROW = np.dtype(
    [
        ("time", "f8"),
        ("seq", "i8"),
        ("op", "i4"),
        ("kind", "i4"),  # of the event, or of a contact on its channel; -1: of none
        ("touchpoint", "i4"),  # -1: at none
        ("subject", "i4"),  # the trait's code, or the contact's action and channel (CHANNELS)
        ("role", "i4"),
        ("flag", "i4"),  # of a contact's end: resolved 1, not 0, unknown -1
        ("amount", "f8"),
        ("valence", "f8"),  # of this very event (survey, words); NaN: that of its kind
        ("confidence", "f8"),
        ("key", "i8"),  # what the role is about; 0: not said
        ("sketch", "i8"),  # of a query: a bit for each of its letter trigrams
        ("number", "f8"),  # results of a search; wait beyond the announced one, in its units
    ]
)
QUERY = np.dtype(  # a moment at which a context row is wanted; see `fold_events.replay`
    [("as_of", "f8"), ("seen_seq", "i8"), ("seen_received", "f8"), ("action", "i8")]
)
SKETCH_BITS = 52  # of a query
CHANNELS = 4_096  # a contact's action and channel as one number: (action + 1) x this + channel + 1

# A trace has a row for each part of a node; of its first row, TRACE_COUNT says how many there are.
TRACE_COUNT = 0
ORIGINS = 4  # log positions of the events that a part comes from, at most; 0: none
(
    TRACE_NODE,  # the node's number, -1 for none
    TRACE_TIME,
    TRACE_KIND,
    TRACE_TOUCHPOINT,
    TRACE_VALENCE,
    TRACE_CONFIDENCE,
    TRACE_DERIVED,  # 1 for a signal
    TRACE_ORIGINS,
) = range(8)
TRACE_COLUMNS = TRACE_ORIGINS + ORIGINS

# state: the head
N_EVENTS, FIRST_TIME, LAST_TIME, STAGE, STAGE_TIME, N_NODES, N_CONTACTS, NEXT_DUE, EWMA = range(9)
DECAYED, DECAYED_TIME, STREAK, LAST_NEGATIVE_TIME, LAST_NODE, HEAD_END = range(EWMA + 3, EWMA + 9)

# state: the detectors. A ring is how many entries were ever written, then the entries.
CLICKS_KEPT, PAGES_KEPT, ISSUES_KEPT, FAILURES_KEPT, REFUNDS_KEPT, VIEWS_KEPT = 4, 5, 3, 6, 2, 4
CLICK_TIME, CLICK_SEQ, CLICK_SIZE = range(3)
ENTRY_KEY, ENTRY_TIME, ENTRY_SEQ, ENTRY_SIZE = range(4)  # of a ring
FAILURE_KEY, FAILURE_TIME, FAILURE_SEQ, FAILURE_STATUS, FAILURE_SIZE = range(5)
REFUND_KEY, REFUND_DUE, REFUND_SEQ, REFUND_TOUCHPOINT, REFUND_SIZE = range(5)  # key 0: free

CLICK_TARGET, CLICK_COUNT, CLICK_FIRED, CLICK_FAILED, CLICK_RING = range(HEAD_END, HEAD_END + 5)
PAGE_RING = CLICK_RING + CLICK_SIZE * CLICKS_KEPT
_search = PAGE_RING + 1 + ENTRY_SIZE * PAGES_KEPT
SEARCH_KEY, SEARCH_SKETCH, SEARCH_TIME, SEARCH_SEQ = range(_search, _search + 4)
EMPTY_SEARCH_TIME, EMPTY_SEARCH_SEQ, FORM_KEY = range(_search + 4, _search + 7)
FORM_TIME, FORM_FIRST_SEQ, FORM_LAST_SEQ, FORM_ERRORS = range(FORM_KEY + 1, FORM_KEY + 5)
FORM_TOUCHPOINT, FORM_PAGE, FORM_ERROR_SEQ, FORM_ERROR_TIME = range(FORM_KEY + 5, FORM_KEY + 9)
ISSUE_RING = FORM_KEY + 9
FAILURE_RING = ISSUE_RING + 1 + ENTRY_SIZE * ISSUES_KEPT
REFUNDS = FAILURE_RING + 1 + FAILURE_SIZE * FAILURES_KEPT
REFUNDS_END = REFUNDS + REFUND_SIZE * REFUNDS_KEPT
VIEW_OPEN, VIEW_TOUCHPOINT, VIEW_TIME, VIEW_SEQ, VIEW_RING = range(REFUNDS_END, REFUNDS_END + 5)
SURVEY_DUE = VIEW_RING + 1 + ENTRY_SIZE * VIEWS_KEPT
SURVEY_SEQ, SURVEY_TOUCHPOINT, KINDS = range(SURVEY_DUE + 1, SURVEY_DUE + 4)

# state: a kind, a node, a contact
WINDOWS = len(HALF_LIVES_DAYS)
KIND_TIME, KIND_COUNT, KIND_DECAYED = range(3)
KIND_SUM = KIND_DECAYED + WINDOWS  # of a kind with an amount
KIND_SUM_DECAYED = KIND_SUM + 1
NODE_CODE, NODE_VALENCE, NODE_TIME, NODE_AROUSAL, NODE_CONFIDENCE, NODE_STRONGEST = range(6)
NODE_SIZE = 6
STRONGEST = 2**20  # NODE_CODE: (kind of the strongest part + 1) x this + touchpoint x 4 + agency
CONTACT_TIME, CONTACT_SUBJECT, CONTACT_SIZE = range(3)

# plan: a head, the detectors' rules, then tables of kinds, touchpoints and appraisals
NODES_AT, CONTACTS_AT, TRAITS_AT, NODES_KEPT, N_TRAITS, SIZE, N_KINDS, N_TOUCHPOINTS = range(8)
TOUCHPOINTS_AT, APPRAISALS_AT, RULES = range(8, 11)
RULE_KIND, TIMES, WITHIN, BEYOND, AGAIN, RULE_SIZE = range(6)  # kind: -1 for a rule not in use
RULE = {detector.signal: RULES + RULE_SIZE * n for n, detector in enumerate(DETECTORS)}
KIND_TABLE = RULES + RULE_SIZE * len(DETECTORS)
KIND_AT, KIND_SUMMED, KIND_AROUSAL, KIND_AGENCY, KIND_SIZE = range(5)
TOUCHPOINT_STAGE, TOUCHPOINT_CHANNEL, TOUCHPOINT_SIZE = range(3)
APPRAISAL_VALENCE, APPRAISAL_CONFIDENCE, APPRAISAL_SIZE = range(3)
