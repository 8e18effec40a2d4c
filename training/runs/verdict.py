"""The verdict on its MLflow run: numbers as metrics, each gate as a tag, the whole as files.

Beside it the aliases of MLflow, which follow the log's: a champion that the service took back by
itself is passed on to MLflow by the next command.
"""

from __future__ import annotations

import math
import re

from models.bundles.registry import MODEL
from nba.errors import StoreUnavailable
from nba.promotion.verdict import GateVerdict
from nba.stores.log import Log
from nba.stores.versioned import CHAMPION

_NOT_IN_NAMES = re.compile(r"[^\w\-. /:]")


def keep_verdict(url: str, version: str, verdict: GateVerdict) -> None:
    """Put it on the run of a version in the MLflow server at `url`. Raises StoreUnavailable."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric, RunTag
    from mlflow.exceptions import MlflowException

    client, at = MlflowClient(url), int(verdict.judged_at.timestamp() * 1000)
    metrics = [
        Metric(_NOT_IN_NAMES.sub(":", f"gate.{gate.name}.{number}"), value, at, 0)
        for gate in verdict.gates
        for number, value in gate.numbers.items()
        if math.isfinite(value)
    ]
    tags = [RunTag(f"gate.{gate.name}", gate.status.value) for gate in verdict.gates]
    tags.append(RunTag("gate", verdict.status.value))
    try:
        run_id = str(client.get_model_version(MODEL, version).run_id)
        client.log_batch(run_id, metrics=metrics, tags=tags)
        for name, content in verdict.files().items():
            client.log_text(run_id, content.decode(), name)
    except MlflowException as error:
        raise StoreUnavailable(f"MLflow at {url}: {error}") from None


def align(url: str, log: Log) -> str | None:
    """Point MLflow's champion at the log's; gives the version, None where MLflow has none of it.

    Raises StoreUnavailable.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    champion, client = log.alias(CHAMPION), MlflowClient(url)
    if champion is None:
        return None
    try:
        versions = client.search_model_versions(
            f"name = '{MODEL}' and tags.bundle_id = '{champion}'"
        )
        if not versions:
            return None
        version = str(max(int(registered.version) for registered in versions))
        client.set_registered_model_alias(MODEL, CHAMPION, version)
    except MlflowException as error:
        raise StoreUnavailable(f"MLflow at {url}: {error}") from None
    return version
