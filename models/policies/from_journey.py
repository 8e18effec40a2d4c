"""The policy that the journey file or an experiment's arm asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from models.policies.fixed import Fixed
from models.policies.gap_weighting import GapWeighting
from models.policies.greedy import Greedy
from models.policies.softmax import Softmax
from models.policies.thompson import Thompson
from models.policies.uniform import Random
from nba.engine.policy import ExplorationPolicy, Policy
from nba.journey.exploration import Exploration, Kind

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
