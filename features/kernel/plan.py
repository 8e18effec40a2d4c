"""The plan: what every compiled function knows of a journey, as one array."""

from __future__ import annotations

import numpy as np

from features.kernel.compilation import compiled
from features.kernel.layout import (
    APPRAISAL_CONFIDENCE,
    APPRAISAL_SIZE,
    APPRAISAL_VALENCE,
    APPRAISALS_AT,
    CONTACT_SIZE,
    KIND_SIZE,
    KIND_SUM,
    KIND_SUM_DECAYED,
    KIND_TABLE,
    KINDS,
    N_TOUCHPOINTS,
    NODE_SIZE,
    RULE,
    RULE_SIZE,
    RULES,
    TOUCHPOINT_CHANNEL,
    TOUCHPOINT_SIZE,
    TOUCHPOINT_STAGE,
    TOUCHPOINTS_AT,
    WINDOWS,
)
from nba.customer.context import CONTACTS_KEPT, ContextSchema
from nba.events.signals import AGENCIES
from nba.journey.file import JourneyFile


def plan_of(schema: ContextSchema) -> np.ndarray:
    """(n,) the plan of a journey, with the valences of the schema's table.

    One float64 array: compiled code passes it on for nothing, while each array in a tuple would
    be counted in and out at every call.
    """
    journey = schema.journey
    kinds, touchpoints = schema.kinds, journey.touchpoints()
    has_amount = np.array([kind in schema.with_amount for kind in kinds])
    sizes = np.where(has_amount, KIND_SUM_DECAYED + WINDOWS, KIND_SUM)
    kind_at = KINDS + np.concatenate([[0], np.cumsum(sizes)])
    nodes_at = int(kind_at[-1])
    contacts_at = nodes_at + NODE_SIZE * journey.emotion.nodes
    traits_at = contacts_at + CONTACT_SIZE * CONTACTS_KEPT
    size = traits_at + len(schema.traits)
    touchpoints_at = KIND_TABLE + KIND_SIZE * len(kinds)
    appraisals_at = touchpoints_at + TOUCHPOINT_SIZE * len(touchpoints)
    head = [nodes_at, contacts_at, traits_at, journey.emotion.nodes, len(schema.traits), size]
    head += [len(kinds), len(touchpoints), touchpoints_at, appraisals_at]
    appraisals = [schema.appraisal(kind, None) for kind in kinds]
    kind_table = [
        (at, summed, appraisal.arousal, AGENCIES.index(appraisal.agency))
        for at, summed, appraisal in zip(kind_at[:-1], has_amount, appraisals, strict=True)
    ]
    channels = sorted({touchpoint.channel for touchpoint in touchpoints})
    touchpoint_table = [
        (stage, channels.index(touchpoint.channel))
        for stage, touchpoint in zip(stage_codes(journey), touchpoints, strict=True)
    ]
    places = [None, *(touchpoint.id for touchpoint in touchpoints)]
    felt = [schema.appraisal(kind, place) for kind in kinds for place in places]
    appraisal_table = [(appraisal.valence, appraisal.confidence) for appraisal in felt]
    tables = (head, _rules(schema), kind_table, touchpoint_table, appraisal_table)
    return np.concatenate([np.array(table, dtype=float).ravel() for table in tables])


def _rules(schema: ContextSchema) -> np.ndarray:
    """(n_detectors, RULE_SIZE), -1 where a detector is not in use."""
    rules = np.full((len(RULE), RULE_SIZE), -1.0)
    for rule in schema.detectors:
        kind = schema.kinds.index(rule.signal)
        row = (RULE[rule.signal] - RULES) // RULE_SIZE
        rules[row] = (kind, rule.times, rule.within_s, rule.beyond, rule.again)
    return rules


def stage_codes(journey: JourneyFile) -> np.ndarray:
    """(n_touchpoints,) the stage of each touchpoint: the first in the file that holds it."""
    first: dict[str, int] = {}
    for code, (_, _, stage) in enumerate(journey.stages()):
        for touchpoint in stage.touchpoints:
            first.setdefault(touchpoint.id, code)
    return np.array([first[t.id] for t in journey.touchpoints()], dtype=np.int64)


@compiled
def stage_of(plan, touchpoint):  # type: ignore[no-untyped-def]
    """The stage's code of a touchpoint."""
    return plan[int(plan[TOUCHPOINTS_AT]) + TOUCHPOINT_SIZE * touchpoint + TOUCHPOINT_STAGE]


@compiled
def channel_of(plan, touchpoint):  # type: ignore[no-untyped-def]
    """The channel's code of a touchpoint."""
    return plan[int(plan[TOUCHPOINTS_AT]) + TOUCHPOINT_SIZE * touchpoint + TOUCHPOINT_CHANNEL]


@compiled
def valence_of(plan, kind, touchpoint):  # type: ignore[no-untyped-def]
    """The valence of a kind at a touchpoint, -1 for none."""
    return plan[_appraisal(plan, kind, touchpoint) + APPRAISAL_VALENCE]


@compiled
def confidence_of(plan, kind, touchpoint):  # type: ignore[no-untyped-def]
    """The confidence of `valence_of`."""
    return plan[_appraisal(plan, kind, touchpoint) + APPRAISAL_CONFIDENCE]


@compiled
def _appraisal(plan, kind, touchpoint):  # type: ignore[no-untyped-def]
    """Where the appraisal of a kind at a touchpoint begins; each kind's first is at none."""
    row = kind * (int(plan[N_TOUCHPOINTS]) + 1) + touchpoint + 1
    return int(plan[APPRAISALS_AT]) + APPRAISAL_SIZE * row
