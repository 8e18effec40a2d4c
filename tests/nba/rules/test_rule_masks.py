"""The law of rules: a mask is `holds`, row by row."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import given, strategies as st

from nba.errors import InvalidInput
from nba.rules.rule import parse_rule
from tests.fixtures.examples import examples
from tests.fixtures.rule_names import NAMES

# The law: a mask is `holds`, row by row. Rules are made as text from small trees.
_NUMBERS = ["search_failed.count_1h", "emotion.sum10", "properties.n"]
_BOOLEANS = ["traits.has_mortgage", "request.vip", "properties.b"]
_TEXTS = ["traits.segment", "traits.region", "properties.t"]
_LITERALS = st.sampled_from(["0", "1", "-1", "2.5", "1e300", "-0.0"])
_ARITHMETIC = st.recursive(
    st.sampled_from(_NUMBERS) | _LITERALS,
    lambda side: (
        st.builds("({} {} {})".format, side, st.sampled_from("+-*/"), side)
        | side.map("(-{})".format)
    ),
    max_leaves=4,
)
_ORDER = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
_EQUAL = st.sampled_from(["==", "!="])
_IN = st.sampled_from(["in", "not in"])
_COMPARISONS = st.one_of(
    st.builds("{} {} {}".format, _ARITHMETIC, _ORDER, _ARITHMETIC),
    st.builds("{} {} {} {} {}".format, _ARITHMETIC, _ORDER, _ARITHMETIC, _ORDER, _ARITHMETIC),
    st.builds("{} {} [0, 1, -2.5]".format, _ARITHMETIC, _IN),
    st.builds('{} {} ["mass"]'.format, st.sampled_from(_TEXTS), _IN),
    st.builds('{} {} "mass"'.format, st.sampled_from(_TEXTS), _EQUAL),
    st.builds("{} {} {}".format, st.sampled_from(_TEXTS), _EQUAL, st.sampled_from(_TEXTS)),
    st.builds("{} {} True".format, st.sampled_from(_BOOLEANS), _EQUAL),
    st.builds("{} {} {}".format, st.sampled_from(_BOOLEANS), _EQUAL, st.sampled_from(_BOOLEANS)),
    st.builds(
        "properties.{} {} properties.{}".format,
        *[st.sampled_from("nbt"), _EQUAL] * 1,
        st.sampled_from("nbt"),
    ),
    st.sampled_from(_BOOLEANS),
    st.builds(
        "{} is {}None".format,
        st.sampled_from(_NUMBERS + _BOOLEANS + _TEXTS),
        st.sampled_from(["", "not "]),
    ),
)
_RULES = st.recursive(
    _COMPARISONS,
    lambda part: (
        st.builds("({} {} {})".format, part, st.sampled_from(["and", "or"]), part)
        | part.map("(not {})".format)
    ),
    max_leaves=6,
)
_NUMBER_VALUES = st.sampled_from([None, math.nan, 0.0, -0.0, 1.0, 1, -2.5, 2.5, 1e308, math.inf])
_BOOLEAN_VALUES = st.sampled_from([None, math.nan, True, False, 1.0, 0.0, 0.5])
_TEXT_VALUES = st.sampled_from([None, math.nan, "mass", "north", "", 3.0])
_FACTS = st.fixed_dictionaries(
    {name: _NUMBER_VALUES for name in _NUMBERS}
    | {name: _BOOLEAN_VALUES for name in _BOOLEANS}
    | {name: _TEXT_VALUES for name in _TEXTS}
)


def _float_column(values: list[Any]) -> np.ndarray:
    return np.array([math.nan if value is None else float(value) for value in values])


@examples(400)
@given(_RULES, st.lists(_FACTS, max_size=8), st.booleans())
def test_a_mask_is_holds_row_by_row(text: str, rows: list[dict[str, Any]], typed: bool) -> None:
    try:
        rule = parse_rule(text, NAMES)
    except InvalidInput as error:  # constants, contradictions: also the parser's right answer
        assert error.remedy.startswith(("always", "never", "write a finite", "this is a number;"))
        return
    columns = {}
    for name in rule.names:
        values = [row[name] for row in rows]
        if typed and name in _NUMBERS + _BOOLEANS and not name.startswith("properties"):
            columns[name] = _float_column(values)
        else:
            columns[name] = np.empty(len(rows), dtype=object)
            columns[name][:] = values
    expected = [rule.holds(row) for row in rows]
    mask = rule.mask(columns, len(rows))
    assert mask.dtype == np.bool_
    assert mask.tolist() == expected
    for row, held in zip(rows, expected, strict=True):
        assert (rule.failing(row) == "") == held
