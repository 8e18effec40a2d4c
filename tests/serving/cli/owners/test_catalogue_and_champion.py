"""A catalogue and the champion that fits it change together, on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from models.bundles.prior import prior_bundle
from models.bundles.registry import CHALLENGER
from nba.customer.context import ContextSchema
from nba.journey_file.loader import load_journey
from nba.promotion.catalogue_versions import IN_FORCE
from nba.stores.postgres.log import PostgresLog
from nba.stores.versioned import CHAMPION
from tests.fixtures.catalogue_commands import Bank, Run
from tests.fixtures.files import SMALL_JOURNEY

pytestmark = [
    # MLflow 3.17 on SQLAlchemy 2.1: its model registry still uses `noload`
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:sqlalchemy.exc.SADeprecationWarning"),
]


def served(run: Run) -> tuple[str, str | None]:
    """(version of the catalogue, bundle) that a replica decides by, live."""
    code, out, err = run("decide", "c1", "--dry-run", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["mode"] == "dry_run" and not found["fallback_used"]
    return found["config_version"], found["model_version"]


def guesses_of(file: Path) -> str:
    """The bundle of a file's guesses."""
    return prior_bundle(ContextSchema(load_journey(file))).bundle_id


def test_a_catalogue_that_the_champion_does_not_fit_is_refused_with_the_remedy(
    run: Run, bank: Bank
) -> None:
    assert run("publish", SMALL_JOURNEY, "--why", "begin")[0] == 0
    assert served(run) == (bank.small_version, bank.bundles[0])
    code, out, err = run("publish", bank.wider, "--why", "incomes")
    assert (code, out) == (1, "")
    for word in (bank.bundles[0], "nba train --journey FILE", "--promote", "--without-champion"):
        assert word in err
    assert bank.log.alias(IN_FORCE) == bank.small_version
    assert run("publish", bank.wider, "--why", "incomes", "--without-champion")[0] == 0
    assert served(run) == (bank.wider_version, guesses_of(bank.wider))
    assert run("rollback")[0] == 0  # the champion fits that one
    assert served(run) == (bank.small_version, bank.bundles[0])


def test_another_target_of_the_reward_is_another_catalogue_to_the_champion(
    run: Run, bank: Bank, tmp_path: Path
) -> None:
    """EUR would be read as probabilities: p_accept of 1.0 for all."""
    assert run("publish", SMALL_JOURNEY, "--why", "begin")[0] == 0
    text = SMALL_JOURNEY.read_text(encoding="utf-8")
    rule = "reward: {target: response, window_days: 7}"
    value = tmp_path / "value.yaml"
    in_eur = "reward: {target: value, window_days: 7, events: [purchase]}"
    value.write_text(text.replace(rule, in_eur), encoding="utf-8")
    code, out, err = run("publish", value, "--why", "EUR")
    assert (code, out) == (1, "")
    for word in ("reward.target response, the journey file says value", "nba train --journey FILE"):
        assert word in " ".join(err.split())
    assert run("publish", value, "--why", "EUR", "--without-champion")[0] == 0
    assert served(run)[1] == guesses_of(value)
    assert run("rollback")[0] == 0
    assert served(run) == (bank.small_version, bank.bundles[0])


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
    assert served(run) == (bank.wider_version, bank.bundles[1])
    assert bank.registry.load(CHAMPION)[0] == "2"
    found = bank.moved()
    assert found[0] == (CHAMPION, bank.bundles[1], "bob", "promoted version 2")
    assert found[2] == (IN_FORCE, bank.wider_version, "bob", "incomes")
    code, _, err = run("rollback", "--why", "no")
    assert code == 1 and "--promote" in err
    code, _, err = run("rollback", "--why", "too wide", "--promote", "1")
    assert code == 0 and f"version 1 ({bank.bundles[0]}) is champion" in err
    assert served(run) == (bank.small_version, bank.bundles[0])


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
