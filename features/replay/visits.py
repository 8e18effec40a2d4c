"""Read every visit in a log with its parts, by the same fold as online.

For training and the friction report over a whole log (`read_nodes`), and for one customer's
explanation (`emotion_history`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
import numpy as np

from features.fold import Fold
from features.kernel import fold_events as kernel
from features.kernel.emotion import sum_parts
from features.kernel.layout import ORIGINS, TRACE_COLUMNS, TRACE_COUNT
from features.replay.point_in_time import EncodedLog
from nba.events.event import Event, from_micros, micros
from nba.events.signals import Agency

PARTS = np.dtype(
    [
        ("node", "i8"),
        ("time", "f8"),
        ("kind", "i4"),
        ("touchpoint", "i4"),
        ("valence", "f8"),
        ("confidence", "f8"),
        ("derived", "?"),  # a signal, not an event
        ("seqs", "f8", (ORIGINS,)),  # log positions of the events it comes from, 0 for none
    ]
)
NODES = np.dtype(
    [
        ("customer", "i8"),
        ("number", "i8"),
        ("touchpoint", "i4"),
        ("time", "f8"),
        ("valence", "f8"),
        ("confidence", "f8"),
    ]
)


@dataclass(frozen=True, slots=True, eq=False)
class NodeTable:
    """The nodes of a log, sorted by (customer, time), and their parts.

    `nodes`: (n_nodes,) of dtype NODES, `customer` the position in `EncodedLog.customers`.
    `parts`: (n_parts,) of dtype PARTS. `part_customers`, `node_of`: (n_parts,) positions of each
    part's customer and node, -1 where it has no touchpoint.
    """

    nodes: np.ndarray
    parts: np.ndarray
    part_customers: np.ndarray
    node_of: np.ndarray


def read_nodes(fold: Fold, log: EncodedLog, upto_s: float) -> NodeTable:
    """Every node up to `upto_s` (seconds since 1970 UTC), whenever its events were received."""
    starts = np.append(log.starts[: len(log.customers)], len(log.rows)).astype(np.int64)
    room = 2 * len(log.rows) + 64
    while True:
        trace = np.zeros((room + 1, TRACE_COLUMNS))
        customers = np.empty(room, dtype=np.int64)
        kernel.trace_all(
            state=np.empty(fold.size),
            plan=fold.plan,
            rows=log.rows,
            row_starts=starts,
            upto=upto_s,
            trace=trace,
            customers=customers,
        )
        count = int(trace[0, TRACE_COUNT])
        if count < room:
            break
        room *= 2
    parts = np.empty(count, dtype=PARTS)
    for column, name in enumerate(list(PARTS.fields or ())[:-1]):
        parts[name] = trace[1 : count + 1, column]
    parts["seqs"] = trace[1 : count + 1, -ORIGINS:]
    customers = customers[:count]
    node_of = np.empty(count, dtype=np.int64)
    nodes = np.empty(count, dtype=NODES)
    n_nodes = sum_parts(parts, customers, node_of, nodes)
    return NodeTable(
        nodes=nodes[:n_nodes].copy(), parts=parts, part_customers=customers, node_of=node_of
    )


class NodePart(msgspec.Struct, frozen=True, kw_only=True):
    """One event or signal of a node."""

    kind: str
    at: datetime  # UTC
    valence: float  # what it added, -1 to 1
    confidence: float
    source: str  # prior, learned, or said: in the event's own survey answer or text
    signal: bool  # derived from a sequence of events
    derived_from: tuple[str, ...]  # event ids; of a plain event its own


class EmotionHistoryNode(msgspec.Struct, frozen=True, kw_only=True):
    """One visit, with its valence and the parts that it adds up."""

    touchpoint: str
    at: datetime  # UTC, its first event
    valence: float  # -1 to 1
    arousal: float
    confidence: float
    agency: Agency  # of the strongest part
    cumulative: float  # the sum over the last nodes up to this one
    parts: tuple[NodePart, ...]


class EmotionHistory(msgspec.Struct, frozen=True, kw_only=True):
    """The visits that one customer's emotion was computed from."""

    nodes_in_all: int
    nodes: tuple[EmotionHistoryNode, ...]  # the last, oldest first


def emotion_history(
    fold: Fold, events: Sequence[Event], as_of: datetime, *, last: int = 200
) -> EmotionHistory:
    """The last nodes of one customer up to `as_of`, from all events of the customer."""
    ordered = sorted(events, key=lambda event: (event.occurred_at, event.seq))
    event_ids = {event.seq: event.event_id for event in ordered}
    rows = fold.encoder.array(ordered)
    stated = set(rows["seq"][~np.isnan(rows["valence"])].tolist())
    log = EncodedLog(
        customers=np.array(["the customer"]),
        starts=np.array([0, len(rows)]),
        rows=rows,
        received=np.zeros(len(rows)),
    )
    table = read_nodes(fold, log, micros(as_of) / 1e6)
    n = len(table.nodes)
    with_node = np.flatnonzero(table.node_of >= 0)
    cuts = with_node[np.searchsorted(table.node_of[with_node], np.arange(n))]
    cuts = np.append(cuts, len(table.parts))
    summed = fold.schema.journey.emotion.nodes
    valences = table.nodes["valence"]
    nodes = []
    for at in range(max(0, n - last), n):
        parts = table.parts[cuts[at] : cuts[at + 1]]
        nodes.append(
            _history_node(
                fold,
                table.nodes[at],
                parts[parts["node"] >= 0],
                event_ids=event_ids,
                stated=stated,
                cumulative=float(valences[max(0, at + 1 - summed) : at + 1].sum()),
            )
        )
    return EmotionHistory(nodes_in_all=n, nodes=tuple(nodes))


def _history_node(
    fold: Fold,
    node: np.void,
    node_parts: np.ndarray,
    *,
    event_ids: dict[int, str],
    stated: set[int],
    cumulative: float,
) -> EmotionHistoryNode:
    """`stated`: log positions of the events that state their own valence."""
    schema = fold.schema
    touchpoint = schema.journey.touchpoints()[node["touchpoint"]].id
    parts, arousal, strongest = [], 0.0, 0.0
    agency: Agency = "none"
    for part in node_parts:
        kind = schema.kinds[part["kind"]]
        appraisal = schema.appraisal(kind, touchpoint)
        seqs = [int(seq) for seq in part["seqs"] if seq > 0]
        arousal = max(arousal, appraisal.arousal)
        if abs(part["valence"]) > strongest:
            strongest, agency = abs(part["valence"]), appraisal.agency
        is_stated = not part["derived"] and bool(stated.intersection(seqs))
        parts.append(
            NodePart(
                kind=kind,
                at=from_micros(round(float(part["time"]) * 1e6)),
                valence=float(part["valence"]),
                confidence=float(part["confidence"]) if part["valence"] else 0.0,
                source="said" if is_stated else "learned" if appraisal.learned else "prior",
                signal=bool(part["derived"]),
                derived_from=tuple(event_ids[seq] for seq in seqs if seq in event_ids),
            )
        )
    return EmotionHistoryNode(
        touchpoint=touchpoint,
        at=from_micros(round(float(node["time"]) * 1e6)),
        valence=float(node["valence"]),
        arousal=arousal,
        confidence=float(node["confidence"]),
        agency=agency,
        cumulative=cumulative,
        parts=tuple(parts),
    )
