"""Commands that judge and promote: what they move, what they refuse, what the trail says."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pandas as pd
import pytest
from msgspec.structs import replace

from models.bundles.bundle import Bundle
from nba.customer.context import ContextSchema
from nba.journey_file.loader import load_journey
from nba.promotion.rollout import ROLLOUT, rollout_of
from nba.stores.versioned import CHAMPION
from tests.fixtures.catalogue_commands import Bank, Run, bundle_for
from tests.fixtures.files import SMALL_JOURNEY

pytestmark = [
    # MLflow 3.17 on SQLAlchemy 2.1: its model registry still uses `noload`
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:sqlalchemy.exc.SADeprecationWarning"),
]


@pytest.fixture
def challenger(bank: Bank) -> Iterator[str]:
    """The id of version 3, which fits the journey file as the champion does."""
    made = bundle_for(ContextSchema(load_journey(SMALL_JOURNEY)))
    other = Bundle(replace(made.manifest, seed=9), made.churn, made.touchpoint)
    example = pd.DataFrame([[0.5, 1.0]], columns=["one", "two"])
    bank.registry.save(
        *(other,), example=example, params={}, metrics={}, tags={}, pictures={}, journey=b"{}"
    )
    yield other.bundle_id


def test_the_first_champion_needs_no_evidence_and_every_later_one_does(
    run: Run, bank: Bank, challenger: str
) -> None:
    first = bank.bundles[0]
    assert bank.log.alias(CHAMPION) == first
    assert "data undecided" in bank.log.alias_changes(CHAMPION)[0].why
    code, out, _ = run("promote", "--to", "canary", "--json")
    refused = json.loads(out)
    assert code == 1 and refused["alias"] is None and refused["bundle"] == challenger
    assert refused["verdict"]["gates"]["off_policy"]["status"] == "undecided"
    assert refused["verdict"]["status"] == "undecided"
    assert bank.log.alias(ROLLOUT) is None
    assert run("promote", "--to", "canary", "--anyway")[0] == 2  # without a why
    code, out, err = run("promote", "--no-retrain", "--why", "spring")
    assert code == 0 and "is in shadow" in err + out
    words = ("--to", "canary", "--share", "0.2", "--anyway", "--why", "fair weather")
    assert run("promote", "3", "--no-retrain", *words)[0] == 0
    found = rollout_of(bank.log)
    assert found is not None and (found.stage, found.share) == ("canary", 0.2)
    assert "anyway: fair weather" in found.why and found.verdict in found.why
    code, out, _ = run("guard", "--json")
    guarded = json.loads(out)
    assert code == 0 and (guarded["champion"], guarded["taken_back"]) == (first, False)
    assert json.loads(run("rollback", "champion", "--why", "rain", "--json")[1]) == {
        "champion": first
    }
    assert rollout_of(bank.log) is None
    told = json.loads(run("changes", "--json")[1])
    assert [one["alias"] for one in told[:3]] == [ROLLOUT] * 3 and "rain" in told[0]["why"]


def test_a_champion_is_taken_back_and_put_back_by_its_version(
    run: Run, bank: Bank, challenger: str
) -> None:
    words = ("--no-retrain", "--to", "champion", "--anyway", "--why", "now")
    assert run("promote", "3", *words)[0] == 0
    assert bank.log.alias(CHAMPION) == challenger
    assert bank.registry.load(CHAMPION)[0] == "3"
    assert run("rollback", "champion", "--why", "worse")[0] == 0
    assert bank.log.alias(CHAMPION) == bank.bundles[0]
    assert bank.registry.load(CHAMPION)[0] == "1"
    code, _, err = run("rollback", "champion")
    assert code == 1 and "there is nothing to go back to" in err
    assert run("rollback", "3", "--why", "after all")[0] == 0
    assert bank.log.alias(CHAMPION) == challenger
    assert run("rollback", "3", "--promote", "1")[0] == 2


def test_a_registry_that_is_lost_after_success_is_one_line_and_takes_nothing_back(
    run: Run, bank: Bank, challenger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--no-retrain", "--to", "champion", "--anyway", "--why", "now")
    assert run("promote", "3", *words)[0] == 0
    monkeypatch.setenv("NBA_MLFLOW_URL", "http://ada:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    code, out, err = run("rollback", "champion", "--why", "worse", "--json")
    assert (code, json.loads(out)) == (0, {"champion": bank.bundles[0]})
    assert err.startswith("MLflow's alias `champion` stays behind: MLflow at http://127.0.0.1:9: ")
    assert err.endswith("; run nba guard then\n") and err.count("\n") == 1 and "secret" not in err
    assert bank.log.alias(CHAMPION) == bank.bundles[0]
    monkeypatch.delenv("NBA_MLFLOW_URL")
    assert bank.registry.load(CHAMPION)[0] == "3"
    assert run("guard")[0] == 0
    assert bank.registry.load(CHAMPION)[0] == "1"


def test_a_bundle_of_another_journey_file_is_not_judged(run: Run, bank: Bank) -> None:
    code, out, err = run("promote", "2")
    assert (code, out) == (1, "") and "train and promote again" in err
    assert bank.log.alias(CHAMPION) == bank.bundles[0]


def test_an_evaluation_prints_the_verdict_and_keeps_it(run: Run, bank: Bank) -> None:
    code, out, err = run("evaluate", "1", "--no-retrain", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["version"] == "1" and set(found) >= {"churn", "touchpoint", "value_eur", "gain"}
    gates = found["verdict"]["gates"]
    names = {"data", "reproducible", "off_policy", "calibration", "slices", "behaviour"}
    assert set(gates) == names and found["verdict"]["id"].startswith("verdict-")
    assert "was not trained again" in gates["reproducible"]["reason"]
