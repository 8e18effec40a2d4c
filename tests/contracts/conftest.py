"""The logs that keep the contract of `nba.stores.log.Log`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from nba.stores.log import Log
from nba.stores.memory.log import MemoryLog
from nba.stores.postgres.log import PostgresLog


@pytest.fixture(params=[MemoryLog, PostgresLog], ids=lambda kind: kind.__name__)
def another(request: pytest.FixtureRequest) -> Iterator[Callable[[], Log]]:
    """Opens the log once more, as another process does; the memory's is the same one."""
    made: list[Log] = []
    memory = MemoryLog()

    def opened() -> Log:
        if request.param is MemoryLog:
            return memory
        made.append(PostgresLog.open(request.getfixturevalue("postgres_url")))
        return made[-1]

    yield opened
    for log in made:
        log.close()


@pytest.fixture
def log(another: Callable[[], Log]) -> Log:
    """An empty log of each kind."""
    return another()
