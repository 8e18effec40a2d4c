"""The status of the policy: what was learned online, in numbers that an owner can read."""

from __future__ import annotations

import msgspec
import numpy as np

from models.learning.versions import Mode, mode, policy_state, versions
from models.residual.posterior import ResidualPosterior
from nba.errors import NotFound
from nba.journey.actions import NO_ACTION
from nba.stores.log import AliasChange, Log

NEWEST = 10  # versions that are listed


class LearnedAction(msgspec.Struct, frozen=True, kw_only=True):
    """Of one action, for a customer who is average in everything."""

    action: str
    exposures: float  # decisions that were learned from
    correction: float  # of p_accept, or of the value in EUR
    spread: float  # its standard deviation


class PolicyStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The version in force, and those before."""

    version: str
    bundle_id: str
    mode: Mode
    lessons: int
    position: int  # of the log, up to which it was learned
    behind: int  # events since
    intercept: float  # the prior that the sums chose, standard deviations
    slope: float
    nats: float  # evidence over a residual of nothing
    actions: list[LearnedAction]  # most exposed first
    versions: list[AliasChange]


def policy_status(log: Log) -> PolicyStatus:
    """Read what decides now.

    Raises NotFound where nothing was learned yet, StoreUnavailable.
    """
    state = policy_state(log)
    if state is None:
        raise NotFound("policy: nothing was learned online yet; a running service does it")
    head, sums = state.head, state.counted
    posterior = ResidualPosterior.of(sums, head.prior, head.as_of_s)
    average = np.zeros(sums.spec.size)
    average[0] = 1.0
    actions = []
    for code, action in enumerate([*state.sums.actions, NO_ACTION]):
        apart = posterior.root[code] @ average
        actions.append(
            LearnedAction(
                action=action,
                exposures=float(sums.exposed[code]),
                correction=float(posterior.theta[code, 0]),
                spread=float(np.sqrt(apart @ apart)),
            )
        )
    return PolicyStatus(
        version=state.version,
        bundle_id=head.bundle_id,
        mode=mode(log),
        lessons=head.changes,
        position=head.learned_to.position,
        behind=max(log.position() - head.learned_to.position, 0),
        intercept=head.prior.intercept,
        slope=head.prior.slope,
        nats=head.prior.nats,
        actions=sorted(actions, key=lambda learned: -learned.exposures),
        versions=versions(log, NEWEST),
    )
