"""Rewards of the past: the decisions whose reward is complete at the end of a log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import msgspec
import numpy as np

from features.replay.point_in_time import EVERYTHING, ContextQuestions, replay
from nba.customer.context import ContextSchema
from nba.events.event import Event, micros
from nba.journey.goals import RewardRule
from nba.rewards.attribution import Attribution
from nba.rewards.bounds import bounded, learned_bounds
from nba.rewards.credit import Credit, Reading, Readings
from training.data.history import History

# (n,) the risk of leaving, of (n, n_columns) contexts
Risk: TypeAlias = Callable[[np.ndarray], np.ndarray]


class SettledDecision(NamedTuple):
    """A decision that counts and whose reward is complete."""

    credit: Credit  # what is learned from, with what the steps after it carry back
    observed: float  # its reward as it is learned online: without the terms
    reported_eur: float  # what it was worth by itself, less what the contact cost


def attribution_of(history: History, rule: RewardRule) -> Attribution:
    """The history's journey with this reward rule."""
    journey = msgspec.structs.replace(history.fold.schema.journey, reward=rule)
    return Attribution(journey, history.fold.encoder.kind)


def learned_rule(history: History, risk: Risk | None = None) -> RewardRule:
    """The journey's reward rule, with bounds learned from the history where the owner sets none."""
    journey = history.fold.schema.journey
    if journey.reward.target != "value" or journey.reward.bounds is not None:
        return journey.reward
    rewards = settled(history, attribution_of(history, journey.reward), risk)
    credits = [settlement.credit for settlement in rewards]
    bounds = learned_bounds(
        journey, [(str(one.decision.properties.get("action_id")), one.reward) for one in credits]
    )
    return bounded(journey, bounds).reward


def settled(
    history: History, attribution: Attribution, risk: Risk | None = None
) -> list[SettledDecision]:
    """The decisions that count and whose reward is complete at the end of the log, in order of
    time.

    `risk`: the churn model; without one no reward is complete that contains the value of staying.
    """
    own = attribution.credits(history.events, history.end_s)
    observed = attribution.carried(own, history.end_s)
    if attribution.has_terms:
        closed = [n for n, credit in enumerate(own) if credit.counted and credit.closed]
        pairs = readings_of(history, [own[n] for n in closed], risk)
        for n, readings in zip(closed, pairs, strict=True):
            own[n] = attribution.read(own[n], readings)
    return [
        SettledDecision(
            credit,
            as_learned.reward,
            attribution.reported_eur(own_credit, _annoyance_eur(history, own_credit.decision)),
        )
        for credit, as_learned, own_credit in zip(
            attribution.carried(own, history.end_s), observed, own, strict=True
        )
        if credit.complete
    ]


def readings_of(history: History, credits: Sequence[Credit], risk: Risk | None) -> list[Readings]:
    """Read each customer as known to the decision, and as known when its window closed.

    What was received after the close is not in it, so that a straggler changes no reading.
    """
    schema = history.fold.schema
    customers = np.array([credit.decision.customer_id for credit in credits], dtype=object)
    closes_s = np.array([credit.closes_s for credit in credits], dtype=float)
    decided = decision_moments(history, [credit.decision for credit in credits])
    before, after = (
        _readings(schema, replay(history.fold, history.rows, moments)[0], risk)
        for moments in (decided, ContextQuestions.at(customers, closes_s))
    )
    return [Readings(start, end) for start, end in zip(before, after, strict=True)]


def decision_moments(history: History, decisions: Sequence[Event]) -> ContextQuestions:
    """The moments that the contexts of the decisions were read at, and what they knew."""
    codes = {action.id: code for code, action in enumerate(history.fold.schema.journey.actions)}
    actions = [codes.get(str(event.properties.get("action_id")), -1) for event in decisions]
    return ContextQuestions(
        customers=np.array([event.customer_id for event in decisions], dtype=object),
        as_of=np.array([_read_at(event) for event in decisions], dtype=float),
        seen_seq=np.array([_seen_seq(event) for event in decisions], dtype=np.int64),
        seen_received=np.array([_seen_received(event) for event in decisions], dtype=float),
        actions=np.array(actions, dtype=np.int64),
    )


def _readings(schema: ContextSchema, rows: np.ndarray, risk: Risk | None) -> list[Reading]:
    risks = np.full(len(rows), np.nan) if risk is None or not len(rows) else risk(rows)
    emotion = rows[:, schema.index[schema.emotion[0]]]
    return [Reading(*values) for values in zip(risks.tolist(), emotion.tolist(), strict=True)]


def _annoyance_eur(history: History, decision: Event) -> float:
    """Of the drawn candidate, as it was logged; an imported decision logged none."""
    action = decision.properties.get("action_id")
    candidates = history.candidates.get(decision.decision_id or "", ())
    return next(
        (candidate.annoyance_eur for candidate in candidates if candidate.action_id == action), 0.0
    )


def _seen_seq(event: Event) -> int:
    """Our own decision logged the position that it saw; an imported one did not."""
    seq = event.properties.get("context_seq")
    return int(seq) if isinstance(seq, int) else EVERYTHING


def _seen_received(event: Event) -> float:
    if isinstance(event.properties.get("context_seq"), int):
        return float(np.inf)
    return micros(event.occurred_at) / 1e6


def _read_at(event: Event) -> float:
    """An imported decision's context is read one microsecond before it was taken: its own event
    must not be among what it knew. Our own knew the log up to `context_seq`, which excludes it."""
    at = micros(event.occurred_at)
    return (at if isinstance(event.properties.get("context_seq"), int) else at - 1) / 1e6
