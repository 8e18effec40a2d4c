"""Policy state: what was learned online on top of one bundle, one version after another.

A version holds the residual's sums, the prior fitted to them, and the position in the log up to
which they were learned: everything that the next version, or another learner, goes on from. It is
data, with a checked manifest; its name is the hash of its content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import UNSET, UnsetType

from models.residual.discount import CountedSums, Discount
from models.residual.posterior import ResidualPrior
from models.residual.sums import ResidualSums
from nba.content_ids import content_id
from nba.errors import InvalidBundle
from nba.rewards.changes import LogPosition

STATE, SUMS, DISCOUNT = "state.json", "sums.bin", "discount.bin"
FORMAT = 1


class PolicyHead(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a version is, without its sums."""

    format: int = FORMAT
    bundle_id: str  # the batch model whose scores it corrects
    reward_version: str  # the reward rule that it learned by
    learned_to: LogPosition = msgspec.field(name="place")
    prior: ResidualPrior
    as_of_s: float  # the moment for which forgetting is counted
    changes: int = msgspec.field(default=0, name="lessons")  # exposures and rewards since it began
    sums: str = ""  # sha256 of the sums
    # sha256 of what is taken off them for rewards still to come, and of the exposures that wait,
    # which are kept apart: only the learner reads them (`models.learning.versions`)
    discount: str | UnsetType = UNSET
    pending: str | UnsetType = UNSET


@dataclass(frozen=True, slots=True, eq=False)
class PolicyState:
    """One version with its sums in memory."""

    head: PolicyHead
    sums: ResidualSums
    discount: Discount | None = None
    pending: bytes | None = None  # what the learner goes on from, no file of the version

    @property
    def counted(self) -> CountedSums:
        """The sums as they are decided by."""
        return CountedSums(self.sums, self.discount)

    @property
    def version(self) -> str:
        """Its id, by its content."""
        return content_id("policy", self.files()[STATE])

    def for_actions(self, actions: Sequence[str]) -> PolicyState:
        """The same under the action codes of a catalogue."""
        counted = self.counted.for_actions(actions)
        return PolicyState(self.head, counted.sums, counted.discount, self.pending)

    def files(self) -> dict[str, bytes]:
        """Its files by name; the same state gives the same bytes."""
        files = {SUMS: self.sums.to_bytes()}
        if self.discount is not None:
            files[DISCOUNT] = self.discount.to_bytes()
        head = msgspec.structs.replace(
            self.head,
            sums=sha256_of(files[SUMS]),
            discount=UNSET if self.discount is None else sha256_of(files[DISCOUNT]),
            pending=self.head.pending if self.pending is None else sha256_of(self.pending),
        )
        return {STATE: msgspec.json.encode(head, order="deterministic"), **files}


def load_policy_state(files: Mapping[str, bytes]) -> PolicyState:
    """The version in these files. Raises InvalidBundle for absent, altered or unreadable ones."""
    if STATE not in files or SUMS not in files:
        raise InvalidBundle("policy: its files are gone: older versions are thinned out")
    try:
        head = msgspec.json.decode(files[STATE], type=PolicyHead)
    except msgspec.DecodeError as error:
        raise InvalidBundle(f"{STATE}: {error}; run nba policy reset") from None
    if head.format != FORMAT:
        raise InvalidBundle(f"{STATE}: format {head.format}; this program reads {FORMAT}")
    for name, digest in ((SUMS, head.sums), (DISCOUNT, head.discount)):
        if digest is not UNSET and sha256_of(files.get(name, b"")) != digest:
            raise InvalidBundle(f"{name}: altered; run nba policy reset")
    sums = ResidualSums.from_bytes(files[SUMS])
    if head.discount is UNSET:
        return PolicyState(head, sums)
    discount = Discount.from_bytes(files[DISCOUNT], len(sums.actions) + 1, sums.spec.size)
    return PolicyState(head, sums, discount)


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
