"""The arms of each customer, from the running experiments, the random slice and a canary.

Whoever is in the always-on holdout or in the random slice is in no experiment, so that both stay
what they are; a canary's customers are in none either. Everybody else may be in one experiment of
each layer. Strategies are made once for each combination that occurs: customers of one combination
are scored together.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from models.policies.from_journey import exploration_policy_of
from nba.engine.scorer import CalibratedScorer
from nba.engine.strategy import Arm, Strategy
from nba.errors import NbaError, StoreUnavailable
from nba.experiments.experiment import ArmSpec, Started
from nba.journey.exploration import Exploration
from nba.journey.file import JourneyFile
from nba.randomization import HOLDOUT, RANDOM_SLICE, in_share

logger = logging.getLogger("nba.serving")


class Canary(NamedTuple):
    """A bundle that decides for a share of the customers before it decides for all."""

    label: str
    share: float
    salt: str
    scorer: CalibratedScorer


class ExperimentArms:
    """Implements `nba.engine.strategy.Arms`; `suspended`: why running experiments rest."""

    def __init__(
        self,
        experiments: Sequence[Started],
        base: Strategy,
        journey: JourneyFile,
        scorer_of: Callable[[str], CalibratedScorer],
        canary: Canary | None = None,
    ) -> None:
        self._base = base
        self._actions = [action.id for action in journey.actions]
        self._holdout_share = journey.exploration.holdout_share
        self._random_share = journey.exploration.random_share
        uniform = Exploration(policy="random", epsilon=0.0)
        self._random = Arm(
            labels=(RANDOM_SLICE,),
            strategy=base._replace(
                exploration=uniform,
                exploration_policy=exploration_policy_of(uniform, ()),
                challenger=None,
            ),
        )
        self._canary = canary
        self._canary_arm = Arm()
        if canary is not None:
            strategy = base._replace(scorer=canary.scorer, fallback_reason="", challenger=None)
            self._canary_arm = Arm(labels=(canary.label,), strategy=strategy)
        self.suspended: dict[str, str] = {}
        self._scorers: dict[str, CalibratedScorer] = {}
        self._experiments = [started for started in experiments if self._serves(started, scorer_of)]
        self._combinations: dict[tuple[str, ...], Arm] = {}

    def of(self, customer_id: str) -> Arm:
        """A customer's arms, always the same while the same experiments run."""
        if in_share(HOLDOUT, self._holdout_share, customer_id):
            return Arm()
        if in_share(RANDOM_SLICE, self._random_share, customer_id):
            return self._random
        if self._canary is not None and in_share(
            self._canary.salt, self._canary.share, customer_id
        ):
            return self._canary_arm
        specs = [
            (started.experiment.label(spec), spec)
            for started in self._experiments
            if (spec := started.arm_of(customer_id)) is not None
        ]
        labels = tuple(label for label, _ in specs)
        arm = self._combinations.get(labels)
        if arm is None:
            arm = self._combinations[labels] = self._combined(labels, [spec for _, spec in specs])
        return arm

    def _serves(self, started: Started, scorer_of: Callable[[str], CalibratedScorer]) -> bool:
        """Whether every arm of a running experiment can decide.

        It is all of its arms or none: one that alone fell back would be compared with the others.
        """
        experiment = started.experiment
        if not started.running or experiment.allocation == "bandit":
            return False
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
        strategy = self._base
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
    canary: Canary | None = None,
) -> ExperimentArms:
    """The arms of these experiments on top of how everybody is decided.

    `scorer_of` gives the scorer of a bundle id; where it raises NotFound or InvalidBundle, the
    experiment is suspended as a whole. Raises StoreUnavailable.
    """
    return ExperimentArms(experiments, base, journey, scorer_of, canary)
