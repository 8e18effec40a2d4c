"""What decides where nothing was trained: the owner's guesses, and what is learned online on them.

The score of an action is what the journey file guesses of it, which the residual corrects from the
first outcome on; so decisions are drawn, logged, learned and replayed as those of any other bundle,
until the first trained one takes its place. The first one knows no customer and no risk of leaving;
those after it (`models.learning.cold_start`) read the context, and know the share who left.
"""

from __future__ import annotations

from statistics import fmean
from typing import NamedTuple

import numpy as np
from msgspec import UNSET

from models.bundles.bundle import FORMAT, Bundle, Manifest, part, valences_hash
from models.predictors.guesses import Guesses
from models.predictors.touchpoint_columns import touchpoint_columns
from models.residual.features import fit_spec
from models.residual.posterior import ResidualPrior
from models.residual.sums import ResidualSums
from models.residual.warm_start import WarmStart
from nba.customer.context import ContextSchema
from nba.engine.policy import Floats
from nba.journey.actions import NO_ACTION, Action
from nba.journey.file import JourneyFile
from nba.journey.goals import Bounds
from nba.rewards.bounds import FENCE, bounded
from nba.rewards.terms import action_terms, reward_version, score_definition

POOLED = 0.05  # p_accept where the journey file guesses none of any action
SPREAD = 0.1  # standard deviation of a guess of p_accept
TRAIN = "run nba train, then nba promote"
MISSING = {  # part -> why it was not trained
    "churn": f"nothing was trained, nobody's risk is known: {TRAIN}",
    "touchpoint": f"nothing was trained, the guesses of the journey file decide: {TRAIN}",
}


class Seen(NamedTuple):
    """What the log says before anything is trained."""

    decisions: int  # that it was learned from
    columns: tuple[str, ...]  # of the context, which tell most of the rewards
    values: Floats  # (n, len(columns)) of these decisions
    risk: float | None  # of leaving within the horizon; None: not known


def is_prior(bundle: Bundle) -> bool:
    """Whether a bundle holds guesses, and nothing that was trained."""
    return bundle.manifest.dataset == "" and isinstance(bundle.touchpoint, Guesses)


def seen_decisions(bundle: Bundle) -> float:
    """From how many decisions the columns of a prior bundle were chosen."""
    model = bundle.manifest.touchpoint
    return 0.0 if model is None else model.metrics.get("decisions", 0.0)


def prior_bundle(schema: ContextSchema, seen: Seen | None = None) -> Bundle:
    """The bundle of a deployment in which nothing was trained.

    It follows from the guesses, what scores mean and what was `seen`: other changes of the journey
    file leave its id, and what was learned on it, as they are.
    """
    bounds = _bounds(schema.journey)
    journey = bounded(schema.journey, bounds)
    warm, model = prior_warm_start(journey, seen), guesses(schema)
    risk = None
    if seen is not None and seen.risk is not None:
        risk = Guesses(tuple(schema.columns), (seen.risk,), is_probability=True)
    missing = MISSING
    if risk is not None:
        missing = {
            **MISSING,
            "churn": f"nothing was trained, everybody's risk is the share: {TRAIN}",
        }
    manifest = Manifest(
        format=FORMAT,
        schema_hash=schema.schema_hash,
        catalogue_version="",
        target=journey.reward.target,
        horizon_days=journey.churn.horizon_days,
        actions=(*(action.id for action in journey.actions), NO_ACTION),
        action_features=(),
        dataset="",
        seed=0,
        churn=None if risk is None else part("churn", risk, {}),
        touchpoint=part(
            "touchpoint", model, {} if seen is None else {"decisions": float(seen.decisions)}
        ),
        valences=valences_hash(schema.table),
        missing=missing,
        residual=warm.part(),
        asked=score_definition(schema.journey),
        reward_bounds=UNSET if bounds is None else bounds,
    )
    return Bundle(manifest, risk, model, schema.table, warm)


def guesses(schema: ContextSchema) -> Guesses:
    """Of each action what a decision for it is guessed to bring, `no_action` last: p_accept, or
    EUR where those are learned. Without a guess an action has the mean of the others', or POOLED.
    """
    journey = schema.journey
    value, pooled = journey.reward.target == "value", _pooled(journey)

    def score(action: Action) -> float:
        p_accept = pooled if action.p_accept is UNSET else action.p_accept
        if not value:
            return p_accept
        terms = action_terms(journey.reward, action.reward)
        worth = action.value_eur if terms.worth is None else terms.worth
        return p_accept * worth + (1.0 - p_accept) * terms.default

    silence = journey.reward.default if value else 0.0
    return Guesses(
        columns=tuple(touchpoint_columns(schema.columns, ())),
        scores=(*map(score, journey.actions), silence),
        is_probability=not value,
    )


def prior_warm_start(journey: JourneyFile, seen: Seen | None = None) -> WarmStart:
    """Where learning on top of guesses begins: how far that of each action is off, and by what."""
    value, pooled = journey.reward.target == "value", _pooled(journey)
    deviation = (pooled * (1.0 - pooled)) ** 0.5 or SPREAD  # of one response
    worth = max((action.value_eur for action in journey.actions), default=0.0) or 1.0
    values = np.zeros((1, 0)) if seen is None else seen.values
    spec = fit_spec(
        () if seen is None else seen.columns,
        values,
        np.zeros(len(values)),
        target="value" if value else "probability",
        variance_eur2=(worth * deviation) ** 2 if value else 1.0,
        with_score=False,
        products=False,
        half_life_days=journey.exploration.forgetting_days,
    )
    return WarmStart(
        sums=ResidualSums(spec, [action.id for action in journey.actions]),
        prior=ResidualPrior(intercept=SPREAD / deviation if value else SPREAD),
        settled_s=0.0,
        reward_version=reward_version(journey),
    )


def _bounds(journey: JourneyFile) -> Bounds | None:
    """Of rewards in EUR, where the owner sets none: FENCE times the largest worth of a response or
    of silence; None where no action has any, or responses are learned."""
    rule = journey.reward
    terms = [action_terms(rule, action.reward) for action in journey.actions]
    sizes = [abs(action.value_eur) for action in journey.actions]
    sizes += [abs(each) for one in terms for each in (one.worth or 0.0, one.default)]
    worth = max(sizes, default=0.0)
    if rule.target != "value" or rule.bounds is not None or worth == 0.0:
        return None
    return Bounds(low=-FENCE * worth, high=FENCE * worth)


def _pooled(journey: JourneyFile) -> float:
    """The mean of the guesses."""
    given = [action.p_accept for action in journey.actions if action.p_accept is not UNSET]
    return fmean(given) if given else POOLED
