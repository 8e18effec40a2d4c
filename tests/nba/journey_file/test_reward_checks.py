"""The errors of the reward rules of a journey file."""

from __future__ import annotations

import pytest

from nba.errors import InvalidJourney
from nba.journey_file.loader import parse_journey
from tests.fixtures.files import SMALL_JOURNEY

TEXT = SMALL_JOURNEY.read_text(encoding="utf-8")
RULE = "reward: {target: response, window_days: 7}"
LINE = TEXT.splitlines().index(RULE) + 1
POPUP = "treatment: popup\n"
ACTION_LINE = TEXT.splitlines().index("    treatment: popup") + 2
BETWEEN = "a response lies between 0 and 1; remove it or write target: value"


def errors_of(text: str) -> list[str]:
    with pytest.raises(InvalidJourney) as caught:
        parse_journey(text, "bank.yaml")
    return [line.removeprefix("bank.yaml:") for line in str(caught.value).splitlines()]


@pytest.mark.parametrize(
    ("rule", "messages"),
    [
        (
            "{target: value}",
            ["reward.events: []: target: value needs the kinds of event whose amounts are summed"],
        ),
        (
            "{target: value, events: [purchase, complaint]}",
            [
                "reward.events[1]: 'complaint': this event has no amount to sum; give its mapping"
                " one"
            ],
        ),
        (
            "{target: value, events: [purchase], minus: [purchase]}",
            ["reward.minus[0]: 'purchase': listed under events too; keep one"],
        ),
        (
            "{target: value, events: [purchase], outcomes: last}",
            [
                "reward.outcomes: 'last': for target: value nothing is worth its outcome; remove"
                " it, or list kinds in minus"
            ],
        ),
        (
            "{target: value, events: [purchas]}",
            ["reward.events[0]: 'purchas': unknown id, did you mean 'purchase'?"],
        ),
        (
            "{target: value, events: [purchase], bounds: {low: 5, high: 5}, default: 5}",
            ["reward.bounds.low: 5.0: it is not below high, which is 5"],
        ),
        (
            "{target: value, events: [purchase], bounds: {low: 0, high: 5}, default: -1}",
            ["reward.default: -1.0: rewards lie between 0 and 5"],
        ),
        (
            "{target: value, events: [purchase], staying: true}",
            [
                "reward.staying: True: say in arbitration.customer_value_eur what a customer who"
                " stays is worth"
            ],
        ),
        (
            "{bounds: {low: 0, high: 1}, staying: true, feeling_eur: 2}",
            [
                f"reward.bounds: Bounds(low=0.0, high=1.0): {BETWEEN}",
                f"reward.staying: True: {BETWEEN}",
                f"reward.feeling_eur: 2.0: {BETWEEN}",
            ],
        ),
        ("{default: 2}", ["reward.default: 2.0: rewards lie between 0 and 1"]),
        ("{carry: 1.5}", ["reward.carry: 1.5: write a number from 0 to 1"]),
        ("{credit: first}", ["reward.credit: 'first': write all or last"]),
        (
            "{aggregate: mean}",
            ["reward.aggregate: 'mean': write earliest or max or sum"],
        ),
    ],
)
def test_a_wrong_reward_rule_is_named_with_its_line(rule: str, messages: list[str]) -> None:
    assert errors_of(TEXT.replace(RULE, f"reward: {rule}")) == [f"{LINE}: {m}" for m in messages]


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (
            "{events: [acount_closed]}",
            "events[0]: 'acount_closed': unknown id, did you mean 'account_closed'?",
        ),
        ("{events: [purchase, purchase]}", "events[1]: 'purchase': listed twice; keep one"),
        (
            "{window_days: 1, window_hours: 2}",
            "window_hours: 2.0: give either window_days or window_hours",
        ),
        ("{worth: 0.5}", "worth: 0.5: list the events that are worth it"),
        (
            "{events: [purchase], worth: 5}",
            "worth: 5.0: a response lies between 0 and 1; write a share of it, or target: value",
        ),
        ("{default: -1}", "default: -1.0: rewards lie between 0 and 1"),
        ("{window_hours: 0}", "window_hours: 0: write a number above 0"),
        ("{evnts: [purchase]}", "evnts: ['purchase']: unknown key, did you mean 'events'?"),
    ],
)
def test_a_wrong_reward_of_an_action_is_named_with_its_line(own: str, message: str) -> None:
    text = TEXT.replace(POPUP, f"{POPUP}    reward: {own}\n")
    assert errors_of(text) == [f"{ACTION_LINE}: actions[0].reward.{message}"]


def test_an_event_without_an_amount_counts_where_the_action_says_its_worth() -> None:
    value = TEXT.replace(RULE, "reward: {target: value, events: [purchase]}")
    own = f"{POPUP}    reward: {{events: [branch_visit]}}\n"
    remedy = "this event has no amount; give its mapping one, or say its worth"
    assert errors_of(value.replace(POPUP, own)) == [
        f"{ACTION_LINE}: actions[0].reward.events[0]: 'branch_visit': {remedy}"
    ]
    said = f"{POPUP}    reward: {{events: [branch_visit], worth: 3}}\n"
    parse_journey(value.replace(POPUP, said))
