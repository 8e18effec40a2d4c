"""Programs that tests and benchmarks hold as strings import what there is to import."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from scripts.structure import PACKAGES
from tests.fixtures.files import ROOT

OWN = re.compile(rf"^\s*(?:from|import) (?:{'|'.join((*PACKAGES, 'tests'))})\b.*", re.M)


def imports_in_strings(path: Path) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports of this project's modules in the strings of a file, its docstrings too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for line in OWN.findall(node.value):
                try:
                    [statement] = ast.parse(line.strip().split(";")[0]).body
                except SyntaxError:
                    continue  # prose
                assert isinstance(statement, ast.Import | ast.ImportFrom), line
                yield statement


FOUND = [
    (path, statement)
    for folder in ("tests", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*.py"))
    for statement in imports_in_strings(path)
]


@pytest.mark.parametrize(
    ("path", "statement"),
    FOUND,
    ids=[f"{path.stem}:{ast.unparse(statement)}" for path, statement in FOUND],
)
def test_what_a_script_in_a_string_imports_is_there(
    path: Path, statement: ast.Import | ast.ImportFrom
) -> None:
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            import_module(alias.name)
        return
    assert statement.module is not None
    module = import_module(statement.module)
    for alias in statement.names:
        if not hasattr(module, alias.name):
            import_module(f"{statement.module}.{alias.name}")


def test_there_are_scripts_in_strings() -> None:
    assert len(FOUND) > 5
