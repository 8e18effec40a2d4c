"""Commands that change what governs: publish, rollback, changes, deliveries."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from nba.journey_file.loader import load_journey
from nba.stores.postgres.log import PostgresLog
from tests.fixtures.catalogue_commands import Run
from tests.fixtures.files import SMALL_JOURNEY
from tests.fixtures.log_records import decision
from tests.fixtures.small_replica import NOON

pytestmark = [
    # MLflow 3.17 on SQLAlchemy 2.1: its model registry still uses `noload`
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:sqlalchemy.exc.SADeprecationWarning"),
]


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
