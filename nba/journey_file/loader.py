"""Load a journey file: read it, compare its shape with the types, check it as a whole.

Every error has its line, and all of them come at once, in two rounds: first the shape (YAML, keys,
types), then what the parts say of each other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias, TypeVar

import msgspec

from nba.errors import InvalidFile, InvalidInput, InvalidJourney
from nba.journey.file import JourneyFile
from nba.journey_file.checks import check_journey
from nba.journey_file.located_yaml import InvalidYaml, LocatedData, read_yaml
from nba.journey_file.shape_checks import shape_errors

T = TypeVar("T", bound=msgspec.Struct)
Check: TypeAlias = Callable[[T], Iterable[InvalidInput]]


def load_journey(path: str | Path) -> JourneyFile:
    """The journey in the file at `path`, UTF-8 YAML.

    Raises InvalidJourney with every error found; its str has one line for each.
    """
    return load_checked(path, JourneyFile, check_journey)


def parse_journey(text: str, file: str = "journey.yaml") -> JourneyFile:
    """The journey in `text`; `file` names it in errors.

    Raises InvalidJourney with every error found.
    """
    return parse_checked(text, file, JourneyFile, check_journey)


def load_checked(path: str | Path, struct: type[T], check: Check[T]) -> T:
    """What the file at `path` holds, as a struct that `check` finds no error in.

    Raises InvalidJourney with every error found.
    """
    file = str(path)
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        remedy = "no such file; give the path of a file"
        raise _invalid(file, 1, InvalidInput("file", file, remedy)) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        remedy = f"cannot be read: {reason}"
        raise _invalid(file, 1, InvalidInput("file", file, remedy)) from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        undecodable = content[error.start : error.end]
        wrong = InvalidInput("file", undecodable, "save the file as UTF-8")
        raise _invalid(file, line, wrong) from None
    return parse_checked(text, file, struct, check)


def parse_checked(text: str, file: str, struct: type[T], check: Check[T]) -> T:
    """What `text` holds, as a struct that `check` finds no error in; `file` names it in errors.

    Raises InvalidJourney with every error found.
    """
    try:
        located = read_yaml(text)
    except InvalidYaml as error:
        raise _invalid(file, error.line, error.error) from None
    errors = [InvalidFile.at(file, line, error) for line, error in located.errors]
    reported = {error.field for error in errors}
    shape = (e for e in shape_errors(located.data, struct) if e.field not in reported)
    errors += _placed(file, located, shape)
    if errors:
        raise InvalidJourney(errors)
    parsed = msgspec.convert(located.data, struct)
    errors = _placed(file, located, check(parsed))
    if errors:
        raise InvalidJourney(errors)
    return parsed


def schema_text() -> str:
    """The JSON schema with which editors complete a journey file: `docs/journey.schema.json`."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "nba journey file",
        **msgspec.json.schema(JourneyFile),
    }
    return json.dumps(schema, indent=2) + "\n"


def _placed(file: str, located: LocatedData, errors: Iterable[InvalidInput]) -> list[InvalidFile]:
    return [InvalidFile.at(file, located.line(error.field), error) for error in errors]


def _invalid(file: str, line: int, error: InvalidInput) -> InvalidJourney:
    return InvalidJourney([InvalidFile.at(file, line, error)])
