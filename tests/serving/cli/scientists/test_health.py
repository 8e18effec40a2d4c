"""The commands that watch over the loop: what they print, and with which exit code they end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from nba.analytics.monitoring.health_report import CHECKS
from nba.stores.postgres.log import PostgresLog
from serving.cli import app
from serving.cli.scientists import train as learning
from serving.console import console
from tests.fixtures.files import SMALL_JOURNEY
from tests.fixtures.outages import without_a_usable_champion
from tests.fixtures.small_replica import event, failed_search

Run = Callable[..., Result]
pytestmark = [
    # MLflow 3.17 on SQLAlchemy 2.1: its model registry still uses `noload`
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:sqlalchemy.exc.SADeprecationWarning"),
]


@pytest.fixture
def run(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mlflow_database: Path
) -> Run:
    """`nba WORDS` on a log of one afternoon, with an MLflow that holds nothing."""
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(mlflow_database, home / "mlflow.db")
    monkeypatch.setenv("NBA_DATABASE_URL", postgres_url)
    monkeypatch.setenv("NBA_HOME", str(home))
    monkeypatch.setenv("NBA_JOURNEY", str(SMALL_JOURNEY))
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setattr(console, "width", 200)
    log = PostgresLog.open(postgres_url)
    past = datetime.now(UTC) - timedelta(minutes=5)
    log.append_events([failed_search(past, f"c{n}") for n in range(120)])
    log.append_events([event("[red]Nobody[/] maps this", past)])
    log.close()
    return lambda *words: CliRunner().invoke(app, [*map(str, words)])


def read(result: Result) -> Any:
    return json.loads(result.stdout)


def test_a_log_without_decisions_is_well_and_says_what_is_not_known(run: Run) -> None:
    result = run("health", "--json")
    assert result.exit_code == 0, result.output
    checks = {one["name"]: one for one in read(result)["checks"]}
    assert list(checks) == list(CHECKS)
    assert checks["propensity_audit"]["state"] == "undecided"
    assert "0 decisions" in checks["propensity_audit"]["text"]


def test_a_red_check_is_shown_first_and_is_the_exit_code(
    run: Run, postgres_url: str, tmp_path: Path
) -> None:
    log = PostgresLog.open(postgres_url)
    without_a_usable_champion(log).close()
    done = run("decide", "--batch", tmp_path / "out", "--channel", "web", "--json")
    assert read(done)["modes"] == {"fallback": 121}
    result = run("health", "--days", 2)
    assert result.exit_code == 1
    rows = [line for line in result.stdout.splitlines() if "│" in line]
    assert "fallback" in rows[0] and "red" in rows[0]
    assert "100.0% of 121 decisions came from the fallback" in result.stdout
    for name in CHECKS:
        assert name in result.stdout
    assert read(run("health", "--json"))["checks"]  # read once more: nothing is counted twice
    again = {one["name"]: one for one in read(run("health", "--json"))["checks"]}
    assert "121 decisions" in again["fallback"]["text"]


def test_days_that_are_not_kept_are_refused(run: Run) -> None:
    assert run("health", "--days", 61).exit_code == 2
    assert run("health", "--days", 0).exit_code == 2


class Trained:
    """Stands for the training, which others test: what it was called with."""

    def __init__(self) -> None:
        self.seeds: list[int] = []

    def __call__(self, settings: object, seed: int, file: object = None) -> tuple[str, Any]:
        self.seeds.append(seed)
        return "1", SimpleNamespace(bundle=SimpleNamespace(bundle_id="bundle-1"))


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> Trained:
    found = Trained()
    monkeypatch.setattr(learning, "trained", found)
    return found


def register(tmp_path: Path) -> None:
    """A version that was trained just now."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path / 'home' / 'mlflow.db'}")
    client.create_registered_model("nba")
    client.create_model_version("nba", source=(tmp_path / "home").as_uri())


def test_the_first_training_is_due(run: Run, training: Trained) -> None:
    result = run("retrain", "--if-due", "--seed", 5, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    assert read(result) == {
        "due": True, "why": "nothing was trained yet", "version": "1", "bundle": "bundle-1",
    }  # fmt: skip
    assert training.seeds == [5]


def test_what_is_not_due_is_not_trained_unless_it_is_asked_for(
    run: Run, training: Trained, tmp_path: Path
) -> None:
    register(tmp_path)
    result = run("retrain", "--if-due", "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    found = read(result)
    next_at = datetime.fromisoformat(found["next_at"])
    assert not found["due"] and training.seeds == []
    assert timedelta(days=6.9) < next_at - datetime.now(UTC) <= timedelta(days=7)
    said = run("retrain", "--if-due", "--schedule-days", 30)
    assert said.exit_code == 0 and "not due: nothing has drifted; next: " in said.stderr
    told = run("retrain")
    assert "asked for, though nothing has drifted" in told.stderr
    assert "version 1 is challenger; next: nba evaluate" in told.stderr and training.seeds == [1]


def test_a_schedule_within_the_cool_down_is_refused(
    run: Run, training: Trained, tmp_path: Path
) -> None:
    register(tmp_path)
    result = run("retrain", "--if-due", "--schedule-days", 1)
    assert result.exit_code == 1 and "cool_down_days" in str(result.exception)
    assert training.seeds == []
