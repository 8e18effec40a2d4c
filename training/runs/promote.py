"""Promote: a registered bundle goes one stage further, or at once into the champion's place."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias

from models.bundles.bundle import Bundle, load_bundle
from models.bundles.registry import Registry
from models.bundles.scorer import BundleScorer
from nba.customer.context import ContextSchema
from nba.errors import InvalidBundle, InvalidInput
from nba.journey.file import JourneyFile
from nba.promotion.rollout import GUARDRAILS, GuardrailLimits, begin, end, make_champion, rollout_of
from nba.promotion.verdict import Gate, GateVerdict, Status
from nba.stores.log import Log
from nba.stores.versioned import CHAMPION

To: TypeAlias = Literal["shadow", "canary", "champion"]
CANARY_SHARE = 0.05  # of the customers


class PromotedBundle(NamedTuple):
    """Where a bundle is now."""

    version: str
    bundle_id: str
    stage: To


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
    """Put a version into the store and point `alias` at it there and in MLflow, whatever the gates.

    `which`: a version or an alias. Gives (version, bundle id). Replicas take it up by themselves;
    the store's alias moves last, so that a failure before leaves the old champion in force. What
    is rolled out ends. Raises NotFound, InvalidBundle for a bundle that this journey cannot use,
    StoreUnavailable.
    """
    version, bundle = fetched(registry, journey, which)
    log.save_bundle(bundle.bundle_id, bundle.files())
    why = f"promoted version {version}"
    registry.point(alias, version)
    log.set_alias(alias, bundle.bundle_id, now, by=by, why=why)
    if alias == CHAMPION:
        end(log, now, by=by, why=f"{bundle.bundle_id} is champion")
    return version, bundle.bundle_id


def fetched(registry: Registry, journey: JourneyFile, which: str) -> tuple[str, Bundle]:
    """(version, bundle) of a version or an alias, which this journey can use.

    Raises NotFound, InvalidBundle, StoreUnavailable.
    """
    version, bundle = registry.load(which)
    BundleScorer(bundle, ContextSchema(journey, bundle.table))
    return version, bundle


def next_stage(log: Log, bundle_id: str) -> To:
    """Where a bundle goes next: shadow, canary, champion; the first champion ever goes at once.

    Raises InvalidInput where it is the champion already.
    """
    champion, rollout = log.alias(CHAMPION), rollout_of(log)
    if champion == bundle_id:
        raise InvalidInput("which", bundle_id, "it is the champion already")
    if champion is None:
        return "champion"
    if rollout is None or rollout.bundle_id != bundle_id:
        return "shadow"
    return "canary" if rollout.stage == "shadow" else "champion"


def objections(verdict: GateVerdict, to: To) -> tuple[Gate, ...]:
    """The gates that keep a bundle from a stage.

    In shadow it has only its known share of each draw, which is what lets the others be decided: so
    there what fails keeps it out, and what is undecided does not.
    """
    if to == "shadow":
        return tuple(gate for gate in verdict.gates if gate.status is Status.FAILED)
    return verdict.blocking


def move(
    registry: Registry,
    log: Log,
    version: str,
    bundle: Bundle,
    verdict: GateVerdict | None,
    to: To,
    *,
    now: datetime,
    by: str,
    why: str,
    share: float = CANARY_SHARE,
    guardrails: GuardrailLimits = GUARDRAILS,
) -> PromotedBundle:
    """Put a bundle into a stage; the verdict is kept on the log's shelf and named in the trail.

    The store's alias moves last. Raises InvalidBundle for a shadow or a canary that reads other
    contexts than the champion, InvalidInput, StoreUnavailable.
    """
    log.save_bundle(bundle.bundle_id, bundle.files())
    verdict_id = ""
    if verdict is not None:
        verdict_id = verdict.verdict_id
        log.save_bundle(verdict_id, verdict.files())
        why = f"{why}; {verdict.summary()}"
    why = f"version {version}: {why}"
    if to == "champion":
        registry.point(CHAMPION, version)
        make_champion(
            log,
            bundle.bundle_id,
            now,
            by=by,
            why=why,
            version=version,
            guardrails=guardrails,
            verdict=verdict_id,
        )
        return PromotedBundle(version, bundle.bundle_id, to)
    _check_beside(log, bundle)
    begin(
        log,
        to,
        bundle.bundle_id,
        now,
        by=by,
        why=why,
        version=version,
        share=share,
        guardrails=guardrails,
        verdict=verdict_id,
    )
    return PromotedBundle(version, bundle.bundle_id, to)


def _check_beside(log: Log, bundle: Bundle) -> None:
    champion = log.alias(CHAMPION)
    stored = None if champion is None else log.bundle(champion)
    if stored is None:
        return
    theirs = load_bundle(stored.files).manifest.schema_hash
    if theirs != bundle.manifest.schema_hash:
        raise InvalidBundle(
            f"{bundle.bundle_id}: it reads other contexts than the champion "
            f"({bundle.manifest.schema_hash}, {theirs}), and both would decide on one: promote it "
            "with --to champion"
        )
