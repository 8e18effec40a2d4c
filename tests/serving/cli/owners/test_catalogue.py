"""Commands that change what governs: publish, rollback, changes, deliveries."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from shutil import copy
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from msgspec.structs import replace

from models.bundles.bundle import FORMAT, Bundle, Manifest, part
from models.bundles.registry import CHALLENGER, Registry
from models.predictors.lightgbm_trees import Trees, fit_trees
from models.predictors.touchpoint_columns import ACTION, touchpoint_columns
from nba.customer.context import ContextSchema
from nba.journey.actions import NO_ACTION
from nba.journey_file.loader import load_journey
from nba.promotion.catalogue_versions import IN_FORCE
from nba.stores.postgres.log import PostgresLog
from nba.stores.versioned import CHAMPION
from serving import cli
from serving.settings import Settings
from tests.fixtures.files import SMALL_JOURNEY
from tests.fixtures.log_records import decision
from tests.fixtures.small_replica import NOON

pytestmark = [
    # MLflow 3.17 on SQLAlchemy 2.1: its model registry still uses `noload`
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:sqlalchemy.exc.SADeprecationWarning"),
]

Run = Callable[..., tuple[int, str, str]]


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
    monkeypatch.setenv("COLUMNS", "240")

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


def test_publish_rollback_and_changes_on_the_command_line(run: Run, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    text = SMALL_JOURNEY.read_text(encoding="utf-8")
    other.write_text(text.replace("name: small_bank", "name: other_bank"), encoding="utf-8")
    small, second = (load_journey(one).catalogue_version() for one in (SMALL_JOURNEY, other))
    code, _, err = run("rollback")
    assert code == 1 and "publish one" in err
    code, out, _ = run("publish", SMALL_JOURNEY, "--why", "begin", "--json")
    assert (code, json.loads(out)) == (0, {"version": small, "before": None})
    code, _, err = run("publish", other, "--why", "spring", "--by", "ada")
    assert (code, err.split()) == (0, f"{second} is in force, before it {small}".split())
    assert json.loads(run("rollback", "--json")[1]) == {"version": small}
    assert run("rollback", second, "--why", "it was fine")[0] == 0
    found = json.loads(run("changes", "--json")[1])
    assert [(one["before"], one["after"], one["why"]) for one in found] == [
        (small, second, "it was fine"),
        (second, small, f"rollback from {second}"),
        (small, second, "spring"),
        (None, small, "begin"),
    ]
    assert found[2]["by"] == "ada" and found[3]["by"]
    table = run("changes")[1]
    assert "it was fine" in table and "spring" in table
    code, out, _ = run("decide", "c1", "--dry-run", "--json")
    assert json.loads(out)["config_version"] == second  # and not the file of NBA_JOURNEY


def test_a_file_with_errors_is_not_published(run: Run, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    text = SMALL_JOURNEY.read_text(encoding="utf-8")
    bad.write_text(text.replace("kind: human", "kind: humane"), encoding="utf-8")
    code, out, err = run("publish", bad, "--why", "try")
    assert (code, out) == (1, "")
    assert "humane" in err
    code, out, _ = run("publish", SMALL_JOURNEY)
    assert (code, out) == (2, "")  # without a why
    assert json.loads(run("changes", "--json")[1]) == []


class Bank(NamedTuple):
    """Version 1 in MLflow fits the small journey and is champion, version 2 fits `wider`."""

    log: PostgresLog
    registry: Registry
    wider: Path  # a journey file with one more trait
    small_version: str
    wider_version: str
    bundles: tuple[str, str]

    def moved(self) -> list[tuple[str, str, str, str]]:
        """(alias, after, by, why) of every move of the champion and of the catalogue."""
        found = [
            change for alias in (CHAMPION, IN_FORCE) for change in self.log.alias_changes(alias)
        ]
        return [(one.alias, one.after, one.by, one.why) for one in found]


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


def bundle_for(schema: ContextSchema) -> Bundle:
    """Models of noise, of the right columns."""
    rng = np.random.default_rng(1)
    features = tuple(schema.journey.actions[0].features)
    columns = touchpoint_columns(schema.columns, features)

    def fitted(columns: list[str] | tuple[str, ...]) -> Trees:
        rows, labels = rng.normal(size=(300, len(columns))), rng.integers(0, 2, 300).astype(float)
        if ACTION in columns:
            rows[:, list(columns).index(ACTION)] = 0
        few: dict[str, Any] = {"num_leaves": 3, "learning_rate": 0.3}
        halves = (rows[:200], labels[:200], rows[200:], labels[200:])
        return fit_trees(*halves, columns=tuple(columns), seed=1, parameters=few)

    churn, touchpoint = fitted(schema.columns), fitted(columns)
    manifest = Manifest(
        format=FORMAT,
        schema_hash=schema.schema_hash,
        catalogue_version=schema.journey.catalogue_version(),
        target="response",
        horizon_days=30.0,
        actions=(*(action.id for action in schema.journey.actions), NO_ACTION),
        action_features=features,
        dataset="noise",
        seed=1,
        churn=part("churn", churn, {}),
        touchpoint=part("touchpoint", touchpoint, {}),
    )
    return Bundle(manifest, churn, touchpoint)


def served(run: Run) -> tuple[str, str]:
    """(version of the catalogue, mode) that a replica decides by."""
    code, out, err = run("decide", "c1", "--dry-run", "--json")
    assert code == 0, err
    found = json.loads(out)
    return found["config_version"], found["mode"]


def test_a_catalogue_that_the_champion_does_not_fit_is_refused_with_the_remedy(
    run: Run, bank: Bank
) -> None:
    assert run("publish", SMALL_JOURNEY, "--why", "begin")[0] == 0
    assert served(run) == (bank.small_version, "live")
    code, out, err = run("publish", bank.wider, "--why", "incomes")
    assert (code, out) == (1, "")
    for word in (bank.bundles[0], "nba train --journey FILE", "--promote", "--without-champion"):
        assert word in err
    assert bank.log.alias(IN_FORCE) == bank.small_version
    assert run("publish", bank.wider, "--why", "incomes", "--without-champion")[0] == 0
    assert served(run) == (bank.wider_version, "fallback")
    assert run("rollback")[0] == 0  # the champion fits that one
    assert served(run) == (bank.small_version, "live")


def test_a_catalogue_and_the_champion_that_fits_it_are_put_in_force_together(
    run: Run, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("publish", SMALL_JOURNEY, "--why", "begin", "--by", "ada")[0] == 0
    moves: list[str] = []
    set_alias = PostgresLog.set_alias

    def noted(log: PostgresLog, alias: str, *given: Any, **more: Any) -> None:
        moves.append(alias)
        set_alias(log, alias, *given, **more)

    with monkeypatch.context() as patched:
        patched.setattr(PostgresLog, "set_alias", noted)
        words = ("--why", "incomes", "--by", "bob", "--json")
        code, out, err = run("publish", bank.wider, "--promote", CHALLENGER, *words)
    assert code == 0, err
    assert moves == [CHAMPION, IN_FORCE]
    assert json.loads(out) == {
        "version": bank.wider_version,
        "before": bank.small_version,
        "champion": bank.bundles[1],
        "champion_version": "2",
    }
    assert served(run) == (bank.wider_version, "live")
    assert bank.registry.load(CHAMPION)[0] == "2"
    found = bank.moved()
    assert found[0] == (CHAMPION, bank.bundles[1], "bob", "promoted version 2")
    assert found[2] == (IN_FORCE, bank.wider_version, "bob", "incomes")
    code, _, err = run("rollback", "--why", "no")
    assert code == 1 and "--promote" in err
    code, _, err = run("rollback", "--why", "too wide", "--promote", "1")
    assert code == 0 and f"version 1 ({bank.bundles[0]}) is champion" in err
    assert served(run) == (bank.small_version, "live")


def test_a_bundle_that_does_not_fit_moves_nothing(run: Run, bank: Bank) -> None:
    assert run("publish", SMALL_JOURNEY, "--why", "begin")[0] == 0
    before = bank.moved()
    code, out, err = run("publish", bank.wider, "--why", "incomes", "--promote", "1")
    assert (code, out) == (1, "") and bank.bundles[0] in err
    code, out, err = run("publish", bank.wider, "--why", "x", "--promote", "99")
    assert (code, out) == (1, "") and "99" in err
    both = ("--promote", "2", "--without-champion")
    code, out, err = run("publish", bank.wider, "--why", "incomes", *both)
    assert (code, out) == (2, "") and "exclude" in err
    assert bank.moved() == before
    assert bank.registry.load(CHAMPION)[0] == "1"


def test_training_is_for_the_file_in_force_or_for_the_one_that_is_given(
    run: Run, bank: Bank
) -> None:
    assert run("publish", SMALL_JOURNEY, "--why", "begin")[0] == 0
    for words, file in (((), SMALL_JOURNEY), (("--journey", bank.wider), bank.wider)):
        code, out, err = run("train", *words, "--json")
        assert code == 0, err
        version, bundle = bank.registry.load(CHALLENGER)
        assert (version, bundle.bundle_id) == (
            json.loads(out)["version"],
            json.loads(out)["bundle"],
        )
        journey = load_journey(file)
        assert bundle.manifest.catalogue_version == journey.catalogue_version()
        assert bundle.manifest.schema_hash == ContextSchema(journey).schema_hash
    assert bank.log.alias(IN_FORCE) == bank.small_version
    code, _, err = run("train", "--journey", bank.wider)
    assert code == 0 and f"nba publish {bank.wider} --promote 5" in err
    code, _, err = run("train", "--journey", bank.wider, "text")
    assert code == 2 and "nba train text" in err


def test_deliveries_are_listed_and_a_dead_one_is_sent_once_more(
    run: Run, postgres_url: str
) -> None:
    log = PostgresLog.open(postgres_url)
    try:
        for customer_id in ("ada", "bob"):
            log.append_decisions([decision(customer_id, outbound=True, decided_at=NOON)])
        (first, second) = log.claim_deliveries(NOON + timedelta(days=1), 2, 60.0)
        log.settle_delivery(replace(first, state="dead", error="answered 410"))
        code, out, _ = run("deliveries", "--json")
        (dead,) = json.loads(out)
        assert (code, dead["decision_id"], dead["error"]) == (0, first.decision_id, "answered 410")
        assert first.decision_id in run("deliveries")[1]
        code, _, err = run("deliveries", "--again", second.decision_id)
        assert code == 1 and "no dead delivery of this decision" in err
        code, _, err = run("deliveries", "--again", first.decision_id)
        assert code == 0 and "is sent once more" in err
        assert json.loads(run("deliveries", "--json")[1]) == []
        waiting = json.loads(run("deliveries", "--state", "waiting", "--json")[1])
        assert {one["decision_id"]: one["attempts"] for one in waiting} == {
            first.decision_id: 0, second.decision_id: 1,
        }  # fmt: skip
    finally:
        log.close()
