"""What the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nba.stores.postgres.log import PostgresLog


@pytest.fixture
def log(postgres_url: str) -> Iterator[PostgresLog]:
    opened = PostgresLog.open(postgres_url)
    yield opened
    opened.close()
