"""Training sets: what was known at each moment, beside what came of it.

The context of a row is the log replayed by the one fold up to what had been received then; its
label uses later events only. A row whose label window is not over at the end of the log is left
out: it would look like silence.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from features.frame import EVERYTHING, Moments, replay
from models.touchpoint import action_rows, touchpoint_columns, touchpoint_rows
from nba.context import DAY_S
from nba.decision import Candidate
from nba.events import NO_ACTION, Event, micros
from nba.journey import ChurnRule, RewardRule
from training.history import History, number
from training.rewards import rewards
from training.standing import settled


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSet:
    """Rows with labels, in order of time.

    `rows`: (n, n_columns) float64. `labels`: (n,). `at_s`: (n,) from when each label looks ahead:
    the moment of the row, and of a deferred decision that of its activation. `horizon_s`: how far.
    """

    columns: tuple[str, ...]
    rows: np.ndarray
    labels: np.ndarray
    at_s: np.ndarray
    horizon_s: float
    customers: np.ndarray

    def part(self, chosen: np.ndarray) -> TrainingSet:
        """The chosen rows: a mask or positions."""
        return TrainingSet(
            columns=self.columns,
            rows=self.rows[chosen],
            labels=self.labels[chosen],
            at_s=self.at_s[chosen],
            horizon_s=self.horizon_s,
            customers=self.customers[chosen],
        )


def churn_set(history: History, rule: ChurnRule) -> TrainingSet:
    """Every `every_days`, each customer who has not left: has she, `horizon_days` later?

    Where leaving is silence, nobody has ever left for good: a customer is asked about from her
    first activity on, however long she has been silent.
    """
    horizon_s = rule.horizon_days * DAY_S
    active, left = activity(history, rule)
    step = rule.every_days * DAY_S
    last = history.end_s - horizon_s
    customers: list[str] = []
    at_s: list[float] = []
    labels: list[float] = []
    for customer, times in active.items():
        gone = left.get(customer, np.inf)
        # the moments are counted back from the last one whose label is known
        asked = last - step * np.arange(max(0.0, (last - times[0]) // step + 1))[::-1]
        for moment in asked[asked < gone]:
            if rule.event is not None:
                label = gone <= moment + horizon_s
            else:
                after = np.searchsorted(times, moment, side="right")
                label = after == len(times) or times[after] > moment + horizon_s
            customers.append(customer)
            at_s.append(float(moment))
            labels.append(float(label))
    moments = Moments.at(np.array(customers, dtype=object), np.array(at_s))
    values, _ = replay(history.fold, history.rows, moments)
    order = np.lexsort((moments.customers.astype(str), moments.as_of))
    return TrainingSet(
        columns=tuple(history.fold.schema.columns),
        rows=values[order],
        labels=np.array(labels)[order],
        at_s=moments.as_of[order],
        horizon_s=horizon_s,
        customers=moments.customers[order],
    )


def activity(history: History, rule: ChurnRule) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Per customer: the sorted times of her activity, and when she left."""
    kind_of = history.fold.encoder.kind
    times: dict[str, list[float]] = defaultdict(list)
    left: dict[str, float] = {}
    showing = set(rule.inactive)
    for event in history.events:
        at = micros(event.occurred_at) / 1e6
        kind = kind_of(event)
        if rule.event is not None and kind == rule.event:
            left[event.customer_id] = min(at, left.get(event.customer_id, np.inf))
        elif rule.event is not None or kind in showing:
            times[event.customer_id].append(at)
    return {customer: np.sort(found) for customer, found in times.items()}, left


@dataclass(frozen=True, slots=True, eq=False)
class Decided:
    """Past decisions with what came of them, in order of time: the touchpoint model's evidence.

    `set`: rows of (context, offered, action) with the label of the drawn action.
    `actions`: (n,) action ids. `propensity`: (n,) NaN where it was not logged.
    `reward_eur`: (n,) what the decision was worth, less its cost. `candidates`: the action ids
    that could have been drawn, empty where they were not logged. `moments`: where each context
    was looked at, for scoring other actions there.
    """

    set: TrainingSet
    actions: np.ndarray
    propensity: np.ndarray
    reward_eur: np.ndarray
    candidates: list[tuple[str, ...]]
    factors: list[dict[str, Candidate]]  # of our own decisions, by action id: what was logged
    moments: Moments
    target: str  # response or value

    def lessons(self) -> TrainingSet:
        """What the touchpoint model learns from: nobody can respond to `no_action`, and its rows
        would only teach that; its value can be learned."""
        if self.target == "value":
            return self.set
        return self.set.part(self.actions != NO_ACTION)


def decided_set(history: History, rule: RewardRule) -> Decided:
    """The decisions that count and whose reward window is over, imported ones and our own: those
    of `training.standing.settled`. The context is that of the decision, whenever it was activated.
    """
    counted = [
        one
        for one in settled(history, rule)
        if isinstance(one.event.properties.get("action_id"), str)
    ]
    counted.sort(key=lambda one: (one.event.occurred_at, one.event.seq))
    decisions = [one.event for one in counted]
    journey = history.fold.schema.journey
    trained = trained_actions(history)
    features = action_features(history)
    codes = {action.id: code for code, action in enumerate(journey.actions)}
    actions = np.array([event.properties["action_id"] for event in decisions], dtype=object)
    positions = np.array([codes.get(action, -1) for action in actions], dtype=np.int64)
    moments = Moments(
        customers=np.array([event.customer_id for event in decisions], dtype=object),
        as_of=np.array([_looked_at(event) for event in decisions]),
        seen_seq=np.array([_seen_seq(event) for event in decisions], dtype=np.int64),
        seen_received=np.array([_seen_received(event) for event in decisions]),
        actions=positions,
    )
    values, offered = replay(history.fold, history.rows, moments)
    own = action_rows(journey, trained, features)[positions]
    own[(positions < 0) & (actions != NO_ACTION)] = np.nan  # left the journey file
    rows = touchpoint_rows(values, offered, own)
    labels = rewards(history, counted, rule)
    worth = np.array([*(a.value_eur for a in journey.actions), 0.0])[positions]
    cost = np.array([*(a.cost_eur for a in journey.actions), 0.0])[positions]
    return Decided(
        set=TrainingSet(
            columns=tuple(touchpoint_columns(history.fold.schema.columns, features)),
            rows=rows,
            labels=labels,
            at_s=np.array([one.since_s for one in counted]),
            horizon_s=rule.window_days * DAY_S,
            customers=moments.customers,
        ),
        actions=actions,
        propensity=np.array([number(event, "propensity") for event in decisions]),
        reward_eur=labels * (worth if rule.target == "response" else 1.0) - cost,
        candidates=[_candidates(event, history) for event in decisions],
        factors=[_factors(event, history) for event in decisions],
        moments=moments,
        target=rule.target,
    )


def trained_actions(history: History) -> tuple[str, ...]:
    """The action ids in the order of their codes in the touchpoint model; `no_action` last."""
    return (*(action.id for action in history.fold.schema.journey.actions), NO_ACTION)


def action_features(history: History) -> tuple[str, ...]:
    """The names of the declared action features, which every action shares."""
    actions = history.fold.schema.journey.actions
    return tuple(actions[0].features) if actions else ()


def _seen_seq(event: Event) -> int:
    """Our own decision logged the position that it saw; an imported one did not."""
    seen = event.properties.get("context_seq")
    return int(seen) if isinstance(seen, int) else EVERYTHING


def _seen_received(event: Event) -> float:
    if isinstance(event.properties.get("context_seq"), int):
        return float(np.inf)
    return micros(event.occurred_at) / 1e6


def _looked_at(event: Event) -> float:
    """An imported decision is looked at one microsecond before it was taken: its own event must
    not be among what it knew. Our own knew the log up to `context_seq`, which excludes it."""
    at = micros(event.occurred_at)
    return (at if isinstance(event.properties.get("context_seq"), int) else at - 1) / 1e6


def _factors(event: Event, history: History) -> dict[str, Candidate]:
    own = history.candidates.get(str(event.properties.get("decision_id")), ())
    return {one.action_id: one for one in own}


def _candidates(event: Event, history: History) -> tuple[str, ...]:
    own = history.candidates.get(str(event.properties.get("decision_id")))
    if own is not None:
        return tuple(one.action_id for one in own)
    found = event.properties.get("candidates")
    return tuple(str(one) for one in found) if isinstance(found, list) else ()
