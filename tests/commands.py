"""Every command of the command line by its words, those of groups included."""

from __future__ import annotations

from typing import Any

import typer

from serving.cli import app


def _flat(commands: dict[str, Any], before: str = "") -> dict[str, Any]:
    found = {}
    for name, command in commands.items():
        found[before + name] = command
        found |= _flat(getattr(command, "commands", {}), f"{before}{name} ")
    return found


COMMANDS: dict[str, Any] = _flat(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
