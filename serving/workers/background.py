"""What a replica does beside its requests: take up what was promoted, advance sub-journeys,
deliver, learn, watch over a rollout and over the loop's health."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from models.bundles.prior import is_prior
from models.bundles.scorer import BundleScorer
from models.learning.learner import Learner
from models.learning.residual_rows import LearningTarget
from models.learning.scorers import prior_in_force
from nba.errors import StoreUnavailable
from nba.rewards.attribution import Attribution
from nba.rewards.bounds import bounded
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

GUARDRAILS_S = 60.0  # between two looks at the guardrails of a rollout


class BackgroundWorkers:
    """Run from `open` to `close`."""

    def __init__(self, replica: Replica, settings: Settings, metrics: Metrics) -> None:
        """Raises InvalidInput for a webhook without a secret."""
        self._replica = replica
        self._reload_s = settings.reload_s
        self._metrics = metrics
        self._reloading: asyncio.Task[None] | None = None
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
        rollout_watch = RolloutWatch(replica.log, engine=lambda: replica.engine, now=replica.now)
        self._rollout = Worker("guard", rollout_watch.step, GUARDRAILS_S)
        self._days = watch_of(replica)
        self._health = Worker("health watch", self._look_at_health, LOOK_S)

    async def open(self) -> None:
        """Start them all."""
        await asyncio.to_thread(self._orchestrator.start)
        for worker in (self._learning, self._rollout, self._health):
            worker.start()
        self._reloading = asyncio.create_task(self._reload())

    async def close(self) -> None:
        """Finish the steps that are under way, and start no more."""
        if self._reloading is None:
            return
        self._reloading.cancel()
        await asyncio.to_thread(self._orchestrator.stop)
        for worker in (self._learning, self._rollout, self._health):
            await asyncio.to_thread(worker.stop)

    def _learn(self) -> bool:
        done = self._learner.step(lambda: self._learning.stopping)
        return done is not None and done.behind > 0

    def _look_at_health(self) -> bool:
        return look_after(self._replica, self._days, self._metrics, lambda: self._health.stopping)

    async def _reload(self) -> None:
        replica = self._replica
        while True:
            await asyncio.sleep(self._reload_s)
            try:
                if await asyncio.to_thread(replica.reload):
                    version = replica.engine.journey.catalogue_version()
                    logger.info("champion is now %s, catalogue %s", replica.champion, version)
            except StoreUnavailable as error:
                logger.warning("cannot look for what was promoted: %s", error)
            self._metrics.degraded.set(replica.engine.pipeline.scorer is None)


def learner_of(replica: Replica, settings: Settings) -> Learner:
    """The learner of what this replica serves."""

    def target() -> LearningTarget | None:
        bundle, fold = replica.engine.bundle, replica.engine.fold
        if bundle is None:
            return None
        if is_prior(bundle):  # another may have taken its place since the replica looked
            bundle = prior_in_force(replica.log, fold.schema)
        journey = bounded(fold.schema.journey, bundle.reward_bounds)
        rule = Attribution(journey, fold.encoder.kind)
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
    return Deliverer(
        replica.log,
        webhook,
        lambda decision, now: replica.engine.decider.delivery_block(decision, now),
    )
