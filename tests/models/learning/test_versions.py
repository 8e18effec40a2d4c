"""The policy's versions: which one served on top of a bundle, and when."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from models.learning.versions import put_in_force, state_before
from models.residual.features import fit_spec
from models.residual.posterior import ResidualPrior
from models.residual.sums import ResidualSums
from models.residual.version import PolicyHead, PolicyState
from nba.rewards.changes import LogPosition
from nba.stores.memory.log import MemoryLog
from tests.fixtures.small_replica import NOON

HOUR = timedelta(hours=1)
SPEC = fit_spec((), np.zeros((9, 0)), np.full(9, 0.5))


def learned(bundle_id: str, changes: int) -> PolicyState:
    head = PolicyHead(
        bundle_id=bundle_id,
        reward_version="reward-1",
        learned_to=LogPosition(),
        prior=ResidualPrior(),
        as_of_s=0.0,
        changes=changes,
    )
    return PolicyState(head, ResidualSums(SPEC, ["call"]))


def test_what_a_champion_had_learned_when_it_was_replaced_is_found() -> None:
    """The guard holds the new champion against the one before as that served, not against its
    batch model or its warm start."""
    log = MemoryLog()
    told = {"by": "learner", "why": "learned", "kept": 3}
    first, last = learned("bundle-a", 1), learned("bundle-a", 2)
    put_in_force(log, first, NOON, **told)  # type: ignore[arg-type]
    put_in_force(log, last, NOON + HOUR, **told)  # type: ignore[arg-type]
    put_in_force(log, learned("bundle-b", 3), NOON + 3 * HOUR, **told)  # type: ignore[arg-type]
    found = state_before(log, "bundle-a", NOON + 2 * HOUR, 100)
    assert found is not None and found.version == last.version
    assert state_before(log, "bundle-b", NOON + 2 * HOUR, 100) is None
    assert state_before(log, "bundle-a", NOON - HOUR, 100) is None
    assert state_before(log, "bundle-a", NOON + 4 * HOUR, 100) is None  # the new one learns


def test_a_version_whose_files_are_gone_is_none() -> None:
    log = MemoryLog()
    for n in range(60):
        moment = NOON + n * HOUR
        put_in_force(log, learned("bundle-a", n), moment, by="learner", why="learned", kept=3)
    assert state_before(log, "bundle-a", NOON + HOUR, 100) is None
