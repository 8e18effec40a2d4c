"""Read a JSON body as a type of `schemas`; an error names the field, value and remedy."""

from __future__ import annotations

import json
import re
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from nba.errors import InvalidInput, did_you_mean
from nba.events.parsing import check_json_value

MOST_DIGITS = 4_000  # of a whole number that is read as one; Python reads no more than 4,300
Body = TypeVar("Body", bound=msgspec.Struct)


class MalformedBody(Exception):
    """The body is not JSON that we take (HTTP 400)."""


def parse_json(body: bytes) -> Any:
    """A JSON body: UTF-8, no key twice; a number beyond all bounds is one that no field takes.

    Raises MalformedBody.
    """
    try:
        beyond, value = False, None
        try:
            value = msgspec.json.decode(body)
        except msgspec.DecodeError as error:
            beyond = "out of range" in str(error)
            if not beyond:
                raise
        checked = json.loads(
            body, object_pairs_hook=_unique, parse_int=_whole, parse_constant=_no_number
        )
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise MalformedBody(f"the body is not valid JSON: {_brief(error)}") from None
    return checked if beyond else value


def read(body: bytes, kind: type[Body]) -> Body:
    """A JSON body of this kind.

    Raises MalformedBody, InvalidInput.
    """
    value = parse_json(body)
    check_json_value("body", value)
    if not isinstance(value, dict):
        raise InvalidInput("body", value, "send a JSON object")
    fields = kind.__struct_fields__
    for name in value:
        if name not in fields:
            raise InvalidInput(name, value[name], "unknown field, " + did_you_mean(name, fields))
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        path, remedy = _located(str(error))
        wrong = _at(value, path)
        if remedy.startswith("Invalid enum value"):  # repeats the value, at any length
            remedy = did_you_mean(str(wrong), _choices(kind, path))
        raise InvalidInput(path, wrong, remedy) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) < len(pairs):
        raise ValueError("a key occurs twice in one object")
    return unique


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) < MOST_DIGITS else float(digits)


def _no_number(token: str) -> float:
    raise ValueError(f"{token} is no number")


_PATH = re.compile(r"^(?P<remedy>.*?)(?: - at `\$(?P<path>.*)`)?$", re.DOTALL)


def _located(message: str) -> tuple[str, str]:
    """msgspec's message as (path, remedy)."""
    match = _PATH.match(message)
    assert match is not None
    path = (match["path"] or "").lstrip(".") or "body"
    missing = re.search(r"required field `(\w+)`", match["remedy"])
    return (missing[1] if missing else path), match["remedy"]


def _at(value: Any, path: str) -> Any:
    """What `value` holds at a path such as `candidates[2]`, None where it holds nothing."""
    for step in re.findall(r"[^.\[\]]+", path):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdigit():
            value = value[int(step)]
    return value


def _choices(kind: type[msgspec.Struct], field: str) -> list[str]:
    """The literals that a field may hold."""
    return [text for option in get_args(get_type_hints(kind)[field]) for text in get_args(option)]


def _brief(error: BaseException) -> str:
    text = str(error).split(":", 1)[0] if isinstance(error, json.JSONDecodeError) else str(error)
    return "nested too deeply" if isinstance(error, RecursionError) else text
