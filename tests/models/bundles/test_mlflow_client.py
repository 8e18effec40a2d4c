"""The way to MLflow: it waits for who holds the database, and what goes wrong is one line."""

from __future__ import annotations

import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copy
from threading import Event, Thread

import pytest

from models.bundles.mlflow_client import SQLITE_WAIT_S, mlflow_client, waiting, without_password
from models.bundles.registry import EXPERIMENT, Registry
from nba.errors import NotFound, StoreUnavailable

pytestmark = [
    # MLflow 3.17 on SQLAlchemy 2.1: its model registry still uses `noload`
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:sqlalchemy.exc.SADeprecationWarning"),
]


@contextmanager
def held(database: Path, seconds: float) -> Iterator[None]:
    """Somebody else holds the database for a while."""
    taken, given_back = Event(), Event()

    def hold() -> None:
        connection = sqlite3.connect(database, isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
        taken.set()
        given_back.wait(seconds)
        connection.execute("ROLLBACK")
        connection.close()

    holder = Thread(target=hold)
    holder.start()
    taken.wait()
    try:
        yield
    finally:
        given_back.set()
        holder.join()


@pytest.fixture
def database(tmp_path: Path, mlflow_database: Path) -> Path:
    return Path(copy(mlflow_database, tmp_path / "mlflow.db"))


def test_a_database_that_somebody_holds_for_a_while_is_waited_for(database: Path) -> None:
    with held(database, 7.0):  # longer than the 5 s of SQLite's own driver
        with pytest.raises(NotFound, match="run nba train first"):
            Registry(f"sqlite:///{database}").load("champion")


def test_a_database_that_stays_held_is_one_line_with_the_remedy(database: Path) -> None:
    began = time.monotonic()
    with held(database, 60.0), pytest.raises(StoreUnavailable) as caught:
        Registry(f"sqlite:///{database}?timeout=0.2")
    assert time.monotonic() - began < 30.0
    assert str(caught.value) == (
        f"MLflow at sqlite:///{database}?timeout=0.2: database is locked: another process holds "
        "it, which we waited for: try again when that has ended"
    )


def test_a_server_that_does_not_answer_is_one_line_without_the_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(StoreUnavailable) as caught:
        Registry("http://ada:secret@127.0.0.1:9")
    message = str(caught.value)
    assert message.startswith("MLflow at http://127.0.0.1:9: ")
    assert "secret" not in message and "\n" not in message and len(message) < 300


def test_what_the_caller_raises_on_purpose_passes_as_it_is(database: Path) -> None:
    with pytest.raises(NotFound, match="mine"), mlflow_client(f"sqlite:///{database}"):
        raise NotFound("mine")


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (ModuleNotFoundError("No module named 'boto3'", name="boto3"), "'boto3' of that store is"),
        (ValueError("not enough values\nto unpack"), "not enough values"),
    ],
)
def test_an_error_of_a_file_stores_library_is_one_line_too(
    database: Path, raised: Exception, said: str
) -> None:
    with pytest.raises(StoreUnavailable, match=said) as caught:
        with mlflow_client(f"sqlite:///{database}"):
            raise raised
    assert "\n" not in str(caught.value)


def test_of_a_deleted_experiment_it_is_said_how_it_is_restored(database: Path) -> None:
    url = f"sqlite:///{database}"
    registry = Registry(url)
    with mlflow_client(url) as client:
        experiment = client.get_experiment_by_name(EXPERIMENT)
        assert experiment is not None
        client.delete_experiment(experiment.experiment_id)
    with pytest.raises(StoreUnavailable, match="restore it with `mlflow experiments restore`$"):
        registry.save_files("text", "text-1", {"a.json": b"{}"}, params={}, metrics={})


@pytest.mark.parametrize(
    ("url", "waits"),
    [
        ("sqlite:////a/mlflow.db", f"sqlite:////a/mlflow.db?timeout={SQLITE_WAIT_S}"),
        (
            "sqlite:////a/mlflow.db?mode=rw",
            f"sqlite:////a/mlflow.db?mode=rw&timeout={SQLITE_WAIT_S}",
        ),
        ("sqlite:////a/mlflow.db?timeout=1", "sqlite:////a/mlflow.db?timeout=1"),
        ("postgresql://ada@host/db", "postgresql://ada@host/db"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
    ],
)
def test_only_a_file_that_has_no_wait_of_its_own_gets_ours(url: str, waits: str) -> None:
    assert waiting(url) == waits


def test_an_address_is_shown_without_its_user(database: Path) -> None:
    assert without_password("postgresql://ada:p@host:5432/m?a=b") == "postgresql://host:5432/m?a=b"
    assert without_password("http://ada:p@ss@host/m") == "http://host/m"
    assert without_password("sqlite:////a/mlflow.db") == "sqlite:////a/mlflow.db"


def test_of_nested_causes_the_last_one_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    url = f"http://ada:secret@127.0.0.1:{port}"
    with pytest.raises(StoreUnavailable) as raised, mlflow_client(url) as client:
        client.search_experiments()
    message = str(raised.value)
    assert message.startswith(f"MLflow at http://127.0.0.1:{port}: ")
    assert "Connection refused" in message and "secret" not in message
    assert "\n" not in message and len(message) < 300
