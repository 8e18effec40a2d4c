"""Nodes and what they add up to, compiled.

A node is one visit to a touchpoint: whatever happens there within `NODE_MINUTES` of its first
event. Its valence is the clipped sum of its events' and signals' valences, its arousal the
highest, its confidence that at least one of them is right, its agency that of the strongest.
"""

from __future__ import annotations

import numpy as np

from features.kernel.layout import (
    BECAUSE,
    DECAYED,
    DECAYED_TIME,
    EWMA,
    FAILURE,
    FAILURES,
    FROM,
    KEPT,
    KIND_TABLE,
    LAST_NEGATIVE,
    LAST_NODE,
    N_NODES,
    NODE,
    NODES_AT,
    STREAK,
    compiled,
)
from nba.durations import DAY_S
from nba.journey.map import NODE_MINUTES

_NODE_S = NODE_MINUTES * 60.0
_RETAINED = (0.70, 0.88, 0.95)  # of each EWMA, per node
_DECAY = -1.0 / (3.0 * DAY_S)  # the decayed sum halves in 3 days
_NOTHING = 1e-9  # a sum of decimals this small is 0
_MONTH_S = 30.0 * DAY_S


@compiled
def feel(  # type: ignore[no-untyped-def]
    state, plan, kind, touchpoint, time, visited, valence, confidence, derived, seqs, trace
):  # fmt: skip
    """Add one event or signal to its node. `visited`: when the visit was that it belongs to."""
    node = -1
    if touchpoint >= 0:
        kept = int(plan[KEPT])
        visits = int(state[N_NODES])
        slot = int(state[LAST_NODE])
        same = visits > 0 and (int(state[slot]) % BECAUSE) >> 2 == touchpoint
        if not (same and visited - state[slot + 2] <= _NODE_S):
            if visits > 0:
                _close(state, slot)
            first = int(plan[NODES_AT])
            slot = first if visits == 0 or slot == first + NODE * (kept - 1) else slot + NODE
            state[LAST_NODE] = slot
            for index in range(1, NODE):
                state[slot + index] = 0.0
            state[slot] = touchpoint * 4.0
            state[slot + 2] = time
            visits += 1
            state[N_NODES] = visits
        node = visits - 1
        state[slot + 1] = min(1.0, max(-1.0, state[slot + 1] + valence))
        state[slot + 3] = max(state[slot + 3], plan[KIND_TABLE + 4 * kind + 2])
        if valence != 0.0:
            state[slot + 4] = 1.0 - (1.0 - state[slot + 4]) * (1.0 - confidence)
            if abs(valence) > abs(state[slot + 5]):
                because = (kind + 1) * BECAUSE + touchpoint * 4
                state[slot] = because + plan[KIND_TABLE + 4 * kind + 3]
                state[slot + 5] = valence
    if valence < 0.0:
        state[LAST_NEGATIVE] = max(time, state[LAST_NEGATIVE])
    at = int(trace[0, 0]) + 1
    if at < len(trace):
        trace[0, 0] = at
        trace[at, 0] = node
        trace[at, 1] = time
        trace[at, 2] = kind
        trace[at, 3] = touchpoint
        trace[at, 4] = valence
        trace[at, 5] = confidence
        trace[at, 6] = derived
        for index in range(FROM):
            trace[at, 7 + index] = seqs[index]


@compiled
def _close(state, slot):  # type: ignore[no-untyped-def]
    """The last node is over: it enters what is remembered beyond the ring."""
    valence = state[slot + 1]
    for index in range(len(_RETAINED)):
        kept = _RETAINED[index]
        state[EWMA + index] = kept * state[EWMA + index] + (1.0 - kept) * valence
    age = state[slot + 2] - state[DECAYED_TIME]
    state[DECAYED] = state[DECAYED] * np.exp2(age * _DECAY) + valence
    state[DECAYED_TIME] = state[slot + 2]
    if valence < 0.0:
        state[STREAK] += 1.0
    elif valence > 0.0:
        state[STREAK] = 0.0


@compiled
def emit_emotion(state, plan, as_of, out, at):  # type: ignore[no-untyped-def]
    """Write the emotion columns of `nba.customer.context.emotion_columns` from `out[at]` on."""
    kept = int(plan[KEPT])
    visits = int(state[N_NODES])
    held = min(visits, kept)
    total = trough = last = arousal = confidence = 0.0
    negative = evidenced = 0
    position_sum = 0.0  # of (position - centre) * valence
    centre = (held - 1) / 2.0
    first = int(plan[NODES_AT])
    end = first + NODE * kept
    slot = int(state[LAST_NODE]) - NODE * held
    if slot < first - NODE:
        slot += NODE * kept
    for step in range(held):
        slot += NODE
        if slot >= end:
            slot = first
        last = state[slot + 1]
        total += last
        trough = last if step == 0 else min(trough, last)
        arousal = max(arousal, state[slot + 3])
        confidence += state[slot + 4]
        negative += last < 0.0
        evidenced += state[slot + 4] > 0.0
        position_sum += (step - centre) * last
    some = held > 0
    if abs(total) < _NOTHING:
        total = 0.0
    out[at] = total
    out[at + 1] = np.sign(total)
    out[at + 2] = total / held if some else np.nan
    out[at + 3] = trough if some else np.nan
    out[at + 4] = last if some else np.nan
    out[at + 5] = (trough + last) / 2.0 if some else np.nan
    for index in range(len(_RETAINED)):
        rate = _RETAINED[index]
        open_node = (1.0 - rate) * last
        out[at + 6 + index] = rate * state[EWMA + index] + open_node if some else 0.0
    decayed = state[DECAYED] * np.exp2((as_of - state[DECAYED_TIME]) * _DECAY)
    if some:
        decayed += last * np.exp2((as_of - state[slot + 2]) * _DECAY)
    out[at + 9] = decayed
    spread = held * (held * held - 1) / 12.0
    out[at + 10] = position_sum / spread if held > 1 else np.nan
    streak = state[STREAK]
    if last < 0.0:
        streak += 1.0
    elif last > 0.0:
        streak = 0.0
    out[at + 11] = streak
    out[at + 12] = negative
    out[at + 13] = arousal
    out[at + 14] = _same_issue_failures(state, as_of)
    known = state[LAST_NEGATIVE] > 0.0
    out[at + 15] = (as_of - state[LAST_NEGATIVE]) / DAY_S if known else np.nan
    out[at + 16] = visits
    out[at + 17] = evidenced / held if some else 0.0
    out[at + 18] = confidence / held if some else 0.0
    return at + 19


@compiled
def _same_issue_failures(state, as_of):  # type: ignore[no-untyped-def]
    """Failures of the issue that failed most within 30 days, of the failures remembered."""
    most = 0
    held = min(int(state[FAILURE]), FAILURES)
    for one in range(held):
        at = FAILURE + 1 + 4 * one
        if as_of - state[at + 1] > _MONTH_S:
            continue
        same = 0
        for other in range(held):
            there = FAILURE + 1 + 4 * other
            if state[there] == state[at] and as_of - state[there + 1] <= _MONTH_S:
                same += 1
        most = max(most, same)
    return most


@compiled
def add_up(trace, customers, parts_of, nodes):  # type: ignore[no-untyped-def]
    """Put the traced parts (n,), those without a node left out, together to nodes.

    `nodes` (n,) of dtype NODES is filled from the front; `parts_of` (n,) takes the position of
    each part's node, -1 for none. Returns how many nodes there are.
    """
    at = -1
    for index in range(len(trace)):
        part = trace[index]
        parts_of[index] = -1
        if part["node"] < 0:
            continue
        new = at < 0 or nodes[at]["customer"] != customers[index]
        if new or nodes[at]["number"] != part["node"]:
            at += 1
            nodes[at]["customer"] = customers[index]
            nodes[at]["number"] = part["node"]
            nodes[at]["touchpoint"] = part["touchpoint"]
            nodes[at]["time"] = part["time"]
            nodes[at]["valence"] = 0.0
            nodes[at]["confidence"] = 0.0
        parts_of[index] = at
        valence = nodes[at]["valence"] + part["valence"]
        nodes[at]["valence"] = min(1.0, max(-1.0, valence))
        if part["valence"] != 0.0:
            doubt = (1.0 - nodes[at]["confidence"]) * (1.0 - part["confidence"])
            nodes[at]["confidence"] = 1.0 - doubt
    return at + 1
