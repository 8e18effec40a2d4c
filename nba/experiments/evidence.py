"""The evidence of one experiment: what the log holds of it, as sums that add up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from nba.measurement.statistics.moments import Moments

# metric id -> arm id -> sums over customers
MomentsByArm: TypeAlias = dict[str, dict[str, Moments]]
NO_CUSTOMERS = Moments()


class ExperimentEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """What the log holds of one experiment; shards that hold customers of their own add up."""

    exposed: dict[str, int] = {}  # customers by the arm in which they were first decided
    unknown: dict[str, int] = {}  # customers under labels of this experiment that it has no arm for
    strays: int = 0  # customers who were decided in two of its arms
    misplaced: int = 0  # customers in another arm than their id gives, or outside its time
    left_out: int = 0  # customers whose rewards cannot be settled: they are in no reward metric
    sums: MomentsByArm = {}  # over customers whose window is over
    fixed_sums: MomentsByArm = {}  # over those of the fixed analysis; empty until it is due

    def __add__(self, other: ExperimentEvidence) -> ExperimentEvidence:
        return ExperimentEvidence(
            exposed=_added(self.exposed, other.exposed),
            unknown=_added(self.unknown, other.unknown),
            strays=self.strays + other.strays,
            misplaced=self.misplaced + other.misplaced,
            left_out=self.left_out + other.left_out,
            sums=_summed(self.sums, other.sums),
            fixed_sums=_summed(self.fixed_sums, other.fixed_sums),
        )


def _added(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    return {name: left.get(name, 0) + right.get(name, 0) for name in {**left, **right}}


def _summed(left: MomentsByArm, right: MomentsByArm) -> MomentsByArm:
    return {
        metric: {
            arm: left.get(metric, {}).get(arm, NO_CUSTOMERS)
            + right.get(metric, {}).get(arm, NO_CUSTOMERS)
            for arm in {**left.get(metric, {}), **right.get(metric, {})}
        }
        for metric in {**left, **right}
    }
