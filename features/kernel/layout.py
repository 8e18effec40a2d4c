"""Plan: what the compiled fold knows of a journey, and where the state keeps what.

The state of a customer is one float64 array: head, detectors, kinds, nodes, contacts, traits.
Times are seconds since 1970 UTC; keys (a query, an issue, a target) are 52-bit hashes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numba.core import config

from nba.customer.context import CONTACTS_KEPT, ContextSchema
from nba.events.signals import AGENCIES, DETECTORS, ROLES
from nba.journey.file import JourneyFile

EVENT, TRAIT, CONTACT = 0, 1, 2  # what a row does
ROLE = {role: code for code, role in enumerate(ROLES, start=1)}  # 0: no role
SIGNAL = {detector.signal: code for code, detector in enumerate(DETECTORS)}

ROW = np.dtype(
    [
        ("time", "f8"),
        ("seq", "i8"),
        ("op", "i4"),
        ("a", "i4"),  # kind, trait or action
        ("b", "i4"),  # touchpoint, or the kind of the contact's channel
        ("c", "i4"),  # channel of the contact
        ("role", "i4"),
        ("flag", "i4"),  # of a contact's end: resolved 1, not 0, unknown -1
        ("amount", "f8"),
        ("valence", "f8"),  # of this very event (survey, words); NaN: that of its kind
        ("confidence", "f8"),
        ("key", "i8"),  # what the role is about; 0: not said
        ("sketch", "i8"),  # of a query: a bit for each of its letter trigrams
        ("number", "f8"),  # results of a search; wait beyond the announced one, in its units
    ]
)

SKETCH_BITS = 52  # of a query
FROM = 4  # events that a signal names as its origin, at most
# a row of a trace: node's number or -1, time, kind, touchpoint, valence, confidence, 1 for a
# signal, and the log positions of the events that it comes from (0: none)
TRACE_COLUMNS = 7 + FROM

# head
EVENTS, FIRST, LAST, STAGE, STAGE_TIME, N_NODES, N_CONTACTS, NEXT_DUE = range(8)
EWMA, DECAYED, DECAYED_TIME, STREAK, LAST_NEGATIVE, LAST_NODE = 8, 11, 12, 13, 14, 15
HEAD = 16

# detectors
CLICKS, PAGES, ISSUES, FAILURES, REFUNDS, VIEWS = 4, 5, 3, 6, 2, 4  # ring sizes
CLICK = HEAD  # target, clicks in the burst, fired, error seen, then (time, seq) each
PAGE = CLICK + 4 + 2 * CLICKS  # count, then (key, time, seq) each
SEARCH = PAGE + 1 + 3 * PAGES  # key, sketch, time, seq, time and seq of the last empty one
FORM = SEARCH + 6  # key, last time, first and last seq, errors, touchpoint, page, error's seq, time
ISSUE = FORM + 9  # count, then (key, time, seq) each
FAILURE = ISSUE + 1 + 3 * ISSUES  # count, then (key, time, seq, mark) each
REFUND = FAILURE + 1 + 4 * FAILURES  # (key, due, seq, touchpoint) each; key 0: free
DWELL = REFUND + 4 * REFUNDS  # awaited, touchpoint, time and seq of the view
VIEW = DWELL + 4  # count, then (key, time, seq) each
INVITATION = VIEW + 1 + 3 * VIEWS  # due, seq, touchpoint
KINDS = INVITATION + 3

NODE = 6  # code, valence, time, arousal, confidence, strongest contribution
BECAUSE = 2**20  # a node's code: (kind of the strongest + 1) * BECAUSE + touchpoint * 4 + agency
CONTACT_SIZE = 2  # time, action + 1 and channel + 1 packed
CHANNELS = 4_096  # packs a contact's action and channel


# plan: a head, the detectors, then tables of kinds, touchpoints and feelings
NODES_AT, CONTACTS_AT, TRAITS_AT, KEPT, N_TRAITS, SIZE, N_KINDS, N_TOUCHPOINTS = range(8)
TOUCHPOINTS_AT, FEELINGS_AT = 8, 9
SIGNALS = 10  # kind or -1, times, within_s, beyond, again of each detector
KIND_TABLE = SIGNALS + 5 * len(DETECTORS)  # place in the state, has an amount, arousal, agency


def plan_of(schema: ContextSchema) -> np.ndarray:
    """What every compiled function knows of a journey, with the valences of the schema's table.

    One float64 array: compiled code passes it on for nothing, while each array in a tuple would
    be counted in and out at every call. Of a touchpoint it holds stage and channel, of a kind at
    a touchpoint (first: at none) valence and confidence.
    """
    journey = schema.journey
    kinds, touchpoints = schema.kinds, journey.touchpoints()
    has_amount = np.array([kind in schema.with_amount for kind in kinds])
    kind_at = KINDS + np.concatenate([[0], np.cumsum(np.where(has_amount, 11, 6))])
    nodes = int(kind_at[-1])
    contacts = nodes + NODE * journey.emotion.nodes
    traits = contacts + CONTACT_SIZE * CONTACTS_KEPT
    touchpoints_at = KIND_TABLE + 4 * len(kinds)
    feelings_at = touchpoints_at + 2 * len(touchpoints)
    channels = sorted({touchpoint.channel for touchpoint in touchpoints})
    signals = np.full((len(DETECTORS), 5), -1.0)
    for one in schema.detectors:
        row = (kinds.index(one.signal), one.times, one.within_s, one.beyond, one.again)
        signals[SIGNAL[one.signal]] = row
    bare = [schema.appraisal(kind, None) for kind in kinds]
    places = [None, *(touchpoint.id for touchpoint in touchpoints)]
    felt = [[schema.appraisal(kind, place) for place in places] for kind in kinds]
    head = [nodes, contacts, traits, journey.emotion.nodes, len(schema.traits)]
    head += [traits + len(schema.traits), len(kinds), len(touchpoints), touchpoints_at, feelings_at]
    return np.concatenate(
        [
            np.array(head, dtype=float),
            signals.ravel(),
            np.array(
                [
                    (at, summed, one.arousal, AGENCIES.index(one.agency))
                    for at, summed, one in zip(kind_at, has_amount, bare, strict=False)
                ]
            ).ravel(),
            np.array(
                [
                    (stage, channels.index(touchpoint.channel))
                    for stage, touchpoint in zip(stage_codes(journey), touchpoints, strict=True)
                ]
            ).ravel(),
            np.array([(one.valence, one.confidence) for row in felt for one in row]).ravel(),
        ]
    )


def stage_codes(journey: JourneyFile) -> np.ndarray:
    """(n_touchpoints,) the stage of each touchpoint: the first in the file that holds it."""
    first: dict[str, int] = {}
    for code, (_, _, stage) in enumerate(journey.stages()):
        for touchpoint in stage.touchpoints:
            first.setdefault(touchpoint.id, code)
    return np.array([first[t.id] for t in journey.touchpoints()], dtype=np.int64)


# Arrays are lent from call to call and never made inside: without reference counting of them
# the fold is three times as fast.
_OPTIONS: dict[str, Any] = {"nogil": True, "_nrt": False}


def compiled(function: Callable[..., Any]) -> Any:
    """Compile and cache; where no folder can be written, compile without a cache."""
    try:
        return njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:
        return njit(**_OPTIONS)(function)


def compiled_sources() -> list[Path]:
    """The files of this folder, and those of `nba` whose constants they compile in."""
    here = Path(__file__).parent
    own = sorted(here.glob("*.py"))
    text = "\n".join(file.read_text(encoding="utf-8") for file in own)
    modules = sorted(set(re.findall(r"^from (nba\.[\w.]+) import", text, re.MULTILINE)))
    return own + [
        here.parents[1].joinpath(*module.split(".")).with_suffix(".py") for module in modules
    ]


def _separate_caches() -> None:
    """A cache of its own for these very sources: numba looks at one file's date alone, and would
    run a kernel compiled with an older detector."""
    content = b"".join(file.read_bytes() for file in compiled_sources())
    digest = hashlib.sha256(content).hexdigest()[:12]
    base = Path(getattr(config, "CACHE_DIR", "") or Path(__file__).parent / "__pycache__")
    setattr(config, "CACHE_DIR", str(base / digest))  # noqa: B010


_separate_caches()


@compiled
def channel_of(plan, touchpoint):  # type: ignore[no-untyped-def]
    """The channel's code of a touchpoint."""
    return plan[int(plan[TOUCHPOINTS_AT]) + 2 * touchpoint + 1]


@compiled
def valence_of(plan, kind, touchpoint):  # type: ignore[no-untyped-def]
    """The valence of a kind at a touchpoint, -1 for none."""
    places = int(plan[N_TOUCHPOINTS]) + 1
    return plan[int(plan[FEELINGS_AT]) + 2 * (kind * places + touchpoint + 1)]


@compiled
def confidence_of(plan, kind, touchpoint):  # type: ignore[no-untyped-def]
    """The confidence of `valence_of`."""
    places = int(plan[N_TOUCHPOINTS]) + 1
    return plan[int(plan[FEELINGS_AT]) + 2 * (kind * places + touchpoint + 1) + 1]
