"""The documents: nothing that a caller can meet is undocumented, and nothing in them is gone."""

from __future__ import annotations

import ast
import os
import re
import runpy
import shlex
import sys
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
import typer

from nba.governance.reason_codes import CODE_OF_LAYER, STAGE_OF
from nba.governance.sub_journey_transitions import Exit
from serving.http.openapi import openapi
from serving.settings import PREFIX, Settings
from tests.fixtures.cli_commands import COMMANDS
from tests.fixtures.files import ROOT

SETTINGS = [PREFIX + name.upper() for name in Settings.__struct_fields__]
(UsageError,) = typer.BadParameter.__bases__
# the routes that are no business of OpenAPI: the operator's, and BentoML's
OPERATORS = ["GET /metrics", "GET /openapi.json", "GET /readyz", "GET /livez"]
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]
# commands of a document's shell blocks that are neither make nor nba, and what they need
OTHERS = {"cd", "curl", "export", "git"}


@cache
def read(file: Path) -> str:
    return file.read_text(encoding="utf-8")


@cache
def readme() -> str:
    return read(ROOT / "README.md")


@cache
def reference() -> str:
    return read(ROOT / "docs" / "reference.md")


def routes() -> list[str]:
    described = [
        f"{method.upper()} {path}"
        for path, methods in openapi()["paths"].items()
        for method in methods
    ]
    return described + OPERATORS


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


def shell_lines(text: str) -> list[str]:
    """The commands of a document's ```sh blocks, with continued lines joined."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.strip() and line[0] != "#"]


SHELL = [
    pytest.param(line, id=f"{file.relative_to(ROOT)}: {line}")
    for file in DOCUMENTS
    for line in shell_lines(read(file))
]


# Nothing is undocumented


@pytest.mark.parametrize("command", COMMANDS)
def test_the_reference_names_every_command(command: str) -> None:
    assert re.search(rf"`nba {command}\b", reference())


@pytest.mark.parametrize("variable", SETTINGS)
def test_the_reference_names_every_setting_with_its_default(variable: str) -> None:
    (row,) = re.findall(rf"^\| `{variable}` \| (.*?) \|", reference(), re.MULTILINE)
    default = getattr(Settings(), variable.removeprefix(PREFIX).lower())
    shown = row.strip("`")
    if default is None:
        assert shown == "none"
    elif isinstance(default, float):
        assert float(shown) == default
    else:
        assert shown == str(default)


@pytest.mark.parametrize("route", routes())
def test_the_reference_names_every_route(route: str) -> None:
    assert f"`{route}`" in reference()


def test_every_reason_code_is_given_by_some_rule() -> None:
    files = set((ROOT / "nba" / "governance").glob("*.py"))
    sources = "".join(map(read, sorted(files - {ROOT / "nba" / "governance" / "reason_codes.py"})))
    given = {code for code in STAGE_OF if f'"{code}"' in sources}
    assert given | set(CODE_OF_LAYER.values()) == set(STAGE_OF)


def test_every_code_that_a_refusal_gives_has_a_stage() -> None:
    """Refusals are made by `refuse`, `refuse_at` and `refuse_unless_lifted`, and by `Limit`."""
    makers = {"refuse", "refuse_at", "refuse_unless_lifted", "_Limit"}
    calls = [
        call
        for file in sorted((ROOT / "nba").rglob("*.py"))
        for call in ast.walk(ast.parse(read(file)))
        if isinstance(call, ast.Call) and _name(call.func) in makers
    ]
    values = [value for call in calls for value in call.args[1:2]]
    values += [word.value for call in calls for word in call.keywords if word.arg == "code"]
    given = {value.value for value in values if isinstance(value, ast.Constant)}
    assert len(given) >= 10
    assert given <= set(STAGE_OF)


@pytest.mark.parametrize("code", sorted(STAGE_OF))
def test_every_reason_code_is_explained(code: str) -> None:
    rows = re.findall(rf"^\| `(\w+)` \| `{code}` \| (.+?) \| (.+?) \|$", _reasons(), re.MULTILINE)
    assert rows, f"docs/reasons.md does not explain {code}"
    for stage, meaning, remedy in rows:
        assert stage == STAGE_OF[code]
        assert meaning and remedy


def test_no_reason_code_is_explained_that_is_not_given() -> None:
    explained = set(re.findall(r"^\| `\w+` \| `(\w+)` \|", _reasons(), re.MULTILINE))
    assert explained == set(STAGE_OF)


def test_every_exit_of_a_sub_journey_is_explained_and_no_other() -> None:
    table = _reasons().split("## How a sub-journey ends")[1]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(get_args(Exit))


def test_every_note_of_a_decision_is_explained() -> None:
    """The notes are the texts of the functions whose name says that they give one."""
    notes = {
        node.value.value
        for file in sorted((ROOT / "nba").rglob("*.py"))
        for function in ast.walk(ast.parse(read(file)))
        if isinstance(function, ast.FunctionDef) and "why_no_action" in function.name
        for node in ast.walk(function)
        if isinstance(node, ast.Return)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }
    assert len(notes) >= 3
    for note in notes:
        assert f"| {note} |" in _reasons()


def _reasons() -> str:
    return read(ROOT / "docs" / "reasons.md")


# Nothing is documented that is gone


def test_no_setting_is_named_that_is_not_read() -> None:
    for file in DOCUMENTS:
        named = set(re.findall(r"\bNBA_[A-Z_]+\b", read(file)))
        assert named <= {*SETTINGS, "NBA_DATA"}, file


def test_the_shell_blocks_are_found() -> None:
    lines = shell_lines(readme())
    assert {"make demo", "make test", "make serve"} <= set(lines)


@pytest.mark.parametrize("line", SHELL)
def test_every_shell_line_runs_what_exists(line: str) -> None:
    words = shlex.split(line)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words.pop(0)
    program, *rest = words
    name = Path(program).name
    if name == "make":
        targets = {word for word in rest if "=" not in word}
        assert targets <= _targets()
    elif name == "nba":
        _check_words(rest)
    elif name.startswith("python") and rest[:1] == ["-m"]:
        assert rest[1] in {"pytest", "mypy"} or (ROOT / _file(rest[1])).exists()
    elif name.startswith("python"):
        assert (ROOT / rest[0]).is_file(), f"{rest[0]} does not exist"
    else:
        assert name in OTHERS | {"mlflow", "pytest"}, f"what is {program}?"


def _file(module: str) -> str:
    return module.replace(".", "/") + ".py"


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", read(ROOT / "Makefile"), re.MULTILINE))


def _check_words(words: list[str]) -> None:
    """An `nba` line is one that the command's own parser takes; nothing is run."""
    if " ".join(words[:2]) in COMMANDS and len(words) > 1:
        words = [" ".join(words[:2]), *words[2:]]
    command = COMMANDS[words[0]]
    options = {name for parameter in command.params for name in parameter.opts}
    given = {word.split("=")[0] for word in words[1:] if word.startswith("--")}
    assert given <= options | {"--help"}
    if "--help" not in given:
        command.make_context(words[0], words[1:])


def test_a_line_that_no_command_takes_is_noticed() -> None:
    for line in ("trian --seed 7", "train --sede 7", "train --seed x", "check", "check a b"):
        with pytest.raises((KeyError, AssertionError, UsageError)):
            _check_words(shlex.split(line))


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_command_that_a_text_mentions_exists(file: Path) -> None:
    for command in re.findall(r"`(?:\.venv/bin/)?nba ([a-z]+)", read(file)):
        assert command in COMMANDS, f"{file}: nba {command}"
    for target in re.findall(r"`make ([a-z-]+)", read(file)):
        assert target in _targets(), f"{file}: make {target}"


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(file: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", read(file)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = file.parent / path if path else file
        assert there.exists(), f"{file.name} links to {target}"
        if anchor:
            assert anchor in _anchors(there), f"{file.name} links to {target}"


def _anchors(file: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", read(file), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_file_that_a_text_names_in_code_exists(file: Path) -> None:
    """`tests/test_parity.py` and the like: a path with a known ending, from the top."""
    for path in re.findall(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|md|yaml|json|toml))`", read(file)):
        assert (ROOT / path).exists() or (file.parent / path).exists(), f"{file.name}: {path}"


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_test_that_a_text_names_exists(file: Path) -> None:
    """`tests/nba/governance/test_consent.py::test_name`."""
    for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", read(file)):
        assert f"def {name}(" in read(ROOT / path), f"{file.name}: {path}::{name}"


def test_every_decision_record_is_in_their_list_under_its_own_title() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"^- \[(.+)\]\((.+\.md)\)$", (folder / "README.md").read_text(), re.M)
    written = {
        (path.read_text().splitlines()[0].removeprefix("# "), path.name)
        for path in folder.glob("0*.md")
    }
    assert set(listed) == written and [name for _, name in listed] == sorted(
        name for _, name in written
    )


# those of other environments, and an empty BentoML service
ELSEWHERE = {"bandit_peers", "kernel_peers", "ope_peer", "empty_service"}


@pytest.mark.parametrize(
    "script",
    [path for path in sorted(ROOT.glob("benchmarks/*/*.py")) if path.stem not in ELSEWHERE],
    ids=lambda path: path.stem,
)
def test_every_benchmark_finds_what_it_imports(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", [*sys.path])
    monkeypatch.setattr("os.environ", dict(os.environ))
    runpy.run_path(str(script), run_name=script.stem)
