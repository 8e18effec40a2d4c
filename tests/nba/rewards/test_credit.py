"""Credits: laws that hold for any log, multi-step credit, and counts that add up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from nba.durations import DAY_S
from nba.events.event import Event
from nba.journey.actions import NO_ACTION, ActionReward
from nba.journey.file import JourneyFile
from nba.journey.goals import RewardRule
from nba.rewards.attribution import Attribution
from nba.rewards.credit import Carry, Credit, SettledCounts, carried, settled_counts
from tests.fixtures.examples import examples
from tests.fixtures.small_replica import FOLD, JOURNEY, NOON, changed, event

END_S = NOON.timestamp() + 30 * DAY_S
DECISIONS = [f"d{n}" for n in range(4)]
NAMES = [
    *("Action Activated", "Action Delivered", "Action Shown", "Action Accepted", "page"),
    *("Action Dismissed", "Action Expired", "Reward Given", "Order Completed", "Complaint Filed"),
]


def _journey(rule: RewardRule) -> JourneyFile:
    own = {
        "card_offer": ActionReward(
            events=["purchase"], minus=["complaint"], worth=0.5, aggregate="earliest"
        ),
        "help_popup": ActionReward(window_hours=36, default=0.25, aggregate="max"),
    }
    return changed(
        reward=rule,
        actions=[replace(action, reward=own.get(action.id)) for action in JOURNEY.actions],
    )


VALUE = RewardRule(target="value", window_days=5.0, events=["purchase"], minus=["complaint"])
MAPPINGS = [replace(m, amount="eur") if m.id == "complaint" else m for m in JOURNEY.events]
RULES = {
    "last word": _journey(RewardRule(window_days=5.0, outcomes="last")),
    "response": _journey(RewardRule(window_days=5.0)),
    "value": replace(_journey(VALUE), events=MAPPINGS),
    "last touch": replace(_journey(replace(VALUE, credit="last", carry=0.5)), events=MAPPINGS),
}


def decided(name: str, day: float, action: str, **more: Any) -> Event:
    content = {"decision_id": name, "action_id": action, **more}
    return event("Action Decided", NOON + timedelta(days=day), content, event_id=f"decision:{name}")


@st.composite
def logs(draw: st.DrawFn) -> list[Event]:
    """Four decisions of two customers, and whatever comes of them, in the order of the log."""
    quarter = st.integers(0, 60)
    events = []
    for n, name in enumerate(DECISIONS):
        action = draw(st.sampled_from(["card_offer", "help_popup", "agent_callback", NO_ACTION]))
        more = {"episode_id": "e", "previous_id": DECISIONS[n - 1]} if n else {"episode_id": "e"}
        made = decided(name, draw(quarter) / 4, action, deferred=draw(st.booleans()), **more)
        events.append(replace(made, customer_id="ada" if n < 3 else "bob"))
    for n in range(draw(st.integers(0, 14))):
        content: dict[str, Any] = {"revenue": n + 0.1, "eur": n / 3, "reward": n / 7}
        if draw(st.booleans()):
            content["decision_id"] = draw(st.sampled_from([*DECISIONS, "unknown"]))
        at = NOON + timedelta(days=draw(quarter) / 4)
        who = draw(st.sampled_from(["ada", "bob"]))
        name = draw(st.sampled_from(NAMES))
        events.append(event(name, at, content, customer_id=who, event_id=f"e{n}"))
    events = draw(st.permutations(events))
    return [replace(one, seq=seq) for seq, one in enumerate(events, start=1)]


def credits(journey: JourneyFile, log: Sequence[Event], end_s: float = END_S) -> list[Credit]:
    rule = Attribution(journey, FOLD.encoder.kind)
    return rule.carried(rule.credits(log, end_s), end_s)


# Laws


@pytest.mark.parametrize("rule", RULES)
@given(log=logs(), data=st.data())
@examples(60)
def test_credits_do_not_depend_on_the_order_or_on_repetitions(
    rule: str, log: list[Event], data: st.DataObject
) -> None:
    repeated = [
        replace(one, seq=one.seq + 100) for one in data.draw(st.lists(st.sampled_from(log)))
    ]
    shuffled = data.draw(st.permutations([*log, *repeated]))
    assert credits(RULES[rule], shuffled) == credits(RULES[rule], log)


@pytest.mark.parametrize("rule", RULES)
@given(log=logs())
@examples(40)
def test_what_concerns_no_credit_changes_none(rule: str, log: list[Event]) -> None:
    attribution = Attribution(RULES[rule], FOLD.encoder.kind)
    some = [one for one in log if attribution.concerns(one)]
    assert credits(RULES[rule], some) == credits(RULES[rule], log)


@pytest.mark.parametrize("rule", RULES)
@given(log=logs(), cuts=st.lists(st.integers(0, 18), min_size=1, max_size=5))
@examples(60)
def test_what_is_learned_step_by_step_is_what_is_learned_at_once(
    rule: str, log: list[Event], cuts: list[int]
) -> None:
    """A learner that revises what it learned at each position ends where a clean run does."""
    learned: dict[str, tuple[bool, float]] = {}
    counts = SettledCounts()
    for cut in [*sorted(cuts), len(log)]:
        found = credits(RULES[rule], [one for one in log if one.seq <= cut])
        counts += settled_counts(found) - counts
        for credit in found:
            learned[credit.decision.event_id] = (credit.counted, credit.reward)
    once = credits(RULES[rule], log)
    assert learned == {one.decision.event_id: (one.counted, one.reward) for one in once}
    assert counts == settled_counts(once)


@pytest.mark.parametrize("rule", RULES)
@given(log=logs(), end=st.integers(0, 30))
@examples(60)
def test_no_decision_is_lost_and_each_is_in_one_state(
    rule: str, log: list[Event], end: int
) -> None:
    """Reliability T5: in = learned + default + deferred + rejected."""
    found = credits(RULES[rule], log, NOON.timestamp() + end * DAY_S)
    counts = settled_counts(found)
    assert counts.decided == len(DECISIONS) and counts.difference == 0
    halves = settled_counts(found[:2]) + settled_counts(found[2:])
    assert halves == counts
    for credit in found:
        assert (credit.state in ("learned", "default")) == credit.complete
        assert credit.counted or (credit.reward, credit.outcomes) == (0.0, 0)


@given(log=logs())
@examples(60)
def test_of_each_event_one_decision_has_the_credit_where_the_last_touch_counts(
    log: list[Event],
) -> None:
    rule = RewardRule(target="value", window_days=5.0, events=["purchase"], credit="last")
    bought = sum(one.name == "Order Completed" for one in log)
    found = credits(changed(reward=rule), [one for one in log if one.name != "Reward Given"])
    assert sum(one.outcomes for one in found) <= bought


def test_each_bad_input_ends_in_a_count_and_in_nothing_else() -> None:
    """The corpus of a joiner: reliability T5."""
    hour = timedelta(hours=1)
    log = [
        decided("good", 0, "card_offer"),
        decided("silent", 0, "card_offer"),
        decided("unused", 0, "card_offer", deferred=True),  # silence, like any other
        decided("used", 0, "card_offer", deferred=True),
        decided("lost", 0, "card_offer"),
        event("Action Decided", NOON, {"decision_id": "broken", "action_id": 7}),
        event("Action Decided", NOON, {"decision_id": "empty"}),
        decided("open", 29, "card_offer"),
        event("Action Accepted", NOON + hour, {"decision_id": "good"}),
        event("Action Accepted", NOON + hour, {"decision_id": "nobody's"}),
        event("Action Accepted", NOON - hour, {"decision_id": "used"}),  # a clock that is wrong
        event("Action Expired", NOON + hour, {"decision_id": "lost"}),
        event("Reward Given", NOON + hour, {"decision_id": "silent", "reward": "a lot"}),
        event("Reward Given", NOON + timedelta(days=9), {"decision_id": "silent", "reward": 1}),
    ]
    assert settled_counts(credits(changed(), log)) == SettledCounts(
        **{"decided": 8, "learned": 2, "default": 3, "deferred": 1, "rejected": 2},
        **{"outcomes": 2, "late": 1, "unreadable": 1},
    )


# Multi-step credit


def episode(
    *steps: tuple[str, float, str | None], name: str = "e", every: float = 0.9
) -> list[Event]:
    """Decisions of one passage, so many days apart: (id, EUR earned within the hour, the decision
    before)."""
    events = []
    for n, (step, eur, before) in enumerate(steps):
        more = {"previous_id": before} if before else {}
        events.append(decided(step, n * every, "card_offer", episode_id=name, **more))
        events += paid(step, n * every + 1 / 24, eur)
    return events


def paid(step: str, day: float, eur: float) -> list[Event]:
    at = NOON + timedelta(days=day)
    return [event("Reward Given", at, {"decision_id": step, "reward": eur})]


def rewards(carry: float, *events: Event, end_day: float = 20) -> dict[str, tuple[float, bool]]:
    rule = RewardRule(target="value", window_days=1.0, events=["purchase"], carry=carry)
    end_s = NOON.timestamp() + end_day * DAY_S
    found = credits(changed(reward=rule), events, end_s)
    return {str(one.decision.decision_id): (one.reward, one.complete) for one in found}


THREE = episode(("a", 1, None), ("b", 10, "a"), ("c", 100, "b"))


def test_a_step_gets_its_share_of_what_the_next_one_was_worth() -> None:
    assert rewards(0.5, *THREE) == {"a": (31, True), "b": (60, True), "c": (100, True)}
    assert rewards(1.0, *THREE) == {"a": (111, True), "b": (110, True), "c": (100, True)}
    assert rewards(0.0, *THREE) == {"a": (1, True), "b": (10, True), "c": (100, True)}


def test_what_later_steps_bring_counts_for_a_window_after_the_steps_own() -> None:
    late = episode(("a", 1, None), ("b", 10, "a"), every=1.97)
    assert rewards(0.5, *late)["a"] == (1, True)  # b is in time, and its 10 EUR are not
    assert rewards(0.5, *late, *paid("b", 1.99, 4))["a"] == (3, True)
    assert rewards(0.5, *episode(("a", 1, None), ("b", 10, "a"), every=2.1))["a"] == (1, True)


@given(
    drawn=st.sampled_from(["card_offer", "help_popup", NO_ACTION]),
    steps=st.lists(st.floats(0.01, 3.0), max_size=4),
    end_day=st.floats(0.0, 12.0),
)
@examples(100)
def test_when_a_step_is_complete_depends_on_nothing_that_comes_after_it(
    drawn: str, steps: list[float], end_day: float
) -> None:
    """Else what is learned from were chosen by the draw: an offer leads on, no_action does not."""
    events, before = [decided("s0", 0, drawn, episode_id="e")], 0.0
    for n, gap in enumerate(steps, start=1):
        before += gap
        more = {"episode_id": "e", "previous_id": f"s{n - 1}"}
        events += [decided(f"s{n}", before, "card_offer", **more), *paid(f"s{n}", before, 5)]
    assert rewards(0.5, *events, end_day=end_day)["s0"][1] == (end_day >= 2.0)


def test_no_action_weighs_what_it_was_drawn_though_only_offers_lead_on() -> None:
    rng = np.random.default_rng(1)
    events: list[Event] = []
    for n in range(3_000):
        day, drawn = rng.uniform(0, 30), NO_ACTION if n % 2 else "card_offer"
        events.append(decided(f"a{n}", day, drawn, episode_id=f"e{n}"))
        if drawn != NO_ACTION and day < 29.5:
            more = {"episode_id": f"e{n}", "previous_id": f"a{n}"}
            events.append(decided(f"b{n}", day + 0.5, "help_popup", **more))
    found = rewards(0.5, *events, end_day=30)
    complete = [int(name[1:]) % 2 for name, one in found.items() if name[0] == "a" and one[1]]
    assert len(complete) > 2_000
    assert abs(np.mean(complete) - 0.5) < 4 * 0.5 / np.sqrt(len(complete))


def test_a_step_that_never_reached_them_carries_back_like_any_other() -> None:
    gone = event("Action Expired", NOON + timedelta(days=1, hours=2), {"decision_id": "b"})
    assert rewards(0.5, *THREE, gone) == rewards(0.5, *THREE)


def test_no_credit_is_carried_to_another_passage_or_back_in_time() -> None:
    other = episode(("a", 1, None)) + episode(("x", 0, None), ("b", 10, "a"), name="f")
    assert rewards(0.5, *other)["a"] == (1, True)
    circle = episode(("a", 1, "b"), ("b", 10, "a"))
    assert rewards(0.5, *circle) == {"a": (6, True), "b": (10, True)}


def test_a_decision_without_an_id_is_nobodys_previous_one() -> None:
    nameless = event("Action Decided", NOON, {"action_id": "card_offer", "episode_id": "e"})
    found = rewards(0.5, nameless, *episode(("a", 8, None)))
    assert found == {"None": (0, True), "a": (8, True)}


def test_of_two_steps_that_follow_one_the_first_carries_back() -> None:
    both = episode(("a", 1, None), ("b", 10, "a"), ("c", 100, "a"))
    assert rewards(0.5, *both)["a"] == (6, True)


def test_what_is_carried_stays_within_the_bounds() -> None:
    found = Attribution(changed(), FOLD.encoder.kind).credits(THREE, END_S)
    assert [one.reward for one in carried(found, Carry(0.5, DAY_S, 0.0, 1.0), END_S)] == [
        1.0,
        1.0,
        1.0,
    ]
