"""Events become kernel rows, by the journey file's mapping."""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from features.kernel.layout import CHANNELS, CONTACT, EVENT, ROLE, ROW, SKETCH_BITS, TRAIT
from nba.customer.appraisal import Appraisal, SurveyAppraisal
from nba.customer.consent_words import check_consent
from nba.customer.context import UNMAPPED, ContextSchema
from nba.events.event import Event, micros
from nba.events.names import (
    ACTION_ACTIVATED,
    ACTION_DECIDED,
    GOVERNANCE_EVENTS,
    IDENTIFY,
    REWARD_GIVEN,
    TEXT_SCORE,
)
from nba.events.numbers import MOST, check_number
from nba.events.signals import ROLES, SURVEYS
from nba.journey.actions import NO_ACTION
from nba.journey.file import JourneyFile
from nba.journey.mapping import EventMapping, Trait
from nba.rewards.terms import stated_bounds
from nba.rules.rule import PROPERTIES, PropertyFacts, Rule, parse_rule
from nba.rules.types import as_number

NAN = math.nan
QUERY_CHARS = 200  # of a query, the rest says nothing new


class Row(NamedTuple):
    """One record of dtype ROW, field by field."""

    time: float
    seq: int
    op: int
    kind: int = -1
    touchpoint: int = -1
    subject: int = 0
    role: int = 0
    flag: int = -1
    amount: float = 0.0
    valence: float = NAN
    confidence: float = 0.0
    key: int = 0
    sketch: int = 0
    number: float = NAN


class _Target(NamedTuple):
    """A mapping of the journey file, with the codes that its events have in the kernel."""

    rule: Rule | None
    kind: int
    touchpoint: int
    mapping: EventMapping
    appraisal: Appraisal
    role: int
    reads: dict[str, str]
    survey: SurveyAppraisal | None


class Encoder:
    """One event becomes no, one or several kernel rows; the journey file says which."""

    def __init__(self, schema: ContextSchema) -> None:
        journey = schema.journey
        self._schema = schema
        self._touchpoints = {t.id: code for code, t in enumerate(journey.touchpoints())}
        self._kinds = {kind: code for code, kind in enumerate(schema.kinds)}
        self._actions = {action.id: code for code, action in enumerate(journey.actions)}
        self._channels = {channel: code for code, channel in enumerate(journey.channels())}
        self._action_channel = {action.id: action.channel for action in journey.actions}
        self._traits = {name: (code, t) for code, (name, t) in enumerate(journey.traits.items())}
        self._unmapped = self._kinds[UNMAPPED]
        self._targets: dict[str, list[_Target]] = {}
        for mapping in journey.events:
            self._targets.setdefault(mapping.event, []).append(self._target(mapping))

    def _target(self, mapping: EventMapping) -> _Target:
        role = mapping.role
        scales = {scale.kind: scale for scale in self._schema.table.surveys}
        return _Target(
            rule=parse_rule(mapping.when, PROPERTIES) if mapping.when else None,
            kind=self._kinds[mapping.id],
            touchpoint=self._touchpoints[mapping.touchpoint] if mapping.touchpoint else -1,
            mapping=mapping,
            appraisal=self._schema.appraisal(mapping.id, mapping.touchpoint),
            role=ROLE[role] if role else 0,
            reads=(ROLES[role] | mapping.reads) if role else {},
            survey=SurveyAppraisal(role, scales.get(mapping.id)) if role in SURVEYS else None,
        )

    @property
    def journey(self) -> JourneyFile:
        """The journey file that it reads events by."""
        return self._schema.journey

    def mapping(self, event: Event) -> EventMapping | None:
        """The mapping that an event falls under, None for an unmapped one."""
        target = self._match(event.name, event.properties)
        return None if target is None else target.mapping

    def kind(self, event: Event) -> str | None:
        """The mapped kind of an event, None for an unmapped one."""
        mapping = self.mapping(event)
        return None if mapping is None else mapping.id

    def check(self, event: Event) -> None:
        """Raise InvalidInput where its amount, or the reward that it states, is out of range, and
        where what it says about consent would be without effect."""
        check_consent(event, self._schema.journey)
        if event.name == REWARD_GIVEN:
            bounds = stated_bounds(self._schema.journey.reward)
            check_number("properties.reward", event.properties.get("reward"), *bounds)
        mapping = self.mapping(event)
        if mapping is not None:
            mapping.check_amount(event.properties)

    def knows_action(self, action_id: str) -> bool:
        """Whether the journey file has this action; `no_action` it always has."""
        return action_id in self._actions or action_id == NO_ACTION

    def rows(self, event: Event) -> list[Row]:
        """The rows of one event, in the order in which they are folded."""
        time = micros(event.occurred_at) / 1e6
        properties = event.properties
        rows: list[Row] = []
        if event.name == IDENTIFY:
            rows += self._trait_rows(time, event.seq, properties)
        elif event.name in (ACTION_DECIDED, ACTION_ACTIVATED):
            rows += self._contact_rows(time, event.seq, properties)
        target = self._match(event.name, properties)
        if target is not None:
            rows.append(self._event_row(time, event.seq, target, properties))
        elif event.name not in (IDENTIFY, *GOVERNANCE_EVENTS):
            rows.append(Row(time, event.seq, EVENT, kind=self._unmapped))
        return rows

    def array(self, events: Iterable[Event]) -> np.ndarray:
        """The rows of events, in the given order, as one (n_rows,) array of dtype ROW."""
        return np.array([row for event in events for row in self.rows(event)], dtype=ROW)

    def _match(self, name: str, properties: Mapping[str, Any]) -> _Target | None:
        targets = self._targets.get(name)
        if targets is None:
            return None
        facts = PropertyFacts(properties)
        for target in targets:
            if target.rule is None or target.rule.holds(facts):
                return target
        return None

    def _event_row(
        self, time: float, seq: int, target: _Target, properties: Mapping[str, Any]
    ) -> Row:
        reads = target.reads
        key, sketch, flag, number = 0, 0, -1, NAN
        if "query" in reads:
            query = _normalised(properties.get(reads["query"]))
            key, sketch = _key(query), _sketch(query)
            number = _number(properties.get(reads["results"]), missing=NAN)
        elif reads and target.survey is None:
            key = _key(properties.get(next(iter(reads.values()))))
        if "wait" in reads:
            resolved = properties.get(reads["resolved"])
            flag = int(resolved) if isinstance(resolved, bool) else -1
            waited = _number(properties.get(reads["wait"]), missing=NAN)
            announced = _number(properties.get(reads["announced"]), missing=NAN)
            # of what is announced in less than a millisecond, nothing can be said
            number = (waited - announced) / announced if announced > 1e-3 else NAN
        valence, confidence = _stated_valence(target, properties)
        return Row(
            time=time,
            seq=seq,
            op=EVENT,
            kind=target.kind,
            touchpoint=target.touchpoint,
            role=target.role,
            flag=flag,
            amount=target.mapping.amount_in(properties) or 0.0,
            valence=valence,
            confidence=confidence,
            key=key,
            sketch=sketch,
            number=number,
        )

    def _trait_rows(self, time: float, seq: int, properties: Mapping[str, Any]) -> list[Row]:
        rows: list[Row] = []
        for name, value in properties.items():
            if name in self._traits:
                code, trait = self._traits[name]
                rows.append(Row(time, seq, TRAIT, subject=code, amount=_trait_value(trait, value)))
        return rows

    def _contact_rows(self, time: float, seq: int, properties: Mapping[str, Any]) -> list[Row]:
        action = properties.get("action_id")
        if not isinstance(action, str) or action == NO_ACTION or properties.get("deferred") is True:
            return []
        channel = properties.get("channel")
        if not isinstance(channel, str):
            channel = self._action_channel.get(action, "")
        kind = self._kinds.get(f"contact.{channel}", -1)
        codes = self._actions.get(action, -1), self._channels.get(channel, -1)
        subject = (codes[0] + 1) * CHANNELS + codes[1] + 1
        return [Row(time, seq, CONTACT, kind=kind, subject=subject)]


def kinds_of(journey: JourneyFile) -> Callable[[Event], str | None]:
    """What gives the mapped kind of an event in this journey file, None for an unmapped one."""
    return Encoder(ContextSchema(journey)).kind


def _stated_valence(target: _Target, properties: Mapping[str, Any]) -> tuple[float, float]:
    """(valence, confidence) that the event itself states, in a survey answer or in words.

    (NaN, 0) where it states none.
    """
    valence, confidence = NAN, 0.0
    if target.survey is not None:
        score = _number(properties.get(target.reads["score"]), missing=NAN)
        if not math.isnan(score):
            valence, confidence = target.survey.valence(score), target.survey.confidence
    text_score = properties.get(TEXT_SCORE) if target.mapping.text else None
    if not isinstance(text_score, Mapping):
        return valence, confidence
    text_valence = as_number(text_score.get("valence"))
    text_confidence = as_number(text_score.get("confidence"))
    if not (-1.0 <= text_valence <= 1.0 and 0.0 < text_confidence <= 1.0):
        return valence, confidence
    if math.isnan(valence):
        valence, confidence = target.appraisal.valence, target.appraisal.confidence
    weighted = valence * confidence + text_valence * text_confidence
    mean = weighted / (confidence + text_confidence)
    return mean, 1.0 - (1.0 - confidence) * (1.0 - text_confidence)


def _key(value: Any) -> int:
    """A text or number as a 52-bit hash above 0; 0 for none."""
    if value is None or value == "" or not isinstance(value, str | int | float):
        return 0
    digest = hashlib.blake2b(str(value).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % (2**52 - 1) + 1


def _normalised(value: Any) -> str:
    return " ".join(value[:QUERY_CHARS].casefold().split()) if isinstance(value, str) else ""


def _sketch(query: str) -> int:
    """A bit for each letter trigram of the query, with a space on both sides."""
    padded = f" {query} "
    bits = 0
    for start in range(len(padded) - 2):
        bits |= 1 << zlib.crc32(padded[start : start + 3].encode()) % SKETCH_BITS
    return bits


def _trait_value(trait: Trait, value: Any) -> float:
    """A trait's value as the number that the state keeps; NaN for one of another type."""
    if trait.type == "number":
        return _number(value, missing=np.nan)
    if trait.type == "boolean":
        return float(value) if isinstance(value, bool) else np.nan
    values = trait.values or []
    return float(values.index(value)) if value in values else np.nan


def _number(value: Any, missing: float) -> float:
    number = as_number(value)
    return number if abs(number) <= MOST else missing
