"""A deployment's own estimator: fitted, exported, calibrated, and served as data."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from lightgbm import LGBMClassifier
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from models.bundles.bundle import Bundle, load_bundle, part
from models.bundles.scorer import BundleScorer
from models.predictors.lightgbm_trees import Trees
from models.predictors.onnx_graph import OnnxModel, readable
from nba.errors import InvalidInput
from tests.fixtures.files import ROOT
from tests.fixtures.small_replica import FOLD, NOON, failed_search
from tests.fixtures.training_sets import COLUMNS, made_set, parts_of
from tests.models.bundles.test_bundle import made
from training.data.training_sets import TrainingSet
from training.fitting.estimators import TOLERANCE, EstimatorSpec, load_estimator
from training.fitting.fit import Fitted, fit_model
from training.fitting.recipe import Recipe

DATA = made_set()
SPLIT = parts_of(DATA)


def logistic() -> Any:
    return make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())


def own(make: Callable[..., Any], *, classes: bool = True) -> Recipe:
    return Recipe(classes=classes, estimator=EstimatorSpec("own:make", make))


def fitted(recipe: Recipe) -> Fitted:
    found = fit_model(DATA, SPLIT, recipe, seed=1)
    assert isinstance(found, Fitted)
    return found


@pytest.mark.parametrize(
    ("make", "kind", "suffix"),
    [
        (logistic, OnnxModel, ".onnx"),
        (lambda: HistGradientBoostingClassifier(max_iter=20), Trees, ".txt"),
        (lambda: LGBMClassifier(n_estimators=20, n_jobs=1, verbosity=-1), Trees, ".txt"),
        (
            lambda: make_pipeline(SimpleImputer(), RandomForestClassifier(10, max_depth=4)),
            OnnxModel,
            ".onnx",
        ),
    ],
)
def test_an_estimator_is_exported_calibrated_and_better_than_chance(
    make: Callable[[], Any], kind: type, suffix: str
) -> None:
    found = fitted(own(make))
    assert isinstance(found.model, kind) and found.model.suffix == suffix
    assert found.metrics["auc"] > 0.75 and found.metrics["ece"] < 0.1
    assert found.model.calibration is not None
    assert next(iter(found.model.importance())) == COLUMNS[0]
    again = fitted(own(make))
    assert again.model.to_bytes() == found.model.to_bytes()  # random_state is the seed


def test_what_is_exported_predicts_as_the_estimator_did() -> None:
    """On later rows; histogram boosting up to the rounding of the test's own log-odds."""
    known = readable(DATA.rows[SPLIT.fit]).astype(float)
    known[:, -1] = 0.0
    labels = DATA.labels[SPLIT.fit].astype(int)
    test = readable(DATA.rows[SPLIT.test]).astype(float)
    for make, apart in ((logistic, TOLERANCE), (HistGradientBoostingClassifier, 1e-12)):
        model = fitted(own(lambda make=make: make())).model
        assert model.calibration is not None
        p = make().fit(known, labels).predict_proba(test)[:, 1]
        expected = model.calibration.probability(np.log(p) - np.log1p(-p))
        assert np.abs(model.predict(test) - expected).max() <= apart


def test_a_column_of_counts_that_have_decayed_does_not_keep_an_estimator_out() -> None:
    """1e-40 is beyond what float32 can divide by."""
    rows = DATA.rows.copy()
    rows[:, 1] *= 1e-40
    found = fit_model(replace(DATA, rows=rows), SPLIT, own(logistic), seed=1)
    assert isinstance(found, Fitted) and found.metrics["auc"] > 0.75


def test_values_need_a_regressor() -> None:
    for make in (
        lambda: make_pipeline(SimpleImputer(), Ridge()),
        lambda: HistGradientBoostingRegressor(max_iter=20),
    ):
        model = fitted(own(make, classes=False)).model
        assert not model.is_probability
        assert model.predict(DATA.rows).mean() == pytest.approx(DATA.labels.mean(), abs=0.1)


def test_columns_are_given_where_they_are_asked_for() -> None:
    def make(columns: tuple[str, ...]) -> Any:
        assert columns == COLUMNS
        return logistic()

    assert fitted(own(make)).metrics["auc"] > 0.75


@pytest.mark.parametrize(
    ("make", "remedy"),
    [
        (lambda: LogisticRegression(), "begin with SimpleImputer"),
        (lambda: make_pipeline(SimpleImputer(), RidgeClassifier()), "with predict_proba"),
        # it reads NaN itself, which its ONNX operator does not
        (lambda: RandomForestClassifier(10), "further apart than 0.0001"),
        (lambda: make_pipeline(FunctionTransformer(np.nan_to_num), LogisticRegression()),
         "cannot be exported to ONNX"),
        (lambda: HistGradientBoostingClassifier(categorical_features=[2]), "sets of categories"),
        (lambda: object(), "unfitted estimator of scikit-learn's API"),
    ],
)  # fmt: skip
def test_an_estimator_that_cannot_serve_is_refused_with_the_remedy(
    make: Callable[[], Any], remedy: str
) -> None:
    with pytest.raises(InvalidInput, match=remedy) as caught:
        fitted(own(make))
    assert "own:make" in str(caught.value) or "estimator" in str(caught.value)


def test_a_column_that_nobody_has_known_moves_nothing() -> None:
    model = fitted(own(logistic)).model
    rows = DATA.rows[:5].copy()
    before = model.predict(rows)
    rows[:, -1] = 7.0
    assert model.predict(rows) == pytest.approx(before, abs=1e-7)


# From the setting


def test_a_setting_names_a_callable() -> None:
    spec = load_estimator("NBA_CHURN_ESTIMATOR", "sklearn.neighbors:KNeighborsClassifier")
    assert spec.make is KNeighborsClassifier


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        ("no.such.module:make", "No module named 'no'"),
        ("sklearn.neighbors:Nobody", "has no attribute 'Nobody'"),
        ("sklearn:__version__", "a callable that returns an estimator"),
    ],
)
def test_a_setting_that_names_nothing_says_so(value: str, remedy: str) -> None:
    with pytest.raises(InvalidInput, match=remedy) as caught:
        load_estimator("NBA_CHURN_ESTIMATOR", value)
    assert str(caught.value).startswith("NBA_CHURN_ESTIMATOR: ")


def test_a_module_of_the_current_folder_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "our_models.py").write_text("class Lab:\n    @staticmethod\n    def make(): ...\n")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    assert load_estimator("NBA_CHURN_ESTIMATOR", "our_models:Lab.make").name.endswith("make")
    assert sys.path == before


# Served


@pytest.fixture(scope="module")
def served() -> Bundle:
    """A bundle whose churn model is a pipeline with an imputer, over the contexts' columns."""
    base = made()
    columns = tuple(FOLD.schema.columns)
    rng = np.random.default_rng(2)
    rows = np.where(rng.random((900, len(columns))) < 0.1, np.nan, rng.random((900, len(columns))))
    failed = np.nan_to_num(rows[:, columns.index("search_failed.count_1h")])
    data = TrainingSet(
        columns=columns,
        rows=rows,
        labels=(rng.random(900) < 0.2 + 0.6 * failed).astype(float),
        at_s=np.arange(900.0),
        horizon_s=0.5,
        customers=np.arange(900).astype(str).astype(object),
    )
    found = fit_model(data, parts_of(data), own(logistic), seed=1)
    assert isinstance(found, Fitted)
    manifest = msgspec.structs.replace(
        base.manifest, churn=part("churn", found.model, found.metrics)
    )
    return Bundle(manifest, found.model, base.touchpoint)


def test_a_pipeline_with_an_imputer_is_served_from_its_files(served: Bundle) -> None:
    files = served.files()
    assert set(files) == {"manifest.json", "churn.onnx", "touchpoint.txt"}
    again = load_bundle(files)
    assert again.bundle_id == served.bundle_id
    context = FOLD.context("ada", FOLD.advance(FOLD.empty, [failed_search()]), NOON)
    stranger = FOLD.context("eve", FOLD.empty, NOON)
    assert np.isnan(stranger.values).any()
    risks = BundleScorer(again, FOLD.schema).churn([context, stranger])
    assert served.churn is not None
    rows = np.vstack([context.values, stranger.values])
    assert [risk.risk for risk in risks] == served.churn.predict(rows).tolist()
    assert risks[0].risk > risks[1].risk
    assert risks[0].reasons[0].text.endswith("which raises the risk")


def test_scoring_imports_neither_scikit_learn_nor_a_converter(
    served: Bundle, tmp_path: Path
) -> None:
    for name, content in served.files().items():
        (tmp_path / name).write_bytes(content)
    script = (
        "import sys, numpy\nfrom pathlib import Path\n"
        "from models.bundles.bundle import load_bundle\n"
        "files = {one.name: one.read_bytes() for one in Path(sys.argv[1]).iterdir()}\n"
        "model = load_bundle(files).churn\n"
        "model.explained(numpy.zeros((1, len(model.columns))))\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "assert not loaded & {'skl2onnx', 'onnx', 'mlflow', 'training'}, loaded\n"
    )
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, env=environ)
