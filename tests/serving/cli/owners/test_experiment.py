"""`nba experiment` from the plan to the shipped arm, on a database of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from nba.errors import InvalidInput, NbaError
from nba.experiments.registry import named, stored_experiments
from nba.journey_file.loader import load_journey
from nba.stores.postgres.log import PostgresLog
from serving.cli import app
from tests.fixtures.files import SMALL_JOURNEY
from tests.fixtures.small_replica import event

TEXT = """\
version: 1
id: week_cap
hypothesis: Without the cap more customers buy.
arms:
  - {id: as_is, share: 0.5}
  - {id: no_cap, share: 0.5, without: [three_a_week]}
primary: {id: buyers, measure: any, events: [purchase], window_days: 7, least_effect: LEAST}
guardrails:
  - {id: complaints, measure: any, events: [complaint], window_days: 7, direction: lower,
     margin: 0.05}
"""
Run = Callable[..., Any]


@pytest.fixture
def run(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`nba experiment WORDS --json`: what it printed; what it refuses is raised."""
    journey = tmp_path / "journey.yaml"
    shutil.copy(SMALL_JOURNEY, journey)
    monkeypatch.setenv("NBA_DATABASE_URL", postgres_url)
    monkeypatch.setenv("NBA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NBA_JOURNEY", str(journey))
    monkeypatch.setenv("COLUMNS", "400")

    def play(*words: str | Path, text: bool = False) -> Any:
        asked = ["experiment", *map(str, words), *([] if text else ["--json"])]
        result = CliRunner().invoke(app, asked)
        if isinstance(result.exception, NbaError):
            raise result.exception
        assert result.exit_code == 0, (result.output, result.exception)
        return result.output if text else json.loads(result.stdout)

    return play


@pytest.fixture
def log(postgres_url: str) -> Any:
    log = PostgresLog.open(postgres_url)
    yield log
    log.close()


def lived(
    log: PostgresLog,
    begin: datetime,
    arm_of: Callable[[str], str | None],
    p: Callable[[str | None], float],
    prefix: str,
) -> None:
    """600 customers are decided over ten days; some of them buy the day after."""
    rng = np.random.default_rng(1)
    events = []
    for n in range(600):
        customer = f"{prefix}{n}"
        arm, at = arm_of(customer), begin + timedelta(minutes=24 * n)
        properties: dict[str, Any] = {"decision_id": f"of-{customer}", "action_id": "no_action"}
        if arm is not None:
            properties["arms"] = [f"week_cap.{arm}"]
        events.append(event("Action Decided", at, properties, customer_id=customer))
        if rng.random() < p(arm):
            later = at + timedelta(days=1)
            events.append(event("Order Completed", later, customer_id=customer))
    events.append(event("page", begin + timedelta(days=18), customer_id="somebody else"))
    log.append_events(events)


def test_from_the_plan_to_the_shipped_arm(run: Run, log: PostgresLog, tmp_path: Path) -> None:
    file, journey = tmp_path / "experiment.yaml", tmp_path / "journey.yaml"
    lived(log, datetime.now(UTC) - timedelta(days=20), lambda c: None, lambda a: 0.3, "before-")

    file.write_text(TEXT.replace("LEAST", "0.001"))
    with pytest.raises(InvalidInput, match="customers are needed, 600 are within reach"):
        run("start", file, "--why", "to know")
    file.write_text(TEXT.replace("LEAST", "0.2"))
    plan = run("plan", file)
    assert plan["base"] == pytest.approx(0.3, abs=0.06) and plan["problems"] == []
    assert "always valid, at any look" in run("plan", file, text=True)

    started = run("start", file, "--why", "to know", "--by", "ada")
    assert (started["by"], started["slots"]) == ("ada", [[0.0, 1.0]])
    with pytest.raises(InvalidInput, match="was started before"):
        run("start", file, "--why", "again")
    assert "nothing to compare" in run("status", "week_cap", text=True)
    with pytest.raises(InvalidInput, match="it has run 0.0 of at least 7 days"):
        run("ship", "week_cap", "no_cap")

    one = named(stored_experiments(log), "week_cap")
    arm_of = lambda c: arm.id if (arm := one.arm_of(c)) else None  # noqa: E731
    p = {"as_is": 0.2, "no_cap": 0.5}
    lived(log, datetime.now(UTC), arm_of, lambda arm: p[str(arm)], "c")
    found = run("status", "week_cap")
    assert found["ready"] == ["no_cap"]
    assert "points higher with no_cap than with as_is (95 % always-valid" in found["answer"]
    table = run("status", "week_cap", text=True)
    assert "next: nba experiment ship week_cap no_cap" in table

    shown = run("ship", "week_cap", "no_cap")
    assert "-    - {id: three_a_week, times: 3, days: 7, per: action}" in shown["change"]
    assert load_journey(journey) == load_journey(SMALL_JOURNEY)  # shown, not made
    made = run("ship", "week_cap", "no_cap", "--write", journey)
    assert made["next"][0] == f'nba publish {journey} --why "week_cap"'
    assert load_journey(journey).contact_policy.caps == []
    assert run("stop", "week_cap", "--why", "shipped")["shipped"] == "no_cap"
    (listed,) = run("status")["started"]
    assert listed["ended_at"] is not None
    assert "ended" in run("status", text=True)
    assert run("status", "week_cap")["ready"] == []  # of the ten days, it ran for none


def test_errors_name_the_line_and_the_remedy(run: Run, log: PostgresLog, tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(TEXT.replace("LEAST", "0.2").replace("three_a_week", "three_a_weak"))
    with pytest.raises(InvalidInput, match=r"experiment.yaml:6: .*did you mean 'three_a_week'"):
        run("plan", file)
    with pytest.raises(InvalidInput, match="did you mean 'loan_offer'"):
        run("status", "--actions", "help_popup,loan_ofer")
    with pytest.raises(InvalidInput, match="name two or more"):
        run("status", "--actions", "help_popup")
    with pytest.raises(NbaError, match="was never started"):
        run("stop", "week_cap", "--why", "x")
    found = run("status", "--actions", "help_popup,loan_offer")
    assert "help_popup has 0 of 200 decisions" in found["answer"]
    assert "not enough evidence" in run("status", "--actions", "help_popup,loan_offer", text=True)


def test_what_has_no_evidence_is_shipped_anyway_only_with_a_why(
    run: Run, log: PostgresLog, tmp_path: Path
) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(TEXT.replace("LEAST", "0.2"))
    run("start", file, "--why", "no log yet", "--anyway")
    with pytest.raises(AssertionError, match="Usage: nba experiment ship"):
        run("ship", "week_cap", "no_cap", "--anyway")
    shown = run("ship", "week_cap", "no_cap", "--anyway", "--why", "the law has changed")
    assert shown["next"] == ["the same with --write FILE, which changes the file"]
