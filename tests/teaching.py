"""A bundle with a residual to learn, and customers who answer what they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import count

import msgspec
import numpy as np

from models.bundles.bundle import Bundle
from models.bundles.registry import CHAMPION
from models.learning.learner import Learner
from models.residual.features import ResidualSpec
from models.residual.posterior import ResidualPrior
from models.residual.sums import ResidualSums
from models.residual.warm_start import WarmStart
from nba.decisions.decision import Decision
from nba.decisions.request import Request
from nba.events.event import Event
from nba.journey.actions import NO_ACTION
from nba.journey.exploration import Exploration
from nba.journey.file import JourneyFile
from nba.rewards.attribution import Attribution
from nba.stores.log import Log
from serving.replica.assembly import assemble
from serving.replica.replica import Replica
from serving.settings import Settings
from serving.workers.background import learner_of
from tests.house import FOLD, NOON
from tests.open_house import IDS, OPEN

COLUMNS = ("search_failed.count_1h", "customer.days_known")
EXPLORING = msgspec.structs.replace(
    OPEN,
    exploration=Exploration(epsilon=0.5),
    actions=[msgspec.structs.replace(one, suitable=None) for one in OPEN.actions],
)


def teachable(bundle: Bundle, settled_s: float = 0.0) -> Bundle:
    """The bundle, with a residual that has learned nothing yet."""
    target = "value" if bundle.manifest.target == "value" else "probability"
    spec = ResidualSpec(columns=COLUMNS, means=(0.5, 10.0), deviations=(1.0, 10.0), target=target)
    sums = ResidualSums(spec, IDS)
    version = Attribution(EXPLORING, FOLD.encoder.kind).version
    warm = WarmStart(sums, ResidualPrior(), settled_s, version)
    manifest = msgspec.structs.replace(bundle.manifest, residual=warm.part())
    return Bundle(manifest, bundle.churn, bundle.touchpoint, bundle.table, warm)


def promote(log: Log, bundle: Bundle, at: datetime = NOON) -> None:
    log.save_bundle(bundle.bundle_id, bundle.files())
    log.set_alias(CHAMPION, bundle.bundle_id, at)


class Bank:
    """Replicas on one log, and its clock."""

    def __init__(self, log: Log, journey: JourneyFile = EXPLORING, *, name: str = "d") -> None:
        self.log = log
        self.now = NOON
        self._ids, self._seeds, self._events = count(1), count(1), count(1)
        self._journey, self._name = journey, name

    def replica(self) -> Replica:
        return assemble(
            Settings(),
            log=self.log,
            journey=self._journey,
            now=lambda: self.now,
            new_id=lambda: f"{self._name}{next(self._ids)}",
            new_seed=lambda: next(self._seeds),
        )

    def decide(self, house: Replica, customers: Sequence[str]) -> list[Decision]:
        """One decision for each, an hour later than the last ones."""
        self.now += timedelta(hours=1)
        return house.decide([Request(customer_id=one) for one in customers])

    def outcome(self, decision: Decision, name: str, *, hours: float = 1.0) -> Event:
        """An event that names the decision, that many hours after it."""
        at = decision.decided_at + timedelta(hours=hours)
        return Event(
            event_id=f"{self._name}-o{next(self._events)}",
            customer_id=decision.request.customer_id,
            name=name,
            occurred_at=at,
            received_at=max(at, self.now),
            properties={"decision_id": decision.decision_id},
        )


def learner_on(house: Replica, *, kept: int = 50) -> Learner:
    return learner_of(house, Settings(policy_versions=kept))


def answered(decisions: Sequence[Decision], rng: np.random.Generator) -> list[Decision]:
    """Those whose customers accept: they like one action best."""
    liked = [one for one in decisions if one.action_id != NO_ACTION]
    return [one for one in liked if rng.random() < (0.8 if one.action_id == IDS[0] else 0.2)]
