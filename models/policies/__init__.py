"""Policies, one a file: how we draw among candidates, with exact probabilities."""

from __future__ import annotations

from models.policies.epsilon_greedy import EpsilonGreedy
from models.policies.fixed import Fixed
from models.policies.gap_weighting import GapWeighting
from models.policies.greedy import Greedy
from models.policies.softmax import Softmax
from models.policies.thompson import Thompson
from models.policies.uniform import Random
from nba.engine.policy import Policy
from nba.errors import InvalidInput, did_you_mean

__all__ = [
    "EpsilonGreedy",
    "Fixed",
    "GapWeighting",
    "Greedy",
    "Random",
    "Softmax",
    "Thompson",
    "policy_of",
]
KINDS = (
    "random",
    "fixed",
    "greedy",
    "epsilon_greedy",
    "softmax",
    "thompson",
    "gap_weighting",
)


def policy_of(kind: str, *parameters: float) -> Policy:
    """The policy whose name is `kind(parameters)`; left out, parameters have their defaults.

    Raises InvalidInput for another kind, and for parameters that it cannot have.

    >>> policy_of("epsilon_greedy", 0.1).name
    'epsilon_greedy(0.1)'
    >>> policy_of("thompson").name
    'thompson(0.25)'
    """
    if kind == "fixed":
        return Fixed([int(code) for code in parameters])
    if kind in ("random", "greedy"):
        _at_most(kind, parameters, 0)
        return Random() if kind == "random" else Greedy()
    if kind not in KINDS:
        raise InvalidInput("policy", kind, did_you_mean(kind, KINDS))
    _at_most(kind, parameters, 1)
    given = parameters[0] if parameters else None
    if given is not None and not 0.0 <= given < float("inf"):
        raise InvalidInput(f"policy.{kind}", given, "give a number of at least 0")
    if kind == "epsilon_greedy":
        if given is not None and given > 1.0:
            raise InvalidInput(f"policy.{kind}", given, "give a probability")
        return EpsilonGreedy() if given is None else EpsilonGreedy(given)
    if kind == "softmax":
        if given == 0.0:
            raise InvalidInput(f"policy.{kind}", given, "give more than 0 EUR, or take greedy")
        return Softmax() if given is None else Softmax(given)
    if kind == "thompson":
        return Thompson() if given is None else Thompson(given)
    return GapWeighting() if given is None else GapWeighting(given)


def _at_most(kind: str, parameters: tuple[float, ...], most: int) -> None:
    if len(parameters) > most:
        raise InvalidInput(f"policy.{kind}", parameters, f"give at most {most} parameters")
