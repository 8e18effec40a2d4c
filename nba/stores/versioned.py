"""Versions: what is kept in the log under a name of its own, and the alias on the one in force.

A version never changes: its name comes from its content. Pointing an alias at it puts it in force,
on every replica, and the audit trail keeps who did so, when and why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

import msgspec

from nba.content_ids import content_id
from nba.errors import InvalidInput, StoreUnavailable
from nba.stores.log import Log, StoredBundle

CHAMPION = "champion"  # the alias of the bundle that decides for everybody
REMEMBERED = 1_000  # changes of an alias that a way back is looked for in

Record = TypeVar("Record")


def save_version(
    log: Log,
    *,
    alias: str,
    version: str,
    files: Mapping[str, bytes],
    at: datetime,
    by: str = "",
    why: str = "",
) -> None:
    """Keep a version and put it in force. Raises StoreUnavailable."""
    log.save_bundle(version, files)
    log.set_alias(alias, version, at, by=by, why=why)


def version_in_force(log: Log, alias: str) -> StoredBundle | None:
    """What the alias points at, None where nothing was put in force. Raises StoreUnavailable."""
    version = log.alias(alias)
    return None if version is None else log.bundle(version)


def version_before(log: Log, alias: str, first: str | None = None) -> str | None:
    """The version that the present one replaced, None for the first.

    What was rolled back from is never gone back to: a change to a version that was in force before
    takes away all that came after it. `first`: what was in force before anything was put so.
    Raises StoreUnavailable.
    """
    chain: list[str] = [] if first is None else [first]
    for change in reversed(log.alias_changes(alias, REMEMBERED)):
        if change.after in chain:
            del chain[chain.index(change.after) + 1 :]
        else:
            chain.append(change.after)
    return chain[-2] if len(chain) > 1 else None


def read_record(stored: StoredBundle, file: str, kind: type[Record]) -> Record:
    """The record in one of its JSON files. Raises InvalidInput for another program's record."""
    try:
        return msgspec.json.decode(stored.files.get(file, b""), type=kind)
    except msgspec.DecodeError as error:
        reason = f"written by another program version: {error}"
        raise InvalidInput(stored.bundle_id, file, reason) from None


@dataclass(frozen=True, slots=True)
class VersionedRecord(Generic[Record]):
    """A record that is changed as a whole; each version is a bundle of one JSON file."""

    alias: str  # also what names of versions begin with, and the turn in which it is changed
    file: str
    kind: type[Record]
    change: str  # what a caller does in that turn, such as "moving the rollout"

    def in_force(self, log: Log) -> Record | None:
        """The record, None before the first. Raises InvalidInput, StoreUnavailable."""
        stored = version_in_force(log, self.alias)
        return None if stored is None else read_record(stored, self.file, self.kind)

    def save(self, log: Log, record: Record, at: datetime, *, by: str, why: str) -> None:
        """Keep it under the hash of its content and put it in force. Raises StoreUnavailable."""
        content = msgspec.json.encode(record, order="deterministic")
        version, files = content_id(self.alias, content), {self.file: content}
        save_version(log, alias=self.alias, version=version, files=files, at=at, by=by, why=why)

    @contextmanager
    def turn(self, log: Log) -> Iterator[None]:
        """One caller at a time in the whole deployment. Raises StoreUnavailable for a second."""
        with log.turn(self.alias) as is_ours:
            if not is_ours:
                raise StoreUnavailable(f"somebody else is {self.change} now; try again")
            yield
