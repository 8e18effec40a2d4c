"""Warm start: the residual's sums over the part of the training data that the model did not see.

The residual of a new bundle begins with these sums rather than with nothing. Their decisions are
later than those that the model was fitted on: of those the sums would say that nothing is left to
learn.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import msgspec
from msgspec import UNSET, UnsetType

from models.residual.past_delays import PastDelays
from models.residual.posterior import ResidualPrior
from models.residual.sums import ResidualSums

FILE = "residual.bin"
WARM_START_PREFIX = "warm-"


class WarmStartPart(msgspec.Struct, frozen=True, kw_only=True):
    """The manifest's entry of a warm start."""

    sha256: str
    prior: ResidualPrior
    settled_s: float
    reward_version: str
    delays: PastDelays | UnsetType = UNSET  # unset in bundles written before there were any


@dataclass(frozen=True, slots=True, eq=False)
class WarmStart:
    """Sums with their prior; `settled_s`: decisions whose window was over by then are in them."""

    sums: ResidualSums
    prior: ResidualPrior
    settled_s: float
    reward_version: str  # the rule by which they were rewarded
    delays: PastDelays | UnsetType = UNSET  # of all rewards that had settled

    @property
    def sha256(self) -> str:
        """Of the sums."""
        return hashlib.sha256(self.sums.to_bytes()).hexdigest()

    @property
    def version(self) -> str:
        """The policy version that decisions log before anything is learned online."""
        return WARM_START_PREFIX + self.sha256[:16]

    def part(self) -> WarmStartPart:
        """The manifest's entry."""
        return WarmStartPart(
            sha256=self.sha256,
            prior=self.prior,
            settled_s=self.settled_s,
            reward_version=self.reward_version,
            delays=self.delays,
        )


def load_warm_start(content: bytes, part: WarmStartPart) -> WarmStart:
    """What `sums.to_bytes` wrote. Raises InvalidBundle for anything else."""
    sums = ResidualSums.from_bytes(content)
    return WarmStart(
        sums=sums,
        prior=part.prior,
        settled_s=part.settled_s,
        reward_version=part.reward_version,
        delays=part.delays,
    )
