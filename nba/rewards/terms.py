"""The reward rule of a journey file, action by action."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

import msgspec

from nba.content_ids import content_id
from nba.durations import DAY_S
from nba.events.numbers import MOST_EUR
from nba.journey.actions import ActionReward
from nba.journey.fields import JourneyPart
from nba.journey.file import JourneyFile
from nba.journey.goals import RewardRule

RULE_VERSION = 1  # raised when the rule's meaning changes


class ActionTerms(NamedTuple):
    """How one action is rewarded."""

    window_s: float
    plus: frozenset[str]  # kinds that count
    minus: frozenset[str]  # kinds that count against it
    worth: float | None  # of each event; None: its amount, of a response 1
    aggregate: str
    default: float
    own: bool  # the action itself declares the kinds, not the file

    def declares(self, kind: str) -> bool:
        """Whether events of this kind make the reward."""
        return kind in self.plus or kind in self.minus


def action_terms(rule: RewardRule, action: ActionReward | None = None) -> ActionTerms:
    """The file's rule with what the action declares in its place."""
    value = rule.target == "value"
    plus, minus = (rule.events, rule.minus) if value else ([], [])
    action = action or ActionReward()
    own = bool(action.events or action.minus)
    if own:
        plus, minus = action.events, action.minus
    days = rule.window_days if action.window_days is None else action.window_days
    if action.window_hours is not None:
        days = action.window_hours / 24.0
    return ActionTerms(
        window_s=days * DAY_S,
        plus=frozenset(plus),
        minus=frozenset(minus),
        worth=action.worth,
        aggregate=action.aggregate or rule.aggregate,
        default=rule.default if action.default is None else action.default,
        own=own,
    )


def has_terms(rule: RewardRule) -> bool:
    """Whether rewards wait for terms that are known only when the window has closed."""
    return rule.staying or rule.feeling_eur != 0.0


def bounds_of(rule: RewardRule) -> tuple[float, float]:
    """Between which values rewards are kept."""
    if rule.target == "response":
        return 0.0, 1.0
    return (-inf, inf) if rule.bounds is None else (rule.bounds.low, rule.bounds.high)


def stated_bounds(rule: RewardRule) -> tuple[float, float]:
    """Between which values a reward may be stated; one beyond is refused."""
    bounds = rule.bounds
    if bounds is None:
        return -MOST_EUR, MOST_EUR
    return min(bounds.low, -MOST_EUR), max(bounds.high, MOST_EUR)


def reward_version(journey: JourneyFile) -> str:
    """A hash of all that makes a reward what it is: rewards of two versions do not mix."""
    rule = journey.reward
    declared = [(a.id, a.reward) for a in journey.actions if a.reward is not None]
    events = [
        (m.id, m.event, m.when, m.amount, m.outcome, *([m.amount_range] if m.amount_range else []))
        for m in journey.events
    ]
    staying = journey.arbitration.customer_value_eur if rule.staying else 0.0
    nodes = journey.emotion.nodes if rule.feeling_eur else 0
    # what is reported beside the reward changes nothing of it
    learned = msgspec.structs.replace(rule, annoyance=False)
    apart = ["terms apart"] if has_terms(rule) else []  # they were learned as one with the rest
    fixed = ["carried for a window"] if rule.carry else []  # not until the passage was over
    content = [RULE_VERSION, learned, declared, events, staying, nodes, *apart, *fixed]
    return content_id("reward", msgspec.json.encode(content))


def score_definition(journey: JourneyFile) -> dict[str, str]:
    """What the scores of a model that is trained for this journey file stand for: by field, in
    JSON, what is not as by default. What makes its columns is in the context's schema.

    A field that is added to the journey file later changes no definition while it is left out.
    """
    rule = journey.reward
    asked = _declared("reward.", rule) | _declared("churn.", journey.churn)
    # what is reported beside the reward, and how often training asks, is in no score
    for unscored in ("reward.annoyance", "churn.every_days"):
        asked.pop(unscored, None)
    for action in journey.actions:
        if action.reward is not None:
            asked[f"actions.{action.id}.reward"] = _text(_declared("", action.reward))
    if rule.staying:
        asked["arbitration.customer_value_eur"] = _text(journey.arbitration.customer_value_eur)
    if has_terms(rule):
        asked["reward.terms"] = _text("apart")  # from the model that is learned online
    asked["reward.target"] = _text(rule.target)
    return asked


def _declared(path: str, part: JourneyPart) -> dict[str, str]:
    """The fields of a part that are not as by default."""
    declared = {}
    for field in msgspec.structs.fields(part):
        value = getattr(part, field.name)
        made = field.default_factory
        default = field.default if made is msgspec.NODEFAULT else made()
        if value != default:
            declared[path + field.name] = _text(value)
    return declared


def _text(value: object) -> str:
    return msgspec.json.encode(value, order="sorted").decode()
