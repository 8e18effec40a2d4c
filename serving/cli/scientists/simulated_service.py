"""The service as a policy in a simulated world: the same decider, on the world's clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import count

from nba.decisions.request import Request
from nba.errors import NotFound
from nba.events.parsing import parse_event
from nba.stores.memory.log import MemoryLog
from serving.replica.assembly import assemble, opened_log, seeds
from serving.replica.replica import Replica
from serving.settings import Settings
from training.simulation.world import (
    ContactOpportunity,
    EventJson,
    SimulatedChoice,
    SimulatedPolicy,
)


class ServicePolicy:
    """Events go into a log in memory; each contact opportunity is one decision of the replica."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def observe(self, events: Sequence[EventJson]) -> None:
        """Append what happened."""
        now = datetime.now(UTC)
        self._replica.log.append_events([parse_event(event, now, trusted=True) for event in events])

    def choose(self, opportunity: ContactOpportunity) -> SimulatedChoice:
        """Decide at the world's moment."""
        request = Request(
            customer_id=opportunity.customer_id,
            channel=opportunity.channel,
            placement=opportunity.placement,
        )
        replica = self._replica
        (decision,) = replica.engine.decider.decide([request], opportunity.at, replica.chance)
        return SimulatedChoice(decision.action_id, decision.propensity, decision.decision_id)


def service_policy(settings: Settings) -> Callable[[int], SimulatedPolicy]:
    """A fresh replica with the champion's models for each seed.

    Raises NotFound where no champion is promoted.
    """
    from nba.stores.versioned import CHAMPION, save_version, version_in_force

    with opened_log(settings) as log:
        stored = version_in_force(log, CHAMPION)
    if stored is None:
        raise NotFound("no champion is promoted; run nba train and nba promote first")

    def make(seed: int) -> SimulatedPolicy:
        memory = MemoryLog()
        save_version(
            memory,
            alias=CHAMPION,
            version=stored.bundle_id,
            files=stored.files,
            at=datetime.now(UTC),
        )
        numbers = count()
        replica = assemble(
            settings,
            log=memory,
            new_id=lambda: f"sim-{next(numbers)}",
            seed_for=seeds(seed),
        )
        return ServicePolicy(replica)

    return make
