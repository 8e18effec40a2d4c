"""The batch score and the reward that corrects it are one quantity, with terms or without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import msgspec
import numpy as np
import pytest

from models.bundles.bundle import Bundle, load_bundle, part, terms_part
from models.bundles.scorer import BundleScorer
from models.predictors.with_terms import WithTerms, observed_part
from models.residual.correction import OnlineResidual
from models.residual.features import ResidualSpec
from models.residual.posterior import fit_prior
from models.residual.sums import ResidualSums
from nba.customer.context import Context, ContextSchema
from nba.engine.scorer import CalibratedScorer
from nba.journey.goals import RewardRule
from nba.rewards.terms import reward_version, score_definition
from tests.fixtures.small_replica import FOLD, JOURNEY, StubScorer, changed, event
from tests.fixtures.training_history import after, decided, history
from tests.fixtures.training_sets import made_set, parts_of
from tests.models.bundles.test_bundle import contexts, made  # noqa: F401 (a fixture)
from training.data.rewards import attribution_of
from training.data.training_sets import decided_set
from training.fitting.recipe import Recipe

IDS = tuple(action.id for action in JOURNEY.actions)
VALUE = RewardRule(target="value", window_days=2.0, events=["purchase"])


class Terms(StubScorer):
    """A stub whose reward has terms worth so many EUR of every action."""

    def __init__(self, scores: Sequence[float], terms_eur: float | None, *, value: bool) -> None:
        super().__init__(scores, learns_value=value)
        self.terms_eur = terms_eur

    def terms(self, _: object, codes: Sequence[Sequence[int]]) -> Any:
        return None if self.terms_eur is None else np.full(sum(map(len, codes)), self.terms_eur)


@pytest.mark.parametrize(
    ("target", "observed", "terms_eur"),
    [
        ("probability", 0.3, None),
        ("value", 2.0, None),
        ("value", 0.0, 2.0),  # all of it is a term: 0.03 EUR before
        ("value", 1.5, 0.5),
    ],
)
def test_two_thousand_outcomes_that_are_as_predicted_leave_the_estimate_where_it_is(
    contexts: list[Context],  # noqa: F811
    target: Literal["probability", "value"],
    observed: float,
    terms_eur: float | None,
) -> None:
    rng = np.random.default_rng(3)
    spec = ResidualSpec(columns=(), means=(), deviations=(), target=target)
    base = Terms([observed] * (len(IDS) + 1), terms_eur, value=target == "value")
    n = 2_000
    p0 = base.touchpoint(contexts[:1] * n, [[0]] * n)  # as the learner reads it
    noise = rng.normal(size=n) if target == "value" else rng.random(n) < observed
    rewards = observed + noise if target == "value" else noise.astype(float)
    sums, codes, at_s = ResidualSums(spec, IDS), np.zeros(n, dtype=np.int64), np.arange(n) * 1.0
    x = spec.features(np.zeros((n, 0)), p0)
    sums.expose(x, codes, p0, at_s)
    sums.reward(x, codes, p0, rewards, at_s)
    residual = OnlineResidual(
        version="policy-1",
        sums=sums,
        prior=fit_prior(sums, 0.0),
        as_of_s=0.0,
        schema=FOLD.schema,
        trained=IDS,
    )
    (scores,) = CalibratedScorer(base, residual).scores_of(contexts[:1], [[0]])
    truth = observed + (terms_eur or 0.0)
    assert scores.spread is not None and scores.batch is not None
    assert abs(scores.mean[0] - truth) <= max(3 * scores.spread[0], 0.01)
    assert scores.batch[0] == pytest.approx(truth)
    (alone,) = CalibratedScorer(base).scores_of(contexts[:1], [[0]])
    assert alone.mean[0] == pytest.approx(truth)


@pytest.mark.parametrize("carry", [0.0, 0.5])
@pytest.mark.parametrize("feeling_eur", [0.0, 3.0])
def test_what_training_calls_observed_is_what_the_learner_is_given(
    carry: float, feeling_eur: float
) -> None:
    rule = msgspec.structs.replace(VALUE, feeling_eur=feeling_eur, carry=carry)
    log = history(
        decided("d1", after(1.0)),
        decided("d2", after(3.0)),
        event("purchase", after(1.5), {"revenue": 7.0}),
        event("search_failed", after(3.5)),
    )
    data = decided_set(log, rule).set
    attribution = attribution_of(log, rule)
    online = attribution.carried(attribution.credits(log.events, log.end_s), log.end_s)
    assert data.observed.tolist() == pytest.approx([credit.reward for credit in online])
    assert (data.terms is not None) == (feeling_eur > 0.0)


def test_the_terms_are_fitted_apart_and_come_back_with_the_bundle(
    contexts: list[Context],  # noqa: F811
) -> None:
    rng = np.random.default_rng(1)
    data = made_set()
    terms = 2.0 + np.nan_to_num(data.rows[:, 1])
    data = replace(data, labels=rng.normal(size=len(terms)) + terms, terms=terms)
    split = parts_of(data)
    model = Recipe(classes=False).fit(data, split.fit, split.held, seed=1)
    assert isinstance(model, WithTerms)
    rows = data.rows[split.test]
    assert observed_part(model).predict(rows).mean() == pytest.approx(0.0, abs=0.15)
    assert model.predict(rows).mean() == pytest.approx(2.0, abs=0.2)
    predicted, shares = model.explained(rows)
    assert predicted == pytest.approx(model.predict(rows))
    assert shares == pytest.approx(model.contributions(rows)[:, :-1])
    assert model.contributions(rows).sum(axis=1) == pytest.approx(predicted)
    whole = made("value")
    assert whole.touchpoint is not None
    both = WithTerms(whole.touchpoint, whole.touchpoint)
    journey = changed(FOLD.schema.journey, reward=replace_rule(feeling_eur=1.0))
    manifest = msgspec.structs.replace(
        whole.manifest,
        terms=terms_part(both),
        touchpoint=part("touchpoint", both, {}),
        asked=score_definition(journey),
    )
    stored = Bundle(manifest, whole.churn, both).files()
    again = load_bundle(stored)
    assert again.files() == stored and "terms.txt" in stored
    scorer = BundleScorer(again, ContextSchema(journey, FOLD.schema.table))
    (scores,) = CalibratedScorer(scorer).scores_of(contexts[:1], [[0, 1, -1]])
    expected = whole.touchpoint.predict(scorer._rows(contexts[:1], [[0, 1, -1]])) * 2.0
    assert scores.mean == pytest.approx(expected)


def test_what_was_learned_with_the_terms_in_the_score_is_not_gone_on_with() -> None:
    """Of rules without terms the version stays, and what was learned by it."""
    with_terms = changed(JOURNEY, reward=replace_rule(feeling_eur=1.0))
    assert "reward.terms" in score_definition(with_terms)
    assert "reward.terms" not in score_definition(changed(JOURNEY, reward=VALUE))
    assert reward_version(with_terms) != reward_version(changed(JOURNEY, reward=VALUE))


def replace_rule(**fields: float) -> RewardRule:
    return msgspec.structs.replace(VALUE, **fields)
