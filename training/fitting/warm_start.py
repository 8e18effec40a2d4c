"""Warm start: what the log says of a bundle's scores where it had not learned, for the residual."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.predictors.predictor import Predictor
from models.residual.features import fit_spec
from models.residual.posterior import fit_prior
from models.residual.sums import ResidualSums
from models.residual.warm_start import WarmStart
from nba.journey.actions import NO_ACTION
from training.data.history import History
from training.data.rewards import attribution_of
from training.data.time_split import split_by_time
from training.data.training_sets import PastDecisions, trained_actions

COLUMNS = 8  # of the context that the residual reads: those that the model reads most


def warm_start(history: History, decided: PastDecisions, model: Predictor) -> WarmStart:
    """The residual's sums over the decisions after those that the touchpoint model was fitted on.

    Of what it was fitted on it would say that nothing is left to learn. On the later ones it was
    stopped, calibrated and judged: its scores there are those that serving meets.
    """
    data = decided.touchpoint_set()
    later = ~split_by_time(data).fit
    later &= data.at_s >= data.at_s[~later].max(initial=-np.inf)
    part = data.part(later)
    scores = model.predict(part.rows)
    journey = history.fold.schema.journey
    context = set(history.fold.schema.columns)
    columns = residual_columns(model, [name for name in data.columns if name in context])
    values = part.rows[:, [data.columns.index(name) for name in columns]]
    value = decided.target == "value"
    spec = fit_spec(
        columns,
        values,
        scores,
        target="value" if value else "probability",
        variance_eur2=float(np.var(part.labels - scores)) or 1.0,
        half_life_days=journey.exploration.forgetting_days,
    )
    trained = trained_actions(history)[:-1]
    codes = {action: code for code, action in enumerate(trained)}
    actions = decided.actions if value else decided.actions[decided.actions != NO_ACTION]
    drawn = np.array([codes.get(action, -1) for action in actions[later]], dtype=np.int64)
    x = spec.features(values, scores)
    sums = ResidualSums(spec, trained)
    sums.expose(x, drawn, scores, part.at_s)
    sums.reward(x, drawn, scores, part.labels, part.at_s)
    return WarmStart(
        sums=sums,
        prior=fit_prior(sums, history.end_s),
        settled_s=history.end_s,
        reward_version=attribution_of(history, journey.reward).version,
    )


def residual_columns(model: Predictor, names: Sequence[str]) -> list[str]:
    """The context columns that the model reads most, by gain, in the order of the context."""
    gain = model.importance()
    ranked = sorted(names, key=lambda name: -gain.get(name, 0.0))
    chosen = {name for name in ranked[:COLUMNS] if gain.get(name, 0.0) > 0.0}
    return [name for name in names if name in chosen]
