"""From the registry into the service, stage by stage, and back; MLflow says what the log says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from shutil import copy

import msgspec
import pandas as pd
import pytest
from mlflow import MlflowClient

from models.bundles.bundle import Bundle
from models.bundles.registry import CHALLENGER, MODEL, RegisteredBundle, Registry
from nba.errors import InvalidBundle, InvalidInput, StoreUnavailable
from nba.promotion.rollout import ROLLOUT, changes, roll_back, rollout_of
from nba.promotion.verdict import Gate, GateVerdict, failed, passed, undecided
from nba.stores.memory.log import MemoryLog
from nba.stores.versioned import CHAMPION
from serving.replica.assembly import assemble
from serving.replica.replica import Replica
from serving.settings import Settings
from tests.fixtures.small_replica import JOURNEY, NOON, changed
from tests.models.bundles.test_bundle import made
from training.runs.promote import next_stage, objections, promote, usable_bundle
from training.runs.verdict import align, keep_verdict

pytestmark = [
    # MLflow 3.17 on SQLAlchemy 2.1: its model registry still uses `noload`
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:sqlalchemy.exc.SADeprecationWarning"),
]


def seeded(seed: int) -> Bundle:
    one = made()
    manifest = msgspec.structs.replace(one.manifest, seed=seed)
    return Bundle(manifest, one.churn, one.touchpoint)


A, B = seeded(1), seeded(2)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Iterator[str]:
    """An MLflow with A as version 1 and B as version 2, the challenger."""
    folder = tmp_path_factory.mktemp("registry")
    copy(mlflow_database, folder / "mlflow.db")
    found = f"sqlite:///{folder / 'mlflow.db'}"
    registry = Registry(found, folder / "artifacts")
    for one in (A, B):
        registry.save(
            one,
            example=pd.DataFrame([[0.5]], columns=["a.count_1h"]),
            params={},
            metrics={},
            tags={},
            pictures={},
            journey=b"{}",
        )
    yield found


def verdict(*gates: Gate, bundle: Bundle = B, champion: str | None = A.bundle_id) -> GateVerdict:
    found = gates or (passed("data", "ok", {"rows": 5_000.0}),)
    return GateVerdict(bundle_id=bundle.bundle_id, champion=champion, judged_at=NOON, gates=found)


def moved(url: str, log: MemoryLog, which: str, to: str | None = None, **fields: float) -> str:
    """Move it with a verdict that lets it through; gives the stage."""
    registered = usable_bundle(Registry(url), JOURNEY, which)
    stage = to or next_stage(log, registered.bundle.bundle_id)
    promote(
        log,
        registered,
        stage,
        verdict=verdict(bundle=registered.bundle, champion=log.alias(CHAMPION)),
        **{"now": NOON, "by": "ada", "why": "spring", **fields},
    )
    return stage


def test_the_first_goes_at_once_and_each_challenger_stage_by_stage(url: str) -> None:
    log = MemoryLog()
    assert moved(url, log, "1") == "champion" and rollout_of(log) is None
    stages = [moved(url, log, CHALLENGER, share=0.2) for _ in range(2)]
    assert stages == ["shadow", "canary"] and log.alias(CHAMPION) == A.bundle_id
    found = rollout_of(log)
    assert (found.stage, found.share, found.version) == ("canary", 0.2, "2")
    assert log.bundle(found.verdict).files.keys() == {"verdict.json", "verdict.md"}
    assert moved(url, log, CHALLENGER) == "champion" and log.alias(CHAMPION) == B.bundle_id
    with pytest.raises(InvalidInput, match="it is the champion already"):
        moved(url, log, "2")
    told = changes(log)[0]
    assert told.by == "ada" and "version 2: spring; verdict-" in told.why
    assert align(Registry(url), log) == "2"
    assert MlflowClient(url).get_model_version_by_alias(MODEL, CHAMPION).version == 2


def test_mlflow_follows_a_champion_that_was_taken_back(url: str) -> None:
    log = MemoryLog()
    assert align(Registry(url), log) is None
    moved(url, log, "1")
    moved(url, log, "2", "champion")
    roll_back(log, NOON, by="guard", why="worse")
    assert align(Registry(url), log) == "1"
    assert MlflowClient(url).get_model_version_by_alias(MODEL, CHAMPION).version == 1


def test_while_somebody_else_moves_the_rollout_neither_the_log_nor_mlflow_changes(url: str) -> None:
    log = MemoryLog()
    moved(url, log, "1")
    align(Registry(url), log)
    with log.turn(ROLLOUT), pytest.raises(StoreUnavailable, match="somebody else is moving"):
        moved(url, log, "2", "champion")
    assert log.alias(CHAMPION) == A.bundle_id
    assert MlflowClient(url).get_model_version_by_alias(MODEL, CHAMPION).version == 1


def opened_replica(log: MemoryLog) -> Replica:
    ids = count(1)
    return assemble(
        Settings(), log=log, journey=JOURNEY, now=lambda: NOON,
        new_id=lambda: f"dec-{next(ids)}", seed_for=lambda *_: 1,
    )  # fmt: skip


def test_every_replica_follows_the_promotion_and_the_way_back(url: str) -> None:
    log = MemoryLog()
    moved(url, log, "1")
    replicas = [opened_replica(log), opened_replica(log)]

    def serving() -> list[str | None]:
        for replica in replicas:
            replica.reload()
        scorers = [replica.engine.pipeline.scorer for replica in replicas]
        return [None if scorer is None else scorer.bundle_id for scorer in scorers]

    assert serving() == [A.bundle_id] * 2
    moved(url, log, "2", "champion")
    assert serving() == [B.bundle_id] * 2
    assert roll_back(log, NOON + timedelta(hours=1), by="ada", why="") == A.bundle_id
    assert serving() == [A.bundle_id] * 2


def test_a_verdict_stands_on_its_run_with_its_numbers(url: str) -> None:
    slices = undecided("slices", "few rows", {"gain_eur.traits.segment=mass": 0.5})
    found = verdict(passed("data", "ok", {"rows": 5_000.0}), slices)
    keep_verdict(Registry(url), "2", found)
    client = MlflowClient(url)
    run = client.get_run(client.get_model_version(MODEL, "2").run_id)
    assert run.data.metrics["gate.data.rows"] == 5_000.0
    assert run.data.metrics["gate.slices.gain_eur.traits.segment:mass"] == 0.5
    assert (run.data.tags["gate.data"], run.data.tags["gate.slices"]) == ("passed", "undecided")
    assert run.data.tags["gate"] == "undecided"
    assert {"verdict.json", "verdict.md"} <= {
        f.path for f in client.list_artifacts(run.info.run_id)
    }


def test_the_shadow_is_open_to_what_is_undecided_and_closed_to_what_fails() -> None:
    open_, bad = undecided("off_policy", "thin"), failed("calibration", "off")
    assert objections(verdict(open_), "shadow") == ()
    assert objections(verdict(open_), "canary") == (open_,)
    assert objections(verdict(open_, bad), "shadow") == (bad,)
    assert objections(verdict(open_, champion=None), "champion") == ()


def test_a_challenger_that_reads_other_contexts_cannot_decide_beside_the_champion(
    url: str,
) -> None:
    log = MemoryLog()
    moved(url, log, "1")
    manifest = msgspec.structs.replace(B.manifest, schema_hash="context-0")
    other = Bundle(manifest, B.churn, B.touchpoint)
    told = {"now": NOON, "by": "ada", "why": "spring"}
    with pytest.raises(InvalidBundle, match="--to champion"):
        promote(log, RegisteredBundle("2", other), "shadow", verdict=verdict(bundle=other), **told)
    assert rollout_of(log) is None


def test_a_verdict_speaks_of_one_bundle_against_the_champion_that_serves(url: str) -> None:
    log = MemoryLog()
    moved(url, log, "1")
    registered = usable_bundle(Registry(url), JOURNEY, "2")
    told = {"now": NOON, "by": "ada", "why": "spring"}
    for stale, why in (
        (verdict(bundle=A), f"the verdict is of {A.bundle_id}"),
        (verdict(champion="bundle-0"), f"judged against bundle-0, and {A.bundle_id} serves now"),
    ):
        with pytest.raises(InvalidInput, match=why):
            promote(log, registered, "canary", verdict=stale, **told)
    assert rollout_of(log) is None


def test_a_promotion_with_a_new_catalogue_ends_what_is_rolled_out(url: str) -> None:
    log = MemoryLog()
    moved(url, log, "1")
    moved(url, log, "2")
    registry = Registry(url)
    registered = usable_bundle(registry, JOURNEY, "1")
    told = {"now": NOON, "by": "ada", "why": "promoted version 1"}
    with pytest.raises(InvalidInput, match="no verdict"):
        promote(log, registered, "champion", **told)
    promote(log, registered, "champion", without_gates=True, **told)
    assert (registered.version, log.alias(CHAMPION)) == ("1", A.bundle_id)
    assert rollout_of(log) is None
    with pytest.raises(InvalidBundle, match="train and promote again"):
        usable_bundle(registry, changed(traits={}), "1")


def test_a_gate_that_fails_keeps_a_bundle_out_unless_it_is_promoted_without_gates(
    url: str,
) -> None:
    log, registry = MemoryLog(), Registry(url)
    registered = usable_bundle(registry, JOURNEY, "1")
    told = {"verdict": verdict(failed("calibration", "off"), bundle=A), "now": NOON, "by": "ada"}
    with pytest.raises(InvalidInput, match="may not be champion: calibration"):
        promote(log, registered, "champion", why="spring", **told)
    assert log.alias(CHAMPION) is None
    promote(log, registered, "champion", without_gates=True, why="spring", **told)
    assert log.alias(CHAMPION) == A.bundle_id
