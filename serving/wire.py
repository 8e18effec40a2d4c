"""The wire: the JSON bodies and answers of the HTTP doors; `serving.answers` fills them.

Field names follow the field's conventions; inside, `bundle_id` and `catalogue_version` are what
the wire calls `model_version` and `config_version`, and a `Refused` action is `filtered`.
"""

from __future__ import annotations

import json
import math
import re
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta

from features.nodes import StoryNode
from nba.decision import Candidate, Churn, Reason, Refused
from nba.errors import InvalidInput, did_you_mean
from nba.events import checked_tree
from nba.feelings import FeltNode

Body = TypeVar("Body", bound=msgspec.Struct)

Id = Annotated[str, Meta(min_length=1, max_length=200)]


class MalformedBody(Exception):
    """The body is not JSON that we take (HTTP 400)."""


class DecideRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A channel asks what to do for a customer now."""

    customer_id: Id
    channel: Id | None = None  # none: any channel
    placement: Id | None = None  # the touchpoint where the action would show
    context: dict[str, Any] = {}  # the request facts that the journey file declares
    candidates: Annotated[list[Id], Meta(max_length=1000)] | None = None  # action ids
    decision_request_id: Id | None = None  # a repeat gets the first answer again
    dry_run: bool = False  # decide, and log nothing


class FeedbackRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What came of a decision: an outcome, or a reward."""

    decision_id: Id
    outcome: Literal["shown", "clicked", "accepted", "dismissed"] | None = None
    reward: float | None = None
    action_id: Id | None = None  # checked against the decision where given
    event_id: Id | None = None  # a repeat of the same id changes nothing
    occurred_at: datetime | None = None


class FeedbackAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`stored` is false where the same feedback was there already."""

    decision_id: str
    event_id: str
    stored: bool


class IncomingEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event, in canonical or Segment spelling; `customer_id` or `userId`, `name` or `event`."""

    customer_id: Id | None = None
    userId: Id | None = None
    anonymousId: Id | None = None
    name: Id | None = None
    event: Id | None = None
    type: str | None = None
    event_id: Id | None = None
    messageId: Id | None = None
    occurred_at: datetime | None = None
    timestamp: datetime | None = None
    sent_at: datetime | None = None
    sentAt: datetime | None = None
    properties: dict[str, Any] | None = None
    traits: dict[str, Any] | None = None
    context: dict[str, Any] | None = None
    channel: str | None = None


class IncomingEvents(msgspec.Struct, frozen=True, kw_only=True):
    """A batch of events."""

    events: list[IncomingEvent]
    sent_at: datetime | None = None


class RejectedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a batch that was not taken."""

    index: int
    field: str
    value: str
    remedy: str


class EventsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`accepted` new events are in the log; `duplicates` were there already."""

    accepted: int
    duplicates: int
    rejected: list[RejectedEvent] = []


class Factors(msgspec.Struct, frozen=True, kw_only=True):
    """priority = p_accept x context_weight x value_eur x lever - cost_eur."""

    p_accept: float | None
    context_weight: float
    value_eur: float
    lever: float
    cost_eur: float


class ChosenAction(msgspec.Struct, frozen=True, kw_only=True):
    """What to do now."""

    action_id: str
    treatment: str | None
    channel: str
    placement: str
    rank: int
    priority: float | None
    p_accept: float | None
    propensity: float
    factors: Factors
    reasons: tuple[Reason, ...]


class EmotionParts(msgspec.Struct, frozen=True, kw_only=True):
    """What the emotion is made of: the sum of the nodes' valences is its `sum` column."""

    valences: str  # `prior`, or the version of the learned table
    words: str  # what reads texts: a model; `untrained`: they are neutral; `none` mapped
    age_s: float | None  # from the last node to this answer, in seconds
    nodes: tuple[FeltNode, ...]  # oldest first


class DecideAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One decision."""

    decision_id: str
    customer_id: str
    decided_at: datetime
    mode: str
    actions: list[ChosenAction]  # empty where no_action
    no_action: bool
    fallback_used: bool
    known_customer: bool
    propensity: float  # P(this answer | context, candidates)
    note: str | None
    candidates: tuple[Candidate, ...]  # what passed every rule, best first
    filtered: tuple[Refused, ...]
    churn: Churn | None
    emotion: dict[str, float | None]
    emotion_parts: EmotionParts
    policy: str
    model_version: str | None
    config_version: str
    seed: int
    logged: bool


class CustomerAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One customer as of now; context columns that are zero or unknown are left out."""

    customer_id: str
    as_of: datetime
    traits: dict[str, float | str | bool | None]
    stage: str | None
    emotion: dict[str, float | None]
    emotion_parts: EmotionParts
    churn: Churn | None
    context: dict[str, float | str | bool]
    decisions: list[str]


class EmotionCurve(msgspec.Struct, frozen=True, kw_only=True):
    """How a customer's emotion came about, visit by visit; computed from her whole log."""

    customer_id: str
    as_of: datetime
    valences: str  # `prior`, or the version of the learned table
    words: str  # as in EmotionParts
    nodes_in_all: int
    nodes: tuple[StoryNode, ...]  # the last 200, oldest first, with their events and signals


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An error: what is wrong, with which value, and what to do."""

    error: str
    message: str
    field: str | None = None
    value: str | None = None
    remedy: str | None = None


def parse_json(body: bytes) -> Any:
    """A JSON body: UTF-8, numbers that a double holds, no key twice.

    Raises MalformedBody.
    """
    try:
        value = msgspec.json.decode(body)
        json.loads(body, object_pairs_hook=_unique, parse_int=_finite)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise MalformedBody(f"the body is not valid JSON: {_brief(error)}") from None
    return value


def read(body: bytes, kind: type[Body]) -> Body:
    """A JSON body of this kind.

    Raises MalformedBody, InvalidInput.
    """
    value = parse_json(body)
    checked_tree("body", value)
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
        given = _at(value, path)
        if remedy.startswith("Invalid enum value"):  # repeats the value, at any length
            remedy = did_you_mean(str(given), _choices(kind, path))
        raise InvalidInput(path, given, remedy) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice in one object")
    return found


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("a whole number is out of range")
    return number


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
