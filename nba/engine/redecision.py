"""Decided again: logged decisions through the real pipeline, by another judge.

Nothing is read or written: a decision carries its context, what was used of capacities, and what
its customer's arms left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nba.customer.context import Context, contacts_from
from nba.decisions.decision import Decision
from nba.engine.batch import overfull, rations
from nba.engine.pipeline import Pipeline
from nba.engine.policy import Floats
from nba.engine.strategy import Arm
from nba.journey.file import JourneyFile
from nba.measurement.off_policy.propensity_audit import DrawCounts, draw_counts

BATCH = 500  # decisions at a time


class DrawProbabilities(NamedTuple):
    """The probabilities with which n decisions were drawn."""

    actions: tuple[str, ...]  # (k,)
    probabilities: Floats  # (n, k), 0 where it was no candidate
    drawn: np.ndarray  # (n,) positions among the actions


class SameStrategy(NamedTuple):
    """Everybody is decided by the pipeline's own strategy, without the same rules."""

    without: frozenset[str]

    def of(self, customer_id: str) -> Arm:
        """The same for everybody."""
        return Arm(without=self.without)


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
    pipeline: Pipeline, journey: JourneyFile, decisions: Sequence[Decision]
) -> list[Decision]:
    """What the pipeline decides on the contexts of decisions that were made on its `journey`.

    Whoever was in an arm of her own is decided here like everybody, but for the rules that her arms
    left out. The pipeline's own arms are as before afterwards.
    """
    listed = rations(journey)
    groups: dict[tuple[object, ...], list[Decision]] = defaultdict(list)
    for one in decisions:  # those for which the capacities leave the same room
        groups[overfull(listed, one.used), one.without].append(one)
    arms, found = pipeline.arms, dict[str, Decision]()
    try:
        for chosen in groups.values():
            pipeline.arms = SameStrategy(frozenset(chosen[0].without))
            for begin in range(0, len(chosen), BATCH):
                found |= {one.decision_id: one for one in _run(pipeline, chosen[begin:][:BATCH])}
    finally:
        pipeline.arms = arms
    return [found[one.decision_id] for one in decisions]


def _run(pipeline: Pipeline, decisions: Sequence[Decision]) -> list[Decision]:
    used: dict[tuple[str, str], float] = {}
    for one in decisions:
        used |= pipeline.governor.by_period(one.used, one.decided_at)
    return pipeline.run(
        [one.request for one in decisions],
        [context_of(one) for one in decisions],
        new_id=iter([one.decision_id for one in decisions]).__next__,
        new_seed=iter([one.seed for one in decisions]).__next__,
        used=used,
    )


def chances(decisions: Sequence[Decision]) -> DrawProbabilities:
    """The probabilities that were logged with these decisions."""
    names = tuple(sorted({one.action_id for each in decisions for one in each.candidates}))
    at = {name: n for n, name in enumerate(names)}
    probabilities = np.zeros((len(decisions), len(names)))
    for row, each in zip(probabilities, decisions, strict=True):
        for one in each.candidates:
            row[at[one.action_id]] = one.propensity
    drawn = np.array([at[each.action_id] for each in decisions], dtype=np.int64)
    return DrawProbabilities(names, probabilities, drawn)


def draws(decisions: Sequence[Decision]) -> DrawCounts:
    """What the propensity audit reads of these decisions. Raises InvalidInput."""
    return draw_counts(*chances(decisions))
