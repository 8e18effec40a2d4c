"""Whether a bundle can serve on a journey file: checked before either comes into force."""

from __future__ import annotations

from models.bundles.bundle import load_bundle
from models.bundles.scorer import BundleScorer
from nba.customer.context import ContextSchema
from nba.errors import InvalidBundle, NotFound
from nba.journey.file import JourneyFile
from nba.stores.log import Log
from nba.stores.versioned import CHAMPION, version_in_force


def check_champion(log: Log, journey: JourneyFile) -> None:
    """Whether the champion serves on this catalogue; nothing is checked where none was promoted.

    Raises InvalidBundle with the remedy where every replica would go by the guesses instead.
    """
    stored = version_in_force(log, CHAMPION)
    if stored is None:
        return
    try:
        bundle = load_bundle(stored.files)
        BundleScorer(bundle, ContextSchema(journey, bundle.table))
    except InvalidBundle as error:
        raise InvalidBundle(
            f"{journey.catalogue_version()}: the champion cannot serve on it, and the guesses of "
            f"the file would decide: {error}. Put it in force together with a bundle that fits "
            "it: nba train --journey FILE, then --promote challenger; or as it is: "
            "--without-champion"
        ) from None


def check_arm_bundle(log: Log, journey: JourneyFile, bundle_id: str) -> None:
    """Whether the engine that the champion serves on can score with this bundle too.

    Raises NotFound, InvalidBundle with the remedy, StoreUnavailable.
    """
    stored = log.bundle(bundle_id)
    if stored is None:
        raise NotFound(f"bundle {bundle_id!r} is not in the log; promote it as challenger first")
    bundle = load_bundle(stored.files)
    champion = version_in_force(log, CHAMPION)
    table = bundle.table if champion is None else load_bundle(champion.files).table
    try:
        BundleScorer(bundle, ContextSchema(journey, table))
    except InvalidBundle as error:
        if table != bundle.table:
            reason = "its valences are not the champion's, and both arms read one context"
            raise InvalidBundle(f"{bundle_id}: {reason}; train it on the same") from None
        raise error
