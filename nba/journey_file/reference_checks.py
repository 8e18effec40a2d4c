"""Check ids: they must be known, and listed once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nba.errors import InvalidInput, did_you_mean


def unknown_id_errors(path: str, name: str | None, known: Iterable[str]) -> Iterator[InvalidInput]:
    """An error where there is a name and it is not known."""
    known = list(known)
    if name is not None and name not in known:
        yield InvalidInput(path, name, "unknown id, " + did_you_mean(name, known))


def id_list_errors(path: str, names: list[str], known: Iterable[str]) -> Iterator[InvalidInput]:
    """An error for each name that is not known, or listed before."""
    known = list(known)
    for i, name in enumerate(names):
        yield from unknown_id_errors(f"{path}[{i}]", name, known)
        if name in names[:i]:
            yield InvalidInput(f"{path}[{i}]", name, "listed twice; keep one")


def duplicate_id_errors(ids: Iterable[tuple[str, str]]) -> Iterator[InvalidInput]:
    """An error for each (id, path of its part) whose id an earlier part has."""
    first: dict[str, str] = {}
    for identifier, path in ids:
        if identifier in first:
            remedy = f"already the id of {first[identifier]}; choose another"
            yield InvalidInput(f"{path}.id", identifier, remedy)
        first.setdefault(identifier, path)
