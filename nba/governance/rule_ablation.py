"""The rules of a journey file one by one, each with the file as it would be without it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from msgspec.structs import replace

from nba.decisions.candidate import Refused
from nba.journey.actions import INLINE_RULES, Action, Treatment
from nba.journey.file import JourneyFile

_LIMITS = (
    ("cap", "caps"),
    ("cool-down", "cool_downs"),
    ("pause", "pauses"),
    ("quiet hours", "quiet_hours"),
    ("capacity", "capacities"),
)


_LAYERS = ("not_eligible", "not_applicable", "not_suitable")
_CODES = {
    "engagement": _LAYERS,
    "inline": _LAYERS,
    "consent": ("no_consent",),
    "cap": ("contact_cap",),
    "cool-down": ("cool_down",),
    "pause": ("paused",),
    "quiet hours": ("quiet_hours",),
    "capacity": ("no_capacity",),
}


class RulePart(NamedTuple):
    """One rule, lever or weight."""

    kind: str
    id: str  # as refusals and candidates name it
    without: JourneyFile  # the file with this one alone left out
    lifted_share: float = 0.0
    factor: float | None = None  # of a lever or a weight

    @property
    def refuses(self) -> bool:
        """Whether it takes actions away; levers and weights change what they are worth."""
        return self.factor is None

    def struck(self, refused: Refused) -> bool:
        """Whether this rule was the one that refused."""
        return refused.rule == self.id and refused.code in _CODES.get(self.kind, ())


def rule_parts(journey: JourneyFile) -> Iterator[RulePart]:
    """Engagement rules, inline rules, consents, contact policy, weights, levers.

    Inline rules of one text on several actions have one id; those of one id are one part.
    """
    for at, rule in enumerate(journey.engagement):
        left = replace(journey, engagement=_but(journey.engagement, at))
        yield RulePart("engagement", rule.id, left, rule.lifted_share)
    for name in _inline_ids(journey):
        actions = [_without_inline(action, name, journey) for action in journey.actions]
        yield RulePart("inline", name, replace(journey, actions=actions))
    for purpose in journey.consents:
        actions = [
            replace(action, purpose=None) if action.purpose == purpose else action
            for action in journey.actions
        ]
        yield RulePart("consent", purpose, replace(journey, actions=actions))
    for kind, field in _LIMITS:
        listed: list[Any] = getattr(journey.contact_policy, field)
        for at, limit in enumerate(listed):
            policy = replace(journey.contact_policy, **{field: _but(listed, at)})
            share = getattr(limit, "lifted_share", 0.0)
            yield RulePart(kind, limit.id, replace(journey, contact_policy=policy), share)
    for at, weight in enumerate(journey.weights):
        left = replace(journey, weights=_but(journey.weights, at))
        yield RulePart("weight", weight.id, left, factor=weight.factor)
    for at, lever in enumerate(journey.levers):
        left = replace(journey, levers=_but(journey.levers, at))
        yield RulePart("lever", lever.id, left, factor=lever.factor)


def _but(parts: list[Any], at: int) -> list[Any]:
    return [*parts[:at], *parts[at + 1 :]]


def _inline_ids(journey: JourneyFile) -> list[str]:
    ids = [
        _inline_id(action, name, journey)
        for action in journey.actions
        for name in INLINE_RULES
        if getattr(action, name) is not None
    ]
    ids += [
        f"{action.id}.{treatment.id}.{name}"
        for action in journey.actions
        for treatment in action.treatments
        for name in INLINE_RULES
        if getattr(treatment, name) is not None
    ]
    return list(dict.fromkeys(ids))


def _inline_id(action: Action, name: str, journey: JourneyFile) -> str:
    """As `engagement_policy` names it: a text that several actions share is read once."""
    text = getattr(action, name)
    first = next(other for other in journey.actions if getattr(other, name) == text)
    return f"{first.id}.{name}"


def _without_inline(action: Action, rule: str, journey: JourneyFile) -> Action:
    mine = {
        name: None
        for name in INLINE_RULES
        if getattr(action, name) is not None and _inline_id(action, name, journey) == rule
    }
    treatments = [_without_own(action.id, one, rule) for one in action.treatments]
    return replace(action, **mine, treatments=treatments)


def _without_own(action_id: str, treatment: Treatment, rule: str) -> Treatment:
    mine = {name: None for name in INLINE_RULES if rule == f"{action_id}.{treatment.id}.{name}"}
    return replace(treatment, **mine)
