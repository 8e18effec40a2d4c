"""What the log holds of one experiment, as sums that add up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from nba.measurement.statistics.moments import Moments

By: TypeAlias = dict[str, dict[str, Moments]]  # metric id -> arm id -> sums over customers


NONE = Moments()


class ExperimentEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """What the log holds of one experiment; shards that hold customers of their own add up."""

    exposed: dict[str, int] = {}  # customers by the arm in which they were first decided
    unknown: dict[str, int] = {}  # customers under labels of this experiment that it has no arm for
    strays: int = 0  # customers who were decided in two of its arms
    misplaced: int = 0  # customers in another arm than their id gives, or outside its time
    sums: By = {}  # over customers whose window is over
    fixed_sums: By = {}  # the same over those of the fixed analysis; empty until it is due

    def __add__(self, other: ExperimentEvidence) -> ExperimentEvidence:
        return ExperimentEvidence(
            exposed=_added(self.exposed, other.exposed),
            unknown=_added(self.unknown, other.unknown),
            strays=self.strays + other.strays,
            misplaced=self.misplaced + other.misplaced,
            sums=_summed(self.sums, other.sums),
            fixed_sums=_summed(self.fixed_sums, other.fixed_sums),
        )


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}


def _summed(one: By, other: By) -> By:
    return {
        metric: {
            arm: one.get(metric, {}).get(arm, NONE) + other.get(metric, {}).get(arm, NONE)
            for arm in {**one.get(metric, {}), **other.get(metric, {})}
        }
        for metric in {**one, **other}
    }
