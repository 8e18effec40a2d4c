"""Signals: what a sequence of events says about how it felt.

`ROLES`: what an event can be to a detector, and which of its properties the detector reads.
`PRIORS`: how each signal feels until it is learned. `DETECTORS`: the rules that the fold knows,
with their thresholds and where these come from. Every number can be set in the journey file.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from nba.durations import DAY_S

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
        **{"issue": "issue", "resolved": "resolved"},
        **{"wait": "wait_s", "announced": "announced_wait_s"},
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


class Detector(NamedTuple):
    """A rule over the sequence of one customer's events.

    `times`: how many events make it. `within_s`: seconds in which they fall, or after which a
    silence counts. `beyond`: a further threshold in the unit that `rule` states. `again`: the
    factor on the valence where it happens again.
    """

    signal: str
    roles: tuple[str, ...]  # it runs where every one of them is mapped
    times: int
    within_s: float
    beyond: float
    again: float
    most_times: int  # what the state can remember
    rule: str
    source: str


DETECTORS: tuple[Detector, ...] = (
    Detector(
        *("rage_click", ("click",), 3, 1.0, 0.0, 1.0, 4),
        "`times` clicks on one target within `within_s`; once until the clicking pauses",
        "Datadog browser SDK: 3 in 1 s; others take 3 to 5 in 0.3 to 5 s",
    ),
    Detector(
        *("error_click", ("click", "error"), 1, 2.0, 0.0, 1.0, 1),
        "an error at most `within_s` after a click; once for each click",
        "Amplitude and New Relic: 2 s",
    ),
    Detector(
        *("quick_back", ("page",), 1, 7.0, 0.0, 1.0, 1),
        "back to the previous page after less than `within_s` on this one",
        "Hotjar's U-turn: 7 s",
    ),
    Detector(
        *("page_loop", ("page",), 3, 15.0, 0.0, 1.0, 5),
        "`times` views of one page within `within_s`, among the last 5 of any; then counted anew",
        "Conviva: 3 in 15 s",
    ),
    Detector(
        *("zero_result", ("search",), 1, 60.0, 0.0, 1.5, 1),
        "a search with no result; `again` times as bad within `within_s` of the last such",
        "quick requery without a click shows dissatisfaction; 60 s and 1.5 are ours",
    ),
    Detector(
        *("repeated_search", ("search",), 2, 60.0, 0.0, 1.0, 2),
        "the same query within `within_s` of the search before, no result clicked between",
        "quick requery without a click shows dissatisfaction; 60 s is ours",
    ),
    Detector(
        *("reformulation", ("search",), 2, 60.0, 0.5, 1.0, 2),
        "a query more than `beyond` similar to the one before (Jaccard of letter trigrams), "
        "within `within_s`, no result clicked between",
        "quick requery without a click shows dissatisfaction; 60 s and 0.5 are ours",
    ),
    Detector(
        *("form_abandoned", ("field",), 1, 1_800.0, 0.0, 1.0, 1),
        "a form begun and not submitted: another page, or `within_s` of silence",
        "the common session time-out of 30 min",
    ),
    Detector(
        *("form_errors", ("field_error",), 2, 1_800.0, 0.0, 1.0, 99),
        "`times` validation errors in one form, each within `within_s` of the last; once a form",
        "counted apart from abandonment; 2 is ours",
    ),
    Detector(
        *("repeat_contact", ("contact",), 2, 7 * DAY_S, 0.0, 1.0, 3),
        "`times` contacts about one issue within `within_s`: the first did not resolve it",
        "call centres count 7 d (1 to 3 d for chat); there is no standard",
    ),
    Detector(
        *("wait_over", ("contact_end",), 1, 0.0, 0.0, 1.0, 1),
        "waited longer than announced, by more than `beyond` announced times; 0.1 worse for "
        "each further announced time, at worst -0.9",
        "SSRN 3706565: a minute after the announced time weighs far more than one before",
    ),
    Detector(
        *("channel_switch", ("contact",), 1, DAY_S, 0.0, 1.0, 1),
        "the same issue on another channel within `within_s` of a failure",
        "CEB's customer effort: switching channels is effort; 24 h is ours",
    ),
    Detector(
        *("refund_delayed", ("refund_request",), 1, 14 * DAY_S, 0.0, 1.0, 1),
        "a refund asked for and not paid after `within_s`; two at a time are watched",
        "Directive 2011/83/EU, art. 13: 14 days",
    ),
    Detector(
        *("dwell", ("view",), 1, 1_800.0, 30.0, 1.0, 1),
        "more than `beyond` seconds, at most `within_s`, from a view to the next event on its "
        "channel",
        "ours",
    ),
    Detector(
        *("repeated_view", ("view",), 3, 7 * DAY_S, 0.0, 1.0, 4),
        "`times` views of one item within `within_s`, among the last 4 of any; then counted anew",
        "ours",
    ),
    Detector(
        *("recovery", ("success",), 1, 30 * DAY_S, 0.0, 1 / 3, 1),
        "an issue settled within `within_s` of its failure; worth `again` where it had failed "
        "more than once",
        "Maxham and Netemeyer 2002: a paradox after one failure, none after two",
    ),
    Detector(
        *("survey_unanswered", ("survey_sent",), 1, 7 * DAY_S, 0.0, 1.0, 1),
        "no answer `within_s` after the last invitation",
        "ours",
    ),
)
SETTABLE: dict[str, tuple[str, ...]] = {  # the thresholds that each detector reads
    **{"rage_click": ("times", "within_s"), "error_click": ("within_s",)},
    **{"quick_back": ("within_s",), "page_loop": ("times", "within_s")},
    **{"zero_result": ("within_s", "again"), "repeated_search": ("within_s",)},
    **{"reformulation": ("within_s", "beyond"), "form_abandoned": ("within_s",)},
    **{"form_errors": ("times", "within_s"), "repeat_contact": ("times", "within_s")},
    **{"wait_over": ("beyond",), "channel_switch": ("within_s",)},
    **{"refund_delayed": ("within_s",), "dwell": ("within_s", "beyond")},
    **{"repeated_view": ("times", "within_s"), "recovery": ("within_s", "again")},
    "survey_unanswered": ("within_s",),
}
DETECTED = {detector.signal: detector for detector in DETECTORS}


def detectors_of(roles: set[str]) -> list[Detector]:
    """The detectors that can run where these roles are mapped."""
    present = roles | ({"success"} if "contact_end" in roles else set())
    return [detector for detector in DETECTORS if set(detector.roles) <= present]
