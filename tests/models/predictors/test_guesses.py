"""Guesses are a model like any other: scores, shares that add up, bytes that come back."""

from __future__ import annotations

import numpy as np
import pytest

from models.predictors.guesses import SUFFIX, Guesses, guesses_from_json
from models.predictors.touchpoint_columns import ACTION
from nba.errors import InvalidBundle

COLUMNS = ("tenure_months", ACTION)
MODEL = Guesses(COLUMNS, (0.2, 0.4, 0.0), is_probability=True)  # two actions, and silence


def rows(*codes: float) -> np.ndarray:
    return np.array([[7.0, code] for code in codes])


def test_an_action_has_its_own_score_whoever_the_customer_is() -> None:
    assert MODEL.predict(rows(1, 0, 2)).tolist() == [0.4, 0.2, 0.0]
    assert MODEL.predict(np.array([[np.nan, 1.0]])).tolist() == [0.4]
    assert MODEL.predict(np.empty((0, 2))).tolist() == []


def test_an_action_that_is_new_has_the_mean_of_the_actions_and_not_of_silence() -> None:
    assert MODEL.predict(rows(np.nan, 0)) == pytest.approx([0.3, 0.2])


def test_the_shares_add_up_to_the_score_and_all_of_it_is_the_actions() -> None:
    asked = rows(0, 1, 2, np.nan)
    shares = MODEL.contributions(asked)
    assert shares.shape == (4, 3)
    assert shares.sum(axis=1) == pytest.approx(MODEL.predict(asked))
    assert not shares[:, 0].any() and shares[3, 1] == 0.0
    scores, explained = MODEL.explained(asked)
    assert scores.tolist() == MODEL.predict(asked).tolist()
    assert explained.tolist() == shares[:, :-1].tolist()
    assert MODEL.importance() == {"tenure_months": 0.0, ACTION: 0.0}


@pytest.mark.parametrize("is_probability", [True, False])
def test_what_comes_back_is_what_was_written(is_probability: bool) -> None:
    model = Guesses(COLUMNS, (0.1, 1 / 3, -2.5), is_probability)
    back = guesses_from_json(model.to_bytes(), COLUMNS)
    assert (back.columns, back.scores, back.is_probability) == (
        COLUMNS,
        model.scores,
        is_probability,
    )
    assert back.to_bytes() == model.to_bytes()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"scores": [0.1]}',
        b'{"scores": [], "is_probability": true}',
        b'{"scores": ["much"], "is_probability": true}',
        b'{"scores": [null], "is_probability": true}',
        b'{"scores": [1e999], "is_probability": false}',
        b'{"scores": [0.1], "is_probability": true, "code": "import os"}',
    ],
)
def test_other_content_is_refused_with_the_file_and_the_remedy(content: bytes) -> None:
    with pytest.raises(InvalidBundle, match=rf"{SUFFIX}: .+; promote the bundle again"):
        guesses_from_json(content, COLUMNS)


def test_without_a_column_for_the_action_all_rows_have_the_one_score() -> None:
    """As a share who left, which is everybody's risk."""
    share = guesses_from_json(
        Guesses(("tenure_months",), (0.2,), is_probability=True).to_bytes(), ("tenure_months",)
    )
    rows = np.array([[1.0], [np.nan]])
    assert share.predict(rows).tolist() == [0.2, 0.2]
    assert share.contributions(rows).tolist() == [[0.0, 0.2], [0.0, 0.2]]


def test_no_scores_are_no_guesses() -> None:
    with pytest.raises(InvalidBundle, match="no scores"):
        guesses_from_json(b'{"scores": [], "is_probability": true}', COLUMNS)
