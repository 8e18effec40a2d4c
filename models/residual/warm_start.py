"""Warm start: what a bundle's own training data say of its scores where it had not learned.

The residual of a new bundle begins with these sums rather than with nothing. The decisions are
later than those that the model was fitted on: of these it would say that nothing is left to learn.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import msgspec

from models.residual.posterior import ResidualPrior
from models.residual.sums import ResidualSums

FILE = "residual.bin"
WARM_PREFIX = "warm-"


class WarmStartPart(msgspec.Struct, frozen=True, kw_only=True):
    """The manifest's entry of a warm start."""

    sha256: str
    prior: ResidualPrior
    settled_s: float
    reward_version: str


@dataclass(frozen=True, slots=True, eq=False)
class WarmStart:
    """Sums with their prior; `settled_s`: decisions whose window was over by then are in them."""

    sums: ResidualSums
    prior: ResidualPrior
    settled_s: float
    reward_version: str  # the rule by which they were rewarded

    @property
    def sha256(self) -> str:
        """Of the sums."""
        return hashlib.sha256(self.sums.to_bytes()).hexdigest()

    @property
    def version(self) -> str:
        """As decisions log it that were made before anything was learned online."""
        return WARM_PREFIX + self.sha256[:16]

    def part(self) -> WarmStartPart:
        """The manifest's entry."""
        return WarmStartPart(
            sha256=self.sha256,
            prior=self.prior,
            settled_s=self.settled_s,
            reward_version=self.reward_version,
        )


def warm_from(content: bytes, part: WarmStartPart) -> WarmStart:
    """What `sums.to_bytes` wrote. Raises InvalidBundle for anything else."""
    sums = ResidualSums.from_bytes(content)
    return WarmStart(sums, part.prior, part.settled_s, part.reward_version)
