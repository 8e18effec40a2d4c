"""One version of the journey file with the champion: logged decisions, decided in expectation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from features.fold import Fold
from models.policies.from_journey import exploration_policy_of, strategy_of
from nba.decisions.decision import CapacityTaken, Decision
from nba.engine.pipeline import make_pipeline
from nba.engine.scorer import CalibratedScorer, known_churns
from nba.errors import InvalidInput
from nba.journey.actions import NO_ACTION
from nba.journey.sub_journeys import SubJourney
from nba.stores.log import Log
from training.rehearsal.contexts import LoggedContexts


class RehearsedDecision(msgspec.Struct, frozen=True, kw_only=True):
    """One decision under one version, in expectation."""

    chances: dict[str, float]  # by action, `no_action` among them
    refused: frozenset[tuple[str, str, str, str]]  # (action, stage, code, rule)


class RehearsalSide:
    """One version, with what scores on its columns."""

    def __init__(
        self, fold: Fold, scorer: CalibratedScorer, log: Log, earlier: Sequence[SubJourney] = ()
    ) -> None:
        self.fold = fold
        self.journey = journey = fold.schema.journey
        self.taken: dict[tuple[str, str], float] = {}
        self.scorer = scorer
        self._contexts = LoggedContexts(fold, log)
        actions = [action.id for action in journey.actions]
        self._policy = exploration_policy_of(journey.exploration, actions)
        self._pipeline = make_pipeline(fold.schema, strategy_of(journey, scorer), earlier)
        self._names = [*actions, NO_ACTION]

    @property
    def folded_again(self) -> int:
        """Contexts that had to be made from the log."""
        return self._contexts.folded_again

    def answers(self, decision: Decision) -> bool:
        """Whether its question can be asked of this version."""
        try:
            self._pipeline.check(decision.request)
        except InvalidInput:
            return False
        return True

    def redecide(self, decisions: Sequence[Decision]) -> list[RehearsedDecision]:
        """Decide each under this version; the capacities that they take are gone for the next."""
        contexts = self._contexts.of(decisions)
        governor = self._pipeline.governor
        used = self._used(decisions)
        churns = known_churns(self.scorer.base, contexts)
        governed, population = governor.govern(
            [decision.request for decision in decisions], contexts, churns, used
        )
        inputs = self._pipeline.arbitration.inputs(
            population,
            contexts,
            churns,
            calls=[candidates.calls for candidates in governed],
            today=[candidates.today for candidates in governed],
        )
        rehearsed = []
        for candidates, scores, moment in zip(
            governed, self.scorer.scores(governed), inputs, strict=True
        ):
            priorities = self._pipeline.arbitration.priorities(
                candidates.codes, scores, moment, learned_value=self.scorer.learns_value
            )
            if priorities.finite.all():
                worth = priorities.worth(self.scorer.exposures)
                chances = self._policy.probabilities(worth).tolist()
            else:
                chances = [0.0] * len(priorities.codes)
                chances[self._pipeline.recorder.fallback_at(candidates.codes)] = 1.0
            actions = [self._names[code] for code in priorities.codes.tolist()]
            if not candidates.request.deferred:
                self._take(actions, chances, candidates.context.as_of)
            rehearsed.append(
                RehearsedDecision(
                    chances=dict(zip(actions, chances, strict=True)),
                    refused=frozenset(
                        (r.action_id, r.stage.value, r.code, r.rule) for r in candidates.refused
                    ),
                )
            )
        return rehearsed

    def most(self) -> dict[str, float]:
        """The capacities of this version."""
        return {capacity.id: capacity.most for capacity in self.journey.contact_policy.capacities}

    def periods(self, at: datetime) -> list[tuple[str, str]]:
        """The (capacity, period) of this version at a moment."""
        return self._pipeline.governor.periods(at)

    def _used(self, decisions: Sequence[Decision]) -> dict[tuple[str, str], float]:
        """By (capacity, period): what was taken before its first decision, and since."""
        for decision in decisions:
            for key in self.periods(decision.decided_at):
                self.taken.setdefault(key, decision.used.get(key[0], 0.0))
        return self.taken

    def _take(self, actions: Sequence[str], chances: Sequence[float], at: datetime) -> None:
        for action, chance in zip(actions, chances, strict=True):
            if action != NO_ACTION and chance > 0.0:
                for use in self._uses(action, at):
                    key = (use.capacity, use.period)
                    self.taken[key] = self.taken.get(key, 0.0) + chance * use.amount

    def _uses(self, action: str, at: datetime) -> tuple[CapacityTaken, ...]:
        if not self.journey.contact_policy.capacities:
            return ()
        return self._pipeline.governor.uses(action, at)
