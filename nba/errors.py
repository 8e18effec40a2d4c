"""Every error that `nba` raises on purpose.

    NbaError
    ├── InvalidInput        a field of a request, event or file is wrong      (HTTP 422)
    │   └── InvalidFile     the same, with the file and the line
    │       └── InvalidJourney   all that is wrong in one journey or experiment file
    ├── NotFound            the named thing is not in the log                 (HTTP 404)
    ├── StoreUnavailable    the log cannot be reached or written now          (HTTP 503)
    ├── UnknownSchema       the log's tables are not of this version
    └── InvalidBundle       a model bundle does not match its manifest or this journey

A message names the thing, the value and the remedy, and never carries more of the value than
`shown` lets through.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class NbaError(Exception):
    """The base of every error that `nba` raises on purpose."""


class InvalidInput(NbaError):
    """`field` holds `value`, which is not allowed; `remedy` says what is."""

    def __init__(self, field: str, value: object, remedy: str) -> None:
        self.field = _printable(field)
        self.value = shown(value)
        self.remedy = remedy
        super().__init__(self.field, self.value, self.remedy)

    def __str__(self) -> str:
        return f"{self.field}: {self.value}: {self.remedy}"


class InvalidFile(InvalidInput):
    """An `InvalidInput` at `line` of `file`; `field` is the path inside the file."""

    def __init__(self, file: str, line: int, field: str, value: object, remedy: str) -> None:
        super().__init__(field, value, remedy)
        self.file = file
        self.line = line

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {super().__str__()}"

    @classmethod
    def at(cls, file: str, line: int, error: InvalidInput) -> InvalidFile:
        """The place in `file` of an `error` that knows its field alone."""
        placed = InvalidFile(file, line, error.field, None, error.remedy)
        placed.value = error.value  # shown already
        return placed


class InvalidJourney(InvalidFile):
    """Every error of one journey or experiment file, by line; its own fields are the first's."""

    def __init__(self, errors: Iterable[InvalidFile]) -> None:
        self.errors = tuple(sorted(errors, key=lambda error: error.line))
        first = self.errors[0]
        super().__init__(first.file, first.line, first.field, None, first.remedy)
        self.value = first.value

    def __str__(self) -> str:
        return "\n".join(dict.fromkeys(str(error) for error in self.errors))


class NotFound(NbaError):
    """Nothing in the log has this id."""


class StoreUnavailable(NbaError):
    """The log cannot be reached or written now; the same call may succeed later."""


class UnknownSchema(NbaError):
    """The database holds tables of a version that this program does not know."""


class InvalidBundle(NbaError):
    """A bundle's files do not match its manifest, or its columns do not match this journey."""


def _printable(field: str, limit: int = 200) -> str:
    """A field's path as an error may show it: its keys come from whoever sent it."""
    text = field if field.isprintable() else repr(field)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def shown(value: object, limit: int = 60) -> str:
    """A value as an error may show it: printable in any script, one line, `limit` characters.

    >>> shown("a\\nb"), shown("客户")
    ("'a\\\\nb'", "'客户'")
    """
    if isinstance(value, int) and value.bit_length() > 1_000:  # Python prints none of them for long
        return f"a whole number of about {value.bit_length() * 0.30103:.0f} digits"
    text = repr(value)
    if not text.isprintable():  # a type's own __repr__ may hold what a text's would escape
        text = repr(text)[1:-1]
    return text if len(text) <= limit else text[: limit - 3] + "..."


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A remedy for an unknown name.

    >>> did_you_mean("chanel", ["channel", "kind"])
    "did you mean 'channel'?"
    """
    names = sorted(known)
    matches = get_close_matches(name, names, n=1)
    if matches:
        return f"did you mean {matches[0]!r}?"
    listed = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"known names: {listed or 'none'}"
