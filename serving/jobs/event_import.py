"""Importing event files: JSON lines into the log, in large transactions."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from features.encoder import Encoder
from features.event_notes import is_unmapped
from features.text.model import TextModel
from features.text.scoring import score_texts
from nba.customer.context import ContextSchema
from nba.decisions.past_decision import check_past_decision, has_propensity, is_past_decision
from nba.errors import InvalidFile, InvalidInput
from nba.events.event import Event
from nba.events.parsing import parse_event
from nba.stores.log import Log
from nba.stores.pages import event_pages
from serving.api.json_reading import MalformedBody, parse_json

BATCH = 10_000
LISTED = 20  # rejected lines that are named


class Imported(msgspec.Struct, kw_only=True):
    """What became of the lines."""

    accepted: int = 0
    duplicates: int = 0
    rejected_lines: int = 0
    rejected: list[str] = []  # the first of them, with file, line, field, value and remedy
    unmapped: dict[str, int] = {}  # names of new events without a mapping, with their count
    past_decisions: int = 0  # new ones, of another system
    without_propensity: int = 0  # of these
    unknown_actions: dict[str, int] = {}  # of these: not in the journey file, with their count


def check_files(files: Sequence[Path]) -> None:
    """Raise InvalidFile for the first that cannot be read."""
    for file in files:
        for _ in _lines(file):
            break


def import_files(
    log: Log,
    schema: ContextSchema,
    files: Sequence[Path],
    progress: Callable[[int], None] = lambda lines: None,
    *,
    text_model: TextModel | None = None,
) -> Imported:
    """Append every event of the files, their texts read by `text_model`.

    A line that cannot be taken is counted and named. Raises InvalidFile for a file that cannot be
    read, StoreUnavailable.
    """
    result = Imported()
    encoder = Encoder(schema)
    for file in files:
        batch: list[Event] = []
        for number, line in _lines(file):
            event = _event(file, number, line, encoder, result)
            if event is not None:
                batch.append(event)
            if len(batch) == BATCH:
                _append(log, encoder, score_texts(batch, encoder, text_model), result)
                progress(BATCH)
                batch = []
        _append(log, encoder, score_texts(batch, encoder, text_model), result)
        progress(len(batch))
    return result


def unmapped_events(
    log: Log, schema: ContextSchema, progress: Callable[[int], None] = lambda events: None
) -> dict[str, int]:
    """Of the whole log, the names of events that the journey file does not map, with counts.

    Raises StoreUnavailable.
    """
    encoder = Encoder(schema)
    unmapped: Counter[str] = Counter()
    for page in event_pages(log, progress=progress):
        unmapped.update(event.name for event in page if is_unmapped(encoder, event))
    return dict(unmapped)


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    try:
        opened = gzip.open(file) if file.suffix == ".gz" else file.open("rb")
        with opened as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, line
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise InvalidFile(str(file), 0, "file", str(file), reason) from None


def _event(
    file: Path, number: int, line: bytes, encoder: Encoder, result: Imported
) -> Event | None:
    try:
        event = parse_event(parse_json(line), datetime.now(UTC), trusted=True)
        encoder.check(event)
        if is_past_decision(event):
            check_past_decision(event.properties)
        return event
    except MalformedBody as error:
        why = str(error).replace("the body", "the line")
    except InvalidInput as error:
        why = str(error)
    result.rejected_lines += 1
    if len(result.rejected) < LISTED:
        result.rejected.append(f"{file}:{number}: {why}")
    return None


def _append(log: Log, encoder: Encoder, batch: Sequence[Event], result: Imported) -> None:
    for event, seq in zip(batch, log.append_events(batch), strict=True):
        if seq is None:
            result.duplicates += 1
            continue
        result.accepted += 1
        if is_unmapped(encoder, event):
            result.unmapped[event.name] = result.unmapped.get(event.name, 0) + 1
        if is_past_decision(event):
            result.past_decisions += 1
            result.without_propensity += not has_propensity(event)
            action = event.properties["action_id"]
            if not encoder.knows_action(action):
                result.unknown_actions[action] = result.unknown_actions.get(action, 0) + 1
