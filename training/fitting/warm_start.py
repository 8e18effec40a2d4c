"""Warm start: what the log says of a bundle's scores where it had not learned, for the residual."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from models.bundles.bundle import Bundle
from models.learning.exposure_sums import waits_of
from models.predictors.predictor import Predictor, finite_predictions
from models.predictors.with_terms import observed_part
from models.residual.features import ResidualSpec, fit_spec
from models.residual.past_delays import PastDelays
from models.residual.pending import PendingExposures
from models.residual.posterior import fit_prior
from models.residual.sums import ResidualSums
from models.residual.warm_start import WarmStart
from nba.journey.actions import NO_ACTION
from nba.journey.goals import RewardRule
from nba.rewards.attribution import Attribution
from nba.rewards.bounds import bounded
from training.data.history import History
from training.data.rewards import attribution_of
from training.data.time_split import split_of
from training.data.training_sets import PastDecisions, TrainingSet, trained_actions

COLUMNS = 8  # of the context that the residual reads: those that the model reads most


def warm_start(
    history: History, decided: PastDecisions, model: Predictor, rule: RewardRule
) -> WarmStart:
    """The residual's sums over the decisions after those that the touchpoint model was fitted on,
    or of other customers where that is how it was split.

    Of what it was fitted on it would say that nothing is left to learn. On the later ones it was
    stopped, calibrated and judged: its scores there are those that serving meets.
    """
    rows = _later(decided.touchpoint_set(), classes=model.is_probability)
    found = _learned(history, decided, model, rule, rows, history.end_s)
    return replace(found, delays=_delays(decided, found, attribution_of(history, rule)))


def learned_by(
    history: History,
    decided: PastDecisions,
    bundle: Bundle,
    until_s: float,
    *,
    since_s: float = -np.inf,
) -> WarmStart | None:
    """What a bundle's residual knows at a moment: of the decisions whose windows were over then.

    The same sums as the bundle's warm start, which holds what was settled when it was trained, and
    as those of the learner, which goes on from there. Decisions that came after the training and
    before `since_s` are left out: what was learned of them was taken back. None where the bundle
    brings no residual; nothing is known where its rewards were by another rule, as when it serves.
    """
    if bundle.warm is None or bundle.touchpoint is None:
        return None
    journey, manifest, warm = history.fold.schema.journey, bundle.manifest, bundle.warm
    decided = decided.coded_for(journey, manifest.actions, manifest.action_features)
    data = decided.touchpoint_set()
    over_s = data.at_s + data.horizon_s
    classes = bundle.touchpoint.is_probability
    rows = _later(data, over_s <= warm.settled_s, classes=classes) & (over_s <= until_s)
    rows &= (over_s <= warm.settled_s) | (data.at_s > since_s)
    rule = bounded(journey, bundle.reward_bounds).reward
    same_rule = warm.reward_version == attribution_of(history, rule).version
    if not same_rule or not rows.any():
        sums = ResidualSums(warm.sums.spec, warm.sums.actions)
        return WarmStart(sums, warm.prior, until_s, warm.reward_version)
    # a spec that was fitted to later rows has seen what is judged
    spec = warm.sums.spec if warm.settled_s <= until_s else None
    return _learned(history, decided, bundle.touchpoint, rule, rows, until_s, spec)


def _later(data: TrainingSet, known: np.ndarray | None = None, *, classes: bool) -> np.ndarray:
    """(n,) the rows after those that a model was fitted on when these were `known`; where it was
    fitted on other customers, all of these."""
    rows = np.arange(len(data.labels)) if known is None else np.flatnonzero(known)
    fitted = np.zeros(len(data.labels), dtype=bool)
    split = split_of(data.part(rows), classes=classes)
    fitted[rows[split.fit]] = True
    if split.by == "customers":
        known_to_it = np.isin(data.customers, data.customers[fitted])
        unseen: np.ndarray = ~known_to_it
        return unseen
    later: np.ndarray = ~fitted & (data.at_s >= data.at_s[fitted].max(initial=-np.inf))
    return later


def _learned(
    history: History,
    decided: PastDecisions,
    model: Predictor,
    rule: RewardRule,
    rows: np.ndarray,
    settled_s: float,
    spec: ResidualSpec | None = None,
) -> WarmStart:
    """The sums over these rows of the touchpoint set, a mask; `spec` None: fitted to them."""
    data = decided.touchpoint_set()
    part = data.part(rows)
    scores = finite_predictions("touchpoint", observed_part(model), part.rows)
    rewards = part.observed
    journey = history.fold.schema.journey
    value = decided.target == "value"
    context = set(history.fold.schema.columns)
    columns = residual_columns(model, [name for name in data.columns if name in context])
    columns = list(spec.columns) if spec is not None else columns
    values = part.rows[:, [data.columns.index(name) for name in columns]]
    spec = spec or fit_spec(
        columns,
        values,
        scores,
        target="value" if value else "probability",
        variance_eur2=float(np.var(rewards - scores)) or 1.0,
        half_life_days=journey.exploration.forgetting_days,
    )
    trained = trained_actions(history)[:-1]
    codes = {action: code for code, action in enumerate(trained)}
    actions = decided.actions if value else decided.actions[decided.actions != NO_ACTION]
    drawn = np.array([codes.get(action, -1) for action in actions[rows]], dtype=np.int64)
    x = spec.features(values, scores)
    sums = ResidualSums(spec, trained)
    sums.expose(x, drawn, scores, part.at_s)
    sums.reward(x, drawn, scores, rewards, part.at_s)
    return WarmStart(
        sums=sums,
        prior=fit_prior(sums, settled_s),
        settled_s=settled_s,
        reward_version=attribution_of(history, rule).version,
    )


def _delays(decided: PastDecisions, found: WarmStart, attribution: Attribution) -> PastDelays:
    """When the rewards of all these decisions came, whatever the model was fitted on."""
    actions = found.sums.actions
    pending = PendingExposures(found.sums.spec, actions, waits_of(actions, attribution))
    codes = {action: code for code, action in enumerate((*actions, NO_ACTION))}
    known = [n for n, action in enumerate(decided.actions) if action in codes]
    streams = pending.streams(
        np.array([codes[decided.actions[n]] for n in known], dtype=np.int64),
        decided.deferred[known].astype(np.int64),
    )
    for n, stream in zip(known, streams.tolist(), strict=True):
        pending.arrive(stream, float(decided.set.at_s[n]), decided.arrivals[n])
    return pending.delays()


def residual_columns(model: Predictor, names: Sequence[str]) -> list[str]:
    """The context columns that the model reads most, by gain, in the order of the context."""
    gain = model.importance()
    ranked = sorted(names, key=lambda name: -gain.get(name, 0.0))
    chosen = {name for name in ranked[:COLUMNS] if gain.get(name, 0.0) > 0.0}
    return [name for name in names if name in chosen]
