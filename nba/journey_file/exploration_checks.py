"""What one field of an exploration cannot know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nba.errors import InvalidInput
from nba.journey.actions import NO_ACTION
from nba.journey.exploration import Exploration
from nba.journey_file.reference_checks import all_known


def exploration_errors(
    path: str, exploration: Exploration, actions: Iterable[str]
) -> Iterator[InvalidInput]:
    """Every error of an exploration whose fields are right one by one."""
    yield from all_known(f"{path}.order", exploration.order, [*actions, NO_ACTION])
    if exploration.policy == "fixed" and not exploration.order:
        remedy = "fixed draws the first of an order: list action ids in `order`"
        yield InvalidInput(f"{path}.policy", exploration.policy, remedy)
    share = exploration.holdout_share + exploration.random_share
    if share > 1.0:
        remedy = f"with holdout_share it takes {share:g} of the customers: at most 1"
        yield InvalidInput(f"{path}.random_share", exploration.random_share, remedy)
