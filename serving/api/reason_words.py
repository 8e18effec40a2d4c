"""Reasons in a person's words: what happened, where and how often, and which way it moved a score.

The log keeps each reason with its column; these are the words of an answer, by the names that the
journey file gives to touchpoints, stages and actions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from msgspec import structs

from nba.customer.context import ContextSchema
from nba.decisions.candidate import Reason
from nba.journey.mapping import EventMapping

WITHIN = {"1h": "in the last hour", "1d": "in the last day", "7d": "in the last week",
          "30d": "in the last month"}  # fmt: skip
KNOWN = {
    "journey.days_in_stage": "{} days in this stage",
    "customer.days_known": "known for {} days",
    "offered.times": "offered this {} times before",
    "offered.days_since": "last offered this {} days ago",
    "emotion.last": "the last moment felt {} (-1 to 1)",
    "emotion.days_since_negative": "{} days since the last bad moment",
    "emotion.negative_streak": "{} bad moments in a row",
    "emotion.same_issue_failures_30d": "the same issue failed {} times in a month",
}
FELT = {  # emotion columns, whose numbers are those of moments
    "sum": "the last moments felt {} in all",
    "sign": "good less bad among the last moments: {}",
    "mean": "the last moments felt {} on average (-1 to 1)",
    "min": "the worst of the last moments felt {} (-1 to 1)",
    "peak_end": "the worst and the last moment felt {} (-1 to 1)",
    "ewma": "lately it felt {} (-1 to 1)",
    "decayed": "the last days felt {}",
    "slope": "feelings move by {} a moment",
    "negative": "{} bad moments of late",
    "arousal": "the last moments were taken this strongly: {} (0 to 1)",
    "nodes": "{} moments are known",
    "coverage": "{} of the moments have a feeling",
    "confidence": "feelings are known this surely: {} (0 to 1)",
}


def in_words(
    reasons: Iterable[Reason], schema: ContextSchema, action_id: str | None = None
) -> tuple[Reason, ...]:
    """The same reasons with other texts. `action_id`: whose score they explain, None for the risk
    of leaving."""
    what = "leaving" if action_id is None else "a good answer"
    return tuple(
        structs.replace(
            reason,
            text=f"{_fact(reason, schema, action_id)}: {what} is "
            f"{'more' if reason.contribution > 0.0 else 'less'} likely",
        )
        for reason in reasons
    )


def _fact(reason: Reason, schema: ContextSchema, action_id: str | None) -> str:
    column, value = reason.column, reason.value
    kind, _, measure = column.rpartition(".")
    if column == "action":
        return f"it is {action_id}"
    if kind == "action":
        return f"its {_spaced(measure)} is {_number(value)}"
    if column in KNOWN:
        return (
            KNOWN[column].format(_number(value)) if value is not None else f"no {_spaced(column)}"
        )
    if kind == "emotion":
        return FELT[re.sub(r"_?\d+d?$", "", measure)].format(_number(value))
    if kind == "traits" or column == "journey.stage":
        shown = None if value is None else schema.value(column, value)
        return f"{_spaced(measure)} is {'unknown' if shown is None else _named(shown, schema)}"
    return _happened(_name_of(kind, schema), measure, value)


def _happened(name: str, measure: str, value: float | None) -> str:
    """How often or when something happened; counts fade, so that they are rounded."""
    what, _, window = measure.partition("_")
    if measure == "days_since":
        return f"never: {name}" if value is None else f"{name} {_number(value)} days ago"
    if value is None:
        return f"unknown: {name}"
    when = WITHIN.get(window, "so far")
    if what in ("sum", "amount"):
        return f"{_number(value)} in all by {name} {when}"
    times = round(value)
    if times == 0:
        return f"no {name} {when}" if value == 0.0 else f"{name} some time ago"
    return f"{name} {'once' if times == 1 else 'twice' if times == 2 else f'{times} times'} {when}"


@lru_cache(maxsize=4_096)
def _name_of(kind: str, schema: ContextSchema) -> str:
    """What a kind of event is called: as its channel sends it, or by its id where some of these
    events are of other kinds, and the touchpoint by its own name."""
    journey = schema.journey
    mapping: EventMapping | None = next((m for m in journey.events if m.id == kind), None)
    if kind.startswith("contact."):
        return f"contact by {kind.removeprefix('contact.')}"
    if mapping is None:
        return _spaced(kind)
    at = next((one.name for one in journey.touchpoints() if one.id == mapping.touchpoint), None)
    name = _spaced(kind) if mapping.when else mapping.event
    return f"{name} ({at})" if at else name


def _named(value: object, schema: ContextSchema) -> str:
    names = {stage.id: stage.name or stage.id for _, _, stage in schema.journey.stages()}
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float | int):
        return _number(value)
    return names.get(str(value), str(value))


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}"


def _spaced(name: str) -> str:
    return name.rpartition(".")[2].replace("_", " ")
