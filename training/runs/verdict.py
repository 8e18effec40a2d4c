"""The verdict on its MLflow run: numbers as metrics, each gate as a tag, the whole as files.

Beside it the aliases of MLflow, which follow the log's: a champion that the service took back by
itself is passed on to MLflow by the next command.
"""

from __future__ import annotations

import math
import re

from models.bundles.registry import Registry
from nba.promotion.verdict import GateVerdict
from nba.stores.log import Log
from nba.stores.versioned import CHAMPION

_NOT_IN_NAMES = re.compile(r"[^\w\-. /:]")


def keep_verdict(registry: Registry, version: str, verdict: GateVerdict) -> None:
    """Put it on the run of a version. Raises StoreUnavailable."""
    registry.note(
        version,
        at=verdict.judged_at,
        metrics={
            _NOT_IN_NAMES.sub(":", f"gate.{gate.name}.{number}"): value
            for gate in verdict.gates
            for number, value in gate.numbers.items()
            if math.isfinite(value)
        },
        tags={
            **{f"gate.{gate.name}": gate.status.value for gate in verdict.gates},
            "gate": verdict.status.value,
        },
        files=verdict.files(),
    )


def align(registry: Registry, log: Log, version: str | None = None) -> str | None:
    """Point MLflow's champion at the log's; gives the version, None where MLflow has none of it.

    `version`: the one that was promoted, where several hold the same bundle. Raises
    StoreUnavailable.
    """
    champion = log.alias(CHAMPION)
    return None if champion is None else registry.point_champion(champion, version)
