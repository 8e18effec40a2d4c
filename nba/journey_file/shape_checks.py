"""Compare data with a struct: every key and value that does not fit.

`msgspec.convert` stops at the first; an owner wants them all.
"""

from __future__ import annotations

import operator as op
import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from nba.errors import InvalidInput, did_you_mean
from nba.journey_file.located_yaml import joined


def shape_errors(data: object, struct: type[msgspec.Struct]) -> Iterator[InvalidInput]:
    """What `msgspec.convert(data, struct)` would refuse; each field is a path in the data."""
    yield from _errors(data, _type_info(struct), "", "")


@cache
def _type_info(struct: type[msgspec.Struct]) -> inspect.Type:
    return inspect.type_info(struct)


def _errors(data: Any, expected: inspect.Type, path: str, about: str) -> Iterator[InvalidInput]:
    if isinstance(expected, inspect.Metadata):
        about = (expected.extra_json_schema or {}).get("description", about)
        expected = expected.type
    if isinstance(expected, inspect.UnionType):
        if data is None:
            return
        (expected,) = (t for t in expected.types if not isinstance(t, inspect.NoneType))
        yield from _errors(data, expected, path, about)
    elif isinstance(expected, inspect.StructType) and isinstance(data, dict):
        yield from _struct_errors(data, expected, path)
    elif isinstance(expected, inspect.ListType) and isinstance(data, list):
        if len(data) < (expected.min_length or 0):
            yield InvalidInput(path, data, "list at least one")
        for index, item in enumerate(data):
            yield from _errors(item, expected.item_type, joined(path, index), "")
    elif isinstance(expected, inspect.DictType) and isinstance(data, dict):
        for key, item in data.items():
            for error in _errors(key, expected.key_type, joined(path, key), ""):
                error.remedy = error.remedy.replace("write ", "name it in ", 1)
                yield InvalidInput(error.field, key, error.remedy)
            yield from _errors(item, expected.value_type, joined(path, key), "")
    elif not _fits(data, expected):
        yield InvalidInput(path or "file", data, _remedy(data, expected, about))


def _struct_errors(
    data: dict[str, Any], expected: inspect.StructType, path: str
) -> Iterator[InvalidInput]:
    fields = {item.encode_name: item for item in expected.fields}
    misspelt: set[str] = set()  # fields that an unknown key is close to
    for key, item in data.items():
        if key in fields:
            yield from _errors(item, fields[key].type, joined(path, key), "")
        else:
            # a key that is already there cannot be what was meant
            free = [name for name in fields if name not in data] or list(fields)
            misspelt.update(get_close_matches(key, sorted(free), n=1))
            yield InvalidInput(joined(path, key), item, "unknown key, " + did_you_mean(key, free))
    for name, item in fields.items():
        if item.required and name not in data and name not in misspelt:
            yield InvalidInput(joined(path, name), None, f"missing, write {_words(item.type, '')}")


def _fits(data: Any, expected: inspect.Type) -> bool:
    if isinstance(expected, inspect.LiteralType):
        return any(data == value and type(data) is type(value) for value in expected.values)
    if isinstance(expected, inspect.StrType):
        # fullmatch: in Python `$` lets a last newline through.
        return (
            isinstance(data, str)
            and (expected.pattern is None or bool(re.fullmatch(expected.pattern, data)))
            and (expected.min_length or 0) <= len(data) <= (expected.max_length or len(data))
        )
    if isinstance(expected, inspect.IntType | inspect.FloatType):
        whole = isinstance(expected, inspect.IntType)
        if isinstance(data, bool) or not isinstance(data, int if whole else int | float):
            return False
        bounds = ((expected.gt, op.gt), (expected.ge, op.ge), (expected.le, op.le))
        return abs(data) < 2**63 and all(b is None or holds(data, b) for b, holds in bounds)
    return isinstance(expected, inspect.BoolType) and isinstance(data, bool)


def _remedy(data: Any, expected: inspect.Type, about: str) -> str:
    remedy = "write " + _words(expected, about)
    if isinstance(expected, inspect.StrType) and isinstance(data, bool | int | float):
        remedy += ", in quotes"
    elif isinstance(expected, inspect.IntType | inspect.FloatType) and isinstance(data, str):
        remedy += ", without quotes"
    return remedy


def _words(expected: inspect.Type, about: str) -> str:
    """What fits, in words."""
    if isinstance(expected, inspect.Metadata):
        about = (expected.extra_json_schema or {}).get("description", about)
        return _words(expected.type, about)
    if about:
        return about
    if isinstance(expected, inspect.LiteralType):
        return " or ".join(str(value) for value in expected.values)
    if isinstance(expected, inspect.BoolType):
        return "true or false"
    if isinstance(expected, inspect.StrType):
        if expected.max_length is not None:
            return f"a text of {expected.min_length or 0} to {expected.max_length} characters"
        return "a text"
    if isinstance(expected, inspect.IntType | inspect.FloatType):
        return _number_words(expected)
    return "a list" if isinstance(expected, inspect.ListType) else "keys and values"


def _number_words(expected: inspect.IntType | inspect.FloatType) -> str:
    what = "a whole number" if isinstance(expected, inspect.IntType) else "a number"
    if expected.ge is not None and expected.le is not None:
        return f"{what} from {expected.ge:g} to {expected.le:g}"
    if expected.gt is not None:
        return f"{what} above {expected.gt:g}"
    return what if expected.ge is None else f"{what} of at least {expected.ge:g}"
