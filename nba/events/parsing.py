"""An event from JSON, validated once, on the way in.

One parser serves every way in. It takes the canonical field names and, as aliases, those of the
Segment spec (`messageId`, `userId`, `anonymousId`, `event`, `timestamp`, `originalTimestamp`,
`sentAt`, `traits`, `type`), so that an SDK's payload is an event as it stands.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from nba.errors import InvalidInput, did_you_mean
from nba.events.event import Event
from nba.events.names import IDENTIFY, LOG_PREFIXES, TEXT_SCORE
from nba.events.numbers import check_number

MAX_ID_CHARS = 200
MAX_DEPTH = 16
MAX_PROPERTIES = 200
MAX_EVENT_BYTES = 32_768
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)  # nothing before it is taken for a time
MAX_AGE = timedelta(days=3_653)  # of an event in a request: a clock at its zero is off by more

_CANONICAL = ("event_id", "customer_id", "name", "occurred_at", "received_at", "properties")
_ALIASES = {
    "messageId": "event_id",
    "userId": "customer_id",
    "anonymousId": "anonymous_id",
    "event": "name",
    "timestamp": "occurred_at",
    "originalTimestamp": "occurred_at",
    "sentAt": "sent_at",
    "type": "type",
    "traits": "traits",
    "context": "context",
    "integrations": "integrations",
    "channel": "channel",
    "sent_at": "sent_at",
    **{name: name for name in _CANONICAL},
}
FIELDS = frozenset(_ALIASES)  # every one that is taken, in both spellings


def parse_event(payload: object, received_at: datetime, *, trusted: bool = False) -> Event:
    """The event in `payload`, a JSON object in canonical or Segment spelling.

    `occurred_at` becomes `received_at - (sent_at - occurred_at)` where `sent_at` is given, and is
    never later than `received_at`. It is refused before `EARLIEST`, and in a request where it is
    older than `MAX_AGE`: that is a clock which was never set. An event without an id gets one from
    its content, so that a retry stays one event; without a time of its own as well, each arrival
    is an event. A
    `trusted` payload (a history file, not a request) may state its own `received_at`; where it
    does not, it was received when it occurred.

    Raises InvalidInput naming the field, its value and the remedy.
    """
    fields = _canonical_fields(payload)
    properties = _properties(fields)
    name = _name(fields)
    customer_id = fields.get("customer_id")
    if customer_id is None:
        customer_id = fields.get("anonymous_id")
    customer_id = checked_id("customer_id", customer_id)

    sent_at = checked_time("sent_at", fields.get("sent_at"))
    original = checked_time("occurred_at", fields.get("occurred_at"))
    if trusted:
        received_at = (
            checked_time("received_at", fields.get("received_at")) or original or received_at
        )
    occurred_at = original or received_at
    if original is not None and sent_at is not None:
        age = max(sent_at - original, timedelta())
        beyond = received_at - EARLIEST + timedelta(days=1)  # what keeps the difference a date
        occurred_at = received_at - min(age, beyond)
    occurred_at = min(occurred_at, received_at)
    _check_plausible(occurred_at, original, None if trusted else received_at)

    event_id = fields.get("event_id")
    if event_id is None:
        content = [name, customer_id, original or received_at, properties]
        digest = hashlib.sha256(msgspec.json.encode(content, order="deterministic"))
        event_id = "content-" + digest.hexdigest()[:32]
    event_id = checked_id("event_id", event_id)
    if not trusted and TEXT_SCORE in properties:
        remedy = "reserved: the service reads the words itself; remove it"
        raise InvalidInput(f"properties.{TEXT_SCORE}", properties[TEXT_SCORE], remedy)
    if not trusted and event_id.startswith(LOG_PREFIXES):
        remedy = f"ids that begin with {event_id.split(':')[0] + ':'!r} are the log's own"
        raise InvalidInput("event_id", event_id, remedy)
    return Event(
        event_id=event_id,
        customer_id=customer_id,
        name=name,
        occurred_at=occurred_at,
        received_at=received_at,
        properties=properties,
    )


def _check_plausible(
    occurred_at: datetime, stated: datetime | None, received_at: datetime | None
) -> None:
    """Raise InvalidInput for a time that some clock has made up; `received_at`: of a request."""
    if received_at is not None and received_at - occurred_at > MAX_AGE:
        remedy = (
            f"more than {MAX_AGE.days // 365} years ago: set the sender's clock, or send sent_at "
            "by the same clock beside it; history comes in by nba ingest"
        )
        raise InvalidInput("occurred_at", str(stated), remedy)
    if occurred_at < EARLIEST:
        remedy = f"before {EARLIEST:%Y-%m-%d}: no plausible time, correct it or leave it out"
        raise InvalidInput("occurred_at", str(stated), remedy)


def _canonical_fields(payload: object) -> dict[str, Any]:
    """The fields of an event under their canonical names; of two spellings the first with a value.

    Raises InvalidInput for an unknown field.
    """
    if not isinstance(payload, Mapping):
        raise InvalidInput("event", payload, "send a JSON object")
    fields: dict[str, Any] = {}
    for key, value in payload.items():
        name = _ALIASES.get(key)
        if name is None:
            remedy = "unknown field, " + did_you_mean(str(key), _ALIASES)
            raise InvalidInput(str(key), value, remedy)
        if fields.get(name) is None:
            fields[name] = value
    return fields


def checked_id(field: str, value: object) -> str:
    """`value` as an id: text of 1 to 200 printable characters.

    Raises InvalidInput.
    """
    if not isinstance(value, str):
        raise InvalidInput(field, value, "give a text of 1 to 200 printable characters")
    if not 0 < len(value) <= MAX_ID_CHARS or not value.isprintable() or not value.strip():
        raise InvalidInput(field, value, "give 1 to 200 printable characters")
    return value


def check_json_value(field: str, value: object, depth: int = MAX_DEPTH) -> None:
    """Check that the log can keep a JSON value.

    Raises InvalidInput for a number beyond `nba.events.numbers.MOST`, a NUL or lone surrogate in a
    text, more than `MAX_PROPERTIES` keys in one object, or more than `MAX_DEPTH` levels.
    """
    if isinstance(value, str):
        if "\x00" in value or not _is_unicode(value):
            raise InvalidInput(field, value, "remove NUL and lone surrogates from the text")
    elif isinstance(value, int | float):
        if not isinstance(value, bool):
            check_number(field, value)
    elif isinstance(value, Mapping | list | tuple):
        if depth == 0:
            raise InvalidInput(field, "...", f"nest at most {MAX_DEPTH} levels")
        if isinstance(value, Mapping):
            if len(value) > MAX_PROPERTIES:
                raise InvalidInput(field, len(value), f"send at most {MAX_PROPERTIES} keys")
            for key, item in value.items():
                check_json_value(field, str(key), depth - 1)
                check_json_value(f"{field}.{key}", item, depth - 1)
        else:
            for index, item in enumerate(value):
                check_json_value(f"{field}[{index}]", item, depth - 1)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _properties(fields: Mapping[str, Any]) -> dict[str, Any]:
    properties = fields.get("properties")
    if properties is None and fields.get("type") in (None, IDENTIFY):
        properties = fields.get("traits")
    if properties is None:
        properties = {}
    if not isinstance(properties, Mapping):
        raise InvalidInput("properties", properties, "send a JSON object")
    channel = fields.get("channel")
    if isinstance(channel, str) and "channel" not in properties:
        properties = {**properties, "channel": channel}
    check_json_value("properties", properties)
    size = len(msgspec.json.encode(properties))
    if size > MAX_EVENT_BYTES:
        raise InvalidInput("properties", f"{size} bytes", f"send at most {MAX_EVENT_BYTES} bytes")
    return dict(properties)


def _name(fields: Mapping[str, Any]) -> str:
    name = fields.get("name")
    if name is None and fields.get("type") in (IDENTIFY, "page", "screen", "group", "alias"):
        name = fields["type"]
    return checked_id("name", name)


def checked_time(field: str, value: object) -> datetime | None:
    """`value` as a time in UTC, None for none. Raises InvalidInput for one without its offset."""
    if value is None:
        return None
    remedy = "give an ISO 8601 time with its offset, such as 2026-01-31T09:30:00Z"
    if isinstance(value, datetime):
        time = value
    else:
        if not isinstance(value, str):
            raise InvalidInput(field, value, remedy)
        try:
            time = datetime.fromisoformat(value)
        except ValueError:
            raise InvalidInput(field, value, remedy) from None
    if time.tzinfo is None:
        raise InvalidInput(field, value, remedy)
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise InvalidInput(field, value, remedy) from None
