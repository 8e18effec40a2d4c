"""What each rule does to logged decisions: decided again without it, on their own contexts.

Everything is exact: the policy's probabilities, and no draw. A rule strikes each action on its own,
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
from nba.engine.policy import ExplorationPolicy
from nba.engine.redecision import context_of
from nba.engine.scorer import CalibratedScorer, CandidateScores
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


class _Alone(NamedTuple):
    """The file without one rule, ready to decide."""

    schema: ContextSchema
    governor: Governor
    arbitration: Arbitration


class _Asked(NamedTuple):
    """Decisions for which the capacities leave the same room, governed again."""

    decisions: list[Decision]
    contexts: list[Context]
    churns: list[Churn]
    governed: list[Governed]
    population: Population
    moments: list[ArbitrationInputs]


class _ByCode(NamedTuple):
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
        judge: CalibratedScorer,
        drawing: ExplorationPolicy,
        earlier: Sequence[SubJourney] = (),
    ) -> None:
        self._schema = schema
        self._parts = parts
        self._judge = judge
        self._drawing = drawing
        self._earlier = earlier
        self._rations = capacity_demands(schema.journey)
        self._whole = self._made(schema.journey)
        self._made_without: dict[int, _Alone] = {}
        self._by_rule: dict[str, list[int]] = {}
        for n, part in enumerate(parts):
            self._by_rule.setdefault(part.id, []).append(n)
        self._codes = {action.id: code for code, action in enumerate(schema.journey.actions)}

    def of(self, decisions: Iterable[Decision]) -> list[tuple[Decision, list[RuleEffect]]]:
        """The effects of each decision, made by the champion's kind of score on this file."""
        found: list[tuple[Decision, list[RuleEffect]]] = []
        for _, group in groupby(decisions, key=lambda one: overfull(self._rations, one.used)):
            asked = self._asked(list(group))
            found += zip(asked.decisions, self._effects(asked), strict=True)
        return found

    def _asked(self, decisions: list[Decision]) -> _Asked:
        contexts = [context_of(decision) for decision in decisions]
        churns = self._judge.base.churn(contexts)
        governed, population = self._whole.governor.govern(
            [decision.request for decision in decisions], contexts, churns, self._used(decisions)
        )
        moments = _moments(self._whole, population, contexts, churns, governed)
        return _Asked(decisions, contexts, churns, governed, population, moments)

    def _used(self, decisions: Sequence[Decision]) -> dict[tuple[str, str], float]:
        """One reading for all of them: they were refused the same for want of capacity."""
        governor = self._whole.governor
        found: dict[tuple[str, str], float] = {}
        for decision in decisions:
            found |= governor.by_period(decision.used, decision.decided_at)
        return found

    def _effects(self, asked: _Asked) -> list[list[RuleEffect]]:
        back = self._back(asked)
        codes = [
            [*one.codes, *(code for found in back[n].values() for code in found)]
            for n, one in enumerate(asked.governed)
        ]
        own = [-1] if self._judge.learns_value else []
        scored = [[*dict.fromkeys(some), *own] for some in codes]
        scores = [
            _ByCode({code: n for n, code in enumerate(some)}, values)
            for some, values in zip(
                scored, self._judge.scores_of(asked.contexts, scored), strict=True
            )
        ]
        others = self._other_moments(asked)
        effects: list[list[RuleEffect]] = []
        for n, one in enumerate(asked.governed):
            with_it = self._priorities(self._whole, one.codes, scores[n], asked.moments[n])
            base = with_it.priority
            drawn = self._chances(with_it)
            mine = []
            for part, more in back[n].items():
                every = sorted([*one.codes, *more])
                without = self._priorities(self._whole, every, scores[n], asked.moments[n])
                chances = self._chances(without)
                lost = float(chances @ without.priority - drawn @ base)
                mine.append(RuleEffect(part, lost, _distance(one.codes, drawn, every, chances)))
            for part, moments in others.items():
                if not any(self._parts[part].id in because for because in with_it.because):
                    continue
                alone = self._alone(part)
                without = self._priorities(alone, one.codes, scores[n], moments[n])
                chances = self._chances(without)
                lost = float((chances - drawn) @ without.priority)
                mine.append(RuleEffect(part, lost, 0.5 * float(np.abs(chances - drawn).sum())))
            effects.append(mine)
        return effects

    def _back(self, asked: _Asked) -> list[dict[int, list[int]]]:
        """Per decision: by rule that struck something, the actions that come back without it."""
        struck: dict[int, dict[int, list[str]]] = {}  # by rule and decision
        for n, one in enumerate(asked.governed):
            for refused in one.refused:
                for part in self._by_rule.get(refused.rule, ()):
                    if self._parts[part].has_refused(refused):
                        struck.setdefault(part, {}).setdefault(n, []).append(refused.action_id)
        back: list[dict[int, list[int]]] = [{} for _ in asked.governed]
        for part, where in struck.items():
            chosen = list(where)
            requests: list[Request] = [
                replace(asked.decisions[n].request, candidates=tuple(where[n])) for n in chosen
            ]
            governed, _ = self._alone(part).governor.govern(
                requests,
                [asked.contexts[n] for n in chosen],
                [asked.churns[n] for n in chosen],
                self._used(asked.decisions),
            )
            for n, one in zip(chosen, governed, strict=True):
                back[n][part] = one.codes
        return back

    def _other_moments(self, asked: _Asked) -> Mapping[int, list[ArbitrationInputs]]:
        """Per lever and weight: what the customers' factors are without it."""
        return {
            n: _moments(
                self._alone(n), asked.population, asked.contexts, asked.churns, asked.governed
            )
            for n, part in enumerate(self._parts)
            if not part.refuses
        }

    def _priorities(
        self, alone: _Alone, codes: Sequence[int], scores: _ByCode, moment: ArbitrationInputs
    ) -> Priorities:
        own = [-1] if self._judge.learns_value else []
        found = scores.of([*codes, *own])
        return alone.arbitration.priorities(
            codes, found, moment, learned_value=self._judge.learns_value
        )

    def _chances(self, priorities: Priorities) -> np.ndarray:
        return self._drawing.probabilities(priorities.worth(self._judge.exposures))

    def _alone(self, part: int) -> _Alone:
        if part not in self._made_without:
            self._made_without[part] = self._made(self._parts[part].ablated)
        return self._made_without[part]

    def _made(self, journey: JourneyFile) -> _Alone:
        schema = ContextSchema(journey, self._schema.table)
        governor = Governor(schema, self._earlier)
        arbitration = Arbitration(journey, schema, governor.variants, governor.names)
        return _Alone(schema, governor, arbitration)


def _moments(
    alone: _Alone,
    population: Population,
    contexts: Sequence[Context],
    churns: Sequence[Churn],
    governed: Sequence[Governed],
) -> list[ArbitrationInputs]:
    return alone.arbitration.inputs(
        population,
        contexts,
        churns,
        calls=[one.calls for one in governed],
        today=[one.today for one in governed],
    )


def _distance(
    codes: Sequence[int], drawn: np.ndarray, every: Sequence[int], chances: np.ndarray
) -> float:
    """How probable another draw is: total variation; `no_action` is the last of both."""
    before = dict(zip([*codes, -1], drawn.tolist(), strict=True))
    after = dict(zip([*every, -1], chances.tolist(), strict=True))
    return 0.5 * float(sum(abs(before.get(code, 0.0) - p) for code, p in after.items()))
