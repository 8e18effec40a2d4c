"""Clients of the HTTP routes in process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.fixtures.routes_in_process import InProcess, opened_routes


@pytest.fixture
def client() -> Iterator[InProcess]:
    """Routes of their own for one test."""
    with opened_routes() as client:
        yield client


@pytest.fixture(scope="module")
def shared_client() -> Iterator[InProcess]:
    """Routes for all tests of one file."""
    with opened_routes() as client:
        yield client


@pytest.fixture
def routes_with() -> Callable[..., Any]:
    """Opens routes with other settings: `with routes_with(batch_events=3) as client`."""
    return opened_routes
