"""Trees: text that comes back, shares that add up, and the same bytes from the same seed."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest
from scipy.special import expit, logit

from models.predictors import lightgbm_trees
from models.predictors.lightgbm_trees import PARAMETERS, Trees, fit_trees, trees_from_text

COLUMNS = ("search.count_1h", "traits.segment", "action")
RNG = np.random.default_rng(11)
ROWS = np.column_stack(
    [RNG.exponential(1, 1_200), RNG.integers(0, 3, 1_200).astype(float), RNG.integers(0, 4, 1_200)]
)
ROWS[::7, 0] = np.nan
MARGIN = 2 * np.nan_to_num(ROWS[:, 0]) - 2 + (ROWS[:, 2] == 1)
LABELS = (RNG.random(1_200) < expit(MARGIN)).astype(float)
HELD = slice(800, None)


def fitted(seed: int = 1, *, probability: bool = True, labels: np.ndarray = LABELS) -> Trees:
    return fit_trees(
        ROWS[:800],
        labels[:800],
        ROWS[HELD],
        labels[HELD],
        columns=COLUMNS,
        seed=seed,
        probability=probability,
        categorical=("action",),
    )


@pytest.fixture(scope="module")
def trees() -> Trees:
    return fitted()


def test_text_comes_back_with_the_same_predictions(trees: Trees) -> None:
    again = trees_from_text(trees.to_text(), trees.columns, trees.calibration)
    assert np.array_equal(again.predict(ROWS), trees.predict(ROWS))
    assert np.array_equal(again.contributions(ROWS), trees.contributions(ROWS))
    assert again.to_text() == trees.to_text()


def test_the_same_rows_and_seed_give_the_same_text_and_another_seed_another(trees: Trees) -> None:
    assert fitted().to_text() == trees.to_text()
    assert fitted(seed=2).to_text() != trees.to_text()


def test_shares_add_up_to_the_calibrated_score(trees: Trees) -> None:
    assert trees.calibration is not None
    scores = trees.contributions(ROWS).sum(axis=1) + trees.calibration.intercept
    assert scores == pytest.approx(logit(trees.predict(ROWS)), abs=1e-9)


def test_shares_of_a_regression_add_up_to_its_value() -> None:
    values = fitted(probability=False, labels=MARGIN)
    assert not values.is_probability
    assert values.contributions(ROWS).sum(axis=1) == pytest.approx(values.predict(ROWS))
    assert np.corrcoef(values.predict(ROWS[HELD]), MARGIN[HELD])[0, 1] > 0.8


def test_the_base_share_is_last_and_the_same_for_every_row(trees: Trees) -> None:
    shares = trees.contributions(ROWS[:50])
    assert shares.shape == (50, len(COLUMNS) + 1)
    assert np.ptp(shares[:, -1]) == 0.0


def test_what_matters_leads_the_importance(trees: Trees) -> None:
    gains = trees.importance()
    assert next(iter(gains)) == "search.count_1h"
    assert set(gains) == set(COLUMNS) and list(gains.values()) == sorted(gains.values())[::-1]


def test_predictions_are_calibrated_on_the_held_rows(trees: Trees) -> None:
    assert trees.predict(ROWS[HELD]).mean() == pytest.approx(LABELS[HELD].mean(), abs=0.01)
    assert trees.is_probability


def test_a_row_is_predicted_alike_alone_and_among_others(trees: Trees) -> None:
    together = trees.predict(ROWS[:20])
    assert [float(trees.predict(row[None, :])[0]) for row in ROWS[:20]] == together.tolist()


def test_no_rows_give_no_predictions(trees: Trees) -> None:
    assert trees.predict(np.empty((0, 3))).shape == (0,)


def test_a_category_that_was_never_seen_counts_as_unknown(trees: Trees) -> None:
    rows = np.array([[1.0, 0.0, 17.0], [1.0, 0.0, np.nan]])
    new, unknown = trees.predict(rows)
    assert new == unknown


def test_a_categorical_column_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="actoin"):
        fit_trees(
            *(ROWS[:800], LABELS[:800], ROWS[HELD], LABELS[HELD]),
            columns=COLUMNS,
            seed=1,
            categorical=("actoin",),
        )


def test_trees_of_shares_are_those_of_weighted_rows_of_both_classes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`cross_entropy` on labels y is `binary` on each row twice, with the weights y and 1 - y."""
    monkeypatch.setattr(lightgbm_trees, "MAX_ROUNDS", 50)  # before rounding parts near ties
    plain = {
        "min_data_in_leaf": 1,
        "bagging_freq": 0,
        "feature_fraction": 1.0,
        "min_data_in_bin": 1,
    }
    rows = np.round(np.nan_to_num(ROWS), 1)  # few values: both data sets get the same bins
    shares = np.round(expit(MARGIN), 1)
    fitted = fit_trees(
        rows[:800], shares[:800], rows[HELD], shares[HELD],
        columns=COLUMNS, seed=1, parameters=plain,
    )  # fmt: skip
    twice, classes = np.repeat(rows[:800], 2, axis=0), np.tile([1.0, 0.0], 800)
    weights = np.column_stack([shares[:800], 1.0 - shares[:800]]).ravel()
    own = lightgbm.train(
        {**PARAMETERS, **plain, "objective": "binary", "seed": 1},
        lightgbm.Dataset(twice, classes, weight=weights),
        num_boost_round=fitted.booster.num_trees(),
    )
    found = fitted.booster.predict(rows[HELD], raw_score=True)
    assert found == pytest.approx(own.predict(rows[HELD], raw_score=True), abs=1e-6)


def test_labels_of_two_classes_keep_their_objective(trees: Trees) -> None:
    assert "objective=binary" in trees.to_text()
    assert "objective=cross_entropy" in fitted(labels=np.round(expit(MARGIN), 1)).to_text()
