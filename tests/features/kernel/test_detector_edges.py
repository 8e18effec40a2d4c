"""What a signal is not: the edges of each detector."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from features.fold import Fold
from features.kernel.layout import RULE
from nba.durations import DAY_S
from nba.events.detectors import DETECTORS
from nba.journey.mapping import SignalRule
from tests.fixtures.customer_with_signals import (
    FOLD_OF_SIGNALS,
    CustomerWithSignals,
    customer_after,
    signal_journey,
)
from tests.fixtures.signal_steps import (
    IDS,
    clicks,
    ended,
    form,
    issue,
    pages,
    search,
    views,
)
from tests.fixtures.small_replica import NOON


def test_a_fourth_click_is_the_same_rage_and_a_pause_ends_it() -> None:
    assert len(customer_after(*clicks(0, 0.3, 0.6, 0.9, 1.2)).fired("rage_click")) == 1
    assert len(customer_after(*clicks(0, 0.3, 0.6, 5, 5.3, 5.6)).fired("rage_click")) == 2


def test_clicks_on_different_targets_are_no_rage() -> None:
    steps = [*clicks(0), *clicks(0.2, target="sell"), *clicks(0.4)]
    assert customer_after(*steps).fired("rage_click") == []


def test_one_click_has_one_error() -> None:
    assert len(customer_after(*clicks(0), (0.5, "error"), (0.6, "error")).fired("error_click")) == 1


def test_a_longer_stay_is_no_quick_back_and_neither_is_another_page() -> None:
    assert customer_after(*pages((0, "/a"), (1, "/b"), (3, "/c"))).fired("quick_back") == []
    assert customer_after(*pages((0, "/a"), (1, "/a"), (3, "/a"))).fired("quick_back") == []


def test_six_views_of_a_page_are_two_loops() -> None:
    assert len(customer_after(*pages(*((n, "/a") for n in range(6)))).fired("page_loop")) == 2


def test_a_second_empty_search_within_a_minute_is_half_as_bad_again() -> None:
    log = customer_after(search(0, "loan", 0), search(60, "boat", 0), search(121, "tax", 0))
    first, second, third = log.fired("zero_result")
    assert (first.valence, second.valence, third.valence) == (-0.4, pytest.approx(-0.6), -0.4)
    assert second.derived_from == ("search@0", "search@60")


def test_a_clicked_result_ends_the_streak_of_searches() -> None:
    log = customer_after(search(0, "car loan"), (5, "result_click"), search(20, "car loan"))
    assert log.fired("repeated_search") == []
    log = customer_after(
        search(0, "car loan rate"), (5, "result_click"), search(20, "car loan rates")
    )
    assert log.fired("reformulation") == []


def test_the_same_query_is_repeated_and_not_reformulated() -> None:
    log = customer_after(search(0, "car loan"), search(5, "car loan"))
    assert log.fired("reformulation") == []
    assert (
        customer_after(search(0, "car loan rate"), search(5, "car loan rates")).fired(
            "repeated_search"
        )
        == []
    )


def test_queries_in_any_script_are_compared() -> None:
    log = customer_after(search(0, "信用卡申请进度查询"), search(5, "信用卡申请进度查询方法"))
    assert len(log.fired("reformulation")) == 1
    assert customer_after(search(0, ""), search(5, "")).fired("repeated_search") == []


def test_a_submitted_form_is_not_abandoned() -> None:
    assert customer_after(form(0), form(60, "submit")).fired("form_abandoned", DAY_S) == []
    assert (
        len(customer_after(form(0), form(60, "submit", "other")).fired("form_abandoned", DAY_S))
        == 1
    )


def test_another_page_leaves_the_form_at_once_and_its_own_page_does_not() -> None:
    steps = [(0, "loan_page", {"url": "/loan"}), form(5)]
    [left] = customer_after(*steps, *pages((20, "/home"))).fired("form_abandoned")
    assert (left.at - NOON).total_seconds() == 20
    assert customer_after(*steps, (20, "loan_page", {"url": "/loan"})).fired("form_abandoned") == []


def test_each_form_has_its_own_errors() -> None:
    log = customer_after(form(0, "field_error", "loan"), form(5, "field_error", "card"))
    assert log.fired("form_errors") == []
    log = customer_after(form(0, "field_error"), form(5, "field_error"), form(9, "field_error"))
    assert len(log.fired("form_errors")) == 1


def test_a_contact_about_something_else_is_no_repeat() -> None:
    assert (
        customer_after(issue(0, "contact"), issue(60, "contact", "card")).fired("repeat_contact")
        == []
    )


def test_a_third_contact_is_a_repeat_of_its_own() -> None:
    log = customer_after(issue(0, "contact"), issue(60, "contact"), issue(120, "contact"))
    assert len(log.fired("repeat_contact")) == 2


def test_contacts_that_do_not_say_their_issue_are_about_their_touchpoint() -> None:
    assert len(customer_after((0, "contact"), (60, "contact")).fired("repeat_contact")) == 1
    assert customer_after((0, "contact"), (60, "branch_contact")).fired("repeat_contact") == []


@pytest.mark.parametrize(("waited", "valence"), [(180, -0.65), (240, -0.7), (1_200, -0.9)])
def test_a_wait_is_worse_for_each_further_announced_time(waited: float, valence: float) -> None:
    [fired] = customer_after(ended(0, wait_s=waited, announced_wait_s=120)).fired("wait_over")
    assert fired.valence == pytest.approx(valence)


def test_a_wait_that_was_not_announced_cannot_be_over() -> None:
    assert customer_after(ended(0, wait_s=900)).fired("wait_over") == []
    assert customer_after(ended(0, wait_s=900, announced_wait_s=0)).fired("wait_over") == []


def test_staying_on_the_channel_of_the_failure_is_no_switch() -> None:
    same = customer_after(issue(0, "contact"), ended(10, resolved=False), issue(60, "contact"))
    assert same.fired("channel_switch") == []
    other = customer_after(
        issue(0, "contact"), ended(10, resolved=False), issue(60, "branch_contact")
    )
    assert len(other.fired("channel_switch")) == 1


def test_one_failure_is_switched_from_once() -> None:
    log = customer_after(issue(0, "failure"), issue(60, "contact"), issue(90, "branch_contact"))
    assert len(log.fired("channel_switch")) == 1


def test_a_paid_refund_is_not_late_and_two_are_watched() -> None:
    paid = customer_after(
        (0, "refund_request", {"refund_id": "a"}),
        (9, "refund_request", {"refund_id": "b"}),
        (DAY_S, "refund_paid", {"refund_id": "a"}),
    )
    [late] = paid.fired("refund_delayed", 30 * DAY_S)
    assert late.derived_from == ("refund_request@9",)


def test_a_view_left_open_for_long_and_one_followed_elsewhere_are_no_dwell() -> None:
    assert customer_after(*views(0), (1_801, "page", {"url": "/a"})).fired("dwell") == []
    assert customer_after(*views(0), (60, "success")).fired("dwell") == []
    assert len(customer_after(*views(0), (60, "success"), (70, "page")).fired("dwell")) == 1


def test_recovery_after_a_second_failure_is_worth_a_third() -> None:
    log = customer_after(
        *(issue(0, "failure"), issue(60, "success")),
        *(issue(120, "failure"), issue(180, "success"), issue(240, "success")),
    )
    first, second = log.fired("recovery")
    assert (first.valence, second.valence) == (0.6, pytest.approx(0.2))


def test_a_resolved_contact_recovers_and_an_unresolved_one_fails() -> None:
    log = customer_after(ended(0, resolved=False), ended(60, resolved=True))
    assert len(log.fired("recovery")) == 1
    assert customer_after(ended(0), ended(60, resolved=True)).fired("recovery") == []


def test_an_answered_survey_is_no_silence() -> None:
    log = customer_after((0, "survey_sent"), (DAY_S, "nps", {"score": 9}))
    assert log.fired("survey_unanswered", 30 * DAY_S) == []


def test_a_silence_happens_at_its_deadline_whenever_it_is_noticed() -> None:
    log = customer_after((0, "survey_sent"), (60 * DAY_S, "quiet"))
    [fired] = log.fired("survey_unanswered")
    assert fired.at - NOON == timedelta(days=7)


@pytest.mark.parametrize("signal", IDS)
def test_thresholds_can_be_set(signal: str) -> None:
    detector = next(d for d in DETECTORS if d.signal == signal)
    wanted = {"times": detector.most_times, "within_s": 5.0, "beyond": 0.25, "again": 0.5}
    changes = {field: wanted[field] for field in detector.settable}
    fold = Fold(signal_journey(**{signal: SignalRule(**changes, valence=-0.33)}))
    at = RULE[signal]
    for field, value in zip(wanted, fold.plan[at + 1 : at + 5].tolist(), strict=True):
        assert value == changes.get(field, getattr(detector, field))
    assert fold.schema.appraisal(signal, None).valence == -0.33


def test_a_visit_that_the_next_event_concludes_stays_one_node() -> None:
    steps = [(0, "loan_page", {"url": "/loan"}), form(5), *pages((60, "/home"))]
    form_visit, home = customer_after(*steps).nodes()
    assert (form_visit.valence, home.valence) == (-0.4, 0.0)
    viewed, searched = customer_after(*views(0), search(60, "loan", 0)).nodes()
    assert (viewed.valence, searched.valence) == (0.1, -0.4)


def test_long_queries_about_different_things_are_not_alike() -> None:
    one = "how do i change the delivery address of an order that has already shipped"
    other = "why was my credit card charged twice for the same monthly subscription"
    assert customer_after(search(0, one), search(5, other)).fired("reformulation") == []
    assert (
        len(customer_after(search(0, one), search(5, one + " to me")).fired("reformulation")) == 1
    )


def test_a_refund_that_is_asked_for_twice_is_late_once() -> None:
    twice = [(0, "refund_request", {"refund_id": "a"}), (9, "refund_request", {"refund_id": "a"})]
    assert len(customer_after(*twice).fired("refund_delayed", 30 * DAY_S)) == 1


def test_errors_far_apart_do_not_add_up_and_one_form_has_one_signal() -> None:
    fold = Fold(signal_journey(form_errors=SignalRule(within_s=60)))
    errors = [form(at, "field_error") for at in (0, 10, 200, 210)]
    assert len(customer_after(*errors, fold=fold).fired("form_errors")) == 1
    apart = [form(0, "field_error"), form(50), form(100), form(150, "field_error")]
    assert customer_after(*apart, fold=fold).fired("form_errors") == []


def test_a_settled_failure_is_switched_from_by_nobody_whatever_recovery_says() -> None:
    fold = Fold(signal_journey(recovery=SignalRule(use=False)))
    steps = [issue(0, "failure"), issue(60, "success"), issue(90, "contact")]
    assert customer_after(*steps, fold=fold).fired("channel_switch") == []


def test_what_makes_a_neutral_signal_worse_is_evidence() -> None:
    fold = Fold(signal_journey(wait_over=SignalRule(valence=0.0)))
    [node] = customer_after(ended(0, wait_s=300, announced_wait_s=60), fold=fold).nodes()
    assert (node.valence, node.confidence) == (pytest.approx(-0.4), 0.5)


def test_a_longer_window_finds_what_the_default_does_not() -> None:
    fold = Fold(signal_journey(rage_click=SignalRule(times=2, within_s=3.0)))
    assert len(customer_after(*clicks(0, 2.9), fold=fold).fired("rage_click")) == 1
    assert customer_after(*clicks(0, 2.9)).fired("rage_click") == []


def test_a_late_event_makes_the_signal_that_it_completes() -> None:
    steps = [*clicks(0, 0.6), (5, "quiet")]
    log = customer_after(*steps)
    state = log.fold.advance(log.fold.empty, log.events)
    assert state is not None
    late = customer_after(*steps, *clicks(0.3)).events
    assert log.fold.advance(state, late[-1:]) is None  # stale: folded again from the log
    assert len(CustomerWithSignals(log.fold, late).fired("rage_click")) == 1


def test_a_customer_of_whom_nothing_is_known_has_no_deadline() -> None:
    assert np.isfinite(FOLD_OF_SIGNALS.empty.values[:8]).sum() == 7  # no deadline yet
