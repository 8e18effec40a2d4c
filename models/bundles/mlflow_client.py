"""The one way to MLflow: it waits for a locked registry, and its errors are one line each."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nba.errors import NbaError, StoreUnavailable

if TYPE_CHECKING:
    from mlflow import MlflowClient

SQLITE_WAIT_S = 30  # for another process that holds the database file
_LONGEST_REASON = 200  # characters of MLflow's own error that ours carries


def waiting(url: str) -> str:
    """The same address, waiting `SQLITE_WAIT_S` for a SQLite file that another process holds.

    SQLite's driver waits 5 s unless its address says otherwise.

    >>> waiting("sqlite:////data/mlflow.db")
    'sqlite:////data/mlflow.db?timeout=30'
    """
    if not url.startswith("sqlite:") or "timeout=" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}timeout={SQLITE_WAIT_S}"


def without_password(url: str) -> str:
    """An address as an error may show it.

    >>> without_password("https://ada:secret@mlflow.example/a")
    'https://mlflow.example/a'
    """
    return re.sub(r"//[^/]*@", "//", url, count=1)


@contextmanager
def mlflow_client(url: str) -> Iterator[MlflowClient]:
    """A client of the MLflow server at `url`, or of a database file.

    Whatever MLflow, its database, the network or the library of a file store raises inside becomes
    StoreUnavailable: one line with the reason and the remedy, and no password.
    """
    from mlflow import MlflowClient
    from mlflow.environment_variables import MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR as PROGRESS_BAR

    # of a database server that is down it would tell each of its ten tries in six lines
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.ERROR)
    # it stands in the way of errors where nobody watches
    PROGRESS_BAR.set(False)  # type: ignore[no-untyped-call]
    try:
        yield MlflowClient(waiting(url))
    except NbaError:
        raise
    except Exception as error:
        raise StoreUnavailable(_message(url, error)) from error


def missing_library(error: ImportError) -> str:
    """What a store of files needs that is not installed, with the remedy."""
    return f"the library {error.name!r} of that store is not installed: install it beside MLflow"


def _message(url: str, error: Exception) -> str:
    address = without_password(url)
    if isinstance(error, ImportError):
        return f"MLflow at {address}: its files: {missing_library(error)}"
    lines = [line.strip() for line in str(error).replace(url, address).splitlines()]
    reason = next((line for line in lines if line), type(error).__name__)
    if "database is locked" in reason:
        remedy = "another process holds it, which we waited for: try again when that has ended"
        return f"MLflow at {address}: database is locked: {remedy}"
    if "must be in the 'active'" in reason:
        kind = "experiments" if reason.startswith("The experiment") else "runs"
        reason = f"{reason.rstrip('.')}; restore it with `mlflow {kind} restore`"
    return f"MLflow at {address}: {_shortened(reason)}"


def _shortened(reason: str) -> str:
    """Its beginning and its end: of nested causes the last one is what failed."""
    if len(reason) <= _LONGEST_REASON:
        return reason
    half = _LONGEST_REASON // 2
    return f"{reason[:half].rstrip()} ... {reason[-half:].lstrip()}"
