"""Rules: what they accept, refuse, hold, mask and explain."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest

from nba.rules.rule import (
    parse_rule,
)
from tests.fixtures.rule_names import NAMES

TYPICAL = (
    'search_failed.count_1h >= 1.5 and traits.segment in ["mass", "affluent"]'
    " and not (emotion.sum10 < -1)"
)


def holds(text: str, **facts: object) -> bool:
    return parse_rule(text, NAMES).holds({k.replace("__", "."): v for k, v in facts.items()})


def test_the_typical_rule_holds_where_all_its_parts_do() -> None:
    rule = parse_rule(TYPICAL, NAMES)
    assert rule.text == TYPICAL
    assert rule.names == ("search_failed.count_1h", "traits.segment", "emotion.sum10")
    happy = {"search_failed.count_1h": 2.0, "traits.segment": "mass", "emotion.sum10": 0.5}
    assert rule.holds(happy)
    assert not rule.holds(happy | {"emotion.sum10": -1.5})
    assert not rule.holds(happy | {"traits.segment": "private"})


@pytest.mark.parametrize("missing", [None, math.nan, "text", True, [], {}, 10**400])
@pytest.mark.parametrize("op", ["<", "<=", ">", ">=", "==", "!="])
def test_a_comparison_with_a_missing_number_is_false(op: str, missing: object) -> None:
    assert not holds(f"emotion.sum10 {op} 1", emotion__sum10=missing)
    assert holds(f"not emotion.sum10 {op} 1", emotion__sum10=missing)
    assert not holds(f"emotion.sum10 + 1 {op} 1", emotion__sum10=missing)


@pytest.mark.parametrize("op", ['== "mass"', '!= "mass"', 'in ["mass"]', 'not in ["mass"]'])
@pytest.mark.parametrize("missing", [None, math.nan, 3, False])
def test_a_comparison_with_a_missing_category_is_false(op: str, missing: object) -> None:
    assert not holds(f"traits.segment {op}", traits__segment=missing)
    assert not holds(f"traits.segment {op}")


@pytest.mark.parametrize(
    ("name", "known", "missing"),
    [
        ("emotion.sum10", [0, -2.5, math.inf], [None, math.nan, "text", True]),
        ("traits.segment", ["mass", ""], [None, math.nan, 3]),
        ("request.vip", [True, False, 0.0], [None, math.nan, 2, "yes"]),
        ("properties.n", [0, "", False], [None, math.nan, [], {}]),
    ],
)
def test_a_rule_may_ask_whether_a_fact_is_known(
    name: str, known: list[object], missing: list[object]
) -> None:
    unknown, there = (parse_rule(f"{name} {how}", NAMES) for how in ("is None", "is not None"))
    assert unknown.names == there.names == (name,)
    for value, holds_ in [(one, True) for one in known] + [(one, False) for one in missing]:
        facts = {name: value}
        assert (there.holds(facts), unknown.holds(facts)) == (holds_, not holds_)
        assert unknown.failing(facts) == (f"{name} is known" if holds_ else "")
        assert there.failing(facts) == ("" if holds_ else f"{name} is unknown")
    assert unknown.holds({}) and not there.holds({})
    assert unknown.mask({}, 2).tolist() == [True, True]


def test_not_known_is_unknown_in_words_too() -> None:
    rule = parse_rule("not traits.segment is None and emotion.sum10 > 1", NAMES)
    assert rule.failing({}) == "traits.segment is unknown; emotion.sum10 is unknown"
    assert (
        parse_rule("not traits.segment is not None", NAMES).failing({"traits.segment": "mass"})
        == "traits.segment is known"
    )


def test_division_by_zero_is_missing() -> None:
    for text in ("1 / emotion.sum10 != 5", "not 1 / emotion.sum10 >= 0 and emotion.sum10 == 1"):
        assert not holds(text, emotion__sum10=0)
    assert holds("1 / emotion.sum10 == 0.25", emotion__sum10=4)


def test_a_boolean_is_a_condition_and_may_be_a_number() -> None:
    assert holds("traits.has_mortgage", traits__has_mortgage=True)
    assert holds("traits.has_mortgage", traits__has_mortgage=1.0)
    assert holds("traits.has_mortgage == False", traits__has_mortgage=np.False_)
    assert not holds("traits.has_mortgage == False", traits__has_mortgage=math.nan)
    assert holds("not traits.has_mortgage")


def test_a_chain_is_its_pairs() -> None:
    assert holds("-1 < emotion.sum10 <= 3", emotion__sum10=3)
    assert not holds("-1 < emotion.sum10 < 3", emotion__sum10=3)


def test_a_rule_may_take_several_lines_and_carry_comments() -> None:
    assert holds("emotion.sum10 > 1  # content\nand emotion.sum10 < 3", emotion__sum10=2)


@pytest.mark.parametrize(
    ("text", "facts", "why"),
    [
        (
            TYPICAL,
            {"search_failed.count_1h": 0.42, "emotion.sum10": -3},
            "search_failed.count_1h is 0.42, needs >= 1.5; traits.segment is unknown; "
            "emotion.sum10 is -3, needs >= -1",
        ),
        (
            'traits.segment in ["mass", "private"] or emotion.sum10 > 1',
            {"traits.segment": "affluent", "emotion.sum10": 1},
            "traits.segment is affluent, needs in [mass, private] or emotion.sum10 is 1, needs > 1",
        ),
        (
            "emotion.sum10 / search_failed.count_1h > 1",
            {"emotion.sum10": 1, "search_failed.count_1h": 0},
            "emotion.sum10 / search_failed.count_1h cannot be computed",
        ),
        (
            "emotion.sum10 > 2 * search_failed.count_1h",
            {"emotion.sum10": 1, "search_failed.count_1h": 4},
            "emotion.sum10 is 1, needs > 2 * search_failed.count_1h, which is 8",
        ),
        (
            "traits.has_mortgage",
            {"traits.has_mortgage": False},
            "traits.has_mortgage is false, needs true",
        ),
        (
            "not (traits.has_mortgage or emotion.sum10 < 0)",
            {"traits.has_mortgage": True, "emotion.sum10": -1},
            "traits.has_mortgage is true, needs false; emotion.sum10 is -1, needs >= 0",
        ),
        ("traits.segment == traits.region", {"traits.segment": "mass"}, "traits.region is unknown"),
        ("traits.has_mortgage", {"traits.has_mortgage": True}, ""),
    ],
)
def test_failing_says_which_comparison_and_why(text: str, facts: dict[str, Any], why: str) -> None:
    assert parse_rule(text, NAMES).failing(facts) == why


def test_a_rule_survives_pickling_and_equals_its_copy() -> None:
    rule = parse_rule(TYPICAL, NAMES)
    copy = pickle.loads(pickle.dumps(rule))
    assert copy == rule
    assert copy.holds({}) is False


def test_a_column_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"emotion.sum10 has shape \(2,\), not \(3,\)"):
        parse_rule("emotion.sum10 > 1", NAMES).mask({"emotion.sum10": np.zeros(2)}, 3)


def test_masks_read_every_usual_column_type() -> None:
    columns = {
        "emotion.sum10": np.array([1, 2, 3], dtype=np.int32),
        "traits.segment": np.array(["mass", "private", "mass"]),
        "traits.has_mortgage": np.array([True, True, False]),
    }
    rule = parse_rule(
        'emotion.sum10 >= 1 and traits.segment == "mass" and traits.has_mortgage', NAMES
    )
    assert rule.mask(columns, 3).tolist() == [True, False, False]
    assert rule.mask({}, 3).tolist() == [False] * 3
