"""The command line: help with an example, one-line errors, JSON where a script wants it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nba.journey_file.loader import load_journey
from serving import cli
from serving.cli import app
from tests.fixtures.cli_commands import COMMANDS
from tests.fixtures.files import SMALL_JOURNEY

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data_folder: Path
) -> Iterator[Run]:
    """`nba WORDS` in this process: exit code, stdout, stderr; its home is an empty folder."""
    before = dict(os.environ)
    for variable in [name for name in os.environ if name.startswith("NBA_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("NBA_HOME", str(data_folder))
    monkeypatch.setenv("NBA_JOURNEY", str(SMALL_JOURNEY))
    monkeypatch.setenv("COLUMNS", "400")

    def play(*words: str | Path, **environ: str) -> tuple[int, str, str]:
        for variable, value in environ.items():
            monkeypatch.setenv(variable, value)
        monkeypatch.setattr(sys, "argv", ["nba", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        code = ended.value.code
        return code if isinstance(code, int) else 0, printed.out, printed.err

    yield play
    for variable in set(os.environ) - set(before):  # what a command has set for other packages
        del os.environ[variable]


def said(stderr: str) -> list[str]:
    """The lines of stderr that are no progress bar."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stderr).replace("\r", "\n")
    return [line for line in plain.splitlines() if line.strip() and "━" not in line]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    result = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    text = " ".join(result.output.split())
    assert re.search(rf"Example: (NBA_\w+=\S+ )?nba {command}", text)
    for parameter in COMMANDS[command].params:
        assert getattr(parameter, "help", None), f"{command}: {parameter.name} has no help"


@pytest.mark.parametrize("command", COMMANDS)
def test_the_words_of_an_example_are_words_of_its_command(command: str) -> None:
    example = re.search(rf"nba {command}([^`]*)`", COMMANDS[command].help or "")
    assert example is not None
    options = {opt for parameter in COMMANDS[command].params for opt in parameter.opts}
    assert set(re.findall(r"--[a-z-]+", example[1])) <= options


def test_without_a_command_the_commands_are_listed() -> None:
    result = CliRunner().invoke(app, [])
    assert all(command in result.output for command in COMMANDS if " " not in command)


def test_an_unknown_command_and_an_unknown_option_are_usage_errors(run: Run) -> None:
    assert run("chek")[0] == 2
    code, out, err = run("check", SMALL_JOURNEY, "--jsno")
    assert code == 2
    assert out == ""
    assert "Traceback" not in err


# Errors


@pytest.mark.parametrize(
    "words",
    [("decide", "c1", "--dry-run"), ("train",), ("serve",), ("stop",), ("migrate",), ("demo",)],
    ids=lambda words: words[0],
)
def test_a_wrong_setting_is_one_line_on_every_command(
    run: Run, data_folder: Path, words: tuple[str, ...]
) -> None:
    code, out, err = run(*words, NBA_PROT="3000")
    assert (code, out) == (1, "")
    assert said(err) == ["error: NBA_PROT: 'set': did you mean 'NBA_PORT'?"]
    assert list(data_folder.iterdir()) == []


def test_a_setting_out_of_range_is_one_line(run: Run) -> None:
    code, out, err = run("stop", NBA_PORT="70000")
    assert (code, out) == (1, "")
    assert said(err) == ["error: NBA_PORT: '70000': Expected `int` <= 65535"]


def test_a_missing_journey_file_is_one_line(run: Run, tmp_path: Path) -> None:
    for words in (("check", tmp_path / "no.yaml"), ("serve",), ("decide", "c1")):
        code, out, err = run(*words, NBA_JOURNEY=str(tmp_path / "no.yaml"))
        assert (code, out) == (1, "")
        (line,) = said(err)
        assert line.startswith(f"error: {tmp_path / 'no.yaml'}:")
        assert "Traceback" not in err


def test_each_error_of_a_journey_file_is_one_line_with_its_place(run: Run, tmp_path: Path) -> None:
    text = SMALL_JOURNEY.read_text(encoding="utf-8")
    file = tmp_path / "bad.yaml"
    file.write_text(text.replace("kind: human", "kind: humane").replace("times: 3", "times: x"))
    code, out, err = run("check", file)
    assert (code, out) == (1, "")
    lines = said(err)
    assert len(lines) == 3  # two touchpoints and the cap
    assert all(re.match(rf"error: {re.escape(str(file))}:\d+: ", line) for line in lines)
    assert lines[0].endswith("'humane': write digital or human or physical or spatial")


def test_a_missing_event_file_is_one_line(run: Run, tmp_path: Path, postgres_url: str) -> None:
    code, out, err = run("ingest", tmp_path / "no.jsonl", NBA_DATABASE_URL=postgres_url)
    assert (code, out) == (1, "")
    (line,) = said(err)
    assert line.startswith(f"error: {tmp_path / 'no.jsonl'}:")
    assert line.endswith(": No such file or directory")


def test_a_database_out_of_reach_is_one_line_without_the_password(run: Run) -> None:
    url = "postgresql://ada:passw0rd@127.0.0.1:9/nba?connect_timeout=1"
    for words in (("decide", "c1"), ("serve",), ("migrate",)):
        code, out, err = run(*words, NBA_DATABASE_URL=url)
        assert (code, out) == (1, "")
        (line,) = said(err)
        assert line.startswith("error: PostgreSQL at 127.0.0.1, database 'nba'")
        assert "passw0rd" not in err


def test_what_the_journey_does_not_name_is_one_line(run: Run, postgres_url: str) -> None:
    words = ("decide", "c1", "--dry-run", "--channel", "wep")
    code, out, err = run(*words, NBA_DATABASE_URL=postgres_url)
    assert (code, out) == (1, "")
    assert said(err) == ["error: channel: 'wep': did you mean 'web'?"]


def test_the_demo_never_plays_on_a_given_database(run: Run) -> None:
    code, out, err = run("demo", NBA_DATABASE_URL="postgresql://u:passw0rd@h/d")
    assert (code, out) == (1, "")
    (line,) = said(err)
    assert line.startswith("error: NBA_DATABASE_URL: 'set': unset it")
    assert "passw0rd" not in err


# mlflow 3.17 on SQLAlchemy 2.1: its model registry still uses `noload`
@pytest.mark.filterwarnings("ignore:The ``noload`` loader:sqlalchemy.exc.SADeprecationWarning")
def test_an_unknown_version_is_one_line(run: Run, data_folder: Path) -> None:
    environ = {
        "NBA_MLFLOW_URL": (data_folder / "runs").as_uri(),
        "MLFLOW_ALLOW_FILE_STORE": "true",  # made at once, where a new database takes 10 s
    }
    code, out, err = run("evaluate", "99", **environ)
    assert (code, out) == (1, "")
    (line,) = said(err)
    assert line.startswith("error: '99': no such version or alias of 'nba' in MLflow")
    assert line.endswith("run nba train first")


# Results


def test_the_installed_command_is_this_one(tmp_path: Path) -> None:
    command = shutil.which("nba", path=str(Path(sys.executable).parent))
    assert command is not None
    file = tmp_path / "no.yaml"
    done = subprocess.run([command, "check", str(file)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1


def test_check_as_json_is_one_document_of_what_check_prints(run: Run) -> None:
    code, out, err = run("check", SMALL_JOURNEY, "--json")
    assert (code, err) == (0, "")
    assert out.count("\n") == 1
    found = json.loads(out)
    assert found["file"] == str(SMALL_JOURNEY)
    assert found["version"] == load_journey(SMALL_JOURNEY).catalogue_version()
    code, printed, _ = run("check", SMALL_JOURNEY)
    assert code == 0
    for title, rows in found["sections"].items():
        assert title in printed
        for row in rows:
            assert str(next(iter(row.values()))) in printed


def test_what_is_ingested_is_what_the_next_decision_knows(run: Run, tmp_path: Path) -> None:
    def event(number: int, **fields: Any) -> str:
        now = {"event_id": f"e{number}", "customer_id": "c1", "name": "Complaint Filed"}
        return json.dumps(now | {"occurred_at": "2026-03-01T12:00:00Z"} | fields)

    file = tmp_path / "events.jsonl"
    file.write_text("\n".join([event(1), event(2, name="Seen"), event(1), event(3, name="")]))
    code, out, err = run("ingest", file, "--json")
    assert code == 1  # a line was rejected
    found = json.loads(out)
    assert (found["accepted"], found["duplicates"], found["rejected_lines"]) == (2, 1, 1)
    assert found["unmapped"] == {"Seen": 1}
    assert found["rejected"][0].startswith(f"{file}:4: name: ''")
    assert "Traceback" not in err

    dry = run("decide", "c1", "--dry-run", "--json")
    assert dry[0] == 0
    answer = json.loads(dry[1])
    assert (answer["logged"], answer["known_customer"]) == (False, True)
    assert (answer["mode"], answer["fallback_used"]) == ("dry_run", False)  # by the guesses
    assert answer["emotion"]["last"] == -0.8

    code, out, _ = run("decide", "c1", "--json", NBA_SEED="5")
    logged = json.loads(out)
    assert (code, logged["logged"]) == (0, True)

    code, out, _ = run("decide", "nobody", "--dry-run")
    assert code == 0
    assert "no_action" in out and "Refused" in out and "help_popup" in out

    code, out, err = run("ingest", file)
    assert code == 1
    assert re.search(r"duplicate\W+3\b", out)
    assert "rejected" in err or "rejected" in out

    code, _, err = run("stop")
    assert (code, said(err)) == (0, ["nothing was running"])


def test_a_terminal_that_lacks_the_letters_of_a_name_shows_their_escapes(tmp_path: Path) -> None:
    journey = tmp_path / "bank.yaml"
    text = SMALL_JOURNEY.read_text(encoding="utf-8")
    text = text.replace("values: [mass,", "values: [金卡, mass,")
    journey.write_text(text.replace('in ["mass", "aff', 'in ["金卡", "aff'), encoding="utf-8")
    command = Path(sys.executable).with_name("nba")
    for encoding, shows in (("utf-8", "金卡"), ("ascii", r"\u91d1\u5361")):
        done = subprocess.run(
            [command, "check", journey],
            capture_output=True,
            check=False,
            env={**os.environ, "PYTHONIOENCODING": encoding},
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert shows in done.stdout.decode(encoding)


def test_a_home_that_cannot_be_written_is_one_line_with_the_remedy(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    code, out, err = run("changes", NBA_HOME=str(tmp_path / "file" / "home"))
    assert (code, out) == (1, "")
    [line] = said(err)
    assert "file/home" in line and "Not a directory" in line


def test_a_fault_of_ours_is_one_line_and_keeps_its_traceback(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "app", lambda: 1 / 0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code, out, err = run("changes")
    assert (code, out) == (1, "")
    [line] = said(err)
    assert "ZeroDivisionError: 'division by zero': a fault of nba: please report it with" in line
    [kept] = tmp_path.glob("nba-*.txt")
    assert str(kept) in line and "in <lambda>" in kept.read_text()
