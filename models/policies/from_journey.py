"""The policy that the journey file or an experiment's arm asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from models.policies.fixed import Fixed
from models.policies.gap_weighting import GapWeighting
from models.policies.greedy import Greedy
from models.policies.softmax import Softmax
from models.policies.thompson import Thompson
from models.policies.uniform import Random
from nba.engine.policy import ExplorationPolicy, Policy
from nba.engine.scorer import CalibratedScorer
from nba.engine.strategy import Strategy
from nba.journey.exploration import Exploration, Kind
from nba.journey.file import JourneyFile

# `greedy` has no floor; epsilon-greedy is the same with it
POLICIES: dict[Kind, Callable[[Exploration, Sequence[str]], Policy]] = {
    "thompson": lambda exploration, actions: Thompson(exploration.scale),
    "gap_weighting": lambda exploration, actions: GapWeighting(exploration.gamma),
    "softmax": lambda exploration, actions: Softmax(exploration.temperature_eur),
    "random": lambda exploration, actions: Random(),
    "fixed": lambda exploration, actions: Fixed.in_order(exploration.order, actions),
    "greedy": lambda exploration, actions: Greedy(),
    "epsilon_greedy": lambda exploration, actions: Greedy(),
}


def exploration_policy_of(exploration: Exploration, actions: Sequence[str]) -> ExplorationPolicy:
    """The policy and floor of this exploration; `actions`: action ids in the order of their codes.

    A new policy takes a file of its own, a line in POLICIES and its name in `Exploration`.
    """
    policy = POLICIES[exploration.policy](exploration, actions)
    return ExplorationPolicy(policy, 0.0 if exploration.policy == "greedy" else exploration.epsilon)


class ExplorationPolicies:
    """The policies of explorations, as decisions log these; `actions`: ids by code."""

    def __init__(self, actions: Sequence[str]) -> None:
        self._actions = actions
        self._known: dict[bytes, ExplorationPolicy] = {}

    def __call__(self, exploration: Exploration) -> ExplorationPolicy:
        """The policy of one exploration, made once."""
        key = msgspec.json.encode(exploration)
        if key not in self._known:
            self._known[key] = exploration_policy_of(exploration, self._actions)
        return self._known[key]


def strategy_of(
    journey: JourneyFile,
    scorer: CalibratedScorer | None = None,
    *,
    exploration: Exploration | None = None,
) -> Strategy:
    """How a journey's customers are decided with this scorer; `exploration`: where it is not the
    journey's own."""
    exploration = exploration or journey.exploration
    return Strategy(
        exploration=exploration,
        exploration_policy=exploration_policy_of(
            exploration, [action.id for action in journey.actions]
        ),
        scorer=scorer,
        fallback_reason="no bundle is promoted" if scorer is None else "",
    )
