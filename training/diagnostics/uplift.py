"""Uplift: for whom each action does more than doing nothing, where the log drew between the two.

Doubly robust scores of both arms with the logged propensities, a model of their difference that has
not seen the customer, and how much better its ranking is than chance (the Qini coefficient).
"""

from __future__ import annotations

import msgspec
import numpy as np

from nba.durations import DAY_S
from nba.journey.actions import NO_ACTION
from nba.measurement.off_policy.cross_fitting import customer_folds
from nba.measurement.statistics.estimate import Estimate, Undecided
from nba.randomization import generator
from training.data.history import History
from training.data.target_policies import boosted
from training.data.training_sets import PastDecisions, activity
from training.diagnostics.intervals import Resamples, mean

MIN_ARM = 200  # decisions of each arm
MIN_CUSTOMERS = 60
MIN_PROPENSITY = 0.001
FOLDS = 3
POINTS = 20  # of the curve


class UpliftFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Per decision, in the unit of the outcome; intervals are 95 % by customer."""

    effect: Estimate  # of the action on everybody against no action
    qini: Estimate  # area between the ranking's curve and that of a random order
    auuc: Estimate  # area under the ranking's curve
    curve: tuple[tuple[float, float], ...]  # (share of decisions treated, gain per decision)

    @property
    def varies(self) -> bool:
        """Whether the ranking finds, beyond chance, for whom the action does more."""
        return self.qini.low > 0.0


class Uplift(msgspec.Struct, frozen=True, kw_only=True):
    """One action against no action."""

    action: str
    outcome: str  # staying: a share of customers; value_eur
    treated: int  # decisions with the action, of those where both could have been drawn
    control: int  # with no_action
    figures: UpliftFigures | Undecided


def uplift_of(
    history: History, decided: PastDecisions, *, seed: int
) -> tuple[Uplift, ...] | Undecided:
    """Every action against no action, on the decisions where both could have been drawn.

    The outcome is the reward where the journey file's target is a value, else whether they stay
    for the churn horizon: nobody can respond to no action. Undecided where no decision logged its
    propensity with no_action among the candidates.
    """
    usable = np.isfinite(decided.propensity) & (decided.propensity >= MIN_PROPENSITY)
    randomised = usable & np.array([NO_ACTION in names for names in decided.candidates], dtype=bool)
    if not (randomised & (decided.actions == NO_ACTION) & (decided.propensity < 1.0)).any():
        return Undecided(
            reason="no decision drew no_action by chance with its propensity logged: let the "
            "policy explore it"
        )
    outcome, values, known = _outcome(history, decided)
    known &= randomised
    contexts = decided.set.rows[:, : len(history.fold.schema.columns)]
    fold = customer_folds(decided.set.customers.astype(str), FOLDS, seed)
    expected = None
    uplifts = []
    for action in (action.id for action in history.fold.schema.journey.actions):
        offered = np.array([action in names for names in decided.candidates], dtype=bool)
        chosen = known & offered
        treated, control = (
            int((chosen & (decided.actions == arm)).sum()) for arm in (action, NO_ACTION)
        )
        figures: UpliftFigures | Undecided
        customers = len(np.unique(decided.set.customers[chosen].astype(str)))
        if min(treated, control) < MIN_ARM:
            figures = Undecided(
                reason=f"{treated} decisions with it and {control} without, {MIN_ARM} of each "
                "are needed"
            )
        elif customers < MIN_CUSTOMERS:
            figures = Undecided(reason=f"{customers} customers, {MIN_CUSTOMERS} are needed")
        else:
            if expected is None:
                expected = expectations(contexts, values, fold, known, seed=seed)
            drawn = decided.actions[chosen]
            arms = np.select([drawn == action, drawn == NO_ACTION], [1, 0], -1)
            figures = uplift(
                rows=contexts[chosen],
                arms=arms,
                propensity=decided.propensity[chosen],
                outcome=values[chosen],
                expected=expected[:, chosen],
                fold=fold[chosen],
                customers=decided.set.customers[chosen],
                seed=seed,
            )
        uplifts.append(
            Uplift(
                action=action, outcome=outcome, treated=treated, control=control, figures=figures
            )
        )
    return tuple(uplifts)


def expectations(
    rows: np.ndarray, outcome: np.ndarray, fold: np.ndarray, known: np.ndarray, *, seed: int
) -> np.ndarray:
    """(FOLDS, n) the expected outcome whatever was drawn, by models that have seen neither the
    row's own fold nor, in line k, fold k."""
    expected = np.zeros((FOLDS, len(outcome)))
    for first in range(FOLDS):
        for second in range(first, FOLDS):
            learn = known & (fold != first) & (fold != second)
            model = boosted(seed).fit(rows[learn], outcome[learn])
            for line, row_fold in {(first, second), (second, first)}:
                predicted = fold == row_fold
                expected[line, predicted] = model.predict(rows[predicted])
    return expected


def uplift(
    rows: np.ndarray,
    arms: np.ndarray,
    propensity: np.ndarray,
    outcome: np.ndarray,
    expected: np.ndarray,
    fold: np.ndarray,
    customers: np.ndarray,
    *,
    seed: int,
) -> UpliftFigures:
    """The difference of two arms on (n, d) rows where both could have been drawn.

    `arms` (n,): 1 the action, 0 no action, -1 another that was drawn. `propensity` (n,): that of
    the drawn. `expected`: of `expectations`. A row's score is (1[action] / p - 1[no action] / p)
    (outcome - expected), whose mean is the effect whatever the expectation, since the propensities
    are known (Robins, Rotnitzky and Zhao, JASA 1994). Customers are ranked by a regression of the
    scores of the other folds, whose expectations have not seen their fold either (DR-learner:
    Kennedy, Electronic Journal of Statistics 2023, algorithm 1), and by their place within the
    fold: where a fold is by chance below the others, what the others learned is above it, and
    pooled values would rank it wrongly. The Qini coefficient on such
    scores: Yadlowsky et al., Evaluating treatment prioritization rules via rank-weighted average
    treatment effects, JASA 2025, section 2.
    """
    weight = ((arms == 1).astype(float) - (arms == 0)) / propensity
    ranking, scores = np.zeros(len(outcome)), np.zeros(len(outcome))
    chance = generator(seed, "ties of uplift").random(len(outcome))  # ties
    for left_out in range(FOLDS):
        inside = fold == left_out
        inner = weight * (outcome - expected[left_out])
        scores[inside] = inner[inside]
        value = boosted(seed + left_out).fit(rows[~inside], inner[~inside]).predict(rows[inside])
        places = np.empty(len(value))
        places[np.lexsort((chance[inside], value))] = np.arange(len(value)) + 0.5
        ranking[inside] = places / len(value)
    return _judged(scores, ranking, customers, seed)


def _judged(
    scores: np.ndarray, ranking: np.ndarray, customers: np.ndarray, seed: int
) -> UpliftFigures:
    order = np.argsort(-ranking, kind="stable")
    drawn = Resamples(customers[order], seed=seed)
    everybody = np.ones(len(order), dtype=bool)
    weights, gains = drawn.of(everybody), scores[order]
    total = weights.sum(axis=1, keepdims=True)
    gained = np.cumsum(weights * gains, axis=1) / total
    auuc = (gained * weights).sum(axis=1) / total[:, 0]
    effect = mean(weights, gains)
    steps = np.linspace(0, len(order), POINTS + 1).astype(int)[1:]
    curve = [(0.0, 0.0), *((step / len(order), float(gained[0, step - 1])) for step in steps)]
    return UpliftFigures(
        effect=drawn.estimate(effect, everybody),
        qini=drawn.estimate(auuc - effect / 2, everybody),
        auuc=drawn.estimate(auuc, everybody),
        curve=tuple(curve),
    )


def _outcome(history: History, decided: PastDecisions) -> tuple[str, np.ndarray, np.ndarray]:
    """Its name, (n,) values, and (n,) whether they are known by the end of the log."""
    if decided.target == "value":
        return "value_eur", decided.set.labels, np.ones(len(decided.actions), dtype=bool)
    rule = history.fold.schema.journey.churn
    horizon_s = rule.horizon_days * DAY_S
    active, left = activity(history, rule)
    stays = np.zeros(len(decided.actions))
    moments = zip(decided.set.customers.tolist(), decided.moments.as_of.tolist(), strict=True)
    for n, (customer, at_s) in enumerate(moments):
        if rule.event is not None:
            stays[n] = not at_s < left.get(customer, np.inf) <= at_s + horizon_s
        else:
            times = active.get(customer, np.zeros(0))
            stays[n] = np.searchsorted(times, at_s + horizon_s, side="right") > np.searchsorted(
                times, at_s, side="right"
            )
    return "staying", stays, decided.moments.as_of + horizon_s <= history.end_s
