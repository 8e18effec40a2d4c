"""The source tree, read from its imports: floors, folders, circles, and what may be imported where.

Every import counts, those inside functions and under TYPE_CHECKING too.
"""

from __future__ import annotations

import ast
import re

import pytest

from scripts import structure
from scripts.structure import PACKAGES
from tests.fixtures.files import ROOT
from tests.fixtures.source_modules import SOURCES, calls, imports, top, within

FLOORS: dict[str, set[str]] = {
    "nba": set(),
    "features": {"nba"},
    "models": {"nba"},
    "training": {"nba", "features", "models"},
    "serving": {"nba", "features", "models", "training"},
}


# rooms of `nba` that rules live in: they see no store, not even through an import of an import
RULE_ROOMS = re.compile(
    r"nba\.(rules|events|journey|customer|decisions|governance|journey_file|measurement)\..+"
    r"|nba\.engine\.(pipeline|arbitration|strategy|policy)"
    r"|nba\.experiments\.(experiment|checks|loader|results)"
    r"|nba\.(content_ids|errors|durations|randomization)"
)


# the folders, lowest first: each imports only what stands before it
ORDER = (
    "nba",
    "nba.measurement",
    "nba.measurement.statistics",
    "nba.measurement.off_policy",
    "nba.rules",
    "nba.events",
    "nba.journey",
    "nba.customer",
    "nba.decisions",
    "nba.governance",
    "nba.stores",
    "nba.stores.memory",
    "nba.stores.postgres",
    "nba.stores.postgres.migrations",
    "nba.stores.postgres.migrations.versions",
    "nba.rewards",
    "nba.journey_file",
    "nba.engine",
    "nba.promotion",
    "nba.experiments",
    "nba.analytics",
    "nba.analytics.journeys",
    "nba.analytics.rules",
    "nba.analytics.monitoring",
    "features.kernel",
    "features",
    "features.text",
    "features.replay",
    "models",
    "models.predictors",
    "models.policies",
    "models.residual",
    "models.bundles",
    "models.learning",
    "training",
    "training.simulation",
    "training.data",
    "training.diagnostics",
    "training.emotion",
    "training.fitting",
    "training.rehearsal",
    "training.gates",
    "training.runs",
    "serving",
    "serving.replica",
    "serving.api",
    "serving.workers",
    "serving.http",
    "serving.jobs",
    "serving.reports",
    "serving.cli.terminal",
    "serving.cli.scientists",
    "serving.cli.owners",
    "serving.cli.operators",
    "serving.cli",
)
# a heavy package, and the modules (or packages) that may import it
HEAVY: dict[str, set[str]] = {
    "alembic": {"nba.stores"},
    "sqlalchemy": {"models.bundles.mlflow_client", "nba.stores"},
    "psycopg": {"nba.stores"},
    "mlflow": {
        "models.bundles.mlflow_client",
        "models.bundles.mlflow_runs",
        "models.bundles.registry",
    },
    "bentoml": {"serving.http.service"},
    "starlette": {
        "serving.http.service",
        "serving.http.routes",
        "serving.http.request_body",
        "serving.http.problems",
    },
    "pyarrow": {
        "nba.stores.parquet",
        "serving.jobs.decision_files",
        "features.replay.exported_log",
    },
    "pyspark": {"features.replay.spark"},
    "pandas": {
        "features.replay.point_in_time",
        "models.bundles.mlflow_runs",
        "models.bundles.registry",
        "training",
    },
    "numba": {"features.kernel.compilation"},
    "lightgbm": {"models.predictors.lightgbm_trees", "serving.http.service"},
    "matplotlib": {"training"},
    "onnxruntime": {"models.predictors.onnx_graph"},
    "skl2onnx": {"training.fitting.onnx_export"},
    "optuna": {"training.fitting.search"},
    "sklearn": {"training", "models"},
    "scipy": {"training", "models", "nba.measurement", "nba.analytics"},
    "httpx": {"serving"},
    "rich": {"serving.console"},
    "typer": {"serving.cli"},
}


def test_the_reader_of_imports_sees_all_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    text = """
import numpy as np
from typing import TYPE_CHECKING
from nba.stores import log as held, parquet
from nba import errors
if TYPE_CHECKING:
    from serving.http.routes import Routes
def late():
    import pandas.core as core
    return np.random.normal(), core.now()
"""
    monkeypatch.setitem(SOURCES, "features.probe", ROOT / "features" / "probe.py")
    monkeypatch.setattr("tests.fixtures.source_modules.tree", lambda module: ast.parse(text))
    assert imports.__wrapped__("features.probe") == {
        *("numpy", "typing", "nba.stores.parquet", "nba.stores.log", "nba.errors"),
        *("serving.http.routes", "pandas.core"),
    }
    assert [name for name, _ in calls("features.probe")] == [
        *("numpy.random.normal", "pandas.core.now"),
    ]


# Floors and rooms


@pytest.mark.parametrize("module", SOURCES)
def test_imports_go_down_only(module: str) -> None:
    package = top(module)
    above = {one for one in imports(module) if top(one) in set(PACKAGES) - {package}}
    assert {top(one) for one in above} <= FLOORS[package]


def test_only_the_command_line_imports_training() -> None:
    importers = {m for m in SOURCES if any(top(one) == "training" for one in imports(m))}
    outside = {module for module in importers if top(module) != "training"}
    assert outside
    assert all(within(module, {"serving.cli"}) for module in outside)


def test_rules_never_see_a_store() -> None:
    rooms = [module for module in SOURCES if RULE_ROOMS.fullmatch(module)]
    assert len(rooms) >= 12
    for room in rooms:
        seen, open_ = set(), [room]
        while open_:
            one = open_.pop()
            if one not in seen:
                seen.add(one)
                open_ += [m for m in imports(one) if m in SOURCES]
        stores = {one for one in seen if within(one, {"nba.stores"})}
        assert not stores, f"{room} reaches {sorted(stores)}"


def test_the_decider_knows_the_logs_protocol_and_no_log() -> None:
    protocol = {f"nba.stores.{name}" for name in ("log", "pages", "versioned")}
    for module in SOURCES:
        if top(module) == "nba" and (not within(module, {"nba.stores"}) or module in protocol):
            stores = {one for one in imports(module) if within(one, {"nba.stores"})}
            assert stores <= protocol, module
    assert "nba.stores.log" in imports("nba.engine.decider")


def test_no_modules_import_each_other_in_a_circle() -> None:
    done: set[str] = set()
    path: list[str] = []

    def visit(module: str) -> None:
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module in done:
            return
        path.append(module)
        for one in sorted(imports(module)):
            if one in SOURCES and one != module:
                visit(one)
        path.pop()
        done.add(module)

    for module in SOURCES:
        visit(module)
    assert done == set(SOURCES)


@pytest.mark.parametrize("package", HEAVY)
def test_a_heavy_package_is_imported_only_where_it_belongs(package: str) -> None:
    importers = {m for m in SOURCES if any(top(one) == package for one in imports(m))}
    assert {module for module in importers if not within(module, HEAVY[package])} == set()


def test_the_table_of_heavy_packages_names_nothing_that_is_not_used() -> None:
    used = {top(one) for module in SOURCES for one in imports(module)}
    assert set(HEAVY) - used <= {"sklearn", "scipy"}


# Folders


def test_no_folders_import_each_other_in_a_circle() -> None:
    assert structure.circles(structure.folder_arrows(SOURCES)) == []


def test_no_folder_imports_one_that_stands_above_it() -> None:
    arrows = structure.folder_arrows(SOURCES)
    assert set(arrows) == set(ORDER)
    place = {folder: n for n, folder in enumerate(ORDER)}
    up = {
        f"{folder} -> {other}"
        for folder, others in arrows.items()
        for other in others
        if place[other] > place[folder]
    }
    assert up == set()


def test_no_folder_has_more_than_14_rooms() -> None:
    full = {folder.name: folder.rooms for folder in structure.folders() if folder.rooms > 14}
    assert full == {}
