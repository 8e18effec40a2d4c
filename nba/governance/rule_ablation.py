"""The rules of a journey file one by one, each with the file as it would be without it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from msgspec.structs import replace

from nba.decisions.candidate import Refused
from nba.governance.reason_codes import RULE_KINDS
from nba.journey.actions import INLINE_RULES, Action, Treatment
from nba.journey.file import JourneyFile


class RulePart(NamedTuple):
    """One rule, lever or weight."""

    kind: str  # of `RULE_KINDS`
    id: str  # as refusals and candidates name it
    ablated: JourneyFile  # the file with this one alone left out
    lifted_share: float = 0.0
    factor: float | None = None  # of a lever or a weight
    demanded: bool = False  # by law, the product or the customer: not for an owner to change

    @property
    def refuses(self) -> bool:
        """Whether it takes actions away; levers and weights change what they are worth."""
        return bool(RULE_KINDS[self.kind].codes)

    def has_refused(self, refused: Refused) -> bool:
        """Whether this rule was the one that refused."""
        return refused.rule == self.id and refused.code in RULE_KINDS[self.kind].codes


def rule_parts(journey: JourneyFile) -> Iterator[RulePart]:
    """Engagement rules, inline rules, consents, contact policy, weights, levers.

    Inline rules of one text on several actions have one id; those of one id are one part.
    """
    for at, rule in enumerate(journey.engagement):
        ablated = replace(journey, engagement=_but(journey.engagement, at))
        demanded = rule.layer == "eligibility"
        yield RulePart(
            "engagement", rule.id, ablated, lifted_share=rule.lifted_share, demanded=demanded
        )
    for rule_id in _inline_ids(journey):
        actions = [_without_inline(action, rule_id, journey) for action in journey.actions]
        demanded = rule_id.endswith(".eligible")
        yield RulePart("inline", rule_id, replace(journey, actions=actions), demanded=demanded)
    for purpose in journey.consents:
        actions = [
            replace(action, purpose=None) if action.purpose == purpose else action
            for action in journey.actions
        ]
        yield RulePart("consent", purpose, replace(journey, actions=actions), demanded=True)
    for name, kind in RULE_KINDS.items():
        limits: list[Any] = getattr(journey.contact_policy, kind.limits) if kind.limits else []
        for at, limit in enumerate(limits):
            policy = replace(journey.contact_policy, **{str(kind.limits): _but(limits, at)})
            ablated = replace(journey, contact_policy=policy)
            lifted_share = getattr(limit, "lifted_share", 0.0)
            demanded = name == "quiet hours"
            yield RulePart(name, limit.id, ablated, lifted_share=lifted_share, demanded=demanded)
    for at, weight in enumerate(journey.weights):
        ablated = replace(journey, weights=_but(journey.weights, at))
        yield RulePart("weight", weight.id, ablated, factor=weight.factor)
    for at, lever in enumerate(journey.levers):
        ablated = replace(journey, levers=_but(journey.levers, at))
        yield RulePart("lever", lever.id, ablated, factor=lever.factor)


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


def _without_inline(action: Action, rule_id: str, journey: JourneyFile) -> Action:
    removed = {
        name: None
        for name in INLINE_RULES
        if getattr(action, name) is not None and _inline_id(action, name, journey) == rule_id
    }
    treatments = [
        _without_treatment_rule(action.id, treatment, rule_id) for treatment in action.treatments
    ]
    return replace(action, **removed, treatments=treatments)


def _without_treatment_rule(action_id: str, treatment: Treatment, rule_id: str) -> Treatment:
    prefix = f"{action_id}.{treatment.id}"
    return replace(treatment, **{n: None for n in INLINE_RULES if rule_id == f"{prefix}.{n}"})
