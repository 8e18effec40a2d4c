"""A cohort: the exposures of one span of time whose rewards are still to come, as sums."""

from __future__ import annotations

import msgspec
import numpy as np

from models.residual.delay_curve import BUCKETS
from nba.engine.policy import Floats


class Cohort:
    """By stream of `models.residual.pending.PendingExposures`; rows are added in place."""

    __slots__ = ("sums", "exposed", "seconds", "squares", "arrived")

    def __init__(self, streams: int, features: int) -> None:
        size = features * (features + 1) // 2 + features
        self.sums: Floats = np.zeros((streams, size))  # A by its upper triangle, sum w x (p0 - s)
        self.exposed: Floats = np.zeros(streams)
        self.seconds: Floats = np.zeros(streams)  # since its beginning, in whole ones: exact sums
        self.squares: Floats = np.zeros(streams)  # of them
        self.arrived: Floats = np.zeros((streams, BUCKETS))  # rewards, by the age at which

    def scored(self, features: int) -> Floats:
        """(streams,) the rewards that are still to come or came, as the scores have them."""
        weight, score = self.sums[:, 0], np.abs(self.sums[:, features * (features + 1) // 2])
        mean = np.divide(score, weight, out=np.zeros_like(score), where=weight > 0.0)
        scored: Floats = np.maximum(self.exposed, 0.0) * mean
        return scored


class StoredExposures(msgspec.Struct, frozen=True, kw_only=True):
    """What waits, as the log keeps it."""

    actions: tuple[str, ...]
    features: int
    waits_s: tuple[float, ...]
    known_s: float
    begin: list[int]
    arrived: bytes
    sizes: bytes
    cohorts: dict[int, tuple[list[int], bytes, bytes, bytes, bytes, bytes]]
