"""What a detector does with what it found, compiled: fire a signal, remember, forget."""

from __future__ import annotations

from features.kernel.counters import count
from features.kernel.emotion import feel
from features.kernel.layout import SIGNALS, compiled, confidence_of, valence_of
from nba.events.signals import PRIOR_CONFIDENCE

TIMES, WITHIN, BEYOND, AGAIN = 1, 2, 3, 4  # columns of Plan.signals


@compiled
def fire(  # type: ignore[no-untyped-def]
    state, plan, signal, touchpoint, time, visited, factor, seqs, trace
):
    kind = int(plan[SIGNALS + 5 * signal])
    if kind >= 0:
        valence = valence_of(plan, kind, touchpoint) * factor
        fire_at(state, plan, kind, touchpoint, time, visited, valence, seqs, trace)


@compiled
def fire_at(  # type: ignore[no-untyped-def]
    state, plan, kind, touchpoint, time, visited, valence, seqs, trace
):
    count(state, plan, kind, time, 0.0)
    confidence = confidence_of(plan, kind, touchpoint)
    if confidence == 0.0 and valence != 0.0:
        confidence = PRIOR_CONFIDENCE
    feel(
        *(state, plan, kind, touchpoint, time, visited, valence, confidence),
        *(1, seqs, trace),
    )


@compiled
def again(state, ring, size, key, time, within, times):  # type: ignore[no-untyped-def]
    """How many entries of a ring (count, then key, time, seq each) tell of `key` within `within`,
    and the log positions of the last three, oldest first. Counted entries have a key above 0."""
    held = min(int(state[ring]), size)
    found = 0
    a = b = c = 0.0
    for step in range(held):
        slot = ring + 1 + 3 * ((int(state[ring]) - held + step) % size)
        if state[slot] == key and time - state[slot + 1] <= within:
            found += 1
            a, b, c = b, c, state[slot + 2]
    if times < 4:
        a = 0.0
    if times < 3:
        b = 0.0
    return found, a, b, c


@compiled
def spend(state, ring, size, key):  # type: ignore[no-untyped-def]
    """The entries of `key` have made their signal and count no more."""
    for step in range(size):
        slot = ring + 1 + 3 * step
        if state[slot] == key:
            state[slot] = -key


@compiled
def push(state, ring, size, key, time, seq):  # type: ignore[no-untyped-def]
    slot = ring + 1 + 3 * (int(state[ring]) % size)
    state[slot] = key
    state[slot + 1] = time
    state[slot + 2] = seq
    state[ring] += 1.0


@compiled
def recur(state, plan, signal, ring, size, key, row, trace):  # type: ignore[no-untyped-def]
    """Remember an event about `key`; where it makes `times` of them, fire and count anew."""
    time = row["time"]
    seq = float(row["seq"])
    times = int(plan[SIGNALS + 5 * signal + TIMES])
    within = plan[SIGNALS + 5 * signal + WITHIN]
    found, a, b, c = again(state, ring, size, key, time, within, times)
    push(state, ring, size, key, time, seq)
    if found + 1 >= times > 0:
        spend(state, ring, size, key)
        fire(state, plan, signal, row["b"], time, time, 1.0, (a, b, c, seq), trace)
