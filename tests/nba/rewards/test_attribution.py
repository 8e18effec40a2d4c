"""Attribution: which events count for which decision, and what they are worth."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from nba.durations import DAY_S
from nba.events.event import Event
from nba.journey.actions import NO_ACTION, ActionReward
from nba.journey.goals import Bounds, RewardRule
from nba.rewards.attribution import Attribution
from nba.rewards.credit import Credit, Reading, Readings
from nba.rewards.terms import reward_version
from nba.rewards.windows import is_late
from tests.fixtures.small_replica import FOLD, JOURNEY, NOON, changed, event

RESPONSE = RewardRule(target="response", window_days=7.0)
VALUE = RewardRule(target="value", window_days=7.0, events=["purchase"])
NOON_S = NOON.timestamp()


def attribution(rule: RewardRule = RESPONSE, **declared: ActionReward) -> Attribution:
    """The small journey's, with rewards of its actions' own."""
    actions = [replace(action, reward=declared.get(action.id)) for action in JOURNEY.actions]
    return Attribution(changed(reward=rule, actions=actions), FOLD.encoder.kind)


def decided(name: str = "d0", day: float = 0, action: str = "card_offer", **more: Any) -> Event:
    content = {"decision_id": name, "action_id": action, **more}
    return event("Action Decided", NOON + timedelta(days=day), content)


def told(name: str, day: float, decision_id: str | None = "d0", **more: Any) -> Event:
    content = more if decision_id is None else {"decision_id": decision_id, **more}
    return event(name, NOON + timedelta(days=day), content)


def paid(eur: float, day: float, decision_id: str | None = None) -> Event:
    return told("Order Completed", day, decision_id, revenue=eur)


def credits(
    rule: Attribution, *events: Event, end_day: float = 100, shuffle: int = 0
) -> list[Credit]:
    """The credits of these events, whose order in the log is the given one."""
    log = [replace(one, seq=n) for n, one in enumerate(events, start=1)]
    random.Random(shuffle).shuffle(log)
    return rule.credits(log, NOON_S + end_day * DAY_S)


def reward(rule: Attribution, *events: Event) -> float:
    return credits(rule, *events)[0].reward


# Explicit claims


def test_a_positive_outcome_that_names_the_decision_is_a_response() -> None:
    accepted = told("Action Accepted", 1)
    (credit,) = credits(attribution(), decided(), accepted)
    assert (credit.reward, credit.answered, credit.outcomes) == (1.0, True, 1)
    assert reward(attribution(), decided("other"), accepted) == 0.0


def test_a_negative_outcome_is_an_answer_and_no_silence() -> None:
    rule = attribution(RewardRule(default=0.25))
    assert reward(rule, decided()) == 0.25
    assert reward(rule, decided(), told("Action Dismissed", 1)) == 0.0
    assert reward(rule, decided(), told("Action Shown", 1)) == 0.25  # shown, and no answer


@pytest.mark.parametrize(
    ("outcomes", "rewards"), [(UNSET, (1, 1, 1)), ("best", (1, 1, 1)), ("last", (0, 1, 0))]
)
def test_of_several_outcomes_the_best_or_the_last_counts(outcomes: Any, rewards: Any) -> None:
    yes, no = told("Action Accepted", 1), told("Action Dismissed", 2)
    again, back = told("Action Accepted", 3), told("Complaint Filed", 4)
    rule = attribution(RewardRule(outcomes=outcomes), card_offer=ActionReward(events=["purchase"]))
    found = [reward(rule, decided(), *told_) for told_ in ((yes, no), (yes, no, again, back))]
    assert (*found, reward(rule, decided(), paid(5, 1, "d0"), no)) == rewards


def test_a_given_reward_stands_for_all_that_came_before_it() -> None:
    given, accepted = told("Reward Given", 2, reward=0.25), told("Action Accepted", 1)
    assert reward(attribution(), decided(), accepted, given) == 0.25
    assert reward(attribution(), decided(), given, told("Action Accepted", 3)) == 1.0
    assert reward(attribution(VALUE), decided(), paid(80, 1), given, paid(5, 3)) == 5.25
    again = told("Reward Given", 4, reward=0.5)
    assert reward(attribution(), decided(), again, given) == 0.5  # the latest, not the last to come


@pytest.mark.parametrize("given", ["much", None, True])
def test_a_given_reward_that_is_no_number_is_counted_and_changes_nothing(given: Any) -> None:
    (credit,) = credits(attribution(), decided(), told("Reward Given", 1, reward=given))
    assert (credit.reward, credit.answered, credit.unreadable) == (0.0, False, 1)


def test_an_outcome_cannot_come_before_its_decision_so_that_an_early_clock_counts() -> None:
    assert reward(attribution(), decided(), told("Action Accepted", -0.01)) == 1.0


# What an action declares


def test_an_action_is_rewarded_by_the_events_that_it_declares() -> None:
    rule = attribution(card_offer=ActionReward(events=["purchase"]))
    events = (decided(), decided("d1", 1, "help_popup"), paid(80, 2))
    assert [credit.reward for credit in credits(rule, *events)] == [1.0, 0.0]
    assert reward(rule, decided(), told("Action Accepted", 1)) == 1.0  # claims count beside them


def test_every_action_has_a_wait_of_its_own_from_minutes_to_weeks() -> None:
    rule = attribution(
        card_offer=ActionReward(window_hours=0.5), agent_callback=ActionReward(window_days=28)
    )
    closes = [
        (credit.closes_s - NOON_S) / DAY_S
        for credit in credits(
            rule, decided(), decided("d1", 0, "agent_callback"), decided("d2", 0, "help_popup")
        )
    ]
    assert closes == [0.5 / 24, 28.0, 7.0]
    assert rule.horizon_s == 28 * DAY_S
    short = (decided(), told("Action Accepted", 0.02)), (decided(), told("Action Accepted", 0.03))
    assert [reward(rule, *events) for events in short] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("aggregate", "worth", "expected"),
    [("sum", None, 60.0), ("max", None, 40.0), ("earliest", None, 20.0), ("sum", 3.0, 6.0)],
)
def test_several_events_are_aggregated_as_the_action_says(
    aggregate: Any, worth: float | None, expected: float
) -> None:
    own = ActionReward(events=["purchase"], aggregate=aggregate, worth=worth)
    rule = attribution(VALUE, card_offer=own)
    assert reward(rule, decided(), paid(40, 2), paid(20, 1)) == expected


def test_what_counts_against_an_action_is_taken_off_whatever_the_aggregate() -> None:
    own = ActionReward(events=["purchase"], minus=["complaint"], worth=2.0, aggregate="max")
    rule = attribution(VALUE, card_offer=own)
    complained = told("Complaint Filed", 3, None)
    assert reward(rule, decided(), paid(9, 1), paid(9, 2), complained) == 0.0
    assert reward(rule, decided(), complained) == -2.0


def test_silence_is_worth_the_default_of_the_action_or_of_the_file() -> None:
    rule = attribution(replace(VALUE, default=1.0), card_offer=ActionReward(default=-2.0))
    found = credits(rule, decided(), decided("d1", 1, "help_popup"), decided("d2", 2, NO_ACTION))
    assert [(one.reward, one.answered) for one in found] == [(-2.0, False), (1.0, False)] + [
        (1.0, False)
    ]


# Several decisions and one event


def test_an_event_counts_for_every_decision_in_whose_window_it_falls() -> None:
    events = (decided(), decided("d1", 3), decided("d2", 5), paid(10, 6), paid(1, 8))
    assert [credit.reward for credit in credits(attribution(VALUE), *events)] == [10.0, 11.0, 11.0]


def test_with_last_touch_an_event_counts_for_the_last_of_them() -> None:
    rule = attribution(replace(VALUE, credit="last"))
    events = (decided(), decided("d1", 3), decided("d2", 5, NO_ACTION), paid(10, 4), paid(1, 6))
    assert [credit.reward for credit in credits(rule, *events)] == [0.0, 10.0, 1.0]
    gone = told("Action Expired", 7, "d1")  # as `no_action` has its touch whether or not it arrived
    assert [credit.reward for credit in credits(rule, *events, gone)] == [0.0, 10.0, 1.0]


def test_the_last_touch_is_the_last_whose_action_declares_the_kind() -> None:
    rule = attribution(
        replace(VALUE, credit="last"), help_popup=ActionReward(events=["complaint"], worth=1.0)
    )
    events = (decided(), decided("d1", 1, "help_popup"), paid(10, 2))
    assert [credit.reward for credit in credits(rule, *events)] == [10.0, 0.0]


def test_an_event_that_names_a_decision_is_its_alone_where_the_action_declares_it() -> None:
    own = ActionReward(events=["purchase"])
    events = (decided(), decided("d1", 1), paid(10, 2, "d0"))
    by_action = credits(attribution(VALUE, card_offer=own), *events)
    assert [one.reward for one in by_action] == [10.0, 0.0]
    last = credits(attribution(replace(VALUE, credit="last")), *events)
    assert [one.reward for one in last] == [10.0, 0.0]
    by_file = credits(attribution(VALUE), *events)
    assert [one.reward for one in by_file] == [10.0, 10.0]


# Terms and bounds


def read(rule: Attribution, before: Reading, after: Reading, *events: Event) -> Credit:
    (credit,) = credits(rule, decided(), *events)
    return rule.read(credit, Readings(before, after))


def test_a_reward_may_contain_the_worth_of_staying_and_the_change_in_emotion() -> None:
    journey_rule = replace(VALUE, staying=True, feeling_eur=2.0)
    rules = replace(JOURNEY.arbitration, customer_value_eur=400.0)
    journey = changed(reward=journey_rule, arbitration=rules)
    rule = Attribution(journey, FOLD.encoder.kind)
    credit = read(rule, Reading(0.25, -1.0), Reading(0.125, 0.5), paid(10, 1))
    assert credit.reward == 10 + 400 * 0.125 + 2 * 1.5
    assert credit.complete


def test_a_term_that_is_not_known_leaves_the_reward_incomplete() -> None:
    rule = attribution(replace(VALUE, feeling_eur=2.0))
    (waiting,) = credits(rule, decided(), paid(10, 1))
    assert (waiting.reward, waiting.closed, waiting.complete) == (10.0, True, False)
    nan = float("nan")
    assert not read(rule, Reading(0.1, nan), Reading(0.1, 1.0)).complete
    assert read(rule, Reading(nan, 0.0), Reading(nan, 1.0)).reward == 2.0  # risk is not asked for


def test_an_open_window_is_not_read() -> None:
    rule = attribution(replace(VALUE, feeling_eur=2.0))
    (credit,) = credits(rule, decided(), end_day=6.9)
    assert rule.read(credit, Readings(Reading(0, 0), Reading(0, 1))) == credit


def test_a_reward_stays_within_its_bounds() -> None:
    rule = attribution(replace(VALUE, bounds=Bounds(low=-5.0, high=50.0), feeling_eur=10.0))
    assert reward(rule, decided(), paid(1_000, 1)) == 50.0
    assert reward(rule, decided(), told("Reward Given", 1, reward=-1e9)) == -5.0
    assert read(rule, Reading(0, 0), Reading(0, -3.0)).reward == -5.0
    twice = (told("Action Accepted", 1), told("Action Accepted", 2))
    assert reward(attribution(), decided(), *twice) == 1.0


def test_costs_are_reported_and_never_learned() -> None:
    cost = next(action.cost_eur for action in JOURNEY.actions if action.id == "card_offer")
    for said, less in ((False, 0.0), (True, 0.3)):
        rule = attribution(replace(VALUE, annoyance=said))
        (credit,) = credits(rule, decided(), paid(10, 1))
        assert credit.reward == 10.0
        assert rule.reported_eur(credit, annoyance_eur=0.3) == pytest.approx(10 - cost - less)
    (credit,) = credits(attribution(), decided(), told("Action Accepted", 1))
    assert attribution().reported_eur(credit) == pytest.approx(40 - cost)


# Windows, lateness and standing


def test_a_reward_after_the_window_is_marked_and_never_learned() -> None:
    """Reliability T7."""
    late = (told("Action Accepted", 7.1), told("Reward Given", 8, reward=1.0))
    (before,) = credits(attribution(), decided())
    (after,) = credits(attribution(), decided(), *late)
    assert (after.reward, after.late, after.state) == (0.0, 2, "default")
    assert after._replace(late=0) == before._replace(decision=after.decision)
    assert is_late(JOURNEY, late[0], decided())
    assert not is_late(JOURNEY, told("Action Accepted", 7.0), decided())


def test_the_window_of_a_deferred_decision_is_known_from_what_names_it() -> None:
    asked, used = decided(deferred=True), told("Action Activated", 2)
    assert not is_late(JOURNEY, told("Action Accepted", 8), asked, [used])
    assert is_late(JOURNEY, told("Action Accepted", 9.1), asked, [used])
    assert not is_late(JOURNEY, told("Action Accepted", 9.1), asked)  # its window never began


def test_each_action_is_late_by_its_own_window() -> None:
    actions = [replace(action, reward=ActionReward(window_hours=1)) for action in JOURNEY.actions]
    journey = changed(actions=actions)
    assert is_late(journey, told("Action Accepted", 0.1), decided())
    assert not is_late(journey, told("Action Accepted", 0.1), decided(action=NO_ACTION))


# The version


def test_the_version_names_all_that_makes_a_reward_what_it_is() -> None:
    actions = [replace(JOURNEY.actions[0], reward=ActionReward(window_hours=1))]
    mappings = [replace(JOURNEY.events[0], outcome="positive"), *JOURNEY.events[1:]]
    versions = {
        reward_version(changed(**fields))
        for fields in (
            {},
            {"reward": replace(RESPONSE, window_days=6)},
            {"actions": [*actions, *JOURNEY.actions[1:]]},
            {"events": mappings},
        )
    }
    assert len(versions) == 4
    same = changed(reward=replace(RESPONSE, annoyance=True), no_action_value_eur=3.0)
    assert reward_version(same) == reward_version(JOURNEY) == attribution().version
