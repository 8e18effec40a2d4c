"""What the tests of the command line share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import copy

import pandas as pd
import pytest

from models.bundles.registry import Registry
from nba.customer.context import ContextSchema
from nba.journey_file.loader import load_journey
from nba.stores.postgres.log import PostgresLog
from serving import cli
from serving.console import console
from serving.settings import Settings
from tests.fixtures.catalogue_commands import Bank, Run, bundle_for
from tests.fixtures.files import SMALL_JOURNEY


@pytest.fixture(autouse=True)
def _wide_console(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are as long as they are printed, whatever the width was when the console was made."""
    monkeypatch.setattr(console, "width", 400)


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    data_folder: Path,
    postgres_url: str,
) -> Iterator[Run]:
    """`nba WORDS` in this process on a database of its own: exit code, stdout, stderr."""
    before = dict(os.environ)
    for variable in [name for name in os.environ if name.startswith("NBA_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("NBA_HOME", str(data_folder))
    monkeypatch.setenv("NBA_DATABASE_URL", postgres_url)
    monkeypatch.setenv("NBA_JOURNEY", str(SMALL_JOURNEY))
    monkeypatch.setenv("COLUMNS", "400")

    def play(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["nba", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        code = ended.value.code
        return code if isinstance(code, int) else 0, printed.out, printed.err

    yield play
    for variable in set(os.environ) - set(before):  # what a command has set for other packages
        del os.environ[variable]


@pytest.fixture
def bank(
    run: Run, tmp_path: Path, data_folder: Path, mlflow_database: Path, postgres_url: str
) -> Iterator[Bank]:
    wider = tmp_path / "wider.yaml"
    text = SMALL_JOURNEY.read_text(encoding="utf-8")
    more = "  income_eur: {type: number}\n"
    wider.write_text(text.replace("traits:\n", "traits:\n" + more), encoding="utf-8")
    copy(mlflow_database, data_folder / "mlflow.db")
    settings = Settings(home=data_folder)
    registry = Registry(settings.tracking_url, settings.artifacts)
    bundles = []
    for file in (SMALL_JOURNEY, wider):
        made = bundle_for(ContextSchema(load_journey(file)))
        example = pd.DataFrame([[0.5, 1.0]], columns=["one", "two"])
        registry.save(
            *(made,), example=example, params={}, metrics={}, tags={}, pictures={}, journey=b"{}"
        )
        bundles.append(made.bundle_id)
    code, _, err = run("promote", "1")
    assert code == 0, err
    log = PostgresLog.open(postgres_url)
    small, other = (load_journey(file).catalogue_version() for file in (SMALL_JOURNEY, wider))
    yield Bank(log, registry, wider, small, other, (bundles[0], bundles[1]))
    log.close()
