"""Arbitration: what each candidate is worth now, and the draw among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from nba.customer.context import Context, ContextSchema
from nba.decisions.candidate import Candidate, Reason
from nba.decisions.decision import Churn
from nba.engine.policy import Worth
from nba.governance.candidate_set import Variants
from nba.governance.engagement_policy import day, in_force
from nba.governance.rule_inputs import Population
from nba.governance.sub_journeys import OpenStep
from nba.journey.file import JourneyFile
from nba.rules.rule import Names, parse_rule

NO_ACTION_CODE = -1  # stands for "leave the customer in peace" among action codes
Floats = NDArray[np.float64]


class Scorer(Protocol):
    """A promoted bundle, bound to a journey.

    `learns_value`: its touchpoint model predicts the value in EUR of offering an action, and not
    the probability of a good response.
    """

    bundle_id: str
    learns_value: bool

    def touchpoint(self, contexts: Sequence[Context], codes: Sequence[Sequence[int]]) -> np.ndarray:
        """Scores of every (context, action code), flat in the given order.

        A NO_ACTION_CODE is given only where `learns_value`.
        """

    def churn(self, contexts: Sequence[Context]) -> list[Churn]:
        """Each customer's risk of leaving, with what moved it, largest first."""

    def touchpoint_reasons(
        self, contexts: Sequence[Context], codes: Sequence[int]
    ) -> list[tuple[Reason, ...]]:
        """What moved the score of one action per context, largest first."""


class Residual(Protocol):
    """What was learned online on top of a bundle's scores."""

    version: str  # of the policy's state
    exposures: float  # decisions that it was learned from

    def correct(
        self, contexts: Sequence[Context], codes: Sequence[Sequence[int]], scores: Floats
    ) -> tuple[Floats, Floats]:
        """(mean, spread) of every score, flat in the given order; the spread is its standard
        deviation as the policy draws from it."""


class Priorities(NamedTuple):
    """Candidates with their factors, arrays (n,); `no_action` is the last."""

    codes: NDArray[np.int64]  # action codes, NO_ACTION_CODE last
    p_accept: Floats  # NaN where the value is learned, and for no_action
    context_weight: Floats
    value_eur: Floats
    retention_eur: Floats
    lever: Floats
    cost_eur: Floats
    annoyance_eur: Floats
    priority: Floats  # EUR
    batch_score: Floats  # the bundle's own score, NaN where nothing was learned since
    spread_eur: Floats
    gain_eur: Floats  # what one more unit of the score would add
    because: tuple[tuple[str, ...], ...]  # ids of the weights, levers and steps in the factors

    def worth(self, exposures: float = 0.0) -> Worth:
        """As a policy sees it."""
        return Worth(self.codes, self.priority, self.spread_eur, self.gain_eur, exposures)


class ArbitrationInputs(NamedTuple):
    """What the factors of one customer's candidates depend on, beside the scores."""

    weight: Floats  # (n_actions + 1,) product of the context weights that hold
    because: Mapping[int, tuple[str, ...]]  # by action code
    contacts: float  # of the last 7 days, decayed
    churn_risk: float | None
    today: date
    without: frozenset[str] = frozenset()  # weights and levers that are left out for her


class Arbitration:
    """priority = p_accept x context weight x (value + retention) x lever - cost - annoyance.

    retention = churn risk x what the action keeps of it x worth of a customer. The owner may switch
    factors off. `no_action` competes with its own declared value, or with its learned one.
    """

    def __init__(
        self, journey: JourneyFile, schema: ContextSchema, variants: Variants, names: Names
    ) -> None:
        actions = journey.actions
        self._value = np.array([*(a.value_eur for a in actions), 0.0])
        self._cost = np.array([*(a.cost_eur for a in actions), 0.0])
        self._keeps = np.array([*(a.keeps for a in actions), 0.0])
        self._tiring = np.array([*(float(a.type != "transactional") for a in actions), 0.0])
        self._no_action_value = journey.no_action_value_eur
        self._rules = journey.arbitration
        self._off = frozenset(journey.arbitration.without)
        self._contacts = [schema.index[f"contact.{c}.count_7d"] for c in journey.channels()]
        self._codes = {action.id: code for code, action in enumerate(actions)}
        first = np.unique(variants.code, return_index=True)[1]
        self._weights = [
            (one, parse_rule(one.when, names), np.flatnonzero(variants.mask(one)[first]))
            for one in journey.weights
        ]
        self._levers = [
            (one, day(one.begins), day(one.ends), np.flatnonzero(variants.mask(one)[first]))
            for one in journey.levers
        ]

    def moments(
        self,
        population: Population,
        contexts: Sequence[Context],
        churns: Sequence[Churn | None],
        *,
        calls: Sequence[Mapping[str, OpenStep]],
        today: Sequence[date],
        without: Sequence[frozenset[str]] = (),
    ) -> list[ArbitrationInputs]:
        """Context weights and the like of each customer; `without`: her weights and levers that
        are left out, by id."""
        held = [population.holds(rule) for _, rule, _ in self._weights]
        moments = []
        for n, context in enumerate(contexts):
            weight = np.ones(len(self._value))
            because: dict[int, tuple[str, ...]] = {}
            off = without[n] if without else frozenset()
            for (one, _, codes), holds in zip(self._weights, held, strict=True):
                if holds[n] and one.id not in off:
                    weight[codes] *= one.factor
                    _note(because, codes, one.id)
            for action, call in calls[n].items():
                if action in self._codes:
                    code = self._codes[action]
                    weight[code] *= call.step.weight
                    _note(because, [code], f"{call.sub_journey}.{call.step.id}")
            contacts = float(sum(context.values[at] for at in self._contacts))
            churn = churns[n]
            risk = None if churn is None else churn.risk
            moments.append(ArbitrationInputs(weight, because, contacts, risk, today[n], off))
        return moments

    def priorities(
        self,
        codes: Sequence[int],
        scores: Floats,
        moment: ArbitrationInputs,
        *,
        learned_value: bool,
        batch: Floats | None = None,
        spread: Floats | None = None,
    ) -> Priorities:
        """Worth of each action code and of `no_action`.

        `scores`: p_accept per code, or with `learned_value` EUR per code and for no_action;
        `batch` and `spread`, in the same order: the bundle's own scores where more was learned
        since, and the standard deviations of the scores.
        """
        every = np.array([*codes, NO_ACTION_CODE], dtype=np.int64)
        ones = np.ones(len(every))
        p_accept = np.full(len(every), np.nan)
        value = ones if "value" in self._off else self._value[every]
        retention = self._retention(moment)[every]
        weight = ones if "context_weight" in self._off else moment.weight[every]
        lever, because = self._lever(every, moment)
        cost = self._cost[every] * ("cost" not in self._off)
        annoyance = self._tiring[every] * moment.contacts * self._rules.annoyance_eur
        annoyance = annoyance * ("annoyance" not in self._off)
        if learned_value:
            value = np.asarray(scores, dtype=float).copy()
            retention = np.zeros(len(every))
            priority = value * weight * lever - cost - annoyance
            value[-1] += self._no_action_value
            priority[-1] = value[-1]
            gain = weight * lever
            gain[-1] = 1.0
        else:
            known = "p_accept" in self._off
            p_accept[:-1] = 1.0 if known else scores
            gain = weight * (value + retention) * lever
            gain[-1] = 0.0
            priority = np.zeros(len(every))
            worth = p_accept * weight * (value + retention) * lever - cost - annoyance
            priority[:-1] = worth[:-1]
            value = value.copy()
            value[-1] = priority[-1] = self._no_action_value
            spread = None if known else spread
        own, unsure = np.full(len(every), np.nan), np.zeros(len(every))
        scored = len(scores)
        if batch is not None:
            own[:scored] = batch
        if spread is not None:
            unsure[:scored] = spread * np.abs(gain[:scored])
        return Priorities(
            *(every, p_accept, weight, value, retention, lever, cost, annoyance, priority),
            *(own, unsure, gain, because),
        )

    def unscored(self, every: NDArray[np.int64]) -> Priorities:
        """The candidates where nothing scores them: their declared factors, no priority."""
        unknown, ones = np.full(len(every), np.nan), np.ones(len(every))
        value = self._value[every]
        value[-1] = self._no_action_value
        none = np.zeros(len(every))
        because = ((),) * len(every)
        cost = self._cost[every]
        return Priorities(
            *(every, unknown, ones, value, none, ones, cost, none, unknown),
            *(unknown, none, none, because),
        )

    def _retention(self, moment: ArbitrationInputs) -> Floats:
        worth = self._rules.customer_value_eur
        if "retention" in self._off or moment.churn_risk is None or worth == 0.0:
            return np.zeros(len(self._keeps))
        return moment.churn_risk * worth * self._keeps

    def _lever(
        self, every: NDArray[np.int64], moment: ArbitrationInputs
    ) -> tuple[Floats, tuple[tuple[str, ...], ...]]:
        lever = np.ones(len(self._value))
        because = dict(moment.because)
        for one, begins, ends, codes in self._levers:
            off = "lever" in self._off or one.id in moment.without
            if not off and in_force(begins, ends, moment.today):
                lever[codes] *= one.factor
                _note(because, codes, one.id)
        return lever[every], tuple(because.get(code, ()) for code in every.tolist())


def _note(because: dict[int, tuple[str, ...]], codes: Any, name: str) -> None:
    for code in codes:
        because[int(code)] = (*because.get(int(code), ()), name)


def candidates(
    priorities: Priorities, probabilities: np.ndarray, names: Sequence[str]
) -> tuple[Candidate, ...]:
    """The candidates as a decision logs them, best first; `names` by code, no_action last."""
    order = np.argsort(-priorities.priority, kind="stable")
    one = priorities
    columns = (
        *(one.codes, one.p_accept, one.context_weight, one.value_eur, one.retention_eur),
        *(one.lever, one.cost_eur, one.annoyance_eur, one.priority, probabilities),
        *(one.batch_score, one.spread_eur),
    )
    rows = zip(*(column[order].tolist() for column in columns), strict=True)
    return tuple(
        Candidate(
            action_id=names[code],
            p_accept=_known(p_accept),
            context_weight=weight,
            value_eur=value_eur,
            retention_eur=retention_eur,
            lever=lever,
            cost_eur=cost_eur,
            annoyance_eur=annoyance_eur,
            priority=_known(priority),
            propensity=propensity,
            because=priorities.because[n],
            batch_score=_known(batch_score),
            spread_eur=spread_eur,
        )
        for n, (  # fmt: skip
            code,
            p_accept,
            weight,
            value_eur,
            retention_eur,
            lever,
            cost_eur,
            annoyance_eur,
            priority,
            propensity,
            batch_score,
            spread_eur,
        ) in zip(order.tolist(), rows, strict=True)
    )


def _known(number: float) -> float | None:
    return None if number != number else number
