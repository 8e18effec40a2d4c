"""What each candidate of a customer is worth now, in EUR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nba.customer.context import Context, ContextSchema
from nba.decisions.decision import Churn
from nba.engine.policy import NO_ACTION_CODE, Floats, Worth
from nba.engine.scorer import CandidateScores
from nba.governance.candidate_set import Variants
from nba.governance.engagement_policy import day, in_force
from nba.governance.rule_inputs import Population
from nba.governance.sub_journeys import OpenStep
from nba.journey.file import JourneyFile
from nba.rules.rule import Names, parse_rule


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

    @property
    def finite(self) -> NDArray[np.bool_]:
        """(n,) whether all that enters the draw is a finite number."""
        scored: NDArray[np.bool_] = np.isfinite(self.priority + self.spread_eur + self.gain_eur)
        return scored

    def worth(self, exposures: float = 0.0) -> Worth:
        """As a policy sees it."""
        return Worth(
            codes=self.codes,
            mean_eur=self.priority,
            spread_eur=self.spread_eur,
            gain_eur=self.gain_eur,
            exposures=exposures,
        )


class ArbitrationInputs(NamedTuple):
    """What the factors of one customer's candidates depend on, beside the scores."""

    weight: Floats  # (n_actions + 1,) product of the context weights that hold
    because: Mapping[int, tuple[str, ...]]  # by action code
    contacts: float  # of the last 7 days, decayed
    churn_risk: float | None
    today: date
    dropped_rules: frozenset[str] = frozenset()  # ids of weights and levers that are left out


class Arbitration:
    """priority = p_accept x context weight x (value + retention) x lever - cost - annoyance.

    retention = churn risk x what the action keeps of it x worth of a customer. The owner may switch
    factors off. `no_action` competes with its own declared value, or with its learned one.
    """

    def __init__(
        self, journey: JourneyFile, schema: ContextSchema, variants: Variants, names: Names
    ) -> None:
        actions = journey.actions
        self._value = np.array([*(action.value_eur for action in actions), 0.0])
        self._cost = np.array([*(action.cost_eur for action in actions), 0.0])
        self._keeps = np.array([*(action.keeps for action in actions), 0.0])
        self._annoys = np.array([*(float(a.type != "transactional") for a in actions), 0.0])
        self._no_action_value = journey.no_action_value_eur
        self._rules = journey.arbitration
        self._off = frozenset(journey.arbitration.without)
        self._contact_columns = [
            schema.index[f"contact.{channel}.count_7d"] for channel in journey.channels()
        ]
        self._codes = {action.id: code for code, action in enumerate(actions)}
        first = np.unique(variants.code, return_index=True)[1]
        self._weights = [
            (weight, parse_rule(weight.when, names), np.flatnonzero(variants.mask(weight)[first]))
            for weight in journey.weights
        ]
        self._levers = [
            (
                lever,
                day(lever.begins),
                day(lever.ends),
                np.flatnonzero(variants.mask(lever)[first]),
            )
            for lever in journey.levers
        ]

    def inputs(
        self,
        population: Population,
        contexts: Sequence[Context],
        churns: Sequence[Churn | None],
        *,
        calls: Sequence[Mapping[str, OpenStep]],
        today: Sequence[date],
        dropped_rules: Sequence[frozenset[str]] = (),
    ) -> list[ArbitrationInputs]:
        """What the factors of each customer depend on; `without`: ids of the weights and levers
        that are left out for each."""
        holds = [population.holds(rule) for _, rule, _ in self._weights]
        inputs = []
        for n, context in enumerate(contexts):
            weight = np.ones(len(self._value))
            because: dict[int, tuple[str, ...]] = {}
            off = dropped_rules[n] if dropped_rules else frozenset()
            for (declared, _, codes), held_for in zip(self._weights, holds, strict=True):
                if held_for[n] and declared.id not in off:
                    weight[codes] *= declared.factor
                    _note(because, codes, declared.id)
            for action, call in calls[n].items():
                if action in self._codes:
                    code = self._codes[action]
                    weight[code] *= call.step.weight
                    _note(because, [code], f"{call.sub_journey}.{call.step.id}")
            churn = churns[n]
            inputs.append(
                ArbitrationInputs(
                    weight=weight,
                    because=because,
                    contacts=float(sum(context.values[at] for at in self._contact_columns)),
                    churn_risk=None if churn is None else churn.risk,
                    today=today[n],
                    dropped_rules=off,
                )
            )
        return inputs

    def priorities(
        self,
        codes: Sequence[int],
        scores: CandidateScores,
        inputs: ArbitrationInputs,
        *,
        learned_value: bool,
    ) -> Priorities:
        """Worth of each action code and of `no_action`.

        `scores`: p_accept per code, or with `learned_value` EUR per code and for no_action.
        """
        every = np.array([*codes, NO_ACTION_CODE], dtype=np.int64)
        ones = np.ones(len(every))
        p_accept = np.full(len(every), np.nan)
        value = ones if "value" in self._off else self._value[every]
        retention = self._retention(inputs)[every]
        weight = ones if "context_weight" in self._off else inputs.weight[every]
        lever, because = self._lever(every, inputs)
        cost = self._cost[every] * ("cost" not in self._off)
        annoyance = self._annoys[every] * inputs.contacts * self._rules.annoyance_eur
        annoyance = annoyance * ("annoyance" not in self._off)
        spread = scores.spread
        if learned_value:
            value = np.asarray(scores.mean, dtype=float).copy()
            retention = np.zeros(len(every))
            priority = value * weight * lever - cost - annoyance
            value[-1] += self._no_action_value
            priority[-1] = value[-1]
            gain = weight * lever
            gain[-1] = 1.0
        else:
            known = "p_accept" in self._off
            p_accept[:-1] = 1.0 if known else scores.mean
            gain = weight * (value + retention) * lever
            gain[-1] = 0.0
            priority = np.zeros(len(every))
            worth = p_accept * weight * (value + retention) * lever - cost - annoyance
            priority[:-1] = worth[:-1]
            value = value.copy()
            value[-1] = priority[-1] = self._no_action_value
            spread = None if known else spread
        batch_score, spread_eur = np.full(len(every), np.nan), np.zeros(len(every))
        scored = len(scores.mean)
        if scores.batch is not None:
            batch_score[:scored] = scores.batch
        if spread is not None:
            spread_eur[:scored] = spread * np.abs(gain[:scored])
        return Priorities(
            codes=every,
            p_accept=p_accept,
            context_weight=weight,
            value_eur=value,
            retention_eur=retention,
            lever=lever,
            cost_eur=cost,
            annoyance_eur=annoyance,
            priority=priority,
            batch_score=batch_score,
            spread_eur=spread_eur,
            gain_eur=gain,
            because=because,
        )

    def unscored(self, every: NDArray[np.int64]) -> Priorities:
        """The candidates where nothing scores them: their declared factors, no priority."""
        unknown, ones = np.full(len(every), np.nan), np.ones(len(every))
        zeros = np.zeros(len(every))
        value = self._value[every]
        value[-1] = self._no_action_value
        return Priorities(
            codes=every,
            p_accept=unknown,
            context_weight=ones,
            value_eur=value,
            retention_eur=zeros,
            lever=ones,
            cost_eur=self._cost[every],
            annoyance_eur=zeros,
            priority=unknown,
            batch_score=unknown,
            spread_eur=zeros,
            gain_eur=zeros,
            because=((),) * len(every),
        )

    def _retention(self, inputs: ArbitrationInputs) -> Floats:
        worth = self._rules.customer_value_eur
        if "retention" in self._off or inputs.churn_risk is None or worth == 0.0:
            return np.zeros(len(self._keeps))
        return inputs.churn_risk * worth * self._keeps

    def _lever(
        self, every: NDArray[np.int64], inputs: ArbitrationInputs
    ) -> tuple[Floats, tuple[tuple[str, ...], ...]]:
        factors = np.ones(len(self._value))
        because = dict(inputs.because)
        for lever, begins, ends, codes in self._levers:
            off = "lever" in self._off or lever.id in inputs.dropped_rules
            if not off and in_force(begins, ends, inputs.today):
                factors[codes] *= lever.factor
                _note(because, codes, lever.id)
        return factors[every], tuple(because.get(code, ()) for code in every.tolist())


def _note(because: dict[int, tuple[str, ...]], codes: Any, name: str) -> None:
    for code in codes:
        because[int(code)] = (*because.get(int(code), ()), name)
