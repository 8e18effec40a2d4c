"""From a simulated bank's history to a promoted bundle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from shutil import copy

import pytest

from features.fold import Fold
from models.bundles.bundle import load_bundle
from models.bundles.registry import CHALLENGER, Registry
from models.bundles.scorer import BundleScorer
from nba.errors import InvalidBundle, NotFound
from nba.events.names import ACTION_DECIDED
from nba.journey_file.loader import load_journey
from nba.measurement.off_policy.evaluation import BY_MODEL, METHODS, PolicyGain, PolicyValue
from nba.measurement.off_policy.logged_decisions import Overlap
from nba.measurement.statistics.estimate import Estimate, Undecided
from nba.stores.memory.log import MemoryLog
from nba.stores.parquet import export
from nba.stores.versioned import CHAMPION
from serving.jobs.event_import import import_files
from tests.fixtures.files import BANK_JOURNEY
from tests.fixtures.fitted_bank import Bank, make_champion
from tests.fixtures.small_replica import FOLD, NOON
from training.data.history import history_of, read_history
from training.fitting.fit import Training, train
from training.gates.evaluation import Evaluation, champion_beside, evaluate
from training.runs.retrain import STEPS, folder_history, register, retrain
from training.simulation.history import write_history
from training.simulation.world import WorldConfig

pytestmark = [
    # MLflow 3.17 on SQLAlchemy 2.1: its model registry still uses `noload`
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:sqlalchemy.exc.SADeprecationWarning"),
]

BANK = Fold(load_journey(BANK_JOURNEY))


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
    """Version 1 is complete, version 2 has guesses for touchpoints, version 3 has nothing."""
    folder = tmp_path_factory.mktemp("registry")
    copy(mlflow_database, folder / "mlflow.db")
    made = Registry(f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts")
    trainings = (bank.training, silent, train(history_of(BANK, []), seed=7))
    assert [register(training, made) for training in trainings] == ["1", "2", "3"]
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


def test_a_log_without_decisions_serves_risks_and_the_guesses_of_the_file(silent: Training) -> None:
    why = "0 rows to fit, 200 are needed"
    assert isinstance(silent.figures()["churn"], dict)
    assert silent.figures()["touchpoint"] == Undecided(reason=why)
    missing = silent.bundle.manifest.missing
    assert list(missing) == ["touchpoint"] and missing["touchpoint"].startswith(
        f"{why}; the guesses"
    )
    assert BundleScorer(silent.bundle, BANK.schema).missing == missing  # it serves


def test_an_empty_log_gives_an_empty_bundle_that_says_why() -> None:
    nothing = train(history_of(BANK, []), seed=1)
    assert set(nothing.bundle.manifest.missing) == {"churn", "touchpoint"}
    assert set(nothing.bundle.files()) == {"manifest.json"}


# Evaluate


@pytest.fixture(scope="module")
def evaluated(bank: Bank) -> Evaluation:
    """The bundle against itself as champion, on the last fifth of the bank's time."""
    return evaluate(bank.history, MemoryLog(), bank.training.bundle, champion=bank.training.bundle)


def test_an_evaluation_gives_values_with_intervals(bank: Bank, evaluated: Evaluation) -> None:
    found = evaluated
    assert found.bundle_id == bank.training.bundle.bundle_id
    for estimate in (found.value_logged, found.value_uniform, found.value_bundle):
        assert isinstance(estimate, Estimate)
        assert estimate.low < estimate.value < estimate.high
        assert 30 <= estimate.ess <= estimate.n * (1 + 1e-9)
    # the simulated bank drew uniformly, so that these two are one question
    assert found.value_logged == found.value_uniform


def test_an_evaluation_has_every_method_and_says_which_is_the_models_word(
    evaluated: Evaluation,
) -> None:
    assert tuple(evaluated.methods) == METHODS
    found = {
        name: method
        for name, method in evaluated.methods.items()
        if isinstance(method, PolicyValue)
    }
    assert set(METHODS) - set(found) == {"dm"}
    model = evaluated.methods["dm"]
    assert isinstance(model, Undecided) and model.reason.endswith(BY_MODEL)
    assert found["dr"].estimate == evaluated.value_bundle
    assert found["dr"].always.low < found["dr"].low < found["snips"].value < found["dr"].high
    assert isinstance(evaluated.overlap, Overlap)
    assert evaluated.overlap.supported == pytest.approx(1.0)
    assert abs(evaluated.overlap.mean_weight - 1) < 4 * evaluated.overlap.stderr_weight


def test_a_bundle_has_no_gain_over_itself(bank: Bank, evaluated: Evaluation) -> None:
    assert evaluated.against == bank.training.bundle.bundle_id
    assert evaluated.gain == Undecided(
        reason="target and champion draw alike: there is nothing to tell apart"
    )


def test_the_champion_of_the_log_is_what_a_bundle_is_held_against(
    bank: Bank, silent: Training
) -> None:
    """One on guesses decides too: it is what the bundle is held against."""
    bundle = bank.training.bundle
    log = MemoryLog()
    log.save_bundle(silent.bundle.bundle_id, silent.bundle.files())
    log.set_alias(CHAMPION, silent.bundle.bundle_id, NOON)
    champion = champion_beside(log, bundle, BANK.schema)
    found = evaluate(bank.history, log, bundle, champion=champion)
    assert found.against == silent.bundle.bundle_id
    assert isinstance(found.gain, PolicyGain) and found.gain.dr.value > 0.0


def test_an_evaluation_repeats_the_figures_of_the_training(
    bank: Bank, evaluated: Evaluation
) -> None:
    found = evaluated
    figures = bank.training.figures()
    churn, touchpoint = figures["churn"], figures["touchpoint"]
    assert isinstance(found.churn, dict) and isinstance(churn, dict)
    assert found.churn == {metric: churn[metric] for metric in found.churn}
    # what serves has a residual on top of the model, which had learned before the test period
    assert isinstance(found.touchpoint, dict) and isinstance(touchpoint, dict)
    assert found.touchpoint["base_rate"] == touchpoint["base_rate"]
    assert found.touchpoint["auc"] != touchpoint["auc"]


def test_what_is_missing_is_undecided(bank: Bank, silent: Training) -> None:
    found = evaluate(bank.history, MemoryLog(), silent.bundle)
    assert isinstance(found.churn, dict)
    assert isinstance(found.value_bundle, Estimate)  # the guesses serve
    assert found.touchpoint == Undecided(reason=silent.bundle.manifest.missing["touchpoint"])
    nothing = evaluate(silent.history, MemoryLog(), silent.bundle)
    assert isinstance(nothing.value_logged, Undecided)


def test_a_bundle_of_another_journey_cannot_be_evaluated(bank: Bank) -> None:
    with pytest.raises(InvalidBundle, match="train and promote again"):
        evaluate(history_of(FOLD, []), MemoryLog(), bank.training.bundle)


# Register and promote


def test_a_promoted_bundle_is_in_the_store_under_its_alias(bank: Bank, registry: Registry) -> None:
    log = MemoryLog()
    make_champion(registry, log, BANK.schema.journey, "1")
    bundle_id = bank.training.bundle.bundle_id
    assert log.alias(CHAMPION) == bundle_id
    stored = log.bundle(bundle_id)
    assert stored is not None and stored.files == bank.training.bundle.files()
    assert BundleScorer(load_bundle(stored.files), BANK.schema).bundle_id == bundle_id
    assert registry.load(CHAMPION)[0] == "1"


@pytest.mark.parametrize(
    ("which", "refusal"),
    [("3", "incomplete: touchpoint: 0 rows to fit")],
)
def test_a_bundle_of_which_nothing_was_fitted_is_not_promoted(
    registry: Registry, which: str, refusal: str
) -> None:
    log = MemoryLog()
    make_champion(registry, log, BANK.schema.journey, "1")
    before = log.alias(CHAMPION)
    with pytest.raises(InvalidBundle, match="incomplete: touchpoint: 0 rows to fit"):
        make_champion(registry, log, BANK.schema.journey, "3")
    assert log.alias(CHAMPION) == before
    assert registry.load(CHAMPION)[0] == "1"


def test_a_bundle_of_another_journey_is_not_promoted(registry: Registry) -> None:
    log = MemoryLog()
    with pytest.raises(InvalidBundle, match="train and promote again"):
        make_champion(registry, log, FOLD.schema.journey, "1")
    assert log.alias(CHAMPION) is None


def test_an_unknown_version_is_not_promoted(registry: Registry) -> None:
    with pytest.raises(NotFound, match="run nba train first"):
        make_champion(registry, MemoryLog(), BANK.schema.journey, "99")


def test_retraining_registers_a_challenger_with_its_pictures(
    bank: Bank, registry: Registry, tmp_path: Path
) -> None:
    from mlflow import MlflowClient
    from mlflow.artifacts import download_artifacts

    steps: list[str] = []
    version, training = retrain(BANK, bank.log, registry, seed=7, progress=steps.append)
    assert len(steps) == STEPS
    found, loaded = registry.load(CHALLENGER)
    assert (found, loaded.bundle_id) == (version, training.bundle.bundle_id)
    assert loaded.bundle_id == bank.training.bundle.bundle_id
    client = MlflowClient()
    registered = client.get_model_version("nba", version)
    run_id = registered.run_id
    assert registered.description.startswith(f"# {loaded.bundle_id}\n")
    under = f"tags.`mlflow.parentRunId` = '{run_id}'"
    runs = client.search_runs([client.get_run(run_id).info.experiment_id], under)
    assert {run.info.run_name for run in runs} == {"churn", "touchpoint"}
    for run in runs:
        name = run.info.run_name
        folder = Path(download_artifacts(run_id=run.info.run_id, dst_path=str(tmp_path / name)))
        pictures = {path.name: path.read_bytes() for path in (folder / "pictures").iterdir()}
        kinds = ("calibration", "importance", "weeks")
        assert set(pictures) == {f"{name}_{kind}.png" for kind in kinds}
        assert all(content.startswith(b"\x89PNG") for content in pictures.values())
        rows = json.loads((folder / "slices.json").read_text())
        assert rows["data"][0][0] == "all" and run.data.tags["leakage"] == "none found"
        assert run.data.metrics["auc.low"] < run.data.metrics["auc"] < run.data.metrics["auc.high"]
        assert run.data.params["dataset"] == training.bundle.manifest.dataset


def test_an_exported_log_gives_the_same_history(bank: Bank, tmp_path: Path) -> None:
    export(bank.log, tmp_path / "log")
    assert folder_history(BANK, tmp_path / "log").fingerprint() == bank.history.fingerprint()
