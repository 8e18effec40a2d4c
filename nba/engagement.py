"""Engagement: which actions may be offered to this customer now, each refusal with its reason.

Reason codes: `not_a_candidate`, `other_channel`, `other_placement` (available), `not_eligible`
(eligibility).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nba.context import rule_names
from nba.decision import Refused, Request, Stage
from nba.journey import Action, JourneyFile
from nba.rules import Rule, parse_rule


class Engagement:
    """The owner's rules on who may be asked what; `codes` are positions in the actions."""

    def __init__(self, journey: JourneyFile) -> None:
        self._actions = journey.actions
        names = rule_names(journey)
        texts = list(dict.fromkeys(action.eligible for action in journey.actions))
        self._rules: list[Rule | None] = [
            parse_rule(text, names) if text else None for text in texts
        ]
        self._rule_of = [texts.index(action.eligible) for action in journey.actions]

    def available(self, request: Request) -> tuple[list[int], list[Refused]]:
        """The actions that the channel asks for and can show."""
        wanted = None if request.candidates is None else set(request.candidates)
        codes: list[int] = []
        refused: list[Refused] = []
        for code, action in enumerate(self._actions):
            reason = _unavailable(action, request, wanted)
            if reason is None:
                codes.append(code)
            else:
                rule, detail = reason
                refused.append(
                    Refused(action_id=action.id, stage=Stage.AVAILABLE, rule=rule, detail=detail)
                )
        return codes, refused

    def eligible(
        self, codes: Sequence[int], facts: Mapping[str, Any]
    ) -> tuple[list[int], list[Refused]]:
        """The actions whose eligibility rule holds; each distinct rule is evaluated once."""
        held: dict[int, bool] = {}
        details: dict[int, str] = {}
        kept: list[int] = []
        refused: list[Refused] = []
        for code in codes:
            position = self._rule_of[code]
            rule = self._rules[position]
            if position not in held:
                held[position] = rule is None or rule.holds(facts)
                if rule is not None and not held[position]:
                    details[position] = rule.failing(facts)
            if held[position]:
                kept.append(code)
            else:
                refused.append(
                    Refused(
                        action_id=self._actions[code].id,
                        stage=Stage.ELIGIBILITY,
                        rule="not_eligible",
                        detail=details[position],
                    )
                )
        return kept, refused


def _unavailable(
    action: Action, request: Request, wanted: set[str] | None
) -> tuple[str, str] | None:
    if wanted is not None and action.id not in wanted:
        return "not_a_candidate", "the request names other candidates"
    if request.channel is not None and action.channel != request.channel:
        return "other_channel", f"the action is for {action.channel}"
    if request.placement not in (None, action.touchpoint, *action.also_at):
        return "other_placement", f"the action is for {action.touchpoint}"
    return None
