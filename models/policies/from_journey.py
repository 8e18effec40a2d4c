"""Drawing: the policy that the journey file or an arm asks for."""

from __future__ import annotations

from collections.abc import Sequence

from models.policies.fixed import Fixed
from models.policies.gap_weighting import GapWeighting
from models.policies.greedy import Greedy
from models.policies.softmax import Softmax
from models.policies.thompson import Thompson
from models.policies.uniform import Random
from nba.engine.policy import ExplorationPolicy, Policy
from nba.journey.actions import NO_ACTION
from nba.journey.exploration import Exploration


def exploration_policy_of(exploration: Exploration, actions: Sequence[str]) -> ExplorationPolicy:
    """The draw of this exploration; `actions`: the action ids in the order of their codes.

    `greedy` has no floor; epsilon-greedy is the same with it.
    """
    floor = 0.0 if exploration.policy == "greedy" else exploration.epsilon
    return ExplorationPolicy(_policy(exploration, actions), floor)


def _policy(exploration: Exploration, actions: Sequence[str]) -> Policy:
    match exploration.policy:
        case "thompson":
            return Thompson(exploration.scale)
        case "gap_weighting":
            return GapWeighting(exploration.gamma)
        case "softmax":
            return Softmax(exploration.temperature_eur)
        case "random":
            return Random()
        case "fixed":
            codes = {action: code for code, action in enumerate(actions)} | {NO_ACTION: -1}
            return Fixed([codes[one] for one in exploration.order])
        case "greedy" | "epsilon_greedy":
            return Greedy()
