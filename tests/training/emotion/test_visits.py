"""Visits and evidence: what is read out of a log for the friction report and the valences."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from features.fold import Fold
from nba.events.event import Event
from nba.journey.goals import ChurnRule
from tests.fixtures.customer_with_signals import JOURNEY_OF_SIGNALS
from tests.fixtures.small_replica import NOON, changed, event
from training.data.history import History, history_of
from training.emotion.evidence import evidence_of, survey_scales
from training.emotion.visits import FollowedVisits, follow

FOLD = Fold(JOURNEY_OF_SIGNALS)
DAY = 1_440.0  # minutes


def history(*steps: tuple[Any, ...], fold: Fold = FOLD) -> History:
    """What customers did: (customer, minutes from noon, event name, properties)."""
    events: list[Event] = []
    for seq, (customer, minutes, name, *rest) in enumerate(steps, start=1):
        at = NOON + timedelta(minutes=minutes)
        made = event(name, at, rest[0] if rest else None, customer_id=customer)
        events.append(changed(made, seq=seq))
    return history_of(fold, events)


END = ("zoe", 90 * DAY, "page")  # the log goes on long after


def followed(*steps: tuple[Any, ...]) -> FollowedVisits:
    return follow(history(*steps, END))


def of(found: FollowedVisits, log_customer: int = 0) -> tuple[list[float], list[bool]]:
    own = found.customers == log_customer
    return found.valences[own].round(9).tolist(), found.lost[own].tolist()


def test_nodes_that_follow_within_half_an_hour_are_one_visit() -> None:
    valences, lost = of(
        followed(
            *(("ada", 0, "search", {"results_count": 0}), ("ada", 20, "Branch Visited")),
            *(("ada", 60, "Branch Visited"),),
        )
    )
    assert valences == [-0.2, 0.2] and lost == [False, False]


def test_she_left_after_her_last_visit_before_the_account_closed() -> None:
    found = followed(
        *(("ada", 0, "page"), ("ada", DAY, "page"), ("ada", 9 * DAY, "Account Closed")),
        *(("bob", 0, "page"), ("bob", DAY, "page")),
    )
    assert of(found, 0)[1] == [False, True]
    assert of(found, 1)[1] == [False, False]


def test_a_loss_long_after_the_last_visit_is_not_blamed_on_it() -> None:
    found = followed(("ada", 0, "page"), ("ada", 31 * DAY, "Account Closed"))
    assert of(found)[1] == [False]


def test_what_happens_where_the_relationship_ends_is_no_visit() -> None:
    found = followed(
        ("ada", 0, "page"), ("ada", DAY, "Complaint Filed"), ("ada", 2 * DAY, "Account Closed")
    )
    assert of(found) == ([0.0], [True])


def test_letters_and_survey_answers_are_no_visits() -> None:
    found = followed(
        ("ada", 0, "page"),
        ("ada", DAY, "Order Completed"),
        ("ada", 2 * DAY, "survey_sent"),
        ("ada", 3 * DAY, "nps", {"score": 1}),
    )
    assert of(found)[0] == [0.0]


def test_a_last_visit_shortly_before_the_end_of_the_log_is_left_out() -> None:
    found = followed(("ada", 0, "page"), ("ada", 70 * DAY, "page"))
    assert of(found)[1] == [False]


def test_silence_is_a_loss_and_who_comes_back_starts_anew() -> None:
    rule = ChurnRule(inactive=["on_page"], horizon_days=10)
    fold = Fold(changed(JOURNEY_OF_SIGNALS, churn=rule))
    steps = [("ada", day * DAY, "page") for day in (0, 5, 30, 33)]
    found = follow(history(*steps, END, fold=fold))
    assert of(found)[1] == [False, True, False, True]
    own = found.customers == 0
    assert len(set(found.episodes[own].tolist())) == 2


def test_a_log_without_visits_has_none() -> None:
    found = follow(history(("ada", 0, "Order Completed")))
    assert len(found.valences) == len(found.lost) == 0
    assert evidence_of(history(("ada", 0, "unheard of"))).losses == 0


def test_other_valences_of_parts_give_other_visits() -> None:
    found = followed(("ada", 0, "search", {"results_count": 0}), ("ada", 20, "Branch Visited"))
    turned = found.felt_as(-found.table.parts["valence"])
    assert turned.valences.tolist() == pytest.approx((-found.valences).tolist())


def test_evidence_counts_what_the_last_ten_visits_were_made_of() -> None:
    steps = [("ada", n * 60.0, "search", {"results_count": 0}) for n in range(12)]
    made = evidence_of(history(*steps, END))
    kinds = [unit.kind for unit in made.units]
    own = made.customers == 0
    assert made.counts[own][:, kinds.index("zero_result")].tolist() == [*range(1, 11), 10, 10]
    assert made.units[kinds.index("zero_result")].prior == -0.4


def test_the_label_is_the_loss_or_a_low_answer_before_the_next_visit() -> None:
    made = evidence_of(
        history(
            *(("ada", 0, "page"), ("ada", 60, "nps", {"score": 2}), ("ada", DAY, "page")),
            *(("ada", DAY + 60, "nps", {"score": 10}), ("ada", 2 * DAY, "page")),
            *(("ada", 9 * DAY, "Account Closed"), END),
        )
    )
    own = made.customers == 0
    assert made.labels[own].tolist() == [True, False, True]
    assert (made.losses, made.low_surveys) == (1, 1)
    assert "on_nps" not in [unit.kind for unit in made.units]


def test_controls_are_finite_and_their_gaps_flagged() -> None:
    made = evidence_of(
        history(("ada", -1, "identify", {"tenure_months": 7}), ("ada", 0, "page"), END)
    )
    assert np.isfinite(made.controls).all() and len(made.controls) == len(made.labels)


def test_survey_scales_count_every_answer() -> None:
    steps = [(f"c{n}", 0, "nps", {"score": n % 3}) for n in range(7)]
    [scale] = survey_scales(history(*steps, ("c9", 0, "nps", {"score": "high"})))
    assert (scale.kind, scale.scores, scale.counts) == ("on_nps", (0.0, 1.0, 2.0), (3, 2, 2))
