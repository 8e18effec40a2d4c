"""From a simulated bank's history to a promoted bundle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shutil import copy
from typing import NamedTuple

import pytest

from features.fold import Fold
from models.bundle import load_bundle
from models.registry import CHALLENGER, CHAMPION, Registry
from models.scorer import BundleScorer
from nba.errors import InvalidBundle, NotFound
from nba.events import ACTION_DECIDED
from nba.journey_file import load_journey
from nba.measurement.estimate import Estimate, Undecided
from nba.stores.memory import MemoryLog
from serving.importing import import_files
from tests.house import FOLD, NOON
from training.evaluate import evaluate
from training.fit import Training, train
from training.history import History, history_of, read_history
from training.promote import promote
from training.retrain import STEPS, register, retrain
from training.world import WorldConfig
from training.world_history import write_history

pytestmark = [
    # MLflow 3.17 on SQLAlchemy 2.1: its model registry still uses `noload`
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:sqlalchemy.exc.SADeprecationWarning"),
]

BANK = Fold(load_journey(Path(__file__).parents[2] / "examples" / "bank" / "journey.yaml"))


class Bank(NamedTuple):
    log: MemoryLog
    history: History
    training: Training


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    """A small bank after 120 days under random decisions, and the bundle learned from it."""
    path = tmp_path_factory.mktemp("bank") / "history.jsonl"
    write_history(WorldConfig(customers=600, seed=1), path)
    log = MemoryLog()
    imported = import_files(log, BANK.schema, [path])
    assert imported.rejected_lines == 0 < imported.duplicates
    history = read_history(BANK, log)
    return Bank(log, history, train(history, seed=7))


@pytest.fixture(scope="module")
def silent(bank: Bank) -> Training:
    """What is learned from a log without decisions."""
    events = [event for event in bank.history.events if event.name != ACTION_DECIDED]
    return train(history_of(BANK, events), seed=7)


@pytest.fixture(scope="module")
def registry(
    tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path, bank: Bank, silent: Training
) -> Iterator[Registry]:
    """Version 1 is complete, version 2 has no touchpoint model."""
    folder = tmp_path_factory.mktemp("registry")
    copy(mlflow_database, folder / "mlflow.db")
    made = Registry(f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts")
    assert [register(training, made) for training in (bank.training, silent)] == ["1", "2"]
    yield made


# Fit


def test_the_same_history_and_seed_give_the_same_bundle(bank: Bank) -> None:
    steps: list[str] = []
    again = train(bank.history, seed=7, progress=steps.append)
    assert again.bundle.bundle_id == bank.training.bundle.bundle_id
    assert again.bundle.files() == bank.training.bundle.files()
    assert len(steps) == len(set(steps)) == STEPS - 2  # retraining reads and registers as well


def test_another_seed_gives_another_bundle_on_the_same_data(bank: Bank) -> None:
    one, other = bank.training.bundle.manifest, train(bank.history, seed=8).bundle.manifest
    assert one.dataset == other.dataset
    assert one.touchpoint is not None and other.touchpoint is not None
    assert one.touchpoint.sha256 != other.touchpoint.sha256


def test_both_models_are_judged_on_later_time_and_see_more_than_chance(bank: Bank) -> None:
    figures = bank.training.figures()
    for name, floor in (("churn", 0.65), ("touchpoint", 0.6)):
        metrics = figures[name]
        assert isinstance(metrics, dict)
        assert set(metrics) == {
            *("auc", "brier", "log_loss", "ece", "base_rate", "rows_fit", "rows_test"),
        }
        assert metrics["auc"] > floor
        assert metrics["ece"] < 0.1
        assert metrics["brier"] < metrics["base_rate"] * (1 - metrics["base_rate"])
        assert metrics["rows_fit"] >= 200 <= metrics["rows_test"]


def test_the_bundle_says_what_it_was_made_from(bank: Bank) -> None:
    manifest = bank.training.bundle.manifest
    assert manifest.schema_hash == BANK.schema.schema_hash
    assert manifest.catalogue_version == BANK.schema.journey.catalogue_version()
    assert (manifest.target, manifest.horizon_days, manifest.seed) == ("response", 30.0, 7)
    assert manifest.dataset == bank.history.fingerprint()
    assert manifest.missing == {}
    assert load_bundle(bank.training.bundle.files()).bundle_id == bank.training.bundle.bundle_id


def test_a_log_without_decisions_gives_half_a_bundle_that_says_why(silent: Training) -> None:
    why = "0 rows to fit, 200 are needed"
    assert isinstance(silent.figures()["churn"], dict)
    assert silent.figures()["touchpoint"] == Undecided(reason=why)
    assert silent.bundle.manifest.missing == {"touchpoint": why}
    assert set(silent.bundle.files()) == {"manifest.json", "churn.txt"}


def test_an_empty_log_gives_an_empty_bundle_that_says_why() -> None:
    nothing = train(history_of(BANK, []), seed=1)
    assert set(nothing.bundle.manifest.missing) == {"churn", "touchpoint"}
    assert set(nothing.bundle.files()) == {"manifest.json"}


# Evaluate


def test_an_evaluation_gives_values_with_intervals(bank: Bank) -> None:
    found = evaluate(bank.history, bank.training.bundle)
    assert found.bundle_id == bank.training.bundle.bundle_id
    for estimate in (found.value_logged, found.value_uniform, found.value_bundle):
        assert isinstance(estimate, Estimate)
        assert estimate.low < estimate.value < estimate.high
        assert 30 <= estimate.ess <= estimate.n * (1 + 1e-9)
    # the simulated bank drew uniformly, so that these two are one question
    assert found.value_logged == found.value_uniform


def test_an_evaluation_repeats_the_figures_of_the_training(bank: Bank) -> None:
    found = evaluate(bank.history, bank.training.bundle)
    for mine, name in ((found.churn, "churn"), (found.touchpoint, "touchpoint")):
        figures = bank.training.figures()[name]
        assert isinstance(mine, dict) and isinstance(figures, dict)
        assert mine == {metric: figures[metric] for metric in mine}


def test_what_is_missing_is_undecided(bank: Bank, silent: Training) -> None:
    found = evaluate(bank.history, silent.bundle)
    assert isinstance(found.churn, dict)
    assert (
        found.touchpoint == found.value_bundle == Undecided(reason="0 rows to fit, 200 are needed")
    )
    nothing = evaluate(silent.history, silent.bundle)
    assert isinstance(nothing.value_logged, Undecided)


def test_a_bundle_of_another_journey_cannot_be_evaluated(bank: Bank) -> None:
    with pytest.raises(InvalidBundle, match="train again"):
        evaluate(history_of(FOLD, []), bank.training.bundle)


# Register and promote


def test_a_promoted_bundle_is_in_the_store_under_its_alias(bank: Bank, registry: Registry) -> None:
    log = MemoryLog()
    promoted = promote(registry, log, BANK.schema.journey, which="1", alias=CHAMPION, now=NOON)
    bundle_id = bank.training.bundle.bundle_id
    assert promoted == ("1", bundle_id)
    assert log.alias(CHAMPION) == bundle_id
    stored = log.bundle(bundle_id)
    assert stored is not None and stored.files == bank.training.bundle.files()
    assert BundleScorer(load_bundle(stored.files), BANK.schema).bundle_id == bundle_id
    assert registry.load(CHAMPION)[0] == "1"


@pytest.mark.parametrize(
    ("which", "refusal"),
    [("2", "incomplete: touchpoint: 0 rows to fit"), (CHALLENGER, "incomplete")],
)
def test_an_incomplete_bundle_is_not_promoted(registry: Registry, which: str, refusal: str) -> None:
    log = MemoryLog()
    promote(registry, log, BANK.schema.journey, which="1", alias=CHAMPION, now=NOON)
    before = log.alias(CHAMPION)
    with pytest.raises(InvalidBundle, match=refusal):
        promote(registry, log, BANK.schema.journey, which=which, alias=CHAMPION, now=NOON)
    assert log.alias(CHAMPION) == before
    assert registry.load(CHAMPION)[0] == "1"


def test_a_bundle_of_another_journey_is_not_promoted(registry: Registry) -> None:
    log = MemoryLog()
    with pytest.raises(InvalidBundle, match="train and promote again"):
        promote(registry, log, FOLD.schema.journey, which="1", alias=CHAMPION, now=NOON)
    assert log.alias(CHAMPION) is None


def test_an_unknown_version_is_not_promoted(registry: Registry) -> None:
    with pytest.raises(NotFound, match="run nba train first"):
        promote(registry, MemoryLog(), BANK.schema.journey, which="99", alias=CHAMPION, now=NOON)


def test_retraining_registers_a_challenger_with_its_pictures(
    bank: Bank, registry: Registry, tmp_path: Path
) -> None:
    from mlflow.artifacts import download_artifacts

    steps: list[str] = []
    version, training = retrain(BANK, bank.log, registry, seed=7, progress=steps.append)
    assert len(steps) == STEPS
    found, loaded = registry.load(CHALLENGER)
    assert (found, loaded.bundle_id) == (version, training.bundle.bundle_id)
    assert loaded.bundle_id == bank.training.bundle.bundle_id
    run_id = registry._client().get_model_version("nba", version).run_id
    folder = Path(download_artifacts(run_id=run_id, dst_path=str(tmp_path)))
    pictures = {path.name: path.read_bytes() for path in (folder / "pictures").iterdir()}
    assert set(pictures) == {
        f"{model}_{picture}.png"
        for model in ("churn", "touchpoint")
        for picture in ("calibration", "importance")
    }
    assert all(content.startswith(b"\x89PNG") for content in pictures.values())
