"""An estimate with its interval, or the reason why there is none."""

from __future__ import annotations

import msgspec
import numpy as np

MIN_ESS = 30.0  # effective sample size under which sums give no estimate


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A value with a two-sided 95 % interval."""

    value: float
    low: float
    high: float
    n: int  # observations
    ess: float  # effective sample size


class Undecided(msgspec.Struct, frozen=True, kw_only=True):
    """No number, and why."""

    reason: str


def effective_sample_size(weights: np.ndarray) -> float:
    """Of (n,) weights, (sum w)^2 / sum w^2 (Kish); 0 where all are 0."""
    return float(weights.sum() ** 2 / (weights**2).sum()) if weights.any() else 0.0


def as_json(result: Estimate | Undecided) -> dict[str, object]:
    """For reports: `{value, ci: [low, high], n, ess}`, or `{undecided: reason}`."""
    if isinstance(result, Undecided):
        return {"undecided": result.reason}
    ci = [result.low, result.high]
    return {"value": result.value, "ci": ci, "n": result.n, "ess": result.ess}
