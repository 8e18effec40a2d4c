"""Each detector by its definition: it fires at its threshold, not below, and not twice."""

from __future__ import annotations

from datetime import timedelta

import pytest

from features.fold import Fold
from nba.durations import DAY_S
from nba.events.detectors import DETECTORS
from nba.events.signals import PRIORS
from nba.journey.mapping import SignalRule
from tests.fixtures.customer_with_signals import (
    FOLD_OF_SIGNALS,
    CustomerWithSignals,
    customer_after,
    signal_journey,
)
from tests.fixtures.signal_steps import (
    CASES,
    IDS,
    Steps,
)

BUY = {"target": "buy"}


SILENCES = {
    "form_abandoned": 1_800.0,
    "refund_delayed": 14 * DAY_S - 1,
    "survey_unanswered": 7 * DAY_S,
}


def test_every_detector_has_its_case() -> None:
    assert sorted(IDS) == sorted(detector.signal for detector in DETECTORS)
    assert set(FOLD_OF_SIGNALS.schema.signals) == set(IDS)


@pytest.mark.parametrize(("signal", "at", "origin", "below", "watched"), CASES, ids=IDS)
def test_a_signal_fires_at_its_threshold_and_names_where_it_comes_from(
    signal: str, at: Steps, origin: list[str], below: Steps, watched: float
) -> None:
    [fired] = customer_after(*at).fired(signal, SILENCES.get(signal, 0.0))
    assert list(fired.derived_from) == origin
    assert fired.valence == pytest.approx(PRIORS[signal].valence, abs=0.001)
    assert fired.source == "prior"


@pytest.mark.parametrize(("signal", "at", "origin", "below", "watched"), CASES, ids=IDS)
def test_a_signal_does_not_fire_below_its_threshold(
    signal: str, at: Steps, origin: list[str], below: Steps, watched: float
) -> None:
    assert customer_after(*below).fired(signal, watched) == []


@pytest.mark.parametrize(("signal", "at", "origin", "below", "watched"), CASES, ids=IDS)
def test_a_signal_fires_once_however_long_we_look(
    signal: str, at: Steps, origin: list[str], below: Steps, watched: float
) -> None:
    after = SILENCES.get(signal, 0.0) + 1
    quiet = customer_after(
        *at, (at[-1][0] + after, "quiet"), (at[-1][0] + after + 40 * DAY_S, "quiet")
    )
    assert len(quiet.fired(signal, 100 * DAY_S)) == 1


@pytest.mark.parametrize(("signal", "at", "origin", "below", "watched"), CASES, ids=IDS)
def test_a_signal_that_is_switched_off_is_neither_felt_nor_a_column(
    signal: str, at: Steps, origin: list[str], below: Steps, watched: float
) -> None:
    fold = Fold(signal_journey(**{signal: SignalRule(use=False)}))
    assert customer_after(*at, fold=fold).fired(signal, 100 * DAY_S) == []
    assert f"{signal}.total" not in fold.schema.columns
    assert f"{signal}.total" in FOLD_OF_SIGNALS.schema.columns


@pytest.mark.parametrize(("signal", "at", "origin", "below", "watched"), CASES, ids=IDS)
def test_the_context_counts_the_signal_that_the_story_tells(
    signal: str, at: Steps, origin: list[str], below: Steps, watched: float
) -> None:
    after = timedelta(seconds=SILENCES.get(signal, 0.0))
    assert column(customer_after(*at), f"{signal}.total", after) == 1.0
    assert column(customer_after(*below), f"{signal}.total", timedelta(seconds=watched)) == 0.0


def column(log: CustomerWithSignals, name: str, after: timedelta = timedelta()) -> float:
    state = log.fold.advance(log.fold.empty, log.events)
    assert state is not None
    seen = log.fold.context("ada", state, log.events[-1].occurred_at + after)
    return float(seen.values[log.fold.schema.index[name]])
