"""Rules: what they accept, refuse, hold, mask and explain."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from nba.errors import InvalidInput
from nba.rules.rule import (
    PROPERTIES,
    AnyType,
    Boolean,
    Category,
    Names,
    Number,
    PropertyFacts,
    parse_rule,
)

NAMES: Names = {
    "search_failed.count_1h": Number(),
    "emotion.sum10": Number(),
    "traits.segment": Category(("mass", "affluent", "private")),
    "traits.region": Category(("mass", "north")),
    "traits.colour": Category(("red",)),
    "traits.has_mortgage": Boolean(),
    "request.vip": Boolean(),
    "properties.*": AnyType(),
}
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


def test_untyped_properties_take_the_type_of_their_comparison() -> None:
    facts = PropertyFacts({"results_count": 0, "query": "loan", "cart": {"total": 9.5}, "ok": True})
    for text in (
        "properties.results_count == 0",
        'properties.query in ("loan", "card") and properties.ok',
        "properties.cart.total > 9",
        "properties.query != properties.results_count",
        "properties.cart.total != properties.results_count",
    ):
        assert parse_rule(text, PROPERTIES).holds(facts), text
    for text in (
        'properties.results_count == "0"',
        "properties.query != 0",
        "properties.nothing == properties.nowhere",
        "properties.nothing.below == 1",
        "properties.query.below == 1",
    ):
        assert not parse_rule(text, PROPERTIES).holds(facts), text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'': write a condition, or leave the rule out"),
        ("x" * 2001, "'" + "x" * 56 + "...: shorten it from 2001 to 2000 characters"),
        ("emotion.sum10 >", "'emotion.sum10 >': invalid syntax at column 16"),
        ("emotion.sum10 = 1", "'emotion.sum10 = 1': compare with ==, not = at column 1"),
        (
            "emotion.sum10 > 1\nand emotion.sum10 <",
            "'emotion.sum10 > 1\\nand emotion.sum10 <': invalid syntax at line 2, column 20",
        ),
        ("emotion.sum > 1", "'emotion.sum': unknown name, did you mean 'emotion.sum10'?"),
        ("request.vip == true", "'true': write True"),
        (
            'emotion.sum10 == "1"',
            "'emotion.sum10': this is a number; compare it with a number, not with \"1\"",
        ),
        (
            "traits.has_mortgage == 1",
            "'traits.has_mortgage': this is true or false; compare it with True or False,"
            " not with 1",
        ),
        (
            'traits.segment == "afluent"',
            "'afluent': not a value of traits.segment, did you mean 'affluent'?",
        ),
        (
            '"zzz" == traits.segment',
            "'zzz': not a value of traits.segment, its values: affluent, mass, private",
        ),
        (
            'traits.segment in ["mass", "privat"]',
            "'privat': not a value of traits.segment, did you mean 'private'?",
        ),
        (
            "traits.segment == traits.colour",
            "'traits.colour': it and traits.segment have no value in common",
        ),
        (
            'traits.segment < "mass"',
            "'traits.segment': < needs numbers and this is a text; use == or in",
        ),
        (
            "traits.has_mortgage > False",
            "'traits.has_mortgage': > needs numbers and this is true or false; use == or in",
        ),
        (
            "traits.has_mortgage + 1 > 1",
            "'traits.has_mortgage': this is true or false; calculate with numbers",
        ),
        ("-traits.segment > 1", "'traits.segment': this is a text; calculate with numbers"),
        (
            "emotion.sum10",
            "'emotion.sum10': this is a number, not a condition; compare it with a value",
        ),
        (
            "emotion.sum10 + 1",
            "'emotion.sum10 + 1': this is a number, not a condition; compare it with a value",
        ),
        (
            "request.vip and traits.segment",
            "'traits.segment': this is a text, not a condition; compare it with a value",
        ),
        ("True", "'True': always true, leave it out"),
        ("request.vip and False", "'False': never true, whatever the values are"),
        ("1 < 2", "'1 < 2': always true, leave it out"),
        ("emotion.sum10 != emotion.sum10", None),
        ("emotion.sum10 > 5 and emotion.sum10 < 3", None),
        ("5 < emotion.sum10 < 5.5 and emotion.sum10 >= 5.5", None),
        ("emotion.sum10 <= 5 and (request.vip and emotion.sum10 > 5)", None),
        ('traits.segment == "mass" and traits.segment in ["private"]', None),
        ('traits.segment == "mass" and traits.segment not in ["mass"]', None),
        ("emotion.sum10 in [1, 2] and emotion.sum10 > 2", None),
        ("request.vip and request.vip == False", None),
        ("traits.segment in []", None),
        ("traits.segment not in []", "'traits.segment not in []': always true, leave it out"),
        ("traits.segment in [mass]", "'mass': a list holds constants; put texts in quotes"),
        ("emotion.sum10 in [request.vip]", "'request.vip': a list holds constants"),
        ('emotion.sum10 in [1, "a"]', "'[1, \"a\"]': a list holds values of one type"),
        ('traits.segment in "mass"', "'\"mass\"': after in, write a list such as [1, 2]"),
        ("emotion.sum10 == [1]", "'[1]': a list may only stand after in"),
        ("emotion.sum10 is 1", "'emotion.sum10': compare with == or !=, not with is"),
        (
            "emotion.sum10 == None",
            "'None': ask with is None, or is not None, whether a fact is unknown",
        ),
        (
            "emotion.sum10 + 1 is None",
            "'emotion.sum10 + 1': is None asks of a name whether it is unknown",
        ),
        ("emotion.sum10 is None and emotion.sum10 > 1", None),
        ("request.vip is None and (request.vip is not None and emotion.sum10 > 1)", None),
        (
            "request.vip is None or request.vip is not None",
            "'request.vip is None or request.vip is not None': always true, leave it out",
        ),
        (
            "(emotion.sum10 > 1) == True",
            "'emotion.sum10 > 1': compare names and values, not conditions; join with and, or",
        ),
        ("emotion.sum10 > 1e999", "'1e999': write a finite number"),
        ("emotion.sum10 > 1 / 0", "'1 / 0': write a finite number"),
        ("emotion.sum10 == 1j", "'1j': write a number, a text, True or False"),
        (
            '__import__("os").name == 1',
            "'__import__(\"os\").name': a name is words joined by dots, such as traits.segment",
        ),
        ("not " * 60 + "request.vip", "...nest at most 50 levels"),
    ],
)
def test_what_is_not_a_rule_is_refused(text: str, message: str | None) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_rule(text, NAMES)
    said = str(caught.value)
    if message is None:
        assert said.endswith(": never true, whatever the values are")
    elif message.startswith("..."):
        assert said.endswith(message[3:])
    else:
        assert said == "rule: " + message


@pytest.mark.parametrize(
    "node", ["f(1)", "emotion.sum10[0]", "(lambda: 1)", "1 if 2 else 3", "{1}"]
)
def test_other_syntax_is_refused(node: str) -> None:
    with pytest.raises(InvalidInput, match="write only names, numbers, texts, lists"):
        parse_rule(f"{node} > 1", NAMES)


@given(st.text("()[]{}notandr. -+*/<>=!'\"\\#\n\x00:é1e9x,", max_size=80))
def test_any_text_is_a_rule_or_invalid_input(text: str) -> None:
    try:
        parse_rule(text, {"x": Number()})
    except InvalidInput as error:
        assert error.field == "rule"


@pytest.mark.parametrize(
    "text",
    ["(" * 1900, "-" * 1990 + "1", "not " * 490 + "1", "a." * 990 + "a", "[" * 1990, "x<" * 990],
)
def test_hostile_text_is_refused_without_harm(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_rule(text, {"x": Number()})


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
