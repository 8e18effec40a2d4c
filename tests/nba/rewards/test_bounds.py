"""Bounds of rewards: learned where the owner sets none, in force wherever a reward is counted."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given, strategies as st

from nba.errors import InvalidBundle
from nba.journey.actions import ActionReward
from nba.journey.file import JourneyFile
from nba.journey.goals import Bounds, RewardRule
from nba.rewards.attribution import Attribution
from nba.rewards.bounds import FENCE, FEWEST, bounded, bounds_in_force, cut_rewards, learned_bounds
from nba.stores.memory.log import MemoryLog
from nba.stores.versioned import CHAMPION
from tests.fixtures.small_replica import FOLD, NOON, changed, event

VALUE = RewardRule(target="value", window_days=7.0, events=["purchase"])
JOURNEY = changed(reward=VALUE)


def owners(**bounds: float) -> JourneyFile:
    return changed(reward=msgspec.structs.replace(VALUE, bounds=Bounds(**bounds)))


def of_one(rewards: Iterable[float]) -> list[tuple[str, float]]:
    return [("loan", float(reward)) for reward in rewards]


def test_one_absurd_reward_sets_no_bound() -> None:
    """Neither at the top nor at the bottom; silence, of which most is made, is no evidence."""
    ordinary = np.random.default_rng(1).uniform(1.0, 9.0, 80)
    rewards = [*ordinary, *[0.0] * 720]
    for absurd in ([], [1e6], [-1e300, 1e300]):
        found = learned_bounds(JOURNEY, of_one([*rewards, *absurd]))
        assert found is not None and found.low == -found.high
        assert found.high == pytest.approx(FENCE * np.median(ordinary), rel=0.05)


@given(st.lists(st.floats(-1e9, 1e9), min_size=FEWEST, max_size=300), st.randoms())
def test_bounds_are_the_same_in_any_order_and_hold_what_silence_is_worth(
    rewards: list[float], random: object
) -> None:
    found = learned_bounds(JOURNEY, of_one(rewards))
    assert found == learned_bounds(JOURNEY, of_one(sorted(rewards)))
    if found is not None:
        assert found.low <= 0.0 <= found.high and found.low < found.high
        beyond = [one for one in rewards if not found.low <= one <= found.high]
        assert len(beyond) <= 0.5 * len(rewards)


@pytest.mark.parametrize(
    ("ordinary", "absurd"), [([5, 6, 4, 5, 6, 4, 5, 5], 2), ([9] * 791, 9), ([5] * 8, 1), ([5], 1)]
)
def test_several_absurd_rewards_set_no_bound_either(ordinary: list[int], absurd: int) -> None:
    """Two of ten, nine of eight hundred, one of nine: the upper bound was 1e6, or none."""
    found = learned_bounds(JOURNEY, of_one([*ordinary, *[1e6] * absurd, *[0.0] * 700]))
    if len(ordinary) > absurd:
        assert found is not None and found.high <= 900.0
    else:  # half of them: nobody can tell which
        assert found is not None and found.high >= 500.0


def test_what_is_rare_and_dear_is_not_cut_for_what_is_often_and_cheap() -> None:
    """One in five buys for 5 EUR, one in a hundred for 3,000: quantiles of all made it 8."""
    often = [("card", 5.0)] * 200
    rare = [("loan", 3_000.0)] * 10
    found = learned_bounds(JOURNEY, [*often, *rare, ("loan", 0.0), ("loan", 1e9)])
    assert found == Bounds(low=-60_000.0, high=60_000.0)
    few = learned_bounds(JOURNEY, [*often, *rare[: FEWEST - 1]])  # too few to tell
    assert few == Bounds(low=-100.0, high=100.0)


@pytest.mark.parametrize(("sigma", "cut"), [(0.7, 0.0002), (1.0, 0.003), (1.5, 0.03)])
def test_amounts_that_differ_as_money_does_are_hardly_cut(sigma: float, cut: float) -> None:
    amounts = np.random.default_rng(2).lognormal(3.0, sigma, 5_000)
    found = learned_bounds(JOURNEY, of_one(amounts))
    assert found is not None and (amounts > found.high).mean() <= cut


def test_an_actions_own_default_is_within_the_bounds() -> None:
    action = msgspec.structs.replace(JOURNEY.actions[0], reward=ActionReward(default=-5_000.0))
    journey = msgspec.structs.replace(JOURNEY, actions=[action, *JOURNEY.actions[1:]])
    found = learned_bounds(journey, of_one(range(1, 30)))
    assert found == Bounds(low=-5_000.0, high=300.0)


@pytest.mark.parametrize("journey", [changed(), owners(low=0.0, high=500.0)])
def test_where_the_owner_or_the_target_sets_them_none_are_learned(journey: JourneyFile) -> None:
    rewards = [float(one) for one in range(50)]
    assert learned_bounds(journey, of_one(rewards)) is None
    assert bounded(journey, Bounds(low=0.0, high=1.0)) is journey


def test_no_reward_gives_no_bounds_and_few_go_by_all() -> None:
    assert learned_bounds(JOURNEY, of_one([0.0] * 900)) is None
    few = of_one([1.0] * (FEWEST - 1) + [0.0] * 900)
    assert learned_bounds(JOURNEY, few) == Bounds(low=-FENCE, high=FENCE)


def test_rewards_under_other_bounds_are_of_another_version_and_are_counted() -> None:
    kind = FOLD.encoder.kind
    rules = [
        Attribution(journey, kind)
        for journey in (
            JOURNEY,
            bounded(JOURNEY, Bounds(low=0.0, high=9.0)),
            owners(low=0.0, high=9.0),
        )
    ]
    assert rules[0].version != rules[1].version == rules[2].version
    events = []
    for n, amount in enumerate((5.0, 1e6, -3.0)):
        decision = {"decision_id": f"d{n}", "action_id": "help_popup"}
        at = NOON + timedelta(minutes=n)
        events.append(event("Action Decided", at, decision, customer_id=f"c{n}"))
        given = {"decision_id": f"d{n}", "reward": amount}
        events.append(event("Reward Given", at, given, customer_id=f"c{n}"))
    end_s = NOON.timestamp() + 8 * 86_400.0
    credits = [rule.credits(events, end_s) for rule in rules[:2]]
    assert [[one.reward for one in some] for some in credits] == [[5.0, 1e6, -3.0], [5.0, 9.0, 0.0]]


def test_what_was_cut_is_said() -> None:
    journey = bounded(JOURNEY, Bounds(low=0.0, high=9.0))
    rule = Attribution(journey, FOLD.encoder.kind)
    decision = {"decision_id": "d", "action_id": "help_popup"}
    events = [event("Action Decided", NOON, decision)]
    events.append(event("Order Completed", NOON, {"revenue": 1e6}))
    cut = cut_rewards(rule.rule, rule.credits(events, NOON.timestamp() + 8 * 86_400.0))
    assert cut is not None
    assert cut_rewards(VALUE, []) is None
    assert cut.sentence.startswith("rewards are kept from 0 to 9 EUR: ")
    assert (cut.rewards, cut.below) == (1, 0)


def test_those_of_the_champion_are_in_force() -> None:
    log = MemoryLog()
    assert bounds_in_force(log) is None
    for name, manifest, expected in (
        ("before", {"format": 1}, None),
        ("learned", {"reward_bounds": {"low": -1.0, "high": 9.0}}, Bounds(low=-1.0, high=9.0)),
    ):
        log.save_bundle(name, {"manifest.json": msgspec.json.encode(manifest)})
        log.set_alias(CHAMPION, name, NOON)
        assert bounds_in_force(log) == expected
    log.save_bundle("spoilt", {"manifest.json": b"{"})
    log.set_alias(CHAMPION, "spoilt", NOON)
    with pytest.raises(InvalidBundle, match="promote it again"):
        bounds_in_force(log)
