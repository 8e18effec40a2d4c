"""The app that every command joins, and the options that several share."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from serving.settings import Settings, prepare_environment, read_settings

app = typer.Typer(
    name="nba",
    help="Next best action: events in, one governed, explained decision out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of all chance.")]
Which = Annotated[str, typer.Argument(help="A version or an alias.")]


def ready() -> Settings:
    """The settings, with what other packages read from the environment in place."""
    settings = read_settings()
    prepare_environment(settings)
    return settings


def user() -> str:
    """Who runs this, for the audit trail."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no user entry and no variable that names one
        return "unknown"
