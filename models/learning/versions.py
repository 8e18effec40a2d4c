"""The policy's versions in the log: which one serves, and whether it learns.

The alias `policy` points at the version that serves, `policy-mode` says whether the learner goes
on. Every change of either is in the log's audit trail, with who and why.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import UNSET

from models.bundles.bundle import Bundle
from models.residual.sums import ResidualSums
from models.residual.version import PolicyHead, PolicyState, load_policy_state, sha256_of
from models.residual.warm_start import WarmStart
from nba.errors import InvalidBundle, InvalidInput, NotFound
from nba.rewards.attribution import Attribution
from nba.rewards.changes import LogPosition, first_after
from nba.stores.log import AliasChange, Log
from nba.stores.versioned import save_version, version_in_force

POLICY, MODE = "policy", "policy-mode"
LEARNER = "learner"  # who changes what is learned
STRIPPED = 50  # old versions whose files go when one more is saved
PENDING_KEPT = 20  # versions from which learning goes on without beginning anew
_MODE_FILE, _PENDING_FILE = "mode.json", "pending.bin"

Mode = Literal["learning", "paused"]


def policy_state(log: Log, version: str | None = None) -> PolicyState | None:
    """The version that serves, or this one; None before the first.

    Raises NotFound, InvalidBundle, StoreUnavailable.
    """
    name = version or log.alias(POLICY)
    if name is None:
        return None
    stored = log.bundle(name)
    if stored is None:
        raise NotFound(f"policy: {name!r}: no such version; nba policy status lists them")
    state = load_policy_state(stored.files)
    if state.version != name:
        raise InvalidBundle(f"{name}: altered since it was learned; run nba policy reset")
    return state


def learner_state(log: Log) -> PolicyState | None:
    """The version that serves with what waits in it, as far as that is kept; None before the first.

    Raises as `policy_state`.
    """
    state = policy_state(log)
    if state is None or state.head.pending is UNSET:
        return state
    stored = log.bundle(_pending_name(state.version))
    content = stored.files.get(_PENDING_FILE, b"") if stored is not None else b""
    return replace(state, pending=content) if sha256_of(content) == state.head.pending else state


def put_in_force(
    log: Log, state: PolicyState, at: datetime, *, by: str, why: str, kept: int
) -> str:
    """Save a version and let it serve; beyond the newest `kept` versions their files go.

    What waits in a version is read by the learner alone, and kept of the newest few.
    """
    version = state.version
    if state.pending is not None:
        log.save_bundle(_pending_name(version), {_PENDING_FILE: state.pending})
    save_version(log, alias=POLICY, version=version, files=state.files(), at=at, by=by, why=why)
    changes = log.alias_changes(POLICY, kept + STRIPPED)
    newest = {change.after for change in changes[:kept]}
    log.strip_bundles(
        sorted({change.after for change in changes[kept:] if change.after not in newest})
    )
    waiting = {change.after for change in changes[:PENDING_KEPT]}
    older = {change.after for change in changes[PENDING_KEPT : PENDING_KEPT + STRIPPED]} - waiting
    log.strip_bundles(sorted(_pending_name(version) for version in older))
    return version


def _pending_name(version: str) -> str:
    return f"{version}-pending"


def mode(log: Log) -> Mode:
    """Whether the learner goes on."""
    stored = version_in_force(log, MODE)
    if stored is None:
        return "learning"
    return "paused" if b"paused" in stored.files[_MODE_FILE] else "learning"


def set_mode(log: Log, new: Mode, at: datetime, *, by: str, why: str) -> None:
    """Let the learner pause or go on."""
    name = f"policy-mode-{new}"
    files = {_MODE_FILE: msgspec.json.encode(new)}
    save_version(log, alias=MODE, version=name, files=files, at=at, by=by, why=why)


def versions(log: Log, limit: int = 20) -> list[AliasChange]:
    """The last changes of what serves, newest first."""
    return log.alias_changes(POLICY, limit)


def state_before(log: Log, bundle_id: str, before: datetime, limit: int) -> PolicyState | None:
    """What last served on top of a bundle before a moment; None where that was nothing, or its
    files are gone. `limit`: changes that are looked at. Raises StoreUnavailable."""
    for change in log.alias_changes(POLICY, limit):
        if change.at > before:
            continue
        try:
            state = policy_state(log, change.after)
        except (NotFound, InvalidBundle):
            return None
        return state if state is not None and state.head.bundle_id == bundle_id else None
    return None


def first_state(
    log: Log, bundle: Bundle, attribution: Attribution, begin: int = 0
) -> PolicyState | None:
    """Where learning on top of a bundle begins: with what its training data say of its own
    scores on later time, and the decisions whose rewards were not known then.

    `begin`: decisions up to this position are left out. None where the bundle brings no residual.
    Raises StoreUnavailable.
    """
    warm = bundle.warm
    if warm is None:
        return None
    if warm.reward_version != attribution.version:  # it was rewarded by another rule
        return emptied(log, bundle, attribution)
    known_s = warm.settled_s - attribution.settled_within_s
    position = LogPosition(
        position=max(first_after(log, known_s), begin), begin=begin, settled_s=warm.settled_s
    )
    return _state_at(position, bundle, warm, attribution)


def emptied(log: Log, bundle: Bundle, attribution: Attribution) -> PolicyState:
    """The bundle's own beginning, with every decision of the log so far left out; nothing at all
    where its rewards were by another rule.

    Raises InvalidInput where the bundle brings no residual, StoreUnavailable.
    """
    if bundle.warm is None:
        remedy = "nothing is learned on top of it; train and promote one that has a residual"
        raise InvalidInput("bundle", bundle.bundle_id, remedy)
    end = log.position()
    position = LogPosition(position=end, begin=end, settled_s=bundle.warm.settled_s)
    return _state_at(position, bundle, bundle.warm, attribution)


def back_to(log: Log, version: str, at: datetime, *, by: str, why: str, kept: int) -> PolicyState:
    """Let an earlier version serve again, and the learner pause: it would learn the same again.

    Raises NotFound, InvalidBundle, StoreUnavailable.
    """
    state = policy_state(log, version)
    assert state is not None
    set_mode(log, "paused", at, by=by, why=why)
    put_in_force(log, state, at, by=by, why=why, kept=kept)
    return state


def _state_at(
    position: LogPosition, bundle: Bundle, warm: WarmStart, attribution: Attribution
) -> PolicyState:
    sums = warm.sums
    if warm.reward_version != attribution.version:
        sums = ResidualSums(sums.spec, sums.actions)
    head = PolicyHead(
        bundle_id=bundle.bundle_id,
        reward_version=attribution.version,
        learned_to=position,
        prior=warm.prior,
        as_of_s=warm.settled_s,
    )
    return PolicyState(head, sums)
