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

from models.residual.posterior import ResidualPrior
from models.residual.sums import ResidualSums
from nba.content_ids import content_id
from nba.errors import InvalidBundle
from nba.rewards.changes import LogPosition

STATE, SUMS = "state.json", "sums.bin"
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


@dataclass(frozen=True, slots=True, eq=False)
class PolicyState:
    """One version with its sums in memory."""

    head: PolicyHead
    sums: ResidualSums

    @property
    def version(self) -> str:
        """Its id, by its content."""
        return content_id("policy", self.files()[STATE])

    def for_actions(self, actions: Sequence[str]) -> PolicyState:
        """The same under the action codes of a catalogue."""
        return PolicyState(self.head, self.sums.for_actions(actions))

    def files(self) -> dict[str, bytes]:
        """Its files by name; the same state gives the same bytes."""
        content = self.sums.to_bytes()
        digest = hashlib.sha256(content).hexdigest()
        head = msgspec.structs.replace(self.head, sums=digest)
        return {STATE: msgspec.json.encode(head, order="deterministic"), SUMS: content}


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
    if hashlib.sha256(files[SUMS]).hexdigest() != head.sums:
        raise InvalidBundle(f"{SUMS}: altered; run nba policy reset")
    return PolicyState(head, ResidualSums.from_bytes(files[SUMS]))
