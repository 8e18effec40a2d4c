"""What a detector does with what it finds, compiled: fire a signal, remember, forget."""

from __future__ import annotations

from features.kernel.compilation import compiled
from features.kernel.counters import count_event
from features.kernel.emotion import Part, add_to_node
from features.kernel.layout import (
    ENTRY_KEY,
    ENTRY_SEQ,
    ENTRY_SIZE,
    ENTRY_TIME,
    RULE_KIND,
    TIMES,
    WITHIN,
)
from features.kernel.plan import confidence_of, valence_of
from nba.events.signals import PRIOR_CONFIDENCE


@compiled
def fire(state, plan, row, trace, rule, factor, origins):  # type: ignore[no-untyped-def]
    """Fire the signal of a rule at the event that completes it; `factor`: on its valence."""
    kind = int(plan[rule + RULE_KIND])
    if kind >= 0:
        valence = valence_of(plan, kind, row["touchpoint"]) * factor
        add_signal(
            state,
            plan,
            trace,
            kind=kind,
            touchpoint=row["touchpoint"],
            time=row["time"],
            visited=row["time"],
            valence=valence,
            origins=origins,
        )


@compiled
def fire_at(  # type: ignore[no-untyped-def]
    state, plan, trace, rule, touchpoint, time, visited, origins
):
    """Fire the signal of a rule at another moment or touchpoint than an event's.

    `visited`: when the visit was that it belongs to.
    """
    kind = int(plan[rule + RULE_KIND])
    if kind >= 0:
        valence = valence_of(plan, kind, touchpoint)
        add_signal(
            state,
            plan,
            trace,
            kind=kind,
            touchpoint=touchpoint,
            time=time,
            visited=visited,
            valence=valence,
            origins=origins,
        )


@compiled
def add_signal(  # type: ignore[no-untyped-def]
    state, plan, trace, kind, touchpoint, time, visited, valence, origins
):
    """Count a signal as an event of its kind and add it to its node."""
    count_event(state, plan, kind, time, 0.0)
    confidence = confidence_of(plan, kind, touchpoint)
    if confidence == 0.0 and valence != 0.0:
        confidence = PRIOR_CONFIDENCE
    part = Part(kind, touchpoint, time, visited, valence, confidence, 1, origins)
    add_to_node(state, plan, part, trace)


@compiled
def find_recent(state, ring, size, key, time, within, times):  # type: ignore[no-untyped-def]
    """How many entries of a ring are about `key` and at most `within` old, and the log positions
    of the last three, oldest first; at most `times` - 1 of them, 0 for none."""
    written = int(state[ring])
    kept = min(written, size)
    found = 0
    a = b = c = 0.0
    for step in range(kept):
        slot = ring + 1 + ENTRY_SIZE * ((written - kept + step) % size)
        if state[slot + ENTRY_KEY] == key and time - state[slot + ENTRY_TIME] <= within:
            found += 1
            a, b, c = b, c, state[slot + ENTRY_SEQ]
    if times < 4:
        a = 0.0
    if times < 3:
        b = 0.0
    return found, a, b, c


@compiled
def append_entry(state, ring, size, key, time, seq):  # type: ignore[no-untyped-def]
    """Write an entry into a ring, over the oldest where it is full."""
    slot = ring + 1 + ENTRY_SIZE * (int(state[ring]) % size)
    state[slot + ENTRY_KEY] = key
    state[slot + ENTRY_TIME] = time
    state[slot + ENTRY_SEQ] = seq
    state[ring] += 1.0


@compiled
def detect_recurrence(state, plan, row, trace, rule, ring, size, key):  # type: ignore[no-untyped-def]
    """Remember an event about `key`; where it makes `times` of them, fire and count anew.

    Entries that have made their signal count no more: their key is negative from then on.
    """
    time = row["time"]
    seq = float(row["seq"])
    times = int(plan[rule + TIMES])
    found, a, b, c = find_recent(state, ring, size, key, time, plan[rule + WITHIN], times)
    append_entry(state, ring, size, key, time, seq)
    if found + 1 >= times > 0:
        for slot in range(ring + 1, ring + 1 + ENTRY_SIZE * size, ENTRY_SIZE):
            if state[slot + ENTRY_KEY] == key:
                state[slot + ENTRY_KEY] = -key
        fire(state, plan, row, trace, rule=rule, factor=1.0, origins=(a, b, c, seq))
