"""Exposures whose rewards are still to come: the level is right at every age, and in the end all
is as if it had been learned at the end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from benchmarks.bandits.delays import SETTINGS, play
from models.residual.delay_curve import AGES
from models.residual.features import ResidualSpec
from models.residual.past_delays import StreamDelays
from models.residual.pending import PendingExposures
from models.residual.sums import ResidualSums
from nba.durations import DAY_S
from nba.errors import InvalidBundle
from tests.fixtures.examples import examples

ACTIONS = ("loan", "card")
WAITS_S = [7 * DAY_S, 2 * DAY_S, 7 * DAY_S, 14 * DAY_S, 9 * DAY_S, 14 * DAY_S]
BEGIN_S = 1.79e9


def spec_of(half_life_days: float | None = None) -> ResidualSpec:
    return ResidualSpec(
        columns=("age",), means=(0.0,), deviations=(1.0,), half_life_days=half_life_days
    )


class Rows:
    """Decisions over 30 days, a third of them deferred, and parts of rewards within their wait."""

    def __init__(self, pending: PendingExposures, n: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        spec = pending.spec
        self.p0 = rng.uniform(0.01, 0.6, n)
        self.x = spec.features(rng.normal(size=(n, 1)), self.p0)
        self.codes = rng.integers(-1, len(ACTIONS), n)
        self.streams = pending.streams(self.codes, (rng.random(n) < 0.3).astype(np.int64))
        self.at_s = BEGIN_S + rng.uniform(0, 30 * DAY_S, n)
        self.silence = np.where(self.codes == 0, 0.2, 0.0)
        self.came_s = self.at_s + rng.random(n) * pending.waits_s[self.streams]

    def expose(self, pending: PendingExposures, of: np.ndarray, sign: float = 1) -> None:
        pending.expose(
            self.x[of], self.streams[of], self.p0[of], self.silence[of], self.at_s[of], sign
        )

    def arrive(self, pending: PendingExposures, n: int, amount: float, sign: float = 1) -> None:
        at_s, came_s = float(self.at_s[n]), float(self.came_s[n])
        pending.arrive(int(self.streams[n]), at_s, [(came_s, amount)], sign)


def same(one: PendingExposures, other: PendingExposures) -> None:
    assert (one.begin == other.begin).all() and sorted(one.cohorts) == sorted(other.cohorts)
    assert one.arrived == pytest.approx(other.arrived)
    assert one.sizes == pytest.approx(other.sizes)
    for number, cohort in one.cohorts.items():
        for name in ("sums", "exposed", "seconds", "squares", "arrived"):
            mine, theirs = getattr(cohort, name), getattr(other.cohorts[number], name)
            assert mine == pytest.approx(theirs, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", [name for name in SETTINGS if "score" not in name])
def test_the_level_is_right_at_every_age(name: str) -> None:
    """Day 4 reads .10 to .12 where it read .027, day 30 with a memory of 7 days .100 where it read
    .071: responses within the week, truth and batch .10."""
    setting = SETTINGS[name]
    plays = [play(setting, seed, days=(1, 4, 7, 14, 30)) for seed in range(1, 6)]
    for code, truth in enumerate(setting.truth):
        found = [(day, played[day][code]) for played in plays for day in played]
        off = [abs(one.mean - truth) / one.error for _, one in found]
        assert np.mean(np.array(off) <= 2.0) >= 0.85 and max(off) < 3.5
        last = np.mean([one.mean for day, one in found if day == 30])
        assert last == pytest.approx(truth, abs=3.0 / np.sqrt(5 * 500 * setting.shown_days))
    if "6 days" not in name:
        fourth = [played[4][0] for played in plays]
        assert np.mean([one.mean for one in fourth]) == pytest.approx(0.10, abs=0.025)
        assert max(one.error for one in fourth) < 0.05


@pytest.mark.parametrize("name, truth", [("twice the score", 0.2), ("half the score", 0.05)])
def test_a_level_other_than_the_score_is_found_when_a_window_has_passed(
    name: str, truth: float
) -> None:
    """Before, slow rewards and few of them look much the same."""
    played = play(SETTINGS[name], 2, days=(1, 4, 8, 14, 30))
    low, high = sorted((0.10, truth))
    assert low - 0.01 <= played[1][0].mean <= high + 0.01
    assert low - 0.02 <= played[4][0].mean <= high + 0.02
    for day in (8, 14, 30):
        assert abs(played[day][0].mean - truth) <= 2.5 * played[day][0].error, day
    assert played[14][0].mean == pytest.approx(truth, rel=0.12)


def test_delays_that_a_bundle_brings_make_its_first_days_right() -> None:
    """Truth and score .10. Rewards on the sixth day: on day 7 .111 without, .100 with them; where
    they come within an hour, the error on day 4 is a half."""
    slow, quick = (
        [
            [play(SETTINGS[name], seed, days=(day,))[day][0] for seed in range(6)]
            for name in (delays, f"{delays}, known before")
        ]
        for delays, day in (("6 days", 7), ("an hour", 4))
    )
    off = [abs(np.mean([one.mean for one in found]) - 0.10) for found in slow]
    assert off[1] < 0.004 < off[0]
    errors = [np.mean([one.error for one in found]) for found in quick]
    assert errors[1] < errors[0] / 1.5
    assert np.mean([one.mean for one in quick[1]]) == pytest.approx(0.10, abs=0.004)


def test_delays_are_recalled_by_action_and_those_of_other_ages_are_refused() -> None:
    pending = PendingExposures(spec_of(), ACTIONS, WAITS_S)
    pending.arrive(0, 0.0, [(DAY_S, 2.0), (2 * DAY_S, -1.0)])
    pending.arrive(4, 0.0, [(DAY_S, 1.0)])
    found = pending.delays()
    assert set(found) == {"loan", "card deferred"}
    assert (found["loan"].size, found["loan"].square) == (1.0, 1.0)
    other = PendingExposures(spec_of(), ("card", "loan"), [WAITS_S[n] for n in (1, 0, 2, 4, 3, 5)])
    other.recall(found)
    assert other.delays() == found
    short = {"loan": StreamDelays((1.0,), 1.0, 1.0)}
    with pytest.raises(InvalidBundle, match="1 ages where there are"):
        pending.recall(short)


def test_the_slow_action_is_ranked_above_the_fast_one_that_is_worse() -> None:
    fast, slow = play(SETTINGS["an hour .10, 6 days .12"], 3, days=(14,))[14]
    assert slow.mean > fast.mean and slow.at_once < fast.at_once


@given(half_life=st.sampled_from([None, 5.0]), seed=st.integers(0, 999))
@examples(25)
def test_in_any_order_with_corrections_the_state_is_the_same(
    half_life: float | None, seed: int
) -> None:
    """Also by way of its bytes, as through a learner that is killed."""
    spec = spec_of(half_life)
    whole, steps = (PendingExposures(spec, ACTIONS, WAITS_S) for _ in range(2))
    rows = Rows(whole, 40, seed)
    kept = np.arange(30)
    rows.expose(whole, kept)
    for n in kept:
        rows.arrive(whole, n, 1.0)
    whole.advance(BEGIN_S + 31 * DAY_S)
    moves = [(kind, n) for kind in ("expose", "arrive") for n in range(40)]
    moves += [("revise", n) for n in range(0, 30, 3)]
    moves += [(kind, n) for kind in ("unexpose", "unarrive") for n in range(30, 40)]
    order = np.random.default_rng(seed).permutation(len(moves))
    for count, at in enumerate(order):
        kind, n = moves[at]
        if kind == "expose":
            rows.expose(steps, np.array([n]))
        elif kind == "arrive":
            rows.arrive(steps, n, 0.4 if n < 30 and n % 3 == 0 else 1.0)
        elif kind == "revise":
            rows.arrive(steps, n, 0.4, sign=-1)
            rows.arrive(steps, n, 1.0)
        elif kind == "unexpose":
            rows.expose(steps, np.array([n]), sign=-1)
        else:
            rows.arrive(steps, n, 1.0, sign=-1)
        if count % 20 == 7:
            steps.advance(BEGIN_S + count / len(moves) * 30 * DAY_S)
            steps = PendingExposures.from_bytes(steps.to_bytes(), spec)
    steps.advance(BEGIN_S + 31 * DAY_S)
    for number in [n for n, one in steps.cohorts.items() if not one.exposed.any()]:
        assert np.abs(steps.cohorts[number].sums).max() < 1e-9
        if number not in whole.cohorts:
            del steps.cohorts[number]
    same(steps, whole)


@given(seed=st.integers(0, 999))
@examples(20)
def test_when_all_waits_are_over_exposures_count_as_they_are(seed: int) -> None:
    spec = spec_of()
    pending, sums = PendingExposures(spec, ACTIONS, WAITS_S), ResidualSums(spec, ACTIONS)
    rows = Rows(pending, 60, seed)
    sums.expose(rows.x, rows.codes, rows.p0, rows.at_s)
    rows.expose(pending, np.arange(60))
    pending.advance(BEGIN_S + 20 * DAY_S)
    assert pending.discount(sums, BEGIN_S + 20 * DAY_S) is not None
    pending.advance(BEGIN_S + 45.5 * DAY_S)  # the last was made on day 30, and waits 14
    assert pending.discount(sums, BEGIN_S + 45.5 * DAY_S) is None


def test_an_exposure_counts_as_its_share_and_wholly_from_the_end_of_its_window() -> None:
    """By the prior, delays are uniform: after 3.5 of 7 days, half. What nothing is known of is
    believed little; of silence, the reward is there at once."""
    spec = spec_of()
    for silence in (0.0, 0.3):
        pending = PendingExposures(spec, ACTIONS, [7 * DAY_S] * 6)
        sums = ResidualSums(spec, ACTIONS)
        x, p0, at_s = np.array([[1.0, 0.5, 0.25]]), np.array([0.4]), np.array([BEGIN_S])
        code, default = np.array([1]), np.array([silence])
        sums.expose(x, code, p0, at_s)
        sums.reward(x, code, p0, default, at_s)
        pending.expose(x, code, p0, default, at_s)
        seen = []
        for days in (0.0, 3.5, 7.0, 8.0):
            discount = pending.discount(sums, BEGIN_S + days * DAY_S)
            assert discount is not None
            whole = sums.decayed(0.0)
            a, b = (w - less for w, less in zip(whole, (discount.precision, discount.moment),
                                                strict=True))  # fmt: skip
            seen.append(a[1, 1, 1] / whole[0][1, 1, 1])
            if a[1, 0, 0] > 1e-6:  # what it says of the level is the same at any age
                assert b[1] / a[1, 0] == pytest.approx(np.full(3, silence - 0.4), rel=1e-6)
        assert seen[0] == pytest.approx(0.0, abs=1e-9) and 0.4 < seen[1] <= 0.6
        assert seen[2:] == [1.0, 1.0]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_losses_wait_as_gains_do(sign: float) -> None:
    """Rewards on the sixth day of seven: where they are losses their curve was never learned."""
    pending = PendingExposures(spec_of(), ACTIONS, WAITS_S)
    for n in range(200):
        pending.arrive(0, n * 600.0, [(n * 600.0 + 6 * DAY_S, sign * 10.0)])
    pending.advance(30 * DAY_S)
    share, _ = pending.curves(30 * DAY_S).at(np.full((6, 1), 0.5))
    assert share[0, 0] < 0.05


def test_a_feed_that_becomes_faster_is_learned() -> None:
    """300 rewards after six days, and 60 days later as many within the hour."""
    pending = PendingExposures(spec_of(), ACTIONS, WAITS_S)
    for begin, delay_s in ((BEGIN_S, 6 * DAY_S), (BEGIN_S + 60 * DAY_S, 1_800.0)):
        for n in range(300):
            at_s = begin + n * 600.0
            pending.arrive(0, at_s, [(at_s + delay_s, 1.0)])
    half = np.full((6, 1), 0.5)
    pending.advance(BEGIN_S + 20 * DAY_S)
    before, _ = pending.curves(BEGIN_S + 20 * DAY_S).at(half)
    pending.advance(BEGIN_S + 80 * DAY_S)
    after, _ = pending.curves(BEGIN_S + 80 * DAY_S).at(half)
    assert before[0, 0] < 0.1 and after[0, 0] > 0.75


@given(stops=st.lists(st.floats(0.0, 90.0), max_size=6))
@examples(40)
def test_what_is_remembered_of_delays_does_not_depend_on_when_one_looks(stops: list[float]) -> None:
    left = [PendingExposures(spec_of(), ACTIONS, WAITS_S) for _ in range(2)]
    for pending in left:
        for n in range(60):
            at_s = BEGIN_S + n * DAY_S
            pending.arrive(n % 2, at_s, [(at_s + DAY_S, 1.0)])
    for stop in sorted(stops):
        left[0].advance(BEGIN_S + stop * DAY_S)
    for pending in left:
        pending.advance(BEGIN_S + 90 * DAY_S)
    assert left[0].arrived == pytest.approx(left[1].arrived, rel=1e-12)


def test_one_huge_reward_does_not_make_the_curve() -> None:
    pending = PendingExposures(spec_of(), ACTIONS, [7 * DAY_S] * 6)
    at_s = BEGIN_S - 30 * DAY_S
    pending.advance(BEGIN_S)
    for n in range(400):
        pending.arrive(0, at_s, [(at_s + DAY_S * (1 + n % 2), 10.0)])
    before = pending.curves(BEGIN_S).at(np.full((6, 1), 3 / 7))
    assert before[0][0, 0] > 0.98 and before[1][0, 0] < 0.02
    pending.arrive(0, at_s, [(at_s + 6.5 * DAY_S, 1e6)])
    assert pending.curves(BEGIN_S).at(np.full((6, 1), 3 / 7))[1][0, 0] > 0.1  # it is not believed
    pending.arrive(0, at_s, [(at_s + 6.5 * DAY_S, 1e6)], sign=-1)
    after = pending.curves(BEGIN_S).at(np.full((6, 1), 3 / 7))
    assert after[0] == pytest.approx(before[0]) and after[1] == pytest.approx(before[1])


def test_decisions_that_an_earlier_program_has_learned_count_as_they_did() -> None:
    pending = PendingExposures(spec_of(), ACTIONS, WAITS_S, known_s=BEGIN_S + 40 * DAY_S)
    rows = Rows(pending, 20, 1)
    rows.expose(pending, np.arange(20))
    rows.arrive(pending, 3, 1.0)
    assert not pending.cohorts and not pending.arrived.any() and not pending.sizes.any()


def test_the_codes_of_another_catalogue_and_bytes_that_are_none() -> None:
    spec = spec_of()
    pending = PendingExposures(spec, ACTIONS, WAITS_S)
    rows = Rows(pending, 50, 4)
    rows.expose(pending, np.arange(50))
    waits_s = [WAITS_S[1], 3 * DAY_S, WAITS_S[2], WAITS_S[4], 3 * DAY_S, WAITS_S[5]]
    moved = pending.for_actions(("card", "new"), waits_s)
    for number, cohort in pending.cohorts.items():
        assert (moved.cohorts[number].exposed[[0, 2, 3, 5]] == cohort.exposed[[1, 2, 4, 5]]).all()
        assert not moved.cohorts[number].exposed[[1, 4]].any()
    with pytest.raises(InvalidBundle, match="other windows"):
        pending.for_actions(("card",), [DAY_S] * 4)
    for data, given_spec in ((b"none", spec), (pending.to_bytes()[:-9], spec)):
        with pytest.raises(InvalidBundle, match="pending exposures: "):
            PendingExposures.from_bytes(data, given_spec)
    other = ResidualSpec(columns=(), means=(), deviations=())
    with pytest.raises(InvalidBundle, match="3 features where there are 2"):
        PendingExposures.from_bytes(pending.to_bytes(), other)
    assert AGES[0] == 0.0 and AGES[-1] == 1.0
