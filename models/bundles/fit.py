"""Whether a bundle answers what a journey file asks: the same columns, target and reward rule."""

from __future__ import annotations

from models.bundles.bundle import Bundle, Manifest
from nba.customer.context import ContextSchema
from nba.errors import InvalidBundle
from nba.journey.file import JourneyFile
from nba.rewards.terms import reward_version, score_definition


def check_columns(bundle: Bundle, schema: ContextSchema) -> None:
    """Whether the bundle reads the contexts of this schema: enough to repeat what it decided.

    Raises InvalidBundle.
    """
    trained = bundle.manifest.schema_hash
    if trained != schema.schema_hash:
        raise InvalidBundle(
            f"{bundle.bundle_id}: trained on {trained}, the journey file gives "
            f"{schema.schema_hash}; train and promote again"
        )


def check_fit(bundle: Bundle, schema: ContextSchema) -> None:
    """Whether the bundle's scores are what the journey file asks for; needed to decide, to learn
    and to be judged on it. Raises InvalidBundle with what differs."""
    check_columns(bundle, schema)
    differs = _difference(bundle.manifest, schema.journey)
    if differs is not None:
        remedy = "its scores mean something else; train and promote again"
        raise InvalidBundle(f"{bundle.bundle_id}: {differs}: {remedy}")


def _difference(manifest: Manifest, journey: JourneyFile) -> str | None:
    """What was asked otherwise at training, None where nothing was."""
    now = score_definition(journey)
    if isinstance(manifest.asked, dict):
        trained = manifest.asked
        news = {action.id for action in journey.actions}.symmetric_difference(manifest.actions)
        passed_over = {f"actions.{action}.reward" for action in news}  # no score is about both
        names = (trained.keys() | now.keys()) - passed_over
        for name in sorted(names, key=lambda name: (name != "reward.target", name)):
            if trained.get(name) != now.get(name):
                return _told(name, trained.get(name), now.get(name))
        return None
    # written before bundles said what was asked: judged by the fields that it has
    if manifest.target != journey.reward.target:
        return _told("reward.target", manifest.target, journey.reward.target)
    if manifest.horizon_days != journey.churn.horizon_days:
        horizons = f"{manifest.horizon_days:g}", f"{journey.churn.horizon_days:g}"
        return _told("churn.horizon_days", *horizons)
    if manifest.residual is not None:
        return _told("reward", manifest.residual.reward_version, reward_version(journey))
    return None


def _told(name: str, trained: str | None, now: str | None) -> str | None:
    if trained == now:
        return None
    return (
        f"trained with {name} {trained or 'by default'}, the journey file says {now or 'default'}"
    )
