"""The command line: `nba`.

Every command reads its settings from the environment (`serving.settings`), prints tables for
people, and with `--json` one JSON document on stdout. An error is one line. Only this package
imports `training`.
"""

from __future__ import annotations

import io
import sys
import traceback
from collections.abc import Callable
from tempfile import NamedTemporaryFile

import typer

from nba.errors import InvalidJourney, NbaError, shown
from serving.cli.operators.database import migrate, stop
from serving.cli.operators.decide import decide
from serving.cli.operators.deliveries import deliveries
from serving.cli.operators.demo import demo
from serving.cli.operators.export import export, replay
from serving.cli.operators.ingest import ingest
from serving.cli.operators.serve import serve
from serving.cli.owners.catalogue import changes, publish, rollback
from serving.cli.owners.check import check
from serving.cli.owners.experiment import experiment_app
from serving.cli.owners.report import report_app
from serving.cli.owners.whatif import whatif
from serving.cli.scientists.health import health, retrain
from serving.cli.scientists.policy import policy_app
from serving.cli.scientists.promotion import evaluate, guard, promote
from serving.cli.scientists.simulate import simulate
from serving.cli.scientists.train import train_app
from serving.cli.scientists.train_emotion import train_emotion, train_text
from serving.console import console

app = typer.Typer(
    name="nba",
    help="Next best action: events in, one governed, explained decision out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
_REMEDIES = {  # of what a fresh machine may lack
    "libgomp": "install libgomp1 (Debian, Ubuntu) or libgomp (Fedora), which LightGBM needs",
    "Permission denied": "run as its owner, or set NBA_HOME to a folder that you may write",
    "Read-only file system": "set NBA_HOME to a folder that can be written",
    "File exists": "it is in the way: set NBA_HOME to a folder, or move the file",
    "No space left": "make room, or set NBA_HOME to a folder on another disk",
}
COMMANDS: tuple[Callable[..., None], ...] = (
    check,
    publish,
    rollback,
    changes,
    whatif,
    simulate,
    evaluate,
    promote,
    guard,
    health,
    retrain,
    demo,
    serve,
    ingest,
    decide,
    deliveries,
    export,
    replay,
    migrate,
    stop,
)
for command in COMMANDS:
    app.command()(command)
app.add_typer(experiment_app, name="experiment")
app.add_typer(report_app, name="report")
train_app.command("emotion")(train_emotion)
train_app.command("text")(train_text)
app.add_typer(train_app, name="train")
app.add_typer(policy_app, name="policy")


def main() -> None:
    """Run a command; an expected error is one line and exit code 1."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal may lack the letters of a name
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except InvalidJourney as error:
        for journey_error in error.errors:
            _print_error(journey_error)
        sys.exit(1)
    except NbaError as error:
        _print_error(error)
        sys.exit(1)
    except OSError as error:  # a folder that is read-only, a library that is absent
        _print_error(_of_the_machine(error))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        _print_error(_unexpected(error))
        sys.exit(1)


def _of_the_machine(error: OSError) -> str:
    """What the machine refuses, the remedy where it is known."""
    text = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    for sign, remedy in _REMEDIES.items():
        if sign in text:
            return f"{text}: {remedy}"
    return text


def _unexpected(error: Exception) -> str:
    """A fault of this program: one line, and where its traceback is kept for who reports it."""
    with NamedTemporaryFile("w", prefix="nba-", suffix=".txt", delete=False) as file:
        traceback.print_exception(error, file=file)
    kind = type(error).__name__
    return f"{kind}: {shown(str(error), 200)}: a fault of nba: please report it with {file.name}"


def _print_error(error: NbaError | str) -> None:
    console.print("error: ", style="red", end="")
    console.print(str(error), markup=False, highlight=False, soft_wrap=True)
