"""The registry: a real MLflow on SQLite, with readable files and nothing pickled."""

from __future__ import annotations

import json
import pickletools
from pathlib import Path
from shutil import copy, rmtree
from typing import NamedTuple

import msgspec
import numpy as np
import pandas as pd
import pytest

from models.bundles.bundle import FORMAT, MANIFEST, Bundle, Manifest, load_bundle, part
from models.bundles.mlflow_runs import CARD, DESCRIPTION, ModelRun, shortened, table_json
from models.bundles.registry import CHALLENGER, EXPERIMENT, MODEL, Registry
from models.predictors.lightgbm_trees import fit_trees
from nba.errors import NotFound, StoreUnavailable
from nba.stores.versioned import CHAMPION
from tests.fixtures.small_replica import NOON

pytestmark = [
    # MLflow 3.17 on SQLAlchemy 2.1: its model registry still uses `noload`
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:sqlalchemy.exc.SADeprecationWarning"),
]

PNG = b"\x89PNG\r\n\x1a\n..."
JOURNEY = b'{"version": 1, "name": "small_bank"}'
COLUMNS = ("a.count_1h", "action")
CARD_TEXT = "# bundle\n" + "a line of the card\n" * 500
CHURN = ModelRun(
    params={"seed": 1},
    metrics={"auc": 0.7},
    tags={"leakage": "none found"},
    files={"slices.json": table_json(("slice", "rows"), [("all", 4)]), "pictures/one.png": PNG},
)


class Kept(NamedTuple):
    registry: Registry
    url: str
    folder: Path
    first: Bundle
    second: Bundle


def bundle(seed: int) -> Bundle:
    rng = np.random.default_rng(seed)
    rows, labels = rng.random((400, 2)), (rng.random(400) < 0.4).astype(float)
    trees = fit_trees(rows[:300], labels[:300], rows[300:], labels[300:], columns=COLUMNS, seed=1)
    manifest = Manifest(
        format=FORMAT,
        schema_hash="context-0",
        catalogue_version="catalogue-0",
        target="response",
        horizon_days=30.0,
        actions=("help_popup", "no_action"),
        action_features=(),
        dataset=f"data-{seed}",
        seed=seed,
        churn=part("churn", trees, {"auc": 0.7}),
        touchpoint=part("touchpoint", trees, {}),
    )
    return Bundle(manifest, trees, trees)


def save(registry: Registry, made: Bundle) -> str:
    return registry.save(
        made,
        example=pd.DataFrame([[0.5, np.nan], [1.5, 0.0]], columns=list(COLUMNS)),
        params={"seed": made.manifest.seed, "target": "response"},
        metrics={"churn.auc": 0.7},
        tags={"missing.none": "all there"},
        pictures={"churn_calibration.png": PNG},
        journey=JOURNEY,
        models={"churn": CHURN},
        card=CARD_TEXT,
    )


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Kept:
    return two_versions(tmp_path_factory.mktemp("registry"), mlflow_database)


def two_versions(folder: Path, mlflow_database: Path) -> Kept:
    """Two versions in one registry."""
    copy(mlflow_database, folder / "mlflow.db")
    url = f"sqlite:///{folder / 'mlflow.db'}"
    registry = Registry(url, folder / "artifacts")
    first, second = bundle(1), bundle(2)
    assert save(registry, first) == "1"
    registry.point_champion(first.bundle_id, "1")
    assert save(registry, second) == "2"
    return Kept(registry, url, folder, first, second)


def test_a_version_comes_back_by_alias_and_by_number(kept: Kept) -> None:
    for which, version, saved in (
        *((CHAMPION, "1", kept.first), ("1", "1", kept.first)),
        *((CHALLENGER, "2", kept.second), ("2", "2", kept.second)),
    ):
        found, loaded = kept.registry.load(which)
        assert (found, loaded.bundle_id) == (version, saved.bundle_id)
        assert loaded.files() == saved.files()


@pytest.mark.parametrize("which", ["3", "gold", ""])
def test_an_unknown_version_says_where_it_looked_and_what_to_do(kept: Kept, which: str) -> None:
    with pytest.raises(NotFound) as caught:
        kept.registry.load(which)
    assert str(caught.value) == (
        f"{which!r}: no such version or alias of 'nba' in MLflow at {kept.url}; run nba train first"
    )


def test_the_champion_points_at_the_version_that_was_promoted_or_the_newest_of_its_bundle(
    tmp_path: Path, mlflow_database: Path
) -> None:
    kept = two_versions(tmp_path, mlflow_database)
    again = save(kept.registry, kept.first)  # the same bundle, registered once more
    assert kept.registry.point_champion(kept.first.bundle_id, "1") == "1"
    assert kept.registry.point_champion(kept.first.bundle_id) == "1"  # it names it already
    assert kept.registry.point_champion(kept.second.bundle_id) == "2"
    assert kept.registry.point_champion(kept.first.bundle_id) == again
    assert kept.registry.point_champion("bundle-unknown") is None
    assert kept.registry.load(CHAMPION)[0] == again


def test_files_that_are_gone_are_named_with_the_version_and_the_remedy(
    tmp_path: Path, mlflow_database: Path
) -> None:
    kept = two_versions(tmp_path, mlflow_database)
    rmtree(tmp_path / "artifacts")
    with pytest.raises(NotFound, match=r"version 2 of 'nba' .* run nba train again$"):
        kept.registry.load("2")


@pytest.mark.parametrize(
    ("raised", "remedy"),
    [
        (ModuleNotFoundError("No module named 'boto3'", name="boto3"), "install it beside MLflow$"),
        (ValueError("not a region"), "put them back, or run nba train again$"),
    ],
)
def test_files_in_a_store_whose_library_fails_are_named_too(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, raised: Exception, remedy: str
) -> None:
    def download(*_: object, **__: object) -> str:
        raise raised

    monkeypatch.setattr("mlflow.artifacts.download_artifacts", download)
    with pytest.raises(NotFound, match=rf"version 2 of 'nba' .* cannot be read: .*{remedy}"):
        kept.registry.load("2")


def test_a_note_on_a_deleted_run_says_how_it_is_restored(
    tmp_path: Path, mlflow_database: Path
) -> None:
    from mlflow import MlflowClient

    kept = two_versions(tmp_path, mlflow_database)
    client = MlflowClient(kept.url)
    client.delete_run(client.get_model_version(MODEL, "1").run_id)
    with pytest.raises(StoreUnavailable, match=r"deleted; restore it with `mlflow runs restore`$"):
        kept.registry.note("1", at=NOON, metrics={"evaluated.auc": 0.66}, tags={}, files={})


def test_a_run_names_its_bundle_data_and_figures(kept: Kept) -> None:
    from mlflow import MlflowClient

    kept.registry.note("1", at=NOON, metrics={"evaluated.auc": 0.66}, tags={}, files={})
    client = MlflowClient(kept.url)
    run = client.get_run(client.get_model_version(MODEL, "1").run_id)
    assert run.info.run_name == kept.first.bundle_id == run.data.tags["bundle_id"]
    assert run.data.params == {"seed": "1", "target": "response"}
    assert run.data.metrics == {"churn.auc": 0.7, "evaluated.auc": 0.66}
    assert run.data.tags["missing.none"] == "all there"
    [logged] = run.inputs.dataset_inputs
    assert (logged.dataset.name, logged.dataset.digest) == ("log", "data-1")
    assert client.get_experiment(run.info.experiment_id).name == EXPERIMENT


def test_each_model_has_a_run_under_that_of_its_bundle(kept: Kept) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(kept.url)
    parent = client.get_run(client.get_model_version(MODEL, "1").run_id)
    under = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    [run] = client.search_runs([parent.info.experiment_id], under)
    assert (run.info.run_name, run.info.status) == ("churn", "FINISHED")
    assert (run.data.params, run.data.metrics) == ({"seed": "1"}, {"auc": 0.7})
    assert run.data.tags["leakage"] == "none found"
    assert json.loads(run.data.tags["mlflow.loggedArtifacts"]) == [
        {"path": "slices.json", "type": "table"}
    ]
    folder = Path(client.download_artifacts(run.info.run_id, ""))
    table = json.loads((folder / "slices.json").read_text())
    assert table == {"columns": ["slice", "rows"], "data": [["all", 4]]}
    assert (folder / "pictures" / "one.png").read_bytes() == PNG


def test_the_card_is_a_file_and_as_far_as_it_fits_the_description(kept: Kept) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(kept.url)
    version = client.get_model_version(MODEL, "1")
    assert version.description == shortened(CARD_TEXT)
    assert len(version.description) <= DESCRIPTION < len(CARD_TEXT)
    assert version.description.endswith(f"a line of the card\n\nThe rest: {CARD} of the run.\n")
    folder = Path(client.download_artifacts(version.run_id, ""))
    assert (folder / CARD).read_text() == CARD_TEXT
    assert shortened("short\n") == "short\n"


def test_a_second_registry_on_the_same_server_finds_the_same_versions(kept: Kept) -> None:
    again = Registry(kept.url, kept.folder / "elsewhere")
    assert again.load(CHAMPION)[1].bundle_id == kept.first.bundle_id


def test_a_version_holds_its_files_pictures_signature_and_example(kept: Kept) -> None:
    files = {path.name: path for path in kept.folder.rglob("*") if path.is_file()}
    assert {MANIFEST, "churn.txt", "touchpoint.txt", "MLmodel", "input_example.json"} <= set(files)
    assert files["churn_calibration.png"].read_bytes() == PNG
    assert files["journey.json"].read_bytes() == JOURNEY
    manifest = msgspec.json.decode(files[MANIFEST].read_bytes(), type=Manifest)
    assert manifest.dataset in ("data-1", "data-2")
    mlmodel = files["MLmodel"].read_text()
    assert "signature:" in mlmodel and "a.count_1h" in mlmodel and "input_example.json" in mlmodel
    assert json.loads(files["input_example.json"].read_text()) == {
        "columns": list(COLUMNS),
        "data": [[0.5, None], [1.5, 0.0]],
    }


def test_the_example_is_one_that_the_model_can_score(kept: Kept) -> None:
    """What a reader of the run sees are rows of the touchpoint model's columns."""
    [path, *_] = kept.folder.rglob("input_example.json")
    loaded = load_bundle({file.name: file.read_bytes() for file in path.parent.iterdir()})
    example = pd.DataFrame(**json.loads(path.read_text())).astype(float)
    assert loaded.touchpoint is not None
    assert tuple(example.columns) == loaded.touchpoint.columns
    assert np.isfinite(loaded.touchpoint.predict(example.to_numpy())).all()


def is_pickle(content: bytes) -> bool:
    """Whether the bytes are one pickle, of any protocol, from the first to the last."""
    try:
        return [op for op, _, _ in pickletools.genops(content)][-1].name == "STOP"
    except Exception:
        return False


def test_no_file_is_a_pickle(kept: Kept) -> None:
    import pickle

    assert all(is_pickle(pickle.dumps({"a": [1]}, protocol)) for protocol in range(6))
    artifacts = [path for path in (kept.folder / "artifacts").rglob("*") if path.is_file()]
    assert len(artifacts) == 2 * (8 + 2)
    for path in artifacts:
        content = path.read_bytes()
        assert not is_pickle(content), path
        assert not content.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")), path
        assert path.suffix in {".json", ".txt", ".png", ".md", ""}, path
        assert not content.startswith(b"PK"), path  # an archive could hold one


def test_loading_reads_text_and_runs_no_code_of_the_bundles(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pickle

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    assert kept.registry.load("1")[1].bundle_id == kept.first.bundle_id
