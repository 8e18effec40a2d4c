"""What a learner adds: decisions, rewards in parts, and what is taken back."""

from __future__ import annotations

import numpy as np
import pytest

from models.learning.exposure_sums import ExposureSums, waits_of
from models.learning.residual_rows import ResidualRow
from models.residual.features import ResidualSpec
from models.residual.pending import PendingExposures
from models.residual.sums import ResidualSums
from nba.durations import DAY_S
from nba.journey.goals import RewardRule
from nba.rewards.attribution import Attribution
from nba.rewards.changes import RewardChange
from nba.rewards.windows import Arrival
from tests.fixtures.small_replica import FOLD, JOURNEY, changed

SPEC = ResidualSpec(columns=("age",), means=(0.0,), deviations=(1.0,))
ACTIONS = tuple(action.id for action in JOURNEY.actions)
MADE_S = 1.79e9


def attribution(rule: RewardRule) -> Attribution:
    return Attribution(changed(reward=rule), FOLD.encoder.kind)


def empty(rule: Attribution) -> ExposureSums:
    pending = PendingExposures(SPEC, ACTIONS, waits_of(ACTIONS, rule))
    return ExposureSums(ResidualSums(SPEC, ACTIONS), pending, rule)


def row(code: int = 0, *, deferred: bool = False) -> ResidualRow:
    return ResidualRow(np.array([0.5]), code, 0.1, MADE_S, deferred)


def change(
    exposed: int,
    before: float,
    after: float,
    arrived_before: tuple[Arrival, ...] = (),
    arrived: tuple[Arrival, ...] = (),
) -> RewardChange:
    return RewardChange(
        decision_id="d",
        customer_id="c",
        exposed=exposed,
        before=before,
        after=after,
        arrived_before=arrived_before,
        arrived=arrived,
    )


def test_what_comes_is_counted_at_its_age_and_taken_back_from_there() -> None:
    sums = empty(attribution(RewardRule(window_days=8.0)))
    late = (Arrival(MADE_S + 4.1 * DAY_S, 1.0),)
    sums.add([row()], [change(1, 0.0, 1.0, (), late)])
    (cohort,) = sums.pending.cohorts.values()
    assert cohort.exposed[0] == 1 and cohort.arrived[0].sum() == 1.0
    assert sums.pending.curves(MADE_S).share.shape == (2 * len(ACTIONS) + 2, 23)
    before = cohort.sums.copy()
    early = (Arrival(MADE_S + 0.1 * DAY_S, 1.0),)  # an event that had come late itself
    sums.add([row()], [change(0, 1.0, 1.0, late, early)])
    assert (cohort.sums == before).all() and cohort.arrived[0].sum() == 1.0
    assert np.flatnonzero(cohort.arrived[0])[0] < 6
    sums.add([row()], [change(-1, 1.0, 0.0, early, ())])
    assert not cohort.exposed.any() and not cohort.arrived.any() and not cohort.sums.any()
    assert sums.sums.exposures == 0 and not sums.pending.sizes.any()


def test_what_is_deferred_waits_for_its_activation_too() -> None:
    sums = empty(attribution(RewardRule(window_days=8.0)))
    k = len(ACTIONS) + 1
    assert sums.pending.waits_s == pytest.approx([8 * DAY_S] * k + [16 * DAY_S] * k)
    sums.add([row(-1), row(-1, deferred=True)], [change(1, 0.0, 0.0)] * 2)
    (cohort,) = sums.pending.cohorts.values()
    assert np.flatnonzero(cohort.exposed).tolist() == [k - 1, 2 * k - 1]


def test_the_worth_of_silence_is_there_from_the_beginning() -> None:
    rule = RewardRule(target="value", window_days=8.0, events=["purchase"], default=-0.5)
    sums = empty(attribution(rule))
    sums.add([row()], [change(1, 0.0, -0.5)])
    (cohort,) = sums.pending.cohorts.values()
    weight = cohort.sums[0, 0]
    assert cohort.sums[0, 6] == pytest.approx(weight * (0.1 + 0.5))  # of p0 less silence


def test_what_the_next_step_carries_back_may_take_as_long_again() -> None:
    rule = attribution(RewardRule(window_days=8.0, carry=0.5))
    assert rule.waits_s(ACTIONS[0], deferred=False) == 16 * DAY_S
    assert rule.waits_s("no_action", deferred=True) == 24 * DAY_S
