"""The journey file from disk: read, held to its shape, checked as a whole.

Every error has its line, and all of them come at once, in two rounds: first the shape (YAML, keys,
types), then what the parts say of each other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

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
    """What a file holds, as a struct that `check` finds no error in.

    Raises InvalidJourney with every error found.
    """
    file = str(path)
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise _alone(file, 1, "file", file, "no such file; give the path of a file") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise _alone(file, 1, "file", file, f"cannot be read: {reason}") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        bad = content[error.start : error.end]
        raise _alone(file, line, "file", bad, "save the file as UTF-8") from None
    return parse_checked(text, file, struct, check)


def parse_checked(text: str, file: str, struct: type[T], check: Check[T]) -> T:
    """What `text` holds, likewise."""
    try:
        located = read_yaml(text)
    except InvalidYaml as error:
        raise InvalidJourney([InvalidFile.at(file, error.line, error.error)]) from None
    errors = [InvalidFile.at(file, line, error) for line, error in located.errors]
    told = {error.field for error in errors}
    shape = (e for e in shape_errors(located.data, struct) if e.field not in told)
    errors += _placed(file, located, shape)
    if errors:
        raise InvalidJourney(errors)
    found = msgspec.convert(located.data, struct)
    errors = _placed(file, located, check(found))
    if errors:
        raise InvalidJourney(errors)
    return found


def journey_schema() -> dict[str, Any]:
    """The JSON schema with which editors complete and check a journey file."""
    schema = msgspec.json.schema(JourneyFile)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "nba journey file",
        **schema,
    }


def schema_text() -> str:
    """The content of `docs/journey.schema.json`."""
    return json.dumps(journey_schema(), indent=2) + "\n"


def _placed(file: str, located: LocatedData, errors: Iterable[InvalidInput]) -> list[InvalidFile]:
    return [InvalidFile.at(file, located.line(error.field), error) for error in errors]


def _alone(file: str, line: int, field: str, value: object, remedy: str) -> InvalidJourney:
    return InvalidJourney([InvalidFile(file, line, field, value, remedy)])
