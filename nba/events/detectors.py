"""Detectors: the rules by which the fold reads a signal from a sequence of events.

The journey file can set the thresholds that a detector reads.
"""

from __future__ import annotations

from typing import NamedTuple

from nba.durations import DAY_S

THRESHOLDS = ("times", "within_s", "beyond", "again")


class Detector(NamedTuple):
    """A rule over the sequence of one customer's events."""

    signal: str
    roles: tuple[str, ...]  # it runs where every one of them is mapped
    settable: tuple[str, ...]  # those of `THRESHOLDS` that it reads
    rule: str
    source: str  # of the thresholds
    times: int = 1  # how many events make it
    within_s: float = 0.0  # in which they fall, or after which a silence counts
    beyond: float = 0.0  # a further threshold in the unit that `rule` states
    again: float = 1.0  # the factor on the valence where it happens again
    most_times: int = 1  # what the state can remember


DETECTORS: tuple[Detector, ...] = (
    Detector(
        signal="rage_click",
        roles=("click",),
        times=3,
        within_s=1.0,
        most_times=4,
        settable=("times", "within_s"),
        rule="`times` clicks on one target within `within_s`; once until the clicking pauses",
        source="Datadog browser SDK: 3 in 1 s; others take 3 to 5 in 0.3 to 5 s",
    ),
    Detector(
        signal="error_click",
        roles=("click", "error"),
        within_s=2.0,
        settable=("within_s",),
        rule="an error at most `within_s` after a click; once for each click",
        source="Amplitude and New Relic: 2 s",
    ),
    Detector(
        signal="quick_back",
        roles=("page",),
        within_s=7.0,
        settable=("within_s",),
        rule="back to the previous page after less than `within_s` on this one",
        source="Hotjar's U-turn: 7 s",
    ),
    Detector(
        signal="page_loop",
        roles=("page",),
        times=3,
        within_s=15.0,
        most_times=5,
        settable=("times", "within_s"),
        rule=(
            "`times` views of one page within `within_s`, among the last 5 of any; then counted "
            "anew"
        ),
        source="Conviva: 3 in 15 s",
    ),
    Detector(
        signal="zero_result",
        roles=("search",),
        within_s=60.0,
        again=1.5,
        settable=("within_s", "again"),
        rule="a search with no result; `again` times as bad within `within_s` of the last such",
        source="quick requery without a click shows dissatisfaction; 60 s and 1.5 are ours",
    ),
    Detector(
        signal="repeated_search",
        roles=("search",),
        times=2,
        within_s=60.0,
        most_times=2,
        settable=("within_s",),
        rule="the same query within `within_s` of the search before, no result clicked between",
        source="quick requery without a click shows dissatisfaction; 60 s is ours",
    ),
    Detector(
        signal="reformulation",
        roles=("search",),
        times=2,
        within_s=60.0,
        beyond=0.5,
        most_times=2,
        settable=("within_s", "beyond"),
        rule=(
            "a query more than `beyond` similar to the one before (Jaccard of letter trigrams), "
            "within `within_s`, no result clicked between"
        ),
        source="quick requery without a click shows dissatisfaction; 60 s and 0.5 are ours",
    ),
    Detector(
        signal="form_abandoned",
        roles=("field",),
        within_s=1_800.0,
        settable=("within_s",),
        rule="a form begun and not submitted: another page, or `within_s` of silence",
        source="the common session time-out of 30 min",
    ),
    Detector(
        signal="form_errors",
        roles=("field_error",),
        times=2,
        within_s=1_800.0,
        most_times=99,
        settable=("times", "within_s"),
        rule=(
            "`times` validation errors in one form, each within `within_s` of the last; once a form"
        ),
        source="counted apart from abandonment; 2 is ours",
    ),
    Detector(
        signal="repeat_contact",
        roles=("contact",),
        times=2,
        within_s=7 * DAY_S,
        most_times=3,
        settable=("times", "within_s"),
        rule="`times` contacts about one issue within `within_s`: the first did not resolve it",
        source="call centres count 7 d (1 to 3 d for chat); there is no standard",
    ),
    Detector(
        signal="wait_over",
        roles=("contact_end",),
        settable=("beyond",),
        rule=(
            "waited longer than announced, by more than `beyond` announced times; 0.1 worse for "
            "each further announced time, at worst -0.9"
        ),
        source="SSRN 3706565: a minute after the announced time weighs far more than one before",
    ),
    Detector(
        signal="channel_switch",
        roles=("contact",),
        within_s=DAY_S,
        settable=("within_s",),
        rule="the same issue on another channel within `within_s` of a failure",
        source="CEB's customer effort: switching channels is effort; 24 h is ours",
    ),
    Detector(
        signal="refund_delayed",
        roles=("refund_request",),
        within_s=14 * DAY_S,
        settable=("within_s",),
        rule="a refund asked for and not paid after `within_s`; two at a time are watched",
        source="Directive 2011/83/EU, art. 13: 14 days",
    ),
    Detector(
        signal="dwell",
        roles=("view",),
        within_s=1_800.0,
        beyond=30.0,
        settable=("within_s", "beyond"),
        rule=(
            "more than `beyond` seconds, at most `within_s`, from a view to the next event on its "
            "channel"
        ),
        source="ours",
    ),
    Detector(
        signal="repeated_view",
        roles=("view",),
        times=3,
        within_s=7 * DAY_S,
        most_times=4,
        settable=("times", "within_s"),
        rule=(
            "`times` views of one item within `within_s`, among the last 4 of any; then counted "
            "anew"
        ),
        source="ours",
    ),
    Detector(
        signal="recovery",
        roles=("success",),
        within_s=30 * DAY_S,
        again=1 / 3,
        settable=("within_s", "again"),
        rule=(
            "an issue settled within `within_s` of its failure; worth `again` where it had failed "
            "more than once"
        ),
        source="Maxham and Netemeyer 2002: a paradox after one failure, none after two",
    ),
    Detector(
        signal="survey_unanswered",
        roles=("survey_sent",),
        within_s=7 * DAY_S,
        settable=("within_s",),
        rule="no answer `within_s` after the last invitation",
        source="ours",
    ),
)
DETECTOR_OF = {detector.signal: detector for detector in DETECTORS}


def detectors_of(roles: set[str]) -> list[Detector]:
    """The detectors that can run where these roles are mapped."""
    present = roles | ({"success"} if "contact_end" in roles else set())
    return [detector for detector in DETECTORS if set(detector.roles) <= present]
