"""What the residual learns a decision by: its columns, its action and its batch score."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from models.bundles.bundle import Bundle
from models.bundles.scorer import BundleScorer
from models.residual.sums import ResidualSums
from nba.customer.context import ContextSchema
from nba.decisions.decision import Decision, Mode
from nba.engine.policy import Floats
from nba.engine.redecision import context_of
from nba.errors import shown
from nba.events.event import micros
from nba.journey.actions import NO_ACTION
from nba.rewards.attribution import Attribution
from nba.rewards.isolation import SEVERAL

logger = logging.getLogger("nba.serving")


class LearningTarget(NamedTuple):
    """What is learned on: a bundle and the journey that it serves, with the rule of its rewards."""

    bundle: Bundle
    scorer: BundleScorer
    schema: ContextSchema
    attribution: Attribution


class ResidualRow(NamedTuple):
    """One decision as the residual sees it."""

    values: Floats
    code: int
    score: float
    at_s: float
    deferred: bool = False


def read_rows(
    target: LearningTarget, sums: ResidualSums, decisions: Sequence[Decision]
) -> tuple[dict[str, ResidualRow], dict[str, str]]:
    """The rows by decision, and why some of them failed; raises where all of `SEVERAL` do."""
    try:
        rows = _residual_rows(target, sums, decisions)
        failing: dict[str, str] = {}
    except Exception as error:
        rows, failing = {}, {}
        for decision in decisions:
            try:
                rows |= _residual_rows(target, sums, [decision])
            except Exception as reason:
                failing[decision.decision_id] = type(reason).__name__
                logger.error("decision %s fails", shown(decision.decision_id), exc_info=reason)
        if len(failing) == len(decisions) >= SEVERAL:
            raise error
    for decision_id, row in list(rows.items()):
        x = sums.spec.features(row.values[None], np.array([row.score]))
        if not np.isfinite(x).all():
            failing[decision_id] = "not finite"
            del rows[decision_id]
    return rows, failing


def _residual_rows(
    target: LearningTarget, sums: ResidualSums, decisions: Sequence[Decision]
) -> dict[str, ResidualRow]:
    """Of the decisions that this bundle can read, by id."""
    schema, scorer = target.schema, target.scorer
    codes = {action.id: code for code, action in enumerate(schema.journey.actions)}
    if scorer.learns_value:
        codes[NO_ACTION] = -1
    readable = [
        decision
        for decision in decisions
        if decision.mode is Mode.LIVE
        and decision.context_schema == schema.schema_hash
        and decision.action_id in codes
    ]
    if not readable:
        return {}
    contexts = [context_of(decision) for decision in readable]
    chosen = [codes[decision.action_id] for decision in readable]
    scores = scorer.touchpoint(contexts, [[code] for code in chosen]).tolist()
    columns = [schema.index[name] for name in sums.spec.columns]
    return {
        decision.decision_id: ResidualRow(
            values=context.values[columns],
            code=code,
            score=score,
            at_s=micros(decision.decided_at) / 1e6,
            deferred=decision.request.deferred,
        )
        for decision, context, code, score in zip(readable, contexts, chosen, scores, strict=True)
    }
