"""The catalogue in the log: every version that served, which one is in force, and who said so.

A version is kept under its own hash, as a bundle of one file, and `catalogue` is an alias like
`champion`. So publishing, rolling back and the audit trail are what they are for models.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from nba.errors import InvalidInput, InvalidJourney, NotFound
from nba.journey.file import JourneyFile
from nba.journey.sub_journeys import SubJourney
from nba.journey_file.checks import check_journey
from nba.journey_file.loader import load_journey
from nba.stores.log import AliasChange, Log
from nba.stores.versioned import REMEMBERED, read_record, version_before

IN_FORCE = "catalogue"  # the alias of what was published
SERVED = "catalogue-served"  # of what a service or a command took up last, published or not
FILE = "journey.json"
SERVICE, COMMAND = "service", "command"  # who took it up
SERVED_REMEMBERED = 100  # versions whose sub-journeys customers may still be on

logger = logging.getLogger("nba.serving")


def journey_in_force(path: Path, log: Log) -> JourneyFile:
    """The published catalogue, or the file at `path` where none was published yet.

    Raises InvalidJourney, InvalidInput, NotFound, StoreUnavailable.
    """
    version = log.alias(IN_FORCE)
    return load_journey(path) if version is None else stored_journey(log, version)


def stored_journey(log: Log, version: str) -> JourneyFile:
    """The catalogue of this version.

    Raises NotFound; InvalidInput where this program does not read it any more.
    """
    stored = log.bundle(version)
    if stored is None or FILE not in stored.files:
        raise NotFound(f"{version}: no catalogue of this version is in the log")
    journey = read_record(stored, FILE, JourneyFile)
    for error in check_journey(journey):
        raise error
    return journey


def keep(log: Log, journey: JourneyFile) -> str:
    """Keep a catalogue so that decisions made on it can be replayed; gives its version."""
    version = journey.catalogue_version()
    # in the file's own order: that of the traits is the order of the context's columns
    log.save_bundle(version, {FILE: msgspec.json.encode(journey)})
    return version


def publish(
    log: Log,
    journey: JourneyFile,
    at: datetime,
    *,
    by: str,
    why: str,
    prepare: Callable[[JourneyFile], None] = lambda journey: None,
) -> str:
    """Put a catalogue in force: running services take it up. Gives its version.

    `prepare` is called with it just before: to refuse it, or to move the champion along.
    """
    version = keep(log, journey)
    prepare(journey)
    log.set_alias(IN_FORCE, version, at, by=by, why=why)
    return version


def roll_back(
    log: Log,
    at: datetime,
    *,
    by: str,
    why: str,
    to: str | None = None,
    prepare: Callable[[JourneyFile], None] = lambda journey: None,
) -> str:
    """Put an earlier catalogue in force, by default the one before; gives its version.

    Before the first that was published, it is the file that a service last served by. `prepare` as
    in `publish`. Raises NotFound where there is none.
    """
    present = log.alias(IN_FORCE)
    to = to or version_before(log, IN_FORCE, first=_served_before_the_first(log))
    if to is None:
        raise NotFound("no catalogue was in force before this one; publish one")
    prepare(stored_journey(log, to))
    log.set_alias(IN_FORCE, to, at, by=by, why=why or f"rollback from {present}")
    return to


def _served_before_the_first(log: Log) -> str | None:
    """What a service last served by before anything was published."""
    published = log.alias_changes(IN_FORCE, REMEMBERED)
    if not published:
        return None
    served = log.alias_changes(SERVED, REMEMBERED)
    before = [each for each in served if each.at < published[-1].at and each.by == SERVICE]
    return before[0].after if before else None


def changes(log: Log, limit: int = REMEMBERED) -> list[AliasChange]:
    """What was in force, newest first."""
    return log.alias_changes(IN_FORCE, limit)


def note_served(log: Log, journey: JourneyFile, at: datetime, *, by: str = SERVICE) -> None:
    """Remember what a service has taken up, or a command that ran on a file of its own."""
    version = keep(log, journey)
    newest = log.alias_changes(SERVED, 1)
    if not newest or newest[0].after != version or (by == SERVICE and newest[0].by != by):
        log.set_alias(SERVED, version, at, by=by, why="taken up")


def earlier_sub_journeys(log: Log) -> list[SubJourney]:
    """The sub-journeys of versions that served before: customers finish on what they entered."""
    versions = dict.fromkeys(
        change.after for change in log.alias_changes(SERVED, SERVED_REMEMBERED)
    )
    sub_journeys: list[SubJourney] = []
    for version in versions:
        try:
            sub_journeys += stored_journey(log, version).sub_journeys
        except (InvalidInput, InvalidJourney, NotFound) as error:
            logger.warning("sub-journeys of %s are left out: %s", version, error)
    return sub_journeys
