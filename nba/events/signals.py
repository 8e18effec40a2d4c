"""Signals: what events say about how they felt.

`ROLES`: what an event can be to a detector, and which of its properties the detector reads.
`PRIORS`: how each signal feels until it is learned. The journey file can set every number.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Agency = Literal["firm", "self", "none"]
AGENCIES: tuple[Agency, ...] = ("none", "firm", "self")
PRIOR_VERSION = 1  # raised when a default below changes
PRIOR_CONFIDENCE = 0.5  # of a valence that nobody has learned

ROLES: dict[str, dict[str, str]] = {  # role -> what it reads -> the property, unless `reads` says
    "click": {"target": "target"},
    "error": {},
    "page": {"page": "url"},
    "view": {"item": "product"},
    "search": {"query": "query", "results": "results_count"},
    "result_click": {},
    "field": {"form": "form"},
    "field_error": {"form": "form"},
    "submit": {"form": "form"},
    "contact": {"issue": "issue"},
    "contact_end": {
        "issue": "issue",
        "resolved": "resolved",
        "wait": "wait_s",
        "announced": "announced_wait_s",
    },
    "failure": {"issue": "issue"},
    "success": {"issue": "issue"},
    "refund_request": {"refund": "refund_id"},
    "refund_paid": {"refund": "refund_id"},
    "survey_sent": {},
    "nps": {"score": "score"},
    "csat": {"score": "score"},
    "ces": {"score": "score"},
}
SURVEYS = {"nps": (7.5, 7.5), "csat": (3.0, 2.0), "ces": (4.0, 3.0)}  # centre and half width


class SignalPrior(NamedTuple):
    """How a signal feels: valence -1 to 1, arousal 0 to 1, and whose doing it is."""

    valence: float
    arousal: float
    agency: Agency


PRIORS: dict[str, SignalPrior] = {
    "complaint": SignalPrior(-0.9, 0.9, "firm"),
    "repeat_contact": SignalPrior(-0.8, 0.7, "firm"),
    "payment_failed": SignalPrior(-0.7, 0.7, "firm"),
    "error_click": SignalPrior(-0.7, 0.7, "firm"),
    "wait_over": SignalPrior(-0.6, 0.5, "firm"),
    "refund_delayed": SignalPrior(-0.6, 0.5, "firm"),
    "rage_click": SignalPrior(-0.5, 0.9, "firm"),
    "repeated_search": SignalPrior(-0.4, 0.5, "firm"),
    "reformulation": SignalPrior(-0.2, 0.3, "firm"),
    "zero_result": SignalPrior(-0.4, 0.5, "firm"),
    "form_abandoned": SignalPrior(-0.4, 0.4, "none"),
    "form_errors": SignalPrior(-0.4, 0.5, "self"),
    "channel_switch": SignalPrior(-0.4, 0.5, "firm"),
    "agent_transfer": SignalPrior(-0.4, 0.5, "firm"),
    "quick_back": SignalPrior(-0.2, 0.2, "none"),
    "page_loop": SignalPrior(-0.2, 0.3, "none"),
    "dead_click": SignalPrior(-0.2, 0.3, "firm"),
    "thrashed_cursor": SignalPrior(-0.1, 0.4, "none"),
    "excessive_scrolling": SignalPrior(-0.1, 0.2, "none"),
    "survey_unanswered": SignalPrior(0.0, 0.1, "none"),
    "search_click": SignalPrior(0.1, 0.1, "none"),
    "dwell": SignalPrior(0.1, 0.1, "none"),
    "repeated_view": SignalPrior(0.1, 0.2, "none"),
    "save": SignalPrior(0.2, 0.2, "self"),
    "delivery_on_time": SignalPrior(0.3, 0.2, "firm"),
    "self_service_success": SignalPrior(0.4, 0.3, "self"),
    "purchase": SignalPrior(0.4, 0.4, "self"),
    "agent_resolved": SignalPrior(0.5, 0.3, "firm"),
    "recovery": SignalPrior(0.6, 0.5, "firm"),
    "referral_made": SignalPrior(0.8, 0.5, "self"),
}
