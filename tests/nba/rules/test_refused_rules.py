"""What is not a rule is refused, with its place and the remedy."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from nba.errors import InvalidInput
from nba.rules.rule import (
    PROPERTIES,
    Number,
    PropertyFacts,
    parse_rule,
)
from tests.fixtures.rule_names import NAMES


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
