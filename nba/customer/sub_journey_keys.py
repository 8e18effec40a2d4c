"""Keyed sub-journeys: of one customer one passage for each value of a property, side by side.

A run is what a customer passes through at one time: `cart` of a sub-journey without a key,
`cart#A17` of one with it. Positions, exits and last entries of a contact history bear the run's
name, and so do the ids of passages. The events that begin or end a run are counted under it.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

from msgspec.structs import replace

from nba.customer.contact_history import (
    ENTERED,
    ContactHistory,
    CountedEvent,
    KeyedEvents,
    run_of,
    sub_journey_of,
)
from nba.events.names import OUR_EVENTS
from nba.journey.file import JourneyFile
from nba.journey.policies import CONTACT_STATUSES
from nba.journey.sub_journeys import SubJourney
from nba.rules.rule import PropertyFacts
from nba.rules.syntax import syntax_tree

MAX_KEYS = 32  # of one sub-journey and one customer: under way, and remembered
MAX_KEY_CHARS = 100
CROWDED = "crowded:"  # prefix of the kind that tells of keys that were left out
_KEYED = "key:"  # prefix of the kinds that the events of a run are counted as


def run_name(sub_journey: str, key: str) -> str:
    """The name of the run with this key."""
    return f"{sub_journey}#{quote(key, safe='', errors='replace')}"


def key_of(passage: str) -> str | None:
    """The key in the id of a passage, or of a step of it; None where it has none."""
    _, keyed, key = run_of(passage).partition("#")
    return unquote(key) if keyed else None


def step_name(step_key: str) -> str | None:
    """Sub-journey and step of a step's key, such as cart.remind; None of an empty one."""
    passage, _, step = step_key.rpartition("/")
    return f"{sub_journey_of(run_of(passage))}.{step}" if step_key else None


def entering_kinds(sub_journey: SubJourney, journey: JourneyFile) -> frozenset[str]:
    """The kinds of event that `enter` names, each of which may carry the key.

    Raises InvalidInput for a rule that cannot be read.
    """
    named = {
        node.value.id
        for node in ast.walk(syntax_tree(sub_journey.enter))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    return frozenset(m.id for m in journey.events if m.id in named and m.event not in OUR_EVENTS)


def keyed_events(
    journey: JourneyFile, sub_journeys: Iterable[SubJourney]
) -> tuple[KeyedEvents, ...]:
    """What the fold has to count by key."""
    found = []
    for sub_journey in sub_journeys:
        if sub_journey.per:
            ends = {sub_journey.goal, *(step.done for step in sub_journey.steps)}
            ends -= {None, *CONTACT_STATUSES}
            keyed = KeyedEvents(
                sub_journey=sub_journey.id,
                path=f"properties.{sub_journey.per}",
                enters=tuple(sorted(entering_kinds(sub_journey, journey))),
                ends=tuple(sorted(kind for kind in ends if kind is not None)),
            )
            found += [] if keyed in found else [keyed]
    return tuple(found)


def with_keyed_event(
    history: ContactHistory,
    keyed: KeyedEvents,
    kind: str,
    properties: Mapping[str, Any],
    at_s: float,
) -> ContactHistory:
    """The contact history after an event of this kind: the last of its kind and key is kept.

    One that ends passages and has no key speaks of every key.
    """
    key = _key_in(properties, keyed.path)
    run = run_name(keyed.sub_journey, key or "")
    begins = key is not None and kind in keyed.enters
    known = runs(history, keyed.sub_journey)
    if not begins and (kind not in keyed.ends or (key is not None and run not in known)):
        return history
    event = CountedEvent(f"{_KEYED}{run}:{kind}", at_s)
    others = tuple(other for other in history.counted_events if other.kind != event.kind)
    history = replace(history, counted_events=(*others, event))
    if run in known or len(known) < MAX_KEYS or not begins:
        return history
    return _with_room(history, known, keyed.sub_journey, at_s)


def runs(history: ContactHistory, sub_journey: str) -> list[str]:
    """The runs of a keyed sub-journey that a history knows, longest ago first."""
    every = run_name(sub_journey, "")
    names = [exit_.sub_journey for exit_ in history.exits]
    names += [_run_and_kind(event)[0] for event in _keyed(history, every)]
    names += [position.sub_journey for position in history.positions]
    return list(dict.fromkeys(n for n in names if n.startswith(every) and n != every))


def waiting_runs(history: ContactHistory, sub_journey: str, kinds: Collection[str]) -> list[str]:
    """The runs of which an event of these kinds came after they were entered last, and that are not
    under way: the longest waiting first; none where MAX_KEYS are under way."""
    every = run_name(sub_journey, "")
    under_way = {at.sub_journey for at in history.positions if at.sub_journey.startswith(every)}
    if len(under_way) >= MAX_KEYS:
        return []
    waiting: dict[str, float] = {}
    for event in _keyed(history, every):
        run, kind = _run_and_kind(event)
        if kind not in kinds or run in (every, *under_way):
            continue
        entered_s = history.last_entry_s(run)
        if entered_s is None or event.at_s > entered_s:
            waiting[run] = max(event.at_s, waiting.get(run, event.at_s))
    return sorted(waiting, key=lambda run: waiting[run])


def happened_s(history: ContactHistory, run: str, kinds: Iterable[str | None]) -> Iterator[float]:
    """When events of these kinds happened that speak of this run."""
    wanted: set[str] = set()
    for kind in kinds:
        if "#" in run:
            every = run_name(sub_journey_of(run), "")
            wanted |= {f"{_KEYED}{run}:{kind}", f"{_KEYED}{every}:{kind}"}
        elif kind is not None:
            wanted.add(kind)
    return (event.at_s for event in history.counted_events if event.kind in wanted)


def is_crowded(history: ContactHistory, sub_journey: str) -> bool:
    """Whether keys were left out and nobody was told."""
    return any(event.kind == f"{CROWDED}{sub_journey}" for event in history.counted_events)


def without_crowd(history: ContactHistory, sub_journey: str) -> ContactHistory:
    """The contact history once it is told that keys were left out."""
    kind = f"{CROWDED}{sub_journey}"
    kept = tuple(event for event in history.counted_events if event.kind != kind)
    return replace(history, counted_events=kept)


def _with_room(
    history: ContactHistory, known: list[str], sub_journey: str, at_s: float
) -> ContactHistory:
    """Without the oldest key that is not under way: a finished one, else one that still waits,
    which is told."""
    under_way = {position.sub_journey for position in history.positions}
    finished = [exit_.sub_journey for exit_ in history.exits]
    resting = [run for run in known if run not in under_way]
    if not resting:
        return history
    oldest = next((run for run in resting if run in finished), resting[0])
    gone = (f"{_KEYED}{oldest}:", f"{ENTERED}{oldest}")
    counted = [
        event
        for event in history.counted_events
        if not event.kind.startswith(gone[0]) and event.kind != gone[1]
    ]
    if oldest not in finished:
        told = CountedEvent(f"{CROWDED}{sub_journey}", at_s)
        counted = [*(event for event in counted if event.kind != told.kind), told]
    exits = tuple(exit_ for exit_ in history.exits if exit_.sub_journey != oldest)
    return replace(history, counted_events=tuple(counted), exits=exits)


def _keyed(history: ContactHistory, every: str) -> Iterator[CountedEvent]:
    prefix = f"{_KEYED}{every}"
    return (event for event in history.counted_events if event.kind.startswith(prefix))


def _run_and_kind(event: CountedEvent) -> tuple[str, str]:
    run, _, kind = event.kind.removeprefix(_KEYED).partition(":")
    return run, kind


def _key_in(properties: Mapping[str, Any], path: str) -> str | None:
    """The key of an event: text of up to `MAX_KEY_CHARS` characters, or a whole number."""
    value = PropertyFacts(properties).get(path)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value.strip()) <= MAX_KEY_CHARS:
        return None
    return value.strip()
