"""The commands on a log with decisions: batch, prices of rules, shadow, two versions."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from models.bundles.prior import prior_bundle
from nba.customer.context import ContextSchema
from nba.journey_file.loader import load_journey
from nba.stores.postgres.log import PostgresLog
from serving.cli import app
from tests.fixtures.files import SMALL_JOURNEY
from tests.fixtures.small_replica import failed_search

Run = Callable[..., Any]


@pytest.fixture
def run(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`nba WORDS --json`; gives what it printed."""
    monkeypatch.setenv("NBA_DATABASE_URL", postgres_url)
    monkeypatch.setenv("NBA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NBA_JOURNEY", str(SMALL_JOURNEY))
    log = PostgresLog.open(postgres_url)
    past = datetime.now(UTC) - timedelta(minutes=5)
    log.append_events([failed_search(past, f"c{n}") for n in range(12)])
    log.close()

    def play(*words: str | Path, text: bool = False) -> Any:
        asked = [*map(str, words), *([] if text else ["--json"])]
        result = CliRunner().invoke(app, asked)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.stdout if text else json.loads(result.stdout)

    return play


def test_a_batch_is_decided_reported_and_rehearsed(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run("decide", "--batch", out, "--channel", "web", "--seed", 3)
    assert (done["customers"], done["went_on"]) == (12, False)
    assert done["modes"] == {"live": 12} and sum(done["actions"].values()) == 12
    assert done["actions"]["help_popup"] > 0
    again = run("decide", "--batch", out, "--channel", "web", text=True)
    assert "help_popup" in again
    few = tmp_path / "few.txt"
    few.write_text("c1\nc2\n")
    dry = run("decide", "--batch", tmp_path / "dry", "--customers", few, "--dry-run", "--whole")
    assert (dry["customers"], dry["logged"]) == (2, False)

    prices = run("report", "rules")
    guesses = prior_bundle(ContextSchema(load_journey(SMALL_JOURNEY))).bundle_id
    assert (prices["decisions"], prices["bundle_id"]) == (12, guesses)
    by_id = {one["rule"]: one for one in prices["rules"]}
    assert by_id["three_a_week"]["actions"] == 0
    assert "12 customers, under 30" in by_id["three_a_week"]["model_eur"]["undecided"]
    assert "What each rule did" in run("report", "rules", text=True)
    shadow = run("report", "shadow")
    assert "under 100" in shadow["all"]["agreement"]["undecided"]
    assert "undecided" in run("report", "shadow", text=True)

    other = tmp_path / "other.yaml"
    other.write_text(SMALL_JOURNEY.read_text().replace("times: 3, days: 7", "times: 2, days: 7"))
    found = run("check", other, "--against", "live", "--log")
    (change,) = found["changes"]
    assert (change["id"], change["field"], change["old"], change["new"]) == (
        *("three_a_week", "times"), *(3, 2),
    )  # fmt: skip
    assert "nba promote" in found["rehearsal"]["undecided"]
    assert "three_a_week" in run("check", other, "--against", SMALL_JOURNEY, text=True)
    assert (
        "equal"
        in CliRunner()
        .invoke(app, ["check", str(SMALL_JOURNEY), "--against", str(SMALL_JOURNEY)])
        .output
    )


def test_a_batch_needs_a_folder_and_a_single_decision_a_customer(run: Run, tmp_path: Path) -> None:
    for words in (
        ["decide"],
        ["decide", "c1", "--batch", str(tmp_path / "x")],
        ["decide", "c1", "--deferred"],
    ):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 1 and "customer" in str(result.exception)
