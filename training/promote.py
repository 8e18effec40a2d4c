"""Promote: a registered bundle becomes what every replica serves."""

from __future__ import annotations

from datetime import datetime

from models.registry import Registry
from models.scorer import BundleScorer
from nba.context import ContextSchema
from nba.journey import JourneyFile
from nba.stores.log import Log


def promote(
    registry: Registry,
    log: Log,
    journey: JourneyFile,
    *,
    which: str,
    alias: str,
    now: datetime,
    by: str = "",
) -> tuple[str, str]:
    """Put a version into the store and point `alias` at it there and in MLflow.

    `which`: a version or an alias. Gives (version, bundle id). Replicas take it up by themselves;
    the store's alias moves last, so that a failure before leaves the old champion in force.
    Raises NotFound, InvalidBundle for a bundle that this journey cannot use, StoreUnavailable.
    """
    version, bundle = registry.load(which)
    BundleScorer(bundle, ContextSchema(journey, bundle.table))
    log.save_bundle(bundle.bundle_id, bundle.files())
    registry.point(alias, version)
    log.set_alias(alias, bundle.bundle_id, now, by=by, why=f"promoted version {version}")
    return version, bundle.bundle_id
