"""Training sets: what was known at each moment, beside what came of it.

The context of a row is the log replayed by the one fold up to what had been received then; its
label uses later events only. A row whose label window is not over at the end of the log is left
out: it would look like silence.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np

from features.replay.point_in_time import ContextQuestions, replay
from models.predictors.touchpoint_columns import (
    ACTION,
    action_rows,
    touchpoint_columns,
    touchpoint_rows,
)
from nba.decisions.candidate import Candidate
from nba.durations import DAY_S
from nba.events.event import Event, micros
from nba.journey.actions import NO_ACTION
from nba.journey.file import JourneyFile
from nba.journey.goals import ChurnRule, RewardRule
from nba.measurement.off_policy.support import arm_of
from nba.rewards.bounds import CutRewards, cut_rewards
from nba.rewards.validity import at_s, is_deferred
from nba.rewards.windows import Arrival
from training.data.history import History, number
from training.data.rewards import Risk, attribution_of, decision_moments, settled


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSet:
    """Rows with labels, in order of time.

    `rows`: (n, n_columns) float64. `labels`: (n,). `at_s`: (n,) from when each label looks ahead:
    the moment of the row. `horizon_s`: how far.
    """

    columns: tuple[str, ...]
    rows: np.ndarray
    labels: np.ndarray
    at_s: np.ndarray
    horizon_s: float
    customers: np.ndarray
    terms: np.ndarray | None = None  # (n,) what the terms of the reward are of each label; None: 0

    @property
    def observed(self) -> np.ndarray:
        """(n,) the labels as they are learned online: without the terms."""
        return self.labels if self.terms is None else self.labels - self.terms

    def part(self, chosen: np.ndarray) -> TrainingSet:
        """The chosen rows: a mask or positions."""
        return TrainingSet(
            columns=self.columns,
            rows=self.rows[chosen],
            labels=self.labels[chosen],
            at_s=self.at_s[chosen],
            horizon_s=self.horizon_s,
            customers=self.customers[chosen],
            terms=None if self.terms is None else self.terms[chosen],
        )


def churn_set(history: History, rule: ChurnRule) -> TrainingSet:
    """Label each customer who has not left, every `every_days`, by leaving within `horizon_days`.

    Where leaving is silence, nobody has ever left for good: a customer has rows from their first
    activity on, however long they have been silent.
    """
    customers, at_s, labels = churn_labels(history, rule)
    moments = ContextQuestions.at(customers, at_s)
    values, _ = replay(history.fold, history.rows, moments)
    order = np.lexsort((moments.customers.astype(str), moments.as_of))
    return TrainingSet(
        columns=tuple(history.fold.schema.columns),
        rows=values[order],
        labels=labels[order],
        at_s=moments.as_of[order],
        horizon_s=rule.horizon_days * DAY_S,
        customers=moments.customers[order],
    )


def churn_labels(history: History, rule: ChurnRule) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the rows of `churn_set` the customers, the times and the labels, each (n,)."""
    horizon_s = rule.horizon_days * DAY_S
    active, left = activity(history, rule)
    step = rule.every_days * DAY_S
    last = history.end_s - horizon_s
    customers: list[str] = []
    at_s: list[float] = []
    labels: list[float] = []
    for customer, times in active.items():
        left_at = left.get(customer, np.inf)
        # the moments are counted back from the last one whose label is known
        as_of = last - step * np.arange(max(0.0, (last - times[0]) // step + 1))[::-1]
        for moment in as_of[as_of < left_at]:
            if rule.event is not None:
                label = left_at <= moment + horizon_s
            else:
                after = np.searchsorted(times, moment, side="right")
                label = after == len(times) or times[after] > moment + horizon_s
            customers.append(customer)
            at_s.append(float(moment))
            labels.append(float(label))
    return np.array(customers, dtype=object), np.array(at_s), np.array(labels)


def activity(history: History, rule: ChurnRule) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Per customer: the sorted times of their activity, and when they left."""
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
    return {customer: np.sort(stamps) for customer, stamps in times.items()}, left


@dataclass(frozen=True, slots=True, eq=False)
class PastDecisions:
    """Past decisions with what came of them, in order of time: the touchpoint model's evidence.

    `set`: rows of (context, offered, action) with the label of the drawn action.
    `actions`: (n,) action ids. `arms`: (n,) of the customers, empty for none.
    `propensity`: (n,) NaN where it was not logged.
    `reward_eur`: (n,) what the decision was worth by itself, less its cost. `candidates`: the
    action ids that could have been drawn, empty where they were not logged. `moments`: where each
    context was read, for scoring other actions there.
    """

    set: TrainingSet
    actions: np.ndarray
    arms: np.ndarray
    propensity: np.ndarray
    reward_eur: np.ndarray
    candidates: list[tuple[str, ...]]
    factors: list[dict[str, Candidate]]  # of our own decisions, by action id: what was logged
    moments: ContextQuestions
    target: str  # response or value
    decision_ids: list[str | None]  # None of imported decisions that have none
    deferred: np.ndarray  # (n,) whether each had to be activated
    arrivals: list[tuple[Arrival, ...]]  # in what parts each reward came
    cut: CutRewards | None = None  # what bounds have done to the rewards, where there are any

    @property
    def without_propensity(self) -> int:
        """Decisions of another system that do not say how likely they were."""
        return int(np.isnan(self.propensity).sum())

    def coded_for(
        self, journey: JourneyFile, trained: tuple[str, ...], features: tuple[str, ...]
    ) -> PastDecisions:
        """The same with the actions as a model of these codes and action features reads them."""
        contexts = self.set.columns[: self.set.columns.index(ACTION)]
        own = _drawn_rows(journey, trained, features, self.moments.actions, self.actions)
        rows = np.column_stack([self.set.rows[:, : len(contexts)], own])
        columns = (*contexts, ACTION, *(f"{ACTION}.{name}" for name in features))
        return replace(self, set=replace(self.set, rows=rows, columns=columns))

    def touchpoint_moments(self) -> ContextQuestions:
        """Where the contexts of `touchpoint_set` were read."""
        if self.target == "value":
            return self.moments
        taught, moments = self.actions != NO_ACTION, self.moments
        return ContextQuestions(
            customers=moments.customers[taught],
            as_of=moments.as_of[taught],
            seen_seq=moments.seen_seq[taught],
            seen_received=moments.seen_received[taught],
            actions=moments.actions[taught],
        )

    def touchpoint_set(self) -> TrainingSet:
        """The rows that the touchpoint model is fitted on: nobody can respond to `no_action`, so
        only a value is fitted on its rows too."""
        if self.target == "value":
            return self.set
        return self.set.part(self.actions != NO_ACTION)


def decided_set(history: History, rule: RewardRule, risk: Risk | None = None) -> PastDecisions:
    """The decisions that count and whose reward is complete, imported ones and our own: those of
    `training.data.rewards.settled`. The context is that of the decision, whenever it was activated.

    `risk`: the churn model, which a reward with the value of staying needs.
    """
    attribution = attribution_of(history, rule)
    counted = settled(history, attribution, risk)
    credits = [settlement.credit for settlement in counted]
    decisions = [credit.decision for credit in credits]
    labels = np.array([credit.reward for credit in credits])
    observed = np.array([settlement.observed for settlement in counted])
    journey = history.fold.schema.journey
    features = action_features(history)
    actions = np.array([event.properties["action_id"] for event in decisions], dtype=object)
    spans_s = [credit.settles_s - at_s(credit.decision) for credit in credits]
    moments = decision_moments(history, decisions)
    values, offered = replay(history.fold, history.rows, moments)
    own = _drawn_rows(journey, trained_actions(history), features, moments.actions, actions)
    return PastDecisions(
        set=TrainingSet(
            columns=tuple(touchpoint_columns(history.fold.schema.columns, features)),
            rows=touchpoint_rows(values, offered, own),
            labels=labels,
            at_s=np.array([at_s(credit.decision) for credit in credits]),
            horizon_s=max([attribution.horizon_s, *spans_s]),
            customers=moments.customers,
            terms=labels - observed if attribution.has_terms else None,
        ),
        actions=actions,
        arms=np.array([_arms(event) for event in decisions], dtype=str),
        propensity=np.array([number(event, "propensity") for event in decisions]),
        reward_eur=np.array([settlement.reported_eur for settlement in counted]),
        candidates=[_candidates(event, history) for event in decisions],
        factors=[_factors(event, history) for event in decisions],
        moments=moments,
        target=rule.target,
        decision_ids=[event.decision_id for event in decisions],
        deferred=np.array([is_deferred(event) for event in decisions], dtype=bool),
        arrivals=[credit.arrivals for credit in credits],
        cut=cut_rewards(rule, credits),
    )


def _drawn_rows(
    journey: JourneyFile,
    trained: tuple[str, ...],
    features: tuple[str, ...],
    positions: np.ndarray,
    actions: np.ndarray,
) -> np.ndarray:
    """What a model reads of the (n,) drawn actions; NaN of one that has left the journey file."""
    own: np.ndarray = action_rows(journey, trained, features)[positions]
    own[(positions < 0) & (actions != NO_ACTION)] = np.nan
    return own


def trained_actions(history: History) -> tuple[str, ...]:
    """The action ids in the order of their codes in the touchpoint model; `no_action` last."""
    return (*(action.id for action in history.fold.schema.journey.actions), NO_ACTION)


def action_features(history: History) -> tuple[str, ...]:
    """The names of the declared action features, which every action shares."""
    actions = history.fold.schema.journey.actions
    return tuple(actions[0].features) if actions else ()


def _factors(event: Event, history: History) -> dict[str, Candidate]:
    own = history.candidates.get(str(event.properties.get("decision_id")), ())
    return {candidate.action_id: candidate for candidate in own}


def _arms(event: Event) -> str:
    listed = event.properties.get("arms")
    return arm_of(listed) if isinstance(listed, list) else ""


def _candidates(event: Event, history: History) -> tuple[str, ...]:
    own = history.candidates.get(str(event.properties.get("decision_id")))
    if own is not None:
        return tuple(candidate.action_id for candidate in own)
    listed = event.properties.get("candidates")
    return tuple(map(str, listed)) if isinstance(listed, list) else ()
