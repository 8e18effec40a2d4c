"""What the tests of this folder share."""

from __future__ import annotations

import pytest

from training.simulation.history import (
    RandomPolicy,
)
from training.simulation.world import (
    EventJson,
    World,
    WorldConfig,
)


@pytest.fixture(scope="module")
def random_play() -> tuple[World, list[EventJson]]:
    world = World(WorldConfig(customers=800, seed=3))
    return world, list(world.play(RandomPolicy(3)))
