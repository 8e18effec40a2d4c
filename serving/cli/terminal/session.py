"""The settings and the user that a command runs with."""

from __future__ import annotations

import getpass

from serving.settings import Settings, prepare_environment, read_settings


def command_settings() -> Settings:
    """The settings, with what other packages read from the environment in place.

    Raises InvalidInput.
    """
    settings = read_settings()
    prepare_environment(settings)
    return settings


def current_user() -> str:
    """Who runs the command, for the audit trail."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no user entry and no variable that names one
        return "unknown"
