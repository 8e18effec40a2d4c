"""What a replica does beside its requests: take up what was promoted, advance sub-journeys,
deliver, learn, watch over a rollout and over the loop's health."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

import numpy as np

from models.bundles.scorer import BundleScorer
from models.learning.learner import Learner, LearningTarget
from nba.errors import StoreUnavailable
from nba.rewards.attribution import Attribution
from serving.metrics import Metrics
from serving.replica.replica import Replica
from serving.settings import Settings
from serving.workers.delivery import Deliverer
from serving.workers.health_watch import LOOK_S, look_after, watch_of
from serving.workers.orchestrator import Orchestrator
from serving.workers.rollout_watch import RolloutWatch
from serving.workers.webhook import webhook_of
from serving.workers.worker import Worker

logger = logging.getLogger("nba.serving")

GUARD_S = 60.0  # between two looks at the guardrails of a rollout


class BackgroundWorkers:
    """Runs from `open` to `close`; `changed` is called after every look at the aliases."""

    def __init__(
        self,
        replica: Replica,
        settings: Settings,
        changed: Callable[[], None],
        metrics: Metrics | None = None,
    ) -> None:
        """Raises InvalidInput for a webhook without a secret."""
        self._replica = replica
        self._reload_s = settings.reload_s
        self._changed = changed
        self._watch: asyncio.Task[None] | None = None
        self._orchestrator = Orchestrator(
            replica.log,
            lambda customer_ids: replica.engine.decider.advance_sub_journeys(
                customer_ids, replica.now(), replica.chance
            ),
            _deliverer(replica, settings),
            replica.now,
        )
        self._learner = learner_of(replica, settings)
        self._learning = Worker("learner", self._learn, settings.learn_s)
        watch = RolloutWatch(replica.log, engine=lambda: replica.engine, now=replica.now)
        self._guard = Worker("guard", watch.step, GUARD_S)
        self._days = watch_of(replica)
        self._metrics = metrics or Metrics()
        self._health = Worker("health watch", self._look_at_health, LOOK_S)

    async def open(self) -> None:
        """Start it."""
        await asyncio.to_thread(self._orchestrator.start)
        for worker in (self._learning, self._guard, self._health):
            worker.start()
        self._watch = asyncio.create_task(self._look())

    async def close(self) -> None:
        """Stop behind what is under way."""
        if self._watch is None:
            return
        self._watch.cancel()
        await asyncio.to_thread(self._orchestrator.stop)
        for worker in (self._learning, self._guard, self._health):
            await asyncio.to_thread(worker.stop)

    def _learn(self) -> bool:
        done = self._learner.step(lambda: self._learning.stopping)
        return done is not None and done.behind > 0

    def _look_at_health(self) -> bool:
        stopping = self._health
        return look_after(self._replica, self._days, self._metrics, lambda: stopping.stopping)

    async def _look(self) -> None:
        replica = self._replica
        while True:
            await asyncio.sleep(self._reload_s)
            try:
                if await asyncio.to_thread(replica.reload):
                    version = replica.engine.journey.catalogue_version()
                    logger.info("champion is now %s, catalogue %s", replica.champion, version)
            except StoreUnavailable as error:
                logger.warning("cannot look for what was promoted: %s", error)
            self._changed()


def learner_of(replica: Replica, settings: Settings) -> Learner:
    """The learner of what this replica serves."""

    def target() -> LearningTarget | None:
        bundle, fold = replica.engine.bundle, replica.engine.fold
        if bundle is None:
            return None
        rule = Attribution(fold.schema.journey, fold.encoder.kind)
        return LearningTarget(bundle, BundleScorer(bundle, fold.schema), fold.schema, rule)

    return Learner(
        replica.log,
        target,
        replica.now,
        kept=settings.policy_versions,
        save_every_s=settings.learn_s,
    )


def _deliverer(replica: Replica, settings: Settings) -> Callable[[datetime], int]:
    webhook = webhook_of(settings)
    if webhook is None:
        return lambda now: 0
    rng = np.random.default_rng(settings.seed)  # of the jitter alone; none: entropy
    return Deliverer(
        replica.log,
        webhook,
        rng,
        lambda decision, now: replica.engine.decider.objection(decision, now),
    )
