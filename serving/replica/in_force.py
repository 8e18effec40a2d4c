"""Lineup: who decides for whom: champion and what was learned since, rollout, experiments."""

from __future__ import annotations

import logging
from typing import NamedTuple

from models.bundles.bundle import Bundle
from models.learning.scorers import scorer_now, stored_bundle
from models.learning.versions import POLICY, policy_state
from models.residual.version import PolicyState
from nba.customer.context import ContextSchema
from nba.engine.pipeline import Pipeline
from nba.engine.scorer import CalibratedScorer
from nba.engine.strategy import Challenger
from nba.errors import NbaError, StoreUnavailable
from nba.experiments.experiment import Started
from nba.experiments.registry import EXPERIMENTS, stored_experiments
from nba.promotion import catalogue_versions as catalogue
from nba.promotion.rollout import CANARY, ROLLOUT, Rollout, rollout_of
from nba.stores.log import Log
from nba.stores.versioned import CHAMPION
from serving.replica.arms import Canary, arms_of

logger = logging.getLogger("nba.serving")


class InForce(NamedTuple):
    """What the aliases point at, those first that need another engine."""

    champion: str | None = None
    published: str | None = None
    policy: str | None = None
    rollout: str | None = None
    experiments: str | None = None


def in_force(log: Log) -> InForce:
    """What they point at now. Raises StoreUnavailable."""
    names = (CHAMPION, catalogue.IN_FORCE, POLICY, ROLLOUT, EXPERIMENTS)
    return InForce(*(log.alias(name) for name in names))


def apply(
    log: Log, pipeline: Pipeline, schema: ContextSchema, bundle: Bundle | None, why_none: str
) -> None:
    """Let the pipeline decide by all that is in force; what cannot be read is left out, and told.

    `bundle`: the champion; None: `why_none`. Raises StoreUnavailable.
    """
    if bundle is None:
        pipeline.take(None, why_none)
    else:
        scorer = scorer_now(bundle, _state(log), schema)
        rollout = _rollout(log)
        other = _other(log, rollout, schema)
        challenger = None
        if rollout is not None and other is not None and rollout.stage == "shadow":
            challenger = Challenger(other, pipeline.strategy.exploration.challenger_share)
        pipeline.take(scorer.base, residual=scorer.residual, challenger=challenger)
        canary = None
        if rollout is not None and other is not None and rollout.stage == "canary":
            canary = Canary(CANARY, rollout.share, rollout.salt, other)
        pipeline.arms = arms_of(
            _running(log),
            base=pipeline.strategy,
            journey=schema.journey,
            judge_of=lambda bundle_id: scorer_now(stored_bundle(log, bundle_id), None, schema),
            canary=canary,
        )


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


def _other(log: Log, rollout: Rollout | None, schema: ContextSchema) -> CalibratedScorer | None:
    """The bundle that is rolled out, with its own warm start."""
    if rollout is None:
        return None
    try:
        return scorer_now(stored_bundle(log, rollout.bundle_id), None, schema)
    except StoreUnavailable:
        raise
    except NbaError as error:
        logger.warning("%s takes no part: %s", rollout.bundle_id, error)
        return None


def _running(log: Log) -> list[Started]:
    try:
        return stored_experiments(log).running
    except StoreUnavailable:
        raise
    except NbaError as error:
        logger.warning("no experiment runs: %s", error)
        return []
