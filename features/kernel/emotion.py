"""Nodes and what they add up to, compiled.

A node is one visit to a touchpoint: whatever happens there within `NODE_MINUTES` of its first
event. Its valence is the clipped sum of its parts' (events' and signals') valences, its arousal the
highest, its confidence that at least one of them is right, its agency that of the strongest.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from features.kernel.compilation import compiled
from features.kernel.layout import (
    DECAYED,
    DECAYED_TIME,
    EWMA,
    FAILURE_KEY,
    FAILURE_RING,
    FAILURE_SIZE,
    FAILURE_TIME,
    FAILURES_KEPT,
    KIND_AGENCY,
    KIND_AROUSAL,
    KIND_SIZE,
    KIND_TABLE,
    LAST_NEGATIVE_TIME,
    LAST_NODE,
    N_NODES,
    NODE_AROUSAL,
    NODE_CODE,
    NODE_CONFIDENCE,
    NODE_SIZE,
    NODE_STRONGEST,
    NODE_TIME,
    NODE_VALENCE,
    NODES_AT,
    NODES_KEPT,
    ORIGINS,
    STREAK,
    STRONGEST,
    TRACE_CONFIDENCE,
    TRACE_COUNT,
    TRACE_DERIVED,
    TRACE_KIND,
    TRACE_NODE,
    TRACE_ORIGINS,
    TRACE_TIME,
    TRACE_TOUCHPOINT,
    TRACE_VALENCE,
)
from nba.durations import DAY_S
from nba.journey.map import NODE_MINUTES

_NODE_S = NODE_MINUTES * 60.0
_RETAINED = (0.70, 0.88, 0.95)  # of each EWMA, per node
_DECAY = -1.0 / (3.0 * DAY_S)  # the decayed sum halves in 3 days
_ZERO_BELOW = 1e-9  # a sum of decimals this small is 0
_MONTH_S = 30.0 * DAY_S

# columns, in the order of `nba.customer.context.emotion_columns`
_SUM, _SIGN, _MEAN, _MIN, _LAST, _PEAK_END, _EWMAS = range(7)
_DECAYED_3D, _SLOPE, _NEGATIVE_STREAK, _NEGATIVE, _AROUSAL, _SAME_ISSUE = range(9, 15)
_DAYS_SINCE_NEGATIVE, _NODES, _COVERAGE, _CONFIDENCE, _COLUMNS = range(15, 20)


class Part(NamedTuple):
    """One event or signal, as a part of a node."""

    kind: int
    touchpoint: int  # -1: at none, and of no node
    time: float
    visited: float  # when the visit was that it belongs to
    valence: float
    confidence: float
    derived: int  # 1 for a signal, 0 for an event
    origins: tuple[float, float, float, float]  # log positions of the events it comes from


@compiled
def add_to_node(state, plan, part, trace):  # type: ignore[no-untyped-def]
    """Add a part to the node of its visit, the last one or a new one, and to the trace."""
    node = -1
    if part.touchpoint >= 0:
        node, slot = _node_of(state, plan, part)
        state[slot + NODE_VALENCE] = min(1.0, max(-1.0, state[slot + NODE_VALENCE] + part.valence))
        entry = KIND_TABLE + KIND_SIZE * part.kind
        state[slot + NODE_AROUSAL] = max(state[slot + NODE_AROUSAL], plan[entry + KIND_AROUSAL])
        if part.valence != 0.0:
            doubt = (1.0 - state[slot + NODE_CONFIDENCE]) * (1.0 - part.confidence)
            state[slot + NODE_CONFIDENCE] = 1.0 - doubt
            if abs(part.valence) > abs(state[slot + NODE_STRONGEST]):
                code = (part.kind + 1) * STRONGEST + part.touchpoint * 4
                state[slot + NODE_CODE] = code + plan[entry + KIND_AGENCY]
                state[slot + NODE_STRONGEST] = part.valence
    if part.valence < 0.0:
        state[LAST_NEGATIVE_TIME] = max(part.time, state[LAST_NEGATIVE_TIME])
    at = int(trace[0, TRACE_COUNT]) + 1
    if at < len(trace):
        trace[0, TRACE_COUNT] = at
        trace[at, TRACE_NODE] = node
        trace[at, TRACE_TIME] = part.time
        trace[at, TRACE_KIND] = part.kind
        trace[at, TRACE_TOUCHPOINT] = part.touchpoint
        trace[at, TRACE_VALENCE] = part.valence
        trace[at, TRACE_CONFIDENCE] = part.confidence
        trace[at, TRACE_DERIVED] = part.derived
        for index in range(ORIGINS):
            trace[at, TRACE_ORIGINS + index] = part.origins[index]


@compiled
def _node_of(state, plan, part):  # type: ignore[no-untyped-def]
    """The number and slot of the node that a part belongs to: the last one, or a new one."""
    nodes = int(state[N_NODES])
    slot = int(state[LAST_NODE])
    same = nodes > 0 and (int(state[slot + NODE_CODE]) % STRONGEST) >> 2 == part.touchpoint
    if same and part.visited - state[slot + NODE_TIME] <= _NODE_S:
        return nodes - 1, slot
    if nodes > 0:
        _close_node(state, slot)
    first = int(plan[NODES_AT])
    last = first + NODE_SIZE * (int(plan[NODES_KEPT]) - 1)
    slot = first if nodes == 0 or slot == last else slot + NODE_SIZE
    state[LAST_NODE] = slot
    for index in range(1, NODE_SIZE):
        state[slot + index] = 0.0
    state[slot + NODE_CODE] = part.touchpoint * 4.0
    state[slot + NODE_TIME] = part.time
    state[N_NODES] = nodes + 1
    return nodes, slot


@compiled
def _close_node(state, slot):  # type: ignore[no-untyped-def]
    """The last node is over: it enters what is remembered beyond the ring."""
    valence = state[slot + NODE_VALENCE]
    for index in range(len(_RETAINED)):
        retained = _RETAINED[index]
        state[EWMA + index] = retained * state[EWMA + index] + (1.0 - retained) * valence
    age = state[slot + NODE_TIME] - state[DECAYED_TIME]
    state[DECAYED] = state[DECAYED] * np.exp2(age * _DECAY) + valence
    state[DECAYED_TIME] = state[slot + NODE_TIME]
    if valence < 0.0:
        state[STREAK] += 1.0
    elif valence > 0.0:
        state[STREAK] = 0.0


@compiled
def emit_emotion(state, plan, as_of, out, column):  # type: ignore[no-untyped-def]
    """Write the emotion columns into `out` from `column` on; returns the next column."""
    kept = int(plan[NODES_KEPT])
    nodes = int(state[N_NODES])
    held = min(nodes, kept)
    total = trough = last = arousal = confidence = 0.0
    negative = evidenced = 0
    position_sum = 0.0  # of (position - centre) * valence
    centre = (held - 1) / 2.0
    first = int(plan[NODES_AT])
    end = first + NODE_SIZE * kept
    slot = int(state[LAST_NODE]) - NODE_SIZE * held
    if slot < first - NODE_SIZE:
        slot += NODE_SIZE * kept
    for step in range(held):
        slot += NODE_SIZE
        if slot >= end:
            slot = first
        last = state[slot + NODE_VALENCE]
        total += last
        trough = last if step == 0 else min(trough, last)
        arousal = max(arousal, state[slot + NODE_AROUSAL])
        confidence += state[slot + NODE_CONFIDENCE]
        negative += last < 0.0
        evidenced += state[slot + NODE_CONFIDENCE] > 0.0
        position_sum += (step - centre) * last
    some = held > 0
    if abs(total) < _ZERO_BELOW:
        total = 0.0
    out[column + _SUM] = total
    out[column + _SIGN] = np.sign(total)
    out[column + _MEAN] = total / held if some else np.nan
    out[column + _MIN] = trough if some else np.nan
    out[column + _LAST] = last if some else np.nan
    out[column + _PEAK_END] = (trough + last) / 2.0 if some else np.nan
    for index in range(len(_RETAINED)):
        retained = _RETAINED[index]
        open_node = (1.0 - retained) * last
        out[column + _EWMAS + index] = retained * state[EWMA + index] + open_node if some else 0.0
    decayed = state[DECAYED] * np.exp2((as_of - state[DECAYED_TIME]) * _DECAY)
    if some:
        decayed += last * np.exp2((as_of - state[slot + NODE_TIME]) * _DECAY)
    out[column + _DECAYED_3D] = decayed
    spread = held * (held * held - 1) / 12.0
    out[column + _SLOPE] = position_sum / spread if held > 1 else np.nan
    streak = state[STREAK]
    if last < 0.0:
        streak += 1.0
    elif last > 0.0:
        streak = 0.0
    out[column + _NEGATIVE_STREAK] = streak
    out[column + _NEGATIVE] = negative
    out[column + _AROUSAL] = arousal
    out[column + _SAME_ISSUE] = _same_issue_failures(state, as_of)
    known = state[LAST_NEGATIVE_TIME] > 0.0
    days_since = (as_of - state[LAST_NEGATIVE_TIME]) / DAY_S
    out[column + _DAYS_SINCE_NEGATIVE] = days_since if known else np.nan
    out[column + _NODES] = nodes
    out[column + _COVERAGE] = evidenced / held if some else 0.0
    out[column + _CONFIDENCE] = confidence / held if some else 0.0
    return column + _COLUMNS


@compiled
def _same_issue_failures(state, as_of):  # type: ignore[no-untyped-def]
    """Failures of the issue that failed most within 30 days, of the failures remembered."""
    most = 0
    begin = FAILURE_RING + 1
    end = begin + FAILURE_SIZE * min(int(state[FAILURE_RING]), FAILURES_KEPT)
    for slot in range(begin, end, FAILURE_SIZE):
        if as_of - state[slot + FAILURE_TIME] > _MONTH_S:
            continue
        same = 0
        for other in range(begin, end, FAILURE_SIZE):
            recent = as_of - state[other + FAILURE_TIME] <= _MONTH_S
            if state[other + FAILURE_KEY] == state[slot + FAILURE_KEY] and recent:
                same += 1
        most = max(most, same)
    return most


@compiled
def sum_parts(parts, customers, node_of, nodes):  # type: ignore[no-untyped-def]
    """Put the traced parts (n,), those without a node left out, together to nodes.

    `nodes` (n,) of dtype NODES is filled from the front; `node_of` (n,) takes the position of
    each part's node, -1 for none. Returns how many nodes there are.
    """
    at = -1
    for index in range(len(parts)):
        part = parts[index]
        node_of[index] = -1
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
        node_of[index] = at
        valence = nodes[at]["valence"] + part["valence"]
        nodes[at]["valence"] = min(1.0, max(-1.0, valence))
        if part["valence"] != 0.0:
            doubt = (1.0 - nodes[at]["confidence"]) * (1.0 - part["confidence"])
            nodes[at]["confidence"] = 1.0 - doubt
    return at + 1
