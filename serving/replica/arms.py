"""The arms of each customer, as `nba.experiments.assignment` assigns them, with their strategies.

Strategies are made once for each combination that occurs: customers of one combination are scored
together.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from models.policies.from_journey import exploration_policy_of
from nba.engine.scorer import CalibratedScorer
from nba.engine.strategy import Arm, Strategy
from nba.errors import NbaError, StoreUnavailable
from nba.experiments.assignment import Assignment
from nba.experiments.experiment import ArmSpec, Started
from nba.journey.exploration import Exploration
from nba.journey.file import JourneyFile
from nba.promotion.rollout import CANARY, Rollout
from nba.randomization import RANDOM_SLICE

logger = logging.getLogger("nba.serving")


class RolledOut(NamedTuple):
    """A bundle on its way to the champion's place."""

    rollout: Rollout
    scorer: CalibratedScorer | None
    fallback_reason: str = ""  # why there is no scorer


class ExperimentArms:
    """Implements `nba.engine.strategy.Arms`; `suspended`: why running experiments rest."""

    def __init__(
        self,
        experiments: Sequence[Started],
        base: Strategy,
        journey: JourneyFile,
        scorer_of: Callable[[str], CalibratedScorer],
        rolled_out: RolledOut | None = None,
    ) -> None:
        self._base = base
        self._actions = [action.id for action in journey.actions]
        self.suspended: dict[str, str] = {}
        self._scorers: dict[str, CalibratedScorer] = {}
        self._assignment = Assignment(
            holdout_share=journey.exploration.holdout_share,
            random_share=journey.exploration.random_share,
            rollout=None if rolled_out is None else rolled_out.rollout,
            experiments=tuple(one for one in experiments if self._serves(one, scorer_of)),
        )
        uniform = Exploration(policy="random", epsilon=0.0)
        self._own = {
            RANDOM_SLICE: base._replace(
                exploration=uniform,
                exploration_policy=exploration_policy_of(uniform, ()),
                challenger=None,
            )
        }
        if rolled_out is not None:
            _, scorer, why = rolled_out
            strategy = base._replace(scorer=scorer, fallback_reason=why, challenger=None)
            self._own[CANARY] = strategy
        self._combinations: dict[tuple[str, ...], Arm] = {}

    def of(self, customer_id: str) -> Arm:
        """A customer's arms, always the same while the same experiments run."""
        labels, specs = self._assignment.of(customer_id)
        arm = self._combinations.get(labels)
        if arm is None:
            arm = self._combinations[labels] = self._combined(labels, specs)
        return arm

    def _serves(self, started: Started, scorer_of: Callable[[str], CalibratedScorer]) -> bool:
        """Whether every arm of a running experiment can decide.

        It is all of its arms or none: one that alone fell back would be compared with the others.
        """
        experiment = started.experiment
        if not started.running or experiment.allocation == "bandit":
            return False
        own = [arm.bundle is not None for arm in experiment.arms]
        if self._base.scorer is None and any(own) and not all(own):
            return self._suspend(experiment.id, f"the champion: {self._base.fallback_reason}")
        try:
            for arm in experiment.arms:
                if arm.bundle is not None and arm.bundle not in self._scorers:
                    self._scorers[arm.bundle] = scorer_of(arm.bundle)
        except StoreUnavailable:
            raise
        except NbaError as error:
            return self._suspend(experiment.id, str(error))
        named = {
            action
            for arm in experiment.arms
            if arm.exploration is not None
            for action in arm.exploration.order or ()
        }
        gone = sorted(named - {*self._actions, "no_action"})
        if gone:
            return self._suspend(experiment.id, f"no action {', '.join(gone)} in the journey file")
        return True

    def _suspend(self, experiment_id: str, why: str) -> bool:
        self.suspended[experiment_id] = why
        logger.warning("experiment %s decides for nobody: %s", experiment_id, why)
        return False

    def _combined(self, labels: tuple[str, ...], arms: Sequence[ArmSpec]) -> Arm:
        strategy = self._own.get(labels[0], self._base) if labels else self._base
        dropped_rules: frozenset[str] = frozenset()
        for arm in arms:
            dropped_rules |= frozenset(arm.without)
            if arm.exploration is not None:
                exploration = arm.exploration.on(strategy.exploration)
                exploration_policy = exploration_policy_of(exploration, self._actions)
                strategy = strategy._replace(
                    exploration=exploration, exploration_policy=exploration_policy
                )
            if arm.bundle is not None:
                strategy = strategy._replace(scorer=self._scorers[arm.bundle], fallback_reason="")
        own = None if strategy is self._base else strategy
        return Arm(labels=labels, dropped_rules=dropped_rules, strategy=own)


def arms_of(
    experiments: Sequence[Started],
    base: Strategy,
    journey: JourneyFile,
    scorer_of: Callable[[str], CalibratedScorer],
    *,
    rolled_out: RolledOut | None = None,
) -> ExperimentArms:
    """The arms of these experiments on top of how everybody is decided.

    `scorer_of` gives the scorer of a bundle id; where it raises NotFound or InvalidBundle, the
    experiment is suspended as a whole. Raises StoreUnavailable.
    """
    return ExperimentArms(experiments, base, journey, scorer_of, rolled_out)
