"""What one learner adds to: the residual's sums, and the exposures whose rewards are to come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.learning.residual_rows import ResidualRow
from models.residual.pending import PendingExposures
from models.residual.sums import ResidualSums
from nba.journey.actions import NO_ACTION
from nba.rewards.attribution import Attribution
from nba.rewards.changes import RewardChange


class ExposureSums:
    """Both, and the rule of the rewards that they are added by."""

    def __init__(
        self, sums: ResidualSums, pending: PendingExposures, attribution: Attribution
    ) -> None:
        self.sums = sums
        self.pending = pending
        actions = (*sums.actions, NO_ACTION)
        self._silence = np.array([attribution.silence(action) for action in actions])

    def add(self, rows: Sequence[ResidualRow], changes: Sequence[RewardChange]) -> None:
        """What has changed of these decisions."""
        x = self.sums.spec.features(
            np.array([row.values for row in rows]), np.array([row.score for row in rows])
        )
        codes = np.array([row.code for row in rows], dtype=np.int64)
        scores = np.array([row.score for row in rows])
        at_s = np.array([row.at_s for row in rows])
        deferred = np.array([row.deferred for row in rows], dtype=np.int64)
        streams, silence = self.pending.streams(codes, deferred), self._silence[codes]
        exposed = np.array([change.exposed for change in changes])
        before = np.array([change.before for change in changes])
        after = np.array([change.after for change in changes])
        for sign, rewards in ((1, after), (-1, before)):
            some = exposed == sign
            if some.any():
                self.sums.expose(x[some], codes[some], scores[some], at_s[some], sign)
                self.pending.expose(
                    x[some], streams[some], scores[some], silence[some], at_s[some], sign
                )
            some = (rewards != 0.0) & (before != after)
            if some.any():
                self.sums.reward(
                    x[some], codes[some], scores[some], rewards[some], at_s[some], sign
                )
        for stream, row, change in zip(streams.tolist(), rows, changes, strict=True):
            if change.arrived != change.arrived_before:
                self.pending.arrive(stream, row.at_s, change.arrived_before, sign=-1)
                self.pending.arrive(stream, row.at_s, change.arrived)


def waits_of(actions: Sequence[str], attribution: Attribution) -> list[float]:
    """How long the streams of these actions wait, as `PendingExposures` has them."""
    return [
        attribution.waits_s(action, deferred=deferred)
        for deferred in (False, True)
        for action in (*actions, NO_ACTION)
    ]
