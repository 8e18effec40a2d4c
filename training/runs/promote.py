"""Promote a registered bundle one stage further, or straight to champion."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

from models.bundles.bundle import Bundle, load_bundle
from models.bundles.registry import RegisteredBundle, Registry
from models.bundles.scorer import BundleScorer
from nba.customer.context import ContextSchema
from nba.errors import InvalidBundle, InvalidInput
from nba.journey.file import JourneyFile
from nba.promotion.rollout import begin, make_champion, rollout_of
from nba.promotion.verdict import Gate, GateVerdict, Status
from nba.stores.log import Log
from nba.stores.versioned import CHAMPION, version_in_force

Stage: TypeAlias = Literal["shadow", "canary", "champion"]
CANARY_SHARE = 0.05  # of the customers


def usable_bundle(registry: Registry, journey: JourneyFile, which: str) -> RegisteredBundle:
    """The bundle of a version or an alias, which this journey can use.

    Raises NotFound, InvalidBundle, StoreUnavailable.
    """
    registered = registry.load(which)
    BundleScorer(registered.bundle, ContextSchema(journey, registered.bundle.table))
    return registered


def next_stage(log: Log, bundle_id: str) -> Stage:
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


def objections(verdict: GateVerdict, stage: Stage) -> tuple[Gate, ...]:
    """The gates that keep a bundle from a stage.

    In shadow it has only its known share of each draw, which is what lets the others be decided: so
    there what fails keeps it out, and what is undecided does not.
    """
    if stage == "shadow":
        return tuple(gate for gate in verdict.gates if gate.status is Status.FAILED)
    return verdict.blocking


def promote(
    log: Log,
    registered: RegisteredBundle,
    stage: Stage,
    *,
    verdict: GateVerdict | None = None,
    without_gates: bool = False,
    now: datetime,
    by: str,
    why: str,
    share: float = CANARY_SHARE,
) -> None:
    """Put a bundle into a stage, in the log alone; replicas take it up by themselves.

    MLflow's alias `champion` follows afterwards, by `align`: the log says who decides.

    `without_gates`: whatever the verdict says, or a champion without one. A verdict is kept in the
    log and named in the audit trail, and a champion that has one is watched. The log's alias moves
    last, so that a failure before leaves the old champion in force. Raises InvalidInput where a
    gate keeps the bundle out, or the verdict is against another champion than serves now,
    InvalidBundle for a shadow or a canary that reads other contexts than the champion,
    StoreUnavailable.
    """
    version, bundle_id = registered.version, registered.bundle.bundle_id
    blocking = [] if verdict is None else [gate.name for gate in objections(verdict, stage)]
    may_pass = without_gates and (verdict is not None or stage == "champion")
    if (verdict is None or blocking) and not may_pass:
        reason = f"{', '.join(blocking) or 'no verdict'}; evaluate it, or promote it without gates"
        raise InvalidInput("which", bundle_id, f"it may not be {stage}: {reason}")
    if verdict is not None and not without_gates:
        _check_verdict(log, verdict, bundle_id)
    log.save_bundle(bundle_id, registered.bundle.files())
    if verdict is None:
        make_champion(log, bundle_id, now, by=by, why=why, watched=False)
        return
    log.save_bundle(verdict.verdict_id, verdict.files())
    why = f"version {version}: {why}; {verdict.summary()}"
    verdict_id = verdict.verdict_id
    if stage == "champion":
        make_champion(log, bundle_id, now, by=by, why=why, version=version, verdict=verdict_id)
        return
    _check_beside(log, registered.bundle)
    begin(
        log,
        stage,
        bundle_id,
        now,
        by=by,
        why=why,
        version=version,
        share=share,
        verdict=verdict_id,
    )


def _check_verdict(log: Log, verdict: GateVerdict, bundle_id: str) -> None:
    """A verdict speaks of one bundle, against the champion that serves."""
    remedy = "judge it again: nba evaluate"
    if verdict.bundle_id != bundle_id:
        raise InvalidInput("which", bundle_id, f"the verdict is of {verdict.bundle_id}; {remedy}")
    champion = log.alias(CHAMPION)
    if verdict.champion != champion:
        against = verdict.champion or "no champion"
        raise InvalidInput(
            "which", bundle_id, f"judged against {against}, and {champion} serves now; {remedy}"
        )


def _check_beside(log: Log, bundle: Bundle) -> None:
    stored = version_in_force(log, CHAMPION)
    if stored is None:
        return
    schema_hash = load_bundle(stored.files).manifest.schema_hash
    if schema_hash != bundle.manifest.schema_hash:
        raise InvalidBundle(
            f"{bundle.bundle_id}: it reads other contexts than the champion "
            f"({bundle.manifest.schema_hash}, {schema_hash}), and both would decide on one: "
            "promote it with --to champion"
        )
