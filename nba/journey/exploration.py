"""Exploration: how the draw among candidates explores, as the journey file or an arm says it."""

from __future__ import annotations

from typing import Literal

from nba.journey.fields import Identifier, JourneyPart, Positive, Share

Kind = Literal[
    "thompson", "gap_weighting", "epsilon_greedy", "softmax", "greedy", "random", "fixed"
]


class Exploration(JourneyPart, frozen=True):
    """How we draw: a policy over what the candidates are worth, above a floor for each of them."""

    policy: Kind = "thompson"
    epsilon: Share = 0.1  # of the draw is uniform over the candidates, under every policy
    scale: Positive = 0.25  # thompson: of the posterior spread that is drawn from
    gamma: Positive = 100.0  # gap_weighting: grows with the square root of what was learned
    temperature_eur: Positive = 1.0  # softmax
    order: list[Identifier] = []  # fixed: the action that comes first of those that are left
    challenger_share: Share = 0.1  # of the draw, to a challenger in shadow
    forgetting_days: Positive | None = None  # half-life of what was learned; none: it is kept
    holdout_share: Share = 0.0  # of the customers, whom nothing but transactional actions reach
    random_share: Share = 0.0  # of the customers, for whom every draw is uniform
