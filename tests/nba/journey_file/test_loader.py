"""The journey file: what loads, what is refused with which line, and what is documented."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml
from hypothesis import given, strategies as st

import nba.journey
from nba.errors import InvalidFile, InvalidJourney
from nba.journey.fields import JourneyPart
from nba.journey.file import JourneyFile
from nba.journey_file.loader import load_journey, parse_journey, schema_text
from nba.journey_file.located_yaml import read_yaml
from nba.journey_file.shape_checks import shape_errors
from nba.journey_file.summary import summarise, to_text
from tests.fixtures.examples import examples
from tests.fixtures.files import ROOT, SMALL_JOURNEY

TEXT = SMALL_JOURNEY.read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs/journey.md").read_text(encoding="utf-8")


def errors_of(text: str) -> list[str]:
    with pytest.raises(InvalidJourney) as caught:
        parse_journey(text, "bank.yaml")
    return str(caught.value).splitlines()


def test_the_small_journey_loads() -> None:
    journey = load_journey(SMALL_JOURNEY)
    assert len(journey.stages()) == 5
    assert len(journey.touchpoints()) == 8
    assert {touchpoint.kind for touchpoint in journey.touchpoints()} == {
        *("digital", "physical", "human", "spatial")
    }
    assert journey.channels() == ["app", "phone", "web"]
    assert journey.events[0].when == "properties.results_count == 0"
    assert parse_journey(TEXT) == journey


def test_aliases_work_and_their_bombs_do_not() -> None:
    plain = "{id: three_a_week, times: 3, days: 7, per: action}"
    more = "{<<: &more {times: 9, per: action}, id: three_a_week, times: 3, days: 7}"
    merged = TEXT.replace(plain, more)
    assert parse_journey(merged) == load_journey(SMALL_JOURNEY)

    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert "make more than 100000 values" in errors_of("\n".join(lines))[0]
    assert "no alias in itself" in errors_of("a: &a [*a]")[0]


def test_all_errors_of_a_round_come_at_once_by_line() -> None:
    text = TEXT.replace("importance: 4", "importance: 9").replace("kind: spatial", "kind: outside")
    text = text.replace("times: 3", "tines: 3").replace("epsilon: 0.1", "epsilon: 2")
    with pytest.raises(InvalidJourney) as caught:
        parse_journey(text, "bank.yaml")
    errors = caught.value.errors
    assert [error.line for error in errors] == sorted(error.line for error in errors)
    assert len(errors) == 7
    assert all(isinstance(error, InvalidFile) for error in errors)
    assert str(caught.value).splitlines() == [str(error) for error in errors]
    first = errors[0]
    assert (caught.value.line, caught.value.field) == (first.line, first.field)
    assert caught.value.value == first.value == "'outside'"


def test_an_error_shows_names_in_the_letters_of_the_file() -> None:
    [error] = errors_of(TEXT.replace("traits:\n", "traits:\n  客户等级: {type: number}\n", 1))
    assert "traits.客户等级: '客户等级': name it in lower case" in error


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "bank.yaml"
    with pytest.raises(InvalidJourney, match="no such file; give the path of a file"):
        load_journey(missing)
    with pytest.raises(InvalidJourney, match="cannot be read: Is a directory"):
        load_journey(tmp_path)
    missing.write_bytes(b"version: 1\nname: \xff\n")
    with pytest.raises(InvalidJourney) as caught:
        load_journey(missing)
    assert str(caught.value) == f"{missing}:2: file: b'\\xff': save the file as UTF-8"
    missing.write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    assert load_journey(missing) == load_journey(SMALL_JOURNEY)


@examples(60)
@given(st.data())
def test_a_damaged_file_loads_or_says_why(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(TEXT) - 1))
    length = data.draw(st.integers(0, 12))
    noise = data.draw(st.text("{}[]:,&*!|>-'\"#%@`~ \n\tab01.", max_size=6))
    try:
        parse_journey(TEXT[:start] + noise + TEXT[start + length :])
    except InvalidJourney as error:
        assert all(1 <= e.line <= TEXT.count("\n") + 8 for e in error.errors)


@examples(60)
@given(st.data())
def test_the_shape_check_agrees_with_msgspec(data: st.DataObject) -> None:
    tree = yaml.safe_load(TEXT)
    spots = list(_spots(tree))
    container, key = data.draw(st.sampled_from(spots))
    container[key] = data.draw(
        st.sampled_from([None, True, 0, -1, 2, 3.5, 40, "", "a", "A b", [], {}, ["a"], {"a": 1}])
    )
    try:
        msgspec.convert(tree, JourneyFile)
        fits = True
    except msgspec.ValidationError:
        fits = False
    assert (not list(shape_errors(tree, JourneyFile))) == fits


def _spots(tree: Any) -> Any:
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield tree, key
        if isinstance(value, dict | list):
            yield from _spots(value)


def test_the_committed_schema_is_current() -> None:
    committed = (ROOT / "docs/journey.schema.json").read_text(encoding="utf-8")
    assert committed == schema_text(), (
        "write it anew: python -c 'from nba.journey_file.loader import schema_text;"
        ' print(schema_text(), end="")\' > docs/journey.schema.json'
    )


def test_the_schema_accepts_the_small_journey_and_refuses_unknown_keys() -> None:
    validator = jsonschema.Draft202012Validator(json.loads(schema_text()))
    tree: Any = read_yaml(TEXT).data
    validator.validate(tree)
    tree["actions"][0]["chanel"] = "web"
    with pytest.raises(jsonschema.ValidationError, match="chanel"):
        validator.validate(tree)


def test_the_example_of_the_reference_loads() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", REFERENCE, re.DOTALL)
    parse_journey(example)


def _structs() -> list[type[msgspec.Struct]]:
    names = sorted(module.name for module in iter_modules(nba.journey.__path__))
    modules = [import_module(f"nba.journey.{name}") for name in names]
    return [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, JourneyPart)
        and value.__module__ == module.__name__
        and value is not JourneyPart
    ]


@pytest.mark.parametrize("struct", _structs(), ids=lambda struct: struct.__name__)
def test_the_reference_explains_every_field(struct: type[msgspec.Struct]) -> None:
    for name in struct.__struct_encode_fields__:
        assert f"| `{name}` |" in REFERENCE, f"{struct.__name__}.{name} is not in docs/journey.md"


def test_the_reference_explains_no_field_that_is_gone() -> None:
    fields = {name for struct in _structs() for name in struct.__struct_encode_fields__}
    tables = REFERENCE.split("## Rules")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", tables, re.MULTILINE)) == fields


def test_the_summary_counts_the_map_and_warns_of_what_is_open() -> None:
    sections = {section.title: section for section in summarise(load_journey(SMALL_JOURNEY))}
    assert list(sections) == [
        *("Overview", "Map", "Events", "Actions", "Rules", "Limits", "Weights and levers"),
        *("Measures", "Warnings"),
    ]
    assert ("touchpoints", "8") in sections["Overview"].rows
    assert (
        "three_a_week",
        "all actions",
        "at most 3 decided within 7 days per action",
    ) in sections["Limits"].rows
    assert sections["Warnings"].rows == (
        ("touchpoint billboard", "no event maps to it: visits stay unseen"),
    )
    for section in sections.values():
        assert all(len(row) == len(section.columns) for row in section.rows)
    text = to_text(list(sections.values()))
    assert "  home_buying  live     leave (leaving)  complaint_desk" in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_the_summary_warns_of_stages_actions_and_outcomes() -> None:
    text = TEXT.replace("    eligible: search_failed.count_1h >= 0.5\n", "")
    text = text.replace(", outcome: positive", "").replace("epsilon: 0.1", "epsilon: 0")
    text = text.replace("    - {id: three_a_week, times: 3, days: 7, per: action}\n", "")
    text = text.replace("  caps:\n", "  caps: []\n")
    text = text.replace(", touchpoint: banking_app", "")
    warnings = summarise(parse_journey(text))[-1]
    assert {where for where, _ in warnings.rows} == {
        *("touchpoint billboard", "touchpoint banking_app", "stage use"),
        *("events", "exploration", "contact_policy"),
    }
