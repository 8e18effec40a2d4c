"""What rules removed, as answers tell it: each action by itself, or by rule."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nba.decisions.candidate import Refused


class Filtered(msgspec.Struct, frozen=True):
    """An action that a rule removed."""

    action_id: str
    stage: str
    code: str  # docs/reasons.md lists them
    rule: str  # the owner's rule: its id, or where it stands
    detail: str  # the fact that failed


class FilteredByRule(msgspec.Struct, frozen=True, kw_only=True):
    """The actions that one rule removed."""

    stage: str
    code: str
    rule: str
    action_ids: list[str]
    detail: str  # the fact that failed, of the first of them


def filtered(refused: Sequence[Refused]) -> list[Filtered]:
    """Actions that rules removed."""
    return [
        Filtered(
            action_id=each.action_id,
            stage=each.stage,
            code=each.code,
            rule=each.rule,
            detail=each.detail,
        )
        for each in refused
    ]


def filtered_by_rule(refused: Sequence[Refused]) -> list[FilteredByRule]:
    """The same by rule, in the order in which the rules refused first."""
    found: dict[tuple[str, str], FilteredByRule] = {}
    for each in refused:
        rule = found.get((each.code, each.rule))
        if rule is None:
            found[each.code, each.rule] = FilteredByRule(
                stage=each.stage,
                code=each.code,
                rule=each.rule,
                action_ids=[each.action_id],
                detail=each.detail,
            )
        elif each.action_id not in rule.action_ids[-1:]:
            rule.action_ids.append(each.action_id)
    return list(found.values())
