"""The columns of emotion against their definitions, written out over a customer's nodes."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, strategies as st

from features.fold import Fold
from features.replay.visits import EmotionHistoryNode, emotion_history
from nba.durations import DAY_S
from nba.journey.mapping import EmotionRule
from tests.fixtures.examples import examples
from tests.fixtures.small_replica import JOURNEY, NOON, changed, event

NAMES = ("search", "advice", "complaint", "purchase", "branch_visit", "page", "rage_click")
SENT = {mapping.id: mapping.event for mapping in JOURNEY.events}
FOLDS = {n: Fold(changed(emotion=EmotionRule(nodes=n))) for n in (2, 10, 17)}


def expected(nodes: list[EmotionHistoryNode], kept: int, after_s: float) -> dict[str, float]:
    valences = [node.valence for node in nodes]
    held, recent = valences[-kept:], nodes[-kept:]
    some = bool(nodes)
    end = NOON + timedelta(seconds=after_s)
    ages = [(end - node.at).total_seconds() for node in nodes]
    found = {f"sum{kept}": math.fsum(held), f"mean{kept}": np.mean(held) if some else np.nan}
    found[f"sign{kept}"] = np.sign(round(math.fsum(held), 12))
    found[f"min{kept}"] = min(held, default=np.nan)
    found["last"] = held[-1] if some else np.nan
    found["peak_end"] = (min(held) + held[-1]) / 2 if some else np.nan
    for rate in (70, 88, 95):
        average = 0.0
        for valence in valences:
            average = rate / 100 * average + (1 - rate / 100) * valence
        found[f"ewma_{rate}"] = average
    halved = [v * 2 ** (-age / (3 * DAY_S)) for v, age in zip(valences, ages, strict=True)]
    found["decayed_3d"] = math.fsum(halved)
    line = np.polyfit(np.arange(len(held)), held, 1) if len(held) > 1 else [np.nan]
    found[f"slope{kept}"] = line[0]
    streak = 0
    for valence in valences:
        streak = streak + 1 if valence < 0 else 0 if valence > 0 else streak
    found["negative_streak"] = streak
    found[f"negative{kept}"] = sum(valence < 0 for valence in held)
    found[f"arousal{kept}"] = max((node.arousal for node in recent), default=0.0)
    bad = [part.at for node in nodes for part in node.parts if part.valence < 0]
    found["days_since_negative"] = (end - max(bad)).total_seconds() / DAY_S if bad else np.nan
    found["nodes"] = len(nodes)
    found["coverage"] = np.mean([node.confidence > 0 for node in recent]) if some else 0.0
    found["confidence"] = np.mean([node.confidence for node in recent]) if some else 0.0
    return found


@given(
    st.lists(st.tuples(st.integers(0, 40 * 24 * 60), st.sampled_from(NAMES)), max_size=40),
    st.sampled_from(sorted(FOLDS)),
    st.integers(0, 20 * 24 * 60),
)
@examples(150)
def test_every_column_is_what_its_definition_says(
    steps: list[tuple[int, str]], kept: int, wait_minutes: int
) -> None:
    fold = FOLDS[kept]
    events = [
        changed(event(SENT[name], NOON + timedelta(minutes=at)), seq=seq)
        for seq, (at, name) in enumerate(sorted(steps), start=1)
    ]
    last = max((at for at, _ in steps), default=0)
    after_s = 60.0 * (last + wait_minutes)
    as_of = NOON + timedelta(seconds=after_s)
    state = fold.advance(fold.empty, events)
    assert state is not None
    context = fold.context("ada", state, as_of)
    told = emotion_history(fold, events, as_of)
    assert told.nodes_in_all == len(told.nodes)
    for name, value in expected(list(told.nodes), kept, after_s).items():
        found = float(context.values[fold.schema.index[f"emotion.{name}"]])
        assert found == pytest.approx(value, abs=1e-9, nan_ok=True), name
    served = [(n.touchpoint, n.valence, n.confidence, n.agency) for n in context.nodes]
    spoken = [(n.touchpoint, n.valence, n.confidence, n.agency) for n in told.nodes[-kept:]]
    assert served == spoken
    assert sum(n.valence for n in told.nodes[-kept:]) == pytest.approx(
        told.nodes[-1].cumulative if told.nodes else 0.0
    )


def test_failures_of_one_issue_are_counted_for_30_days() -> None:
    from tests.fixtures.customer_with_signals import FOLD_OF_SIGNALS as fold

    steps = [(0, "loan"), (1, "card"), (2, "loan"), (3, "loan")]
    events = [
        changed(event("failure", NOON + timedelta(days=day), {"issue": about}), seq=seq)
        for seq, (day, about) in enumerate(steps, start=1)
    ]
    state = fold.advance(fold.empty, events)
    assert state is not None
    at = fold.schema.index["emotion.same_issue_failures_30d"]
    for days, count in ((3, 3), (31, 2), (32.5, 1), (40, 0)):
        seen = fold.context("ada", state, NOON + timedelta(days=days))
        assert seen.values[at] == count, days
