"""Logged decisions made again by the pipeline, under another strategy.

Nothing is read or written: a decision carries its context, what was used of capacities, and what
its arms left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nba.customer.context import Context, contacts_from
from nba.decisions.decision import Decision
from nba.engine.batch import capacity_demands, overfull
from nba.engine.pipeline import Pipeline
from nba.engine.strategy import SameArm
from nba.measurement.off_policy.propensity_audit import (
    DrawCounts,
    DrawProbabilities,
    draw_counts,
    draw_probabilities,
)

BATCH = 500  # decisions at a time


def context_of(decision: Decision) -> Context:
    """The context that a decision was made on."""
    return Context(
        customer_id=decision.request.customer_id,
        as_of=decision.decided_at,
        seq=decision.context_seq,
        known=decision.known_customer,
        values=np.frombuffer(decision.context, dtype="<f8"),
        contacts=contacts_from(decision.contacts),
        nodes=decision.nodes,
        contact_history=decision.contact_history,
    )


def redecided(
    pipeline: Pipeline, decisions: Sequence[Decision], contexts: Sequence[Context] | None = None
) -> list[Decision]:
    """What the pipeline decides on the contexts of decisions that were made on its `journey`;
    `contexts`: of decisions that were made on another one, as its own reads them.

    Whoever was in an arm of their own is decided here like everybody, but for the rules that their
    arms left out; the arms stay in the record.
    """
    read = [context_of(decision) for decision in decisions] if contexts is None else contexts
    of = dict(zip((decision.decision_id for decision in decisions), read, strict=True))
    demands = capacity_demands(pipeline.schema.journey)
    groups: dict[tuple[object, ...], list[Decision]] = defaultdict(list)
    for decision in decisions:  # those for which the capacities leave the same room
        room = overfull(demands, decision.used)
        groups[room, decision.arms, decision.dropped_rules].append(decision)
    again: dict[str, Decision] = {}
    for group in groups.values():
        arms = SameArm(group[0].arms, frozenset(group[0].dropped_rules))
        alike = replace(pipeline, arms=arms)
        for begin in range(0, len(group), BATCH):
            some = group[begin : begin + BATCH]
            batch = _run(alike, some, [of[decision.decision_id] for decision in some])
            again |= {decision.decision_id: decision for decision in batch}
    return [again[decision.decision_id] for decision in decisions]


def _run(
    pipeline: Pipeline, decisions: Sequence[Decision], contexts: Sequence[Context]
) -> list[Decision]:
    used: dict[tuple[str, str], float] = {}
    for decision in decisions:
        used |= pipeline.governor.by_period(decision.used, decision.decided_at)
    return pipeline.run(
        [decision.request for decision in decisions],
        contexts,
        new_id=iter([decision.decision_id for decision in decisions]).__next__,
        new_seed=iter([decision.seed for decision in decisions]).__next__,
        used=used,
    )


def chances(decisions: Sequence[Decision]) -> DrawProbabilities:
    """The probabilities that were logged with these decisions."""
    listed = [
        [(candidate.action_id, candidate.propensity) for candidate in decision.candidates]
        for decision in decisions
    ]
    return draw_probabilities(listed, [decision.action_id for decision in decisions])


def draws(decisions: Sequence[Decision]) -> DrawCounts:
    """What the propensity audit reads of these decisions. Raises InvalidInput."""
    return draw_counts(*chances(decisions))
