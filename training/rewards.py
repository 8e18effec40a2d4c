"""Rewards: what came of decisions, by the journey file's reward rule."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from nba.context import DAY_S
from nba.events import ACTION_DECIDED, REWARD_GIVEN, micros
from nba.journey import RewardRule
from training.history import History, number
from training.standing import Settled


def rewards(history: History, decisions: Sequence[Settled], rule: RewardRule) -> np.ndarray:
    """(n,) what came of each decision within its window: a response from 0 to 1, or EUR.

    The window of a deferred decision begins with its activation.
    """
    window_s = rule.window_days * DAY_S
    if rule.target == "response":
        return _responses(history, decisions, window_s)
    return _values(history, decisions, rule, window_s)


def _responses(history: History, decisions: Sequence[Settled], window_s: float) -> np.ndarray:
    """1 where a positive outcome names the decision within its window; a given reward as it is."""
    outcome_of = {m.id: m.outcome for m in history.fold.schema.journey.events}
    kind_of = history.fold.encoder.kind
    due = {one.event.decision_id: one.since_s + window_s for one in decisions}
    response: dict[str, float] = {}
    for event in history.events:
        decision_id = event.decision_id
        if decision_id is None or event.name == ACTION_DECIDED or decision_id not in due:
            continue
        if micros(event.occurred_at) / 1e6 > due[decision_id]:
            continue
        if event.name == REWARD_GIVEN:
            response[decision_id] = min(1.0, max(0.0, number(event, "reward", 0.0)))
        elif outcome_of.get(kind_of(event) or "") == "positive":
            response[decision_id] = 1.0
    return np.array([response.get(one.event.decision_id or "", 0.0) for one in decisions])


def _values(
    history: History, decisions: Sequence[Settled], rule: RewardRule, window_s: float
) -> np.ndarray:
    """The amounts of the rewarded kinds after the decision and within its window, in EUR."""
    journey = history.fold.schema.journey
    amount_of = {m.id: m.amount for m in journey.events}
    sign = {kind: 1.0 for kind in rule.events} | {kind: -1.0 for kind in rule.minus}
    kind_of = history.fold.encoder.kind
    paid: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for event in history.events:
        kind = kind_of(event)
        if kind in sign:
            amount = number(event, str(amount_of[kind]), 0.0)
            paid[event.customer_id].append((micros(event.occurred_at) / 1e6, sign[kind] * amount))
    sums = {}
    for customer, entries in paid.items():
        entries.sort()
        times = np.array([at for at, _ in entries])
        upto = np.concatenate([[0.0], np.cumsum([amount for _, amount in entries])])
        sums[customer] = (times, upto)
    values = np.zeros(len(decisions))
    for n, one in enumerate(decisions):
        if one.event.customer_id in sums:
            times, upto = sums[one.event.customer_id]
            # the outcome that shows the activation may itself carry the amount
            first = np.searchsorted(
                times, one.since_s, side="left" if one.activated_later else "right"
            )
            last = np.searchsorted(times, one.since_s + window_s, side="right")
            values[n] = upto[last] - upto[first]
    return values
