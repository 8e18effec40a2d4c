"""Measure what each rule does to logged decisions: decide them again without it.

Everything is exact: the probabilities of the policy that drew each decision, an arm's or the random
slice's among them, and no draw. A rule strikes each action on its own,
so without it only the actions that it struck can come back, and they are governed by the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from nba.customer.context import Context, ContextSchema
from nba.decisions.decision import Churn, Decision
from nba.decisions.request import Request
from nba.engine.arbitration import Arbitration, ArbitrationInputs, Priorities
from nba.engine.batch import capacity_demands, overfull
from nba.engine.policy import ExplorationPolicy, PolicyOf
from nba.engine.redecision import context_of
from nba.engine.scorer import CalibratedScorer, CandidateScores, known_churns
from nba.governance.governor import Governed, Governor
from nba.governance.rule_ablation import RulePart
from nba.governance.rule_inputs import Population
from nba.journey.file import JourneyFile
from nba.journey.sub_journeys import SubJourney


class RuleEffect(NamedTuple):
    """What one rule did to one decision."""

    part: int  # index of the rule
    lost_eur: float  # expected priority without it, minus with it
    moved: float  # probability of another draw without it


class _JourneyRules(NamedTuple):
    """A journey file, with or without one rule, ready to decide."""

    schema: ContextSchema
    governor: Governor
    arbitration: Arbitration


class _GovernedDecisions(NamedTuple):
    """Decisions for which the capacities leave the same room, governed again."""

    decisions: list[Decision]
    contexts: list[Context]
    churns: list[Churn | None]
    governed: list[Governed]
    population: Population
    inputs: list[ArbitrationInputs]


class _ScoresByCode(NamedTuple):
    """Scores of one customer by action code."""

    at: Mapping[int, int]
    scores: CandidateScores

    def of(self, codes: Sequence[int]) -> CandidateScores:
        return self.scores.at([self.at[code] for code in codes])


class RuleEffects:
    """The rules of one journey file and one champion."""

    def __init__(
        self,
        schema: ContextSchema,
        parts: Sequence[RulePart],
        scorer: CalibratedScorer,
        policy_of: PolicyOf,
        earlier: Sequence[SubJourney] = (),
    ) -> None:
        self._schema = schema
        self._parts = parts
        self._scorer = scorer
        self._policy_of = policy_of
        self._earlier = earlier
        self._capacity_demands = capacity_demands(schema.journey)
        self._whole = self._rules_of(schema.journey)
        self._ablated: dict[int, _JourneyRules] = {}
        self._by_rule: dict[str, list[int]] = {}
        for n, part in enumerate(parts):
            self._by_rule.setdefault(part.id, []).append(n)
        self._codes = {action.id: code for code, action in enumerate(schema.journey.actions)}

    def of(self, decisions: Iterable[Decision]) -> list[tuple[Decision, list[RuleEffect]]]:
        """The effects of each decision, made by the champion's kind of score on this file."""
        effects: list[tuple[Decision, list[RuleEffect]]] = []
        for _, group in groupby(
            decisions, key=lambda decision: overfull(self._capacity_demands, decision.used)
        ):
            governed = self._govern(list(group))
            effects += zip(governed.decisions, self._effects(governed), strict=True)
        return effects

    def _govern(self, decisions: list[Decision]) -> _GovernedDecisions:
        contexts = [context_of(decision) for decision in decisions]
        churns = known_churns(self._scorer.base, contexts)
        governed, population = self._whole.governor.govern(
            [decision.request for decision in decisions],
            contexts,
            churns,
            self._used(decisions),
            dropped_rules=_dropped(decisions),
        )
        inputs = _arbitration_inputs(self._whole, decisions, population, contexts, churns, governed)
        return _GovernedDecisions(decisions, contexts, churns, governed, population, inputs)

    def _used(self, decisions: Sequence[Decision]) -> dict[tuple[str, str], float]:
        """One reading for all of them: they were refused the same for want of capacity."""
        governor = self._whole.governor
        used: dict[tuple[str, str], float] = {}
        for decision in decisions:
            used |= governor.by_period(decision.used, decision.decided_at)
        return used

    def _effects(self, batch: _GovernedDecisions) -> list[list[RuleEffect]]:
        back = self._back(batch)
        codes = [
            [*decision.codes, *(code for returned in back[n].values() for code in returned)]
            for n, decision in enumerate(batch.governed)
        ]
        own = [-1] if self._scorer.learns_value else []
        scored = [[*dict.fromkeys(actions), *own] for actions in codes]
        scores = [
            _ScoresByCode({code: n for n, code in enumerate(actions)}, values)
            for actions, values in zip(
                scored, self._scorer.scores_of(batch.contexts, scored), strict=True
            )
        ]
        ablated_inputs = self._ablated_inputs(batch)
        effects: list[list[RuleEffect]] = []
        for n, decision in enumerate(batch.governed):
            with_it = self._priorities(self._whole, decision.codes, scores[n], batch.inputs[n])
            base = with_it.priority
            policy = self._policy_of(batch.decisions[n].exploration)
            drawn = self._probabilities(policy, with_it)
            decision_effects = []
            for part, more in back[n].items():
                every = sorted([*decision.codes, *more])
                without = self._priorities(self._whole, every, scores[n], batch.inputs[n])
                chances = self._probabilities(policy, without)
                lost = float(chances @ without.priority - drawn @ base)
                decision_effects.append(
                    RuleEffect(part, lost, _distance(decision.codes, drawn, every, chances))
                )
            for part, inputs in ablated_inputs.items():
                if not any(self._parts[part].id in because for because in with_it.because):
                    continue
                rules = self._without(part)
                without = self._priorities(rules, decision.codes, scores[n], inputs[n])
                chances = self._probabilities(policy, without)
                lost = float((chances - drawn) @ without.priority)
                decision_effects.append(
                    RuleEffect(part, lost, 0.5 * float(np.abs(chances - drawn).sum()))
                )
            effects.append(decision_effects)
        return effects

    def _back(self, batch: _GovernedDecisions) -> list[dict[int, list[int]]]:
        """Per decision: by rule that struck something, the actions that come back without it."""
        struck: dict[int, dict[int, list[str]]] = {}  # by rule and decision
        for n, decision in enumerate(batch.governed):
            for refused in decision.refused:
                for part in self._by_rule.get(refused.rule, ()):
                    if self._parts[part].has_refused(refused):
                        struck.setdefault(part, {}).setdefault(n, []).append(refused.action_id)
        back: list[dict[int, list[int]]] = [{} for _ in batch.governed]
        for part, action_ids in struck.items():
            chosen = list(action_ids)
            requests: list[Request] = [
                replace(batch.decisions[n].request, candidates=tuple(action_ids[n])) for n in chosen
            ]
            governed, _ = self._without(part).governor.govern(
                requests,
                [batch.contexts[n] for n in chosen],
                [batch.churns[n] for n in chosen],
                self._used(batch.decisions),
                dropped_rules=_dropped([batch.decisions[n] for n in chosen]),
            )
            for n, decision in zip(chosen, governed, strict=True):
                back[n][part] = decision.codes
        return back

    def _ablated_inputs(self, batch: _GovernedDecisions) -> Mapping[int, list[ArbitrationInputs]]:
        """Per lever and weight: what the customers' factors are without it."""
        return {
            n: _arbitration_inputs(
                self._without(n),
                batch.decisions,
                batch.population,
                batch.contexts,
                batch.churns,
                batch.governed,
            )
            for n, part in enumerate(self._parts)
            if not part.refuses
        }

    def _priorities(
        self,
        rules: _JourneyRules,
        codes: Sequence[int],
        scores: _ScoresByCode,
        inputs: ArbitrationInputs,
    ) -> Priorities:
        own = [-1] if self._scorer.learns_value else []
        customer_scores = scores.of([*codes, *own])
        return rules.arbitration.priorities(
            codes, customer_scores, inputs, learned_value=self._scorer.learns_value
        )

    def _probabilities(self, policy: ExplorationPolicy, priorities: Priorities) -> np.ndarray:
        return policy.probabilities(priorities.worth(self._scorer.exposures))

    def _without(self, part: int) -> _JourneyRules:
        if part not in self._ablated:
            self._ablated[part] = self._rules_of(self._parts[part].ablated)
        return self._ablated[part]

    def _rules_of(self, journey: JourneyFile) -> _JourneyRules:
        schema = ContextSchema(journey, self._schema.table)
        governor = Governor(schema, self._earlier)
        arbitration = Arbitration(journey, schema, governor.variants, governor.names)
        return _JourneyRules(schema, governor, arbitration)


def _arbitration_inputs(
    rules: _JourneyRules,
    decisions: Sequence[Decision],
    population: Population,
    contexts: Sequence[Context],
    churns: Sequence[Churn | None],
    governed: Sequence[Governed],
) -> list[ArbitrationInputs]:
    return rules.arbitration.inputs(
        population,
        contexts,
        churns,
        calls=[decision.calls for decision in governed],
        today=[decision.today for decision in governed],
        dropped_rules=_dropped(decisions),
    )


def _dropped(decisions: Sequence[Decision]) -> list[frozenset[str]]:
    """What their arms leave out: a rule that was not there costs nothing."""
    return [frozenset(decision.dropped_rules) for decision in decisions]


def _distance(
    codes: Sequence[int], drawn: np.ndarray, every: Sequence[int], chances: np.ndarray
) -> float:
    """How probable another draw is: total variation; `no_action` is the last of both."""
    before = dict(zip([*codes, -1], drawn.tolist(), strict=True))
    after = dict(zip([*every, -1], chances.tolist(), strict=True))
    return 0.5 * float(sum(abs(before.get(code, 0.0) - p) for code, p in after.items()))
