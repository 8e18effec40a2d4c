"""What every test shares: PostgreSQL, one thread a process, one compiled kernel, Hypothesis.

PostgreSQL is that of NBA_DATABASE_URL, else a private one, started by the first test that asks for
it; the workers of pytest-xdist share it, each with databases of its own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

# Before anything imports a library that reads them. The workers share the cores as it is: threads
# on top of them spin while they wait for one another, at ten times the CPU when it is busy.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# The kernel is compiled once for all runs, workers and programs that tests start.
os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(__file__).parents[1] / ".pytest_cache" / "numba"))

import psycopg  # noqa: E402
import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402
from psycopg.conninfo import make_conninfo  # noqa: E402
from psycopg.sql import SQL, Identifier  # noqa: E402

from nba.stores.postgres import embedded, schema  # noqa: E402
from nba.stores.postgres.log import PostgresLog  # noqa: E402

# `--hypothesis-profile dev` plays a tenth of the examples, see tests.fixtures.examples
settings.register_profile("ci", deadline=None)
settings.register_profile("dev", deadline=None, max_examples=10)
settings.load_profile("ci")

# fixtures that start a server, or wait for one
SERVERS = {"postgres_server", "data_folder", "shared_data_folder", "mlflow_database"}
_numbers = count(1)
_server_folder = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Name the folder of this run's PostgreSQL; the workers are told it by who starts them."""
    if not hasattr(config, "workerinput"):
        config.stash[_server_folder] = Path(mkdtemp(prefix="test-nba-"))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    node.workerinput["server_folder"] = str(node.config.stash[_server_folder])  # type: ignore[attr-defined]


def pytest_unconfigure(config: pytest.Config) -> None:
    folder = config.stash.get(_server_folder, None)
    if folder is not None:
        embedded.stop(folder)
        shutil.rmtree(folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what asks a server: `make test-fast` leaves it out."""
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {}).values()
        on_postgres = any(value is PostgresLog or str(value) == "postgres" for value in parameters)
        if on_postgres or SERVERS & set(getattr(item, "fixturenames", ())):
            item.add_marker("server")


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
def postgres_server(request: pytest.FixtureRequest) -> str:
    """The URL of a PostgreSQL in which tests make databases; who comes first starts it."""
    given = os.environ.get("NBA_DATABASE_URL")
    if given:
        return given
    of_worker = getattr(request.config, "workerinput", None)
    folder = of_worker["server_folder"] if of_worker else request.config.stash[_server_folder]
    return embedded.start(Path(folder))


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


@contextmanager
def _database(server: str, template: str = "template1") -> Iterator[str]:
    """A database for as long as the block lasts."""
    name = f"nba_test_{os.getpid()}_{next(_numbers)}"
    _run(server, "CREATE DATABASE {} TEMPLATE {}", name, template)
    try:
        yield name
    finally:
        _run(server, "DROP DATABASE {} WITH (FORCE)", name)


def _run(server: str, statement: str, *names: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(SQL(statement).format(*map(Identifier, names)))
