"""The command line: `nba`.

Every command reads its settings from the environment (`serving.settings`), prints tables for
people, and with `--json` one JSON document on stdout. An error is one line. Only this package
imports `training`.
"""

from __future__ import annotations

import sys

from nba.errors import InvalidJourney, NbaError
from serving.cli.app import app
from serving.cli.operators import (
    deliveries as delivery,
    demo as demonstration,
    export as scale,
    service as operation,
)
from serving.cli.owners import catalogue, experiment, report as reporting, whatif
from serving.cli.scientists import (
    health,
    policy,
    promotion,
    train as learning,
    train_emotion as emotion,
)
from serving.console import console

__all__ = [
    "app",
    "catalogue",
    "delivery",
    "demonstration",
    "emotion",
    "experiment",
    "health",
    "learning",
    "main",
    "operation",
    "policy",
    "promotion",
    "reporting",
    "scale",
    "whatif",
]


def main() -> None:
    """Run a command; an expected error is one line and exit code 1."""
    try:
        app()
    except InvalidJourney as error:
        for one in error.errors:
            _say(one)
        sys.exit(1)
    except NbaError as error:
        _say(error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _say(error: NbaError) -> None:
    console.print("error: ", style="red", end="")
    console.print(str(error), markup=False, highlight=False, soft_wrap=True)
