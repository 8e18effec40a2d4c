"""Options of one training: searches, own estimators, trusted columns, reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.fitting.estimators import EstimatorSpec

STEPS = 6  # that a training without a search tells its progress of
MODELS = ("churn", "touchpoint")


@dataclass(frozen=True, slots=True, kw_only=True)
class FitOptions:
    """`estimators`, `parameters`: by model, `churn` or `touchpoint`."""

    trials: int = 0  # of a search for LightGBM's parameters, in all, for each model
    searches: Path | None = None  # the SQLite file that searches go on from; None: in memory
    estimators: Mapping[str, EstimatorSpec] = field(default_factory=dict)
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # in place of ours
    trusted: tuple[str, ...] = ()  # columns whose leakage is reported and does not refuse
    uplift: bool = False

    @property
    def steps(self) -> int:
        """How often progress is told at most."""
        searched = [name for name in MODELS if name not in self.estimators]
        return STEPS + self.trials * len(searched) + self.uplift
