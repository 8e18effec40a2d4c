"""The PostgreSQL of the tests: that of NBA_DATABASE_URL, else a private one for the session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from nba.stores.postgres import embedded, schema

# LightGBM's threads would spin while they wait for one another: ten times the CPU, when it is busy.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
_numbers = count(1)


@pytest.fixture
def data_folder() -> Iterator[Path]:
    """An empty folder that a private server may live in."""
    with new_data_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database, to be copied: making one takes seconds."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_registered_models()
    return path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL in which tests make databases."""
    given = os.environ.get("NBA_DATABASE_URL")
    if given:
        yield given
        return
    with new_data_folder() as folder:
        yield embedded.start(folder)


@pytest.fixture(scope="module")
def shared_data_folder() -> Iterator[Path]:
    """A `data_folder` for all tests of one file."""
    with new_data_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def _migrated(postgres_server: str) -> Iterator[str]:
    """A database with the log's tables, to be copied."""
    with _database(postgres_server) as name:
        schema.migrate(make_conninfo(postgres_server, dbname=name))
        yield name


@pytest.fixture
def empty_postgres_url(postgres_server: str) -> Iterator[str]:
    """A fresh database without tables."""
    with _database(postgres_server) as name:
        yield make_conninfo(postgres_server, dbname=name)


@pytest.fixture
def postgres_url(postgres_server: str, _migrated: str) -> Iterator[str]:
    """A fresh database with the log's tables."""
    with _database(postgres_server, template=_migrated) as name:
        yield make_conninfo(postgres_server, dbname=name)


@contextmanager
def new_data_folder() -> Iterator[Path]:
    """A folder that a private server may live in, which is stopped in the end.

    Not pytest's tmp_path: every session of pytest closes the folder above it to other users, and
    where the tests run as root, the server is another user.
    """
    with TemporaryDirectory(prefix="test-nba-") as name:
        try:
            yield Path(name)
        finally:
            embedded.stop(Path(name))


class _database:
    """A database for as long as the block lasts."""

    def __init__(self, server: str, template: str = "template1") -> None:
        self._server = server
        self._template = template
        self.name = f"nba_test_{os.getpid()}_{next(_numbers)}"

    def __enter__(self) -> str:
        self._run("CREATE DATABASE {} TEMPLATE {}", self.name, self._template)
        return self.name

    def __exit__(self, *_: object) -> None:
        self._run("DROP DATABASE {} WITH (FORCE)", self.name)

    def _run(self, statement: str, *names: str) -> None:
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(SQL(statement).format(*map(Identifier, names)))
