"""What is in force: the champion and what was learned since, the rollout, the experiments."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import NamedTuple

from models.bundles.bundle import Bundle
from models.bundles.registry import TEXT
from models.learning.scorers import scorer_now, stored_bundle
from models.learning.versions import POLICY, policy_state
from models.residual.version import PolicyState
from nba.customer.context import ContextSchema
from nba.engine.pipeline import Pipeline
from nba.engine.strategy import Challenger
from nba.errors import NbaError, StoreUnavailable
from nba.experiments.experiment import Started
from nba.experiments.registry import EXPERIMENTS, stored_experiments
from nba.promotion import catalogue_versions as catalogue
from nba.promotion.rollout import ROLLOUT, Rollout, rollout_of
from nba.stores.log import Log
from nba.stores.versioned import CHAMPION
from serving.replica.arms import RolledOut, arms_of

logger = logging.getLogger("nba.serving")


class InForce(NamedTuple):
    """The names that the aliases point at."""

    champion: str | None = None
    catalogue: str | None = None
    policy: str | None = None
    rollout: str | None = None
    experiments: str | None = None
    text_model: str | None = None

    def same_engine(self, other: InForce) -> bool:
        """Whether an engine serves both, by another pipeline."""
        return (self.champion, self.catalogue) == (other.champion, other.catalogue)


def read_in_force(log: Log) -> InForce:
    """What the aliases point at now. Raises StoreUnavailable."""
    return InForce(
        champion=log.alias(CHAMPION),
        catalogue=log.alias(catalogue.IN_FORCE),
        policy=log.alias(POLICY),
        rollout=log.alias(ROLLOUT),
        experiments=log.alias(EXPERIMENTS),
        text_model=log.alias(TEXT),
    )


def pipeline_in_force(log: Log, pipeline: Pipeline, bundle: Bundle | None) -> Pipeline:
    """The pipeline deciding by all that is in force; what cannot be read is left out and logged.

    `bundle`: what decides; None where the champion cannot be read: then whoever has no arm with
    a bundle of its own is left to the fallback, in their arms. Raises StoreUnavailable.
    """
    schema = pipeline.schema
    rolled_out = _rolled_out(log, schema)
    strategy = pipeline.strategy._replace(scorer=None, challenger=None)
    if bundle is not None:
        strategy = strategy._replace(
            scorer=scorer_now(bundle, _state(log), schema), fallback_reason=""
        )
    if rolled_out is not None and rolled_out.scorer and rolled_out.rollout.stage == "shadow":
        share = strategy.exploration.challenger_share
        strategy = strategy._replace(challenger=Challenger(rolled_out.scorer, share))
    arms = arms_of(
        _running(log),
        base=strategy,
        journey=schema.journey,
        scorer_of=lambda bundle_id: scorer_now(stored_bundle(log, bundle_id), None, schema),
        rolled_out=rolled_out,
    )
    return replace(pipeline, strategy=strategy, arms=arms)


def _state(log: Log) -> PolicyState | None:
    try:
        return policy_state(log)
    except StoreUnavailable:
        raise
    except NbaError as error:
        logger.warning("what was learned online is left out: %s", error)
        return None


def _rollout(log: Log) -> Rollout | None:
    try:
        return rollout_of(log)
    except StoreUnavailable:
        raise
    except NbaError as error:
        logger.warning("the rollout is left out: %s", error)
        return None


def _rolled_out(log: Log, schema: ContextSchema) -> RolledOut | None:
    """The bundle that is rolled out, with its own warm start. Its customers stay its customers
    where it cannot be used: they are left to the fallback, and counted against it."""
    rollout = _rollout(log)
    if rollout is None:
        return None
    if not rollout.is_beside:
        return RolledOut(rollout, None)
    try:
        return RolledOut(rollout, scorer_now(stored_bundle(log, rollout.bundle_id), None, schema))
    except StoreUnavailable:
        raise
    except NbaError as error:
        logger.warning("%s cannot be used: %s", rollout.bundle_id, error)
        return RolledOut(rollout, None, str(error))


def _running(log: Log) -> list[Started]:
    try:
        return stored_experiments(log).running
    except StoreUnavailable:
        raise
    except NbaError as error:
        logger.warning("no experiment runs: %s", error)
        return []
