"""The command that runs the service: serve."""

from __future__ import annotations

import typer

from serving.cli.terminal.session import command_settings


def serve() -> None:
    """Serve HTTP until SIGTERM or Ctrl-C; what was accepted is finished first.

    Example: `NBA_PORT=8080 nba serve`
    """
    from serving.jobs.server import serve_until_stopped

    raise typer.Exit(serve_until_stopped(command_settings()))
