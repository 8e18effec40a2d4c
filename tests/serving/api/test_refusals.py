"""Refusals in an answer: by rule, so that a catalogue of a thousand actions stays readable."""

from __future__ import annotations

from nba.decisions.candidate import Refused, Stage
from serving.api.refusals import FilteredByRule, filtered, filtered_by_rule


def refused(action_id: str, rule: str, detail: str = "why") -> Refused:
    return Refused(
        action_id=action_id,
        stage=Stage.CONTACT_POLICY,
        code="contact_cap",
        rule=rule,
        detail=detail,
    )


def test_each_rule_is_told_once_with_the_actions_that_it_took() -> None:
    given = [refused("a", "one", "first"), refused("b", "two"), refused("c", "one", "other")]
    assert [each.action_id for each in filtered(given)] == ["a", "b", "c"]
    one, two = filtered_by_rule(given)
    assert one == FilteredByRule(
        stage="contact_policy",
        code="contact_cap",
        rule="one",
        action_ids=["a", "c"],
        detail="first",
    )
    assert two.action_ids == ["b"]


def test_the_treatments_of_one_action_are_one_action() -> None:
    (rule,) = filtered_by_rule([refused("a", "one"), refused("a", "one")])
    assert rule.action_ids == ["a"]
