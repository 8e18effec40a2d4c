"""`nba export` and `nba replay` on this machine: the loop from log to rows, and their errors."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copy

import pandas as pd
import pytest

from nba.events.valences import (
    VALENCES_FILE,
    LearnedValence,
    SurveyScale,
    ValenceTable,
    valences_json,
)
from nba.stores import parquet
from nba.stores.postgres.log import PostgresLog
from serving import cli
from tests.fixtures.files import SMALL_JOURNEY
from tests.fixtures.late_log import late_log
from tests.fixtures.small_replica import NOON, event

Run = Callable[..., tuple[int, str, list[str]]]


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Run]:
    """`nba WORDS` in this process: exit code, stdout, the lines of stderr that are no bar."""
    before = dict(os.environ)
    monkeypatch.setenv("NBA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NBA_JOURNEY", str(SMALL_JOURNEY))
    monkeypatch.setenv("COLUMNS", "400")

    def play(*words: str | Path, **environ: str) -> tuple[int, str, list[str]]:
        for variable, value in environ.items():
            monkeypatch.setenv(variable, value)
        monkeypatch.setattr(sys, "argv", ["nba", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", printed.err).replace("\r", "\n")
        said = [line for line in plain.splitlines() if line.strip() and "━" not in line]
        code = ended.value.code
        return code if isinstance(code, int) else 0, printed.out, said

    yield play
    for variable in set(os.environ) - set(before):
        del os.environ[variable]


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """A log of 300 events of 20 customers."""
    parquet.export(late_log(customers=20, events=300), tmp_path / "log")
    return tmp_path / "log"


def test_a_log_is_exported_and_replayed(run: Run, tmp_path: Path, postgres_url: str) -> None:
    lines = [
        {"event_id": f"e{number}", "customer_id": f"c{number % 2}", "name": "Complaint Filed"}
        | {"occurred_at": f"2026-03-{number + 1:02}T12:00:00Z"}
        for number in range(5)
    ]
    (tmp_path / "events.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert run("ingest", tmp_path / "events.jsonl", NBA_DATABASE_URL=postgres_url)[0] == 0

    code, out, _ = run("export", tmp_path / "log", "--json")
    assert code == 0
    folder = str(tmp_path / "log")
    assert json.loads(out) == {"folder": folder, "events": 5, "files": 5}
    events = list(parquet.read_events(tmp_path / "log"))
    assert [one.event_id for one in events] == ["e0", "e1", "e2", "e3", "e4"]

    code, out, said = run("export", tmp_path / "log")
    assert (code, out) == (1, "")
    remedy = "it exists: name another, or remove it first"
    assert said[0].startswith("error: folder: ") and said[0].endswith(remedy)

    rows = tmp_path / "rows.parquet"
    code, out, _ = run("replay", tmp_path / "log", "--out", rows, "--every-days", "1", "--json")
    assert code == 0
    assert json.loads(out)["rows"] == 9
    table = pd.read_parquet(rows).set_index(["customer_id", "as_of"])
    ended = pd.Timestamp("2026-03-05T12:00:00Z")
    assert table.loc[("c0", ended), "complaint.total"] == 3
    assert table.loc[("c1", ended), "complaint.days_since"] == 1.0


def test_by_default_each_customer_has_one_row_at_the_logs_end(
    run: Run, exported: Path, tmp_path: Path
) -> None:
    code, out, said = run("replay", exported, "--out", tmp_path / "rows.parquet")
    assert (code, out) == (0, "")
    table = pd.read_parquet(tmp_path / "rows.parquet")
    assert table["customer_id"].is_unique and len(table) == 20
    assert set(table["as_of"]) == {pd.Timestamp(parquet.extent(exported).end)}
    assert said[-1].startswith("20 rows of")


def test_the_champions_valences_are_those_of_the_rows(
    run: Run, tmp_path: Path, postgres_url: str
) -> None:
    scale = SurveyScale(kind="complaint", scores=(1.0,), counts=(3,))
    learned = LearnedValence(
        kind="complaint", touchpoint="complaint_desk", valence=-0.25, low=-0.3, high=-0.2,
        prior=-0.8, occurrences=900, flipped=False,
    )  # fmt: skip
    table = ValenceTable(valences=(learned,), surveys=(scale,))
    log = PostgresLog.open(postgres_url)
    log.append_events([event("Complaint Filed")])
    log.save_bundle("b1", {VALENCES_FILE: valences_json(table)})
    log.set_alias("champion", "b1", NOON)
    log.close()
    assert run("export", tmp_path / "log", NBA_DATABASE_URL=postgres_url)[0] == 0
    assert run("replay", tmp_path / "log", "--out", tmp_path / "rows.parquet")[0] == 0
    assert pd.read_parquet(tmp_path / "rows.parquet")["emotion.last"].tolist() == [-0.25]


def test_a_moment_before_the_log_gives_no_rows(run: Run, exported: Path, tmp_path: Path) -> None:
    asked = ("replay", exported, "--out", tmp_path / "rows.parquet", "--json")
    code, out, _ = run(*asked, "--at", "2020-01-01T00:00:00+01:00")
    assert (code, json.loads(out)["rows"]) == (0, 0)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--at", "noon"), "error: at: 'noon': give an ISO 8601 time with its offset"),
        (("--at", "2026-03-01T12:00:00"), "error: at: '2026-03-01T12:00:00': give an ISO 8601"),
        (("--cores", "2"), "error: cores: 2: only --engine spark takes more than one"),
    ],
)
def test_a_wrong_option_is_one_line(
    run: Run, exported: Path, tmp_path: Path, words: tuple[str, ...], line: str
) -> None:
    code, out, said = run("replay", exported, "--out", tmp_path / "rows.parquet", *words)
    assert (code, out, len(said)) == (1, "", 1)
    assert said[0].startswith(line)


def test_a_wrong_folder_is_one_line(run: Run, tmp_path: Path) -> None:
    code, out, said = run("replay", tmp_path / "no", "--out", tmp_path / "rows.parquet")
    assert (code, out, len(said)) == (1, "", 1)
    assert said[0].startswith(f"error: {tmp_path / 'no'}:0: folder: 'no': no such folder")


def test_spark_where_it_is_missing_is_one_line(
    run: Run, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    asked = ("replay", exported, "--out", tmp_path / "rows.parquet", "--engine", "spark")
    code, out, said = run(*asked)
    assert (code, out) == (1, "")
    assert "make spark" in said[-1]
    assert not (tmp_path / "rows.parquet").exists()


# Training from the folder


@pytest.mark.filterwarnings("ignore:The ``noload`` loader:sqlalchemy.exc.SADeprecationWarning")
def test_an_exported_log_is_trained_on_without_a_database(
    run: Run, exported: Path, tmp_path: Path, mlflow_database: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    copy(mlflow_database, home / "mlflow.db")
    code, printed, said = run("train", "--log", exported, "--uplift", "--json")
    assert code == 0, said
    found = json.loads(printed)
    assert found["version"] == "1"
    assert "are needed" in found["churn"]["undecided"]
    assert "drew no_action by chance" in found["uplift"]["undecided"]
    assert not any(home.rglob("PG_VERSION"))
    code, printed, said = run("train", "--log", exported)
    assert code == 0 and "rows to fit" in printed
    assert said[-1].startswith("version 2 is challenger")


@pytest.mark.parametrize(
    ("environ", "words", "error"),
    [
        ({"NBA_CHURN_ESTIMATOR": "no.such:make"}, (), "NBA_CHURN_ESTIMATOR: 'no.such:make'"),
        ({"NBA_TOUCHPOINT_ESTIMATOR": "make"}, (), "NBA_TOUCHPOINT_ESTIMATOR"),
        ({}, ("--trust", "search_faild.count_1h"), "did you mean 'search_failed.count_1h'?"),
    ],
)
def test_a_training_that_cannot_be_says_why_on_one_line(
    run: Run,
    exported: Path,
    tmp_path: Path,
    mlflow_database: Path,
    environ: dict[str, str],
    words: tuple[str, ...],
    error: str,
) -> None:
    (tmp_path / "home").mkdir()
    copy(mlflow_database, tmp_path / "home" / "mlflow.db")
    code, _, said = run("train", "--log", exported, *words, **environ)
    assert code == 1
    assert len(said) == 1 and error in said[0]
