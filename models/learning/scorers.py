"""Scorers: the bundles of the log, each with what was learned on top of it, bound to a journey."""

from __future__ import annotations

import logging

from models.bundles.bundle import Bundle, load_bundle
from models.bundles.fit import check_fit
from models.bundles.prior import is_prior, prior_bundle
from models.bundles.scorer import BundleScorer
from models.learning.versions import policy_state
from models.residual.correction import OnlineResidual, residual_of_version, residual_of_warm_start
from models.residual.version import PolicyState
from models.residual.warm_start import WARM_START_PREFIX
from nba.customer.context import ContextSchema
from nba.engine.scorer import CalibratedScorer
from nba.errors import InvalidBundle, InvalidInput, NbaError, NotFound, StoreUnavailable
from nba.journey.file import JourneyFile
from nba.rewards.bounds import bounded
from nba.rewards.terms import reward_version
from nba.stores.log import Log
from nba.stores.versioned import CHAMPION

logger = logging.getLogger("nba.serving")


def stored_bundle(log: Log, bundle_id: str | None) -> Bundle:
    """The bundle with this id. Raises NotFound, InvalidBundle, StoreUnavailable."""
    if bundle_id is None:
        raise NotFound("no bundle is promoted: run nba train, then nba promote")
    stored = log.bundle(bundle_id)
    if stored is None:
        raise NotFound(f"the bundle {bundle_id} is not in the store: promote it again")
    bundle = load_bundle(stored.files)
    if bundle.bundle_id != bundle_id:
        raise InvalidBundle(f"{bundle_id}: its manifest was altered; promote it again")
    return bundle


def prior_in_force(log: Log, schema: ContextSchema) -> Bundle:
    """The bundle of guesses that decides: the one that the policy in force was learned on, where
    its guesses and questions are those of the journey file, else the first one, which is saved.

    Raises StoreUnavailable.
    """
    first = prior_bundle(schema)
    assert first.touchpoint is not None
    try:
        state = policy_state(log)
        known = None if state is None else log.bundle(state.head.bundle_id)
        if known is not None:
            bundle = load_bundle(known.files)
            check_fit(bundle, schema)
            same = bundle.touchpoint is not None and (
                bundle.touchpoint.to_bytes() == first.touchpoint.to_bytes()
            )
            if is_prior(bundle) and same:
                return bundle
    except StoreUnavailable:
        raise
    except NbaError as error:
        logger.info("the guesses begin anew: %s", error)
    if log.bundle(first.bundle_id) is None:
        log.save_bundle(first.bundle_id, first.files())
    return first


def deciding_bundle(log: Log, journey: JourneyFile) -> Bundle:
    """What decides under this journey file: the champion, or the guesses where none was promoted
    or it does not fit. Raises NotFound, InvalidBundle, StoreUnavailable."""
    champion = log.alias(CHAMPION)
    if champion is None:
        return prior_in_force(log, ContextSchema(journey))
    bundle = stored_bundle(log, champion)
    schema = ContextSchema(journey, bundle.table)
    try:
        check_fit(bundle, schema)
    except InvalidBundle:
        return prior_in_force(log, schema)
    return bundle


def scorer_now(
    bundle: Bundle,
    state: PolicyState | None,
    schema: ContextSchema,
    *,
    reasons: bool = True,
) -> CalibratedScorer:
    """The bundle with the policy's state, where that was learned on this bundle by the journey's
    reward rule, else with its own warm start. Raises InvalidBundle."""
    scorer = BundleScorer(bundle, schema, reasons=reasons)
    trained = bundle.manifest.actions
    if state is not None and not _misfit(state, bundle, schema.journey):
        return CalibratedScorer(scorer, residual_of_version(state, schema, trained))
    return CalibratedScorer(scorer, _warm(bundle, schema))


def check_version(state: PolicyState, bundle: Bundle, journey: JourneyFile) -> None:
    """Whether a version of the policy decides on top of this bundle under this journey file.

    Raises InvalidInput: put in force it would take no part.
    """
    if misfit := _misfit(state, bundle, journey):
        raise InvalidInput("to", state.version, misfit)


def _misfit(state: PolicyState, bundle: Bundle, journey: JourneyFile) -> str:
    """Why a version takes no part; empty where it does."""
    if state.head.bundle_id != bundle.bundle_id:
        return (
            f"it was learned on {state.head.bundle_id}, the champion is {bundle.bundle_id}: "
            "nba rollback the champion first, or give a version of this one"
        )
    if state.head.reward_version != reward_version(bounded(journey, bundle.reward_bounds)):
        return (
            "it was learned by another reward rule than that of the journey file in force: nba "
            "rollback the file first, or give a version of this one"
        )
    return ""


def scorer_then(
    log: Log, bundle: Bundle, version: str | None, schema: ContextSchema
) -> CalibratedScorer:
    """The bundle with the version of the policy that a decision names.

    Raises NotFound, InvalidBundle, StoreUnavailable.
    """
    scorer = BundleScorer(bundle, schema, as_logged=True)
    if version is None:
        return CalibratedScorer(scorer)
    if version.startswith(WARM_START_PREFIX):
        residual = _warm(bundle, schema)
        if residual is None or residual.version != version:
            raise NotFound(f"policy_version: {version!r}: {bundle.bundle_id} does not bring it")
        return CalibratedScorer(scorer, residual)
    state = policy_state(log, version)
    assert state is not None
    return CalibratedScorer(scorer, residual_of_version(state, schema, bundle.manifest.actions))


def challenger_then(bundle: Bundle, schema: ContextSchema) -> CalibratedScorer:
    """A challenger in shadow as logged decisions had it: with its own warm start.

    Raises InvalidBundle.
    """
    return CalibratedScorer(BundleScorer(bundle, schema, as_logged=True), _warm(bundle, schema))


def _warm(bundle: Bundle, schema: ContextSchema) -> OnlineResidual | None:
    if bundle.warm is None:
        return None
    return residual_of_warm_start(bundle.warm, schema, bundle.manifest.actions)
