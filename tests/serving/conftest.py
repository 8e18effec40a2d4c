"""The doors in process: the small journey on a memory log, with the clock and the seeds given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from starlette.testclient import TestClient

from nba.journey.file import JourneyFile
from nba.stores.log import Log
from nba.stores.memory.log import MemoryLog
from serving.http.routes import Routes
from serving.replica.assembly import assemble
from serving.replica.replica import Replica
from serving.settings import Settings
from tests.house import JOURNEY, NOON


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        self.now += timedelta(**duration)


class InProcess(TestClient):
    """A client of doors in this process; `house` is what lies behind them."""

    replica: Replica
    clock: Clock

    @property
    def log(self) -> Log:
        return self.replica.log

    def decide(self, customer_id: str = "ada", **fields: Any) -> dict[str, Any]:
        """The answer to a decide request that is in order."""
        response = self.post("/decide", json={"customer_id": customer_id, **fields})
        assert response.status_code == 200, response.text
        return response.json()


@contextmanager
def opened_doors(journey: JourneyFile = JOURNEY, **fields: Any) -> Iterator[InProcess]:
    clock, seeds, numbers = Clock(), count(1), count(1)
    settings = Settings(**{"deadline_ms": 20_000.0, **fields})  # a busy machine is no outage
    replica = assemble(
        settings,
        log=MemoryLog(),
        journey=journey,
        now=clock,
        new_id=lambda: f"dec-{next(numbers)}",
        new_seed=lambda: next(seeds),
    )
    doors = Routes(replica, settings)
    with InProcess(doors.app) as client:
        client.replica = replica
        client.clock = clock
        yield client
        assert client.portal is not None
        client.portal.call(doors.close)


@pytest.fixture
def client() -> Iterator[InProcess]:
    """Doors of their own for one test."""
    with opened_doors() as client:
        yield client


@pytest.fixture(scope="module")
def shared_client() -> Iterator[InProcess]:
    """Doors for all tests of one file."""
    with opened_doors() as client:
        yield client


@pytest.fixture
def doors_with() -> Callable[..., Any]:
    """Opens doors with other settings: `with doors_with(batch_events=3) as client`."""
    return opened_doors
