"""What the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nba.stores.memory.log import MemoryLog
from tests.fixtures.webhook_receiver import (
    Receiver,
)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()
