"""Fitting the text model: two made-up languages of phrases, and real reviews where they are."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import normalize

from examples.raw_files import data_folder
from features.text.model import load_text_model, n_grams, normalised
from models.predictors.platt_scaling import expected_calibration_error
from nba.measurement.statistics.estimate import Undecided
from training.emotion.text import FittedText, distinct, fit_text

Corpus = tuple[list[str], np.ndarray]


def english(n: int, seed: int = 1) -> Corpus:
    things = ["the card", "my advisor", "this app", "the branch", "your hotline", "the loan offer"]
    praise = ["was quick", "is a joy", "works well", "helped me a lot", "is great", "was friendly"]
    blame = ["was slow", "is a mess", "keeps failing", "did not help", "is not great", "was rude"]
    ends = ["today", "again", "as always", "on Monday", "in town", "for once", "!", "..."]
    return made(n, seed, "I think {} {} {}".format, things, praise, blame, ends)


def chinese(n: int, seed: int = 2) -> Corpus:
    things = ["客服", "这张卡", "你们的应用", "贷款", "网点", "理财经理"]
    praise = ["很快", "非常好", "帮了大忙", "特别满意", "很方便", "态度好"]
    blame = ["太慢", "不好", "老是出错", "很不满意", "不方便", "态度差"]
    ends = ["，下次再来", "。", "，今天去的", "！", "，朋友也说", "，第二次了", "，周一", "呢"]
    return made(n, seed, "我觉得{}{}{}".format, things, praise, blame, ends)


def made(n: int, seed: int, phrase: Callable[..., str], things: list[str], praise: list[str],
         blame: list[str], ends: list[str]) -> Corpus:  # fmt: skip
    rng = np.random.default_rng(seed)
    labels = rng.random(n) < 0.6
    pick = rng.choice
    texts = [
        phrase(pick(things), pick(praise if label else blame), pick(ends)) + f" {number}"
        for number, label in enumerate(labels)
    ]
    return texts, labels


def fitted(corpus: Corpus, seed: int = 5) -> FittedText:
    found = fit_text(*corpus, seed=seed)
    assert isinstance(found, FittedText), found
    return found


@pytest.fixture(scope="module")
def both() -> FittedText:
    """One model of two languages."""
    (one, good), (two, fine) = english(300), chinese(300)
    return fitted((one + two, np.concatenate([good, fine])))


def test_held_out_texts_of_two_languages_are_told_apart(both: FittedText) -> None:
    assert both.metrics["auc"] > 0.97
    assert both.metrics["brier"] < 0.06
    assert both.metrics["n"] == 600 and both.metrics["n_test"] == 120
    assert both.metrics["positive_share"] == pytest.approx(0.6, abs=0.05)


@pytest.mark.parametrize("corpus", [english, chinese])
def test_texts_of_another_draw_are_told_apart(
    both: FittedText, corpus: Callable[..., Corpus]
) -> None:
    texts, labels = corpus(200, seed=77)
    assert roc_auc_score(labels, both.model.score(texts)[0]) > 0.97


def test_praise_is_positive_and_blame_negative(both: FittedText) -> None:
    texts = ["this app works well 😀", "this app keeps failing", "客服非常好", "客服态度差 bad"]
    valences, confidences = both.model.score(texts)
    assert (np.sign(valences) == [1, -1, 1, -1]).all()
    assert (confidences > 0.5).all()


def test_shuffled_labels_teach_nothing() -> None:
    """One held-out fifth of 120 texts has a standard error of 0.05: six of them 0.02."""
    texts, labels = english(600)
    found = [
        fitted((texts, np.random.default_rng(seed).permutation(labels)), seed).metrics
        for seed in range(6)
    ]
    assert np.mean([metrics["auc"] for metrics in found]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([metrics["brier"] for metrics in found]) == pytest.approx(0.24, abs=0.015)


def test_probabilities_can_be_taken_at_their_word() -> None:
    """Texts of five phrases: the more of them are praise, the likelier is a positive label."""
    rng = np.random.default_rng(4)
    praise = rng.integers(0, 2, (2_000, 5))
    blamed, praised = ["slow", "rude", "dear", "odd", "old"], ["fast", "kind", "fair", "ok", "new"]
    phrases = np.array([blamed, praised])
    spoken = [" ".join(phrases[row, np.arange(5)]) for row in praise]
    texts = [f"{text} {number}" for number, text in enumerate(spoken)]
    truth = 1 / (1 + np.exp(2.5 - praise.sum(axis=1)))
    found = fitted((texts, rng.random(2_000) < truth))
    assert found.metrics["ece"] < 0.08  # 400 texts in ten bins: 0.04 is chance alone
    unseen = [f"{text} {number}" for number, text in enumerate(spoken[:500], start=2_000)]
    predicted = (found.model.score(unseen)[0] + 1) / 2
    assert expected_calibration_error(predicted, truth[:500]) < 0.06  # of probabilities, not draws


def test_the_model_is_the_arithmetic_of_scikit_learn(both: FittedText) -> None:
    model = both.model
    texts = [normalised(text) for text in english(50, seed=8)[0] + chinese(50, seed=9)[0]]
    counter = CountVectorizer(analyzer=n_grams, vocabulary=list(model.grams))
    counts = counter.transform(texts).astype(float)
    counts.data = 1 + np.log(counts.data)
    margins = normalize(counts.multiply(model.scales).tocsr()) @ model.weights + model.intercept
    np.testing.assert_allclose(model.score(texts)[0], np.tanh(margins / 2), atol=1e-12)


def test_the_same_texts_and_seed_give_the_same_bytes(both: FittedText) -> None:
    again, other = fitted(english(200)), fitted(english(200))
    assert again.model.to_files() == other.model.to_files()
    assert again.metrics == other.metrics
    assert again.model.model_id != both.model.model_id


def test_a_fitted_model_survives_its_files(both: FittedText) -> None:
    texts = chinese(100, seed=10)[0]
    loaded = load_text_model(both.model.to_files())
    assert loaded.score(texts)[0].tobytes() == both.model.score(texts)[0].tobytes()
    assert loaded.model_id == both.model.model_id


def test_broken_and_empty_texts_can_be_learned_from() -> None:
    texts, labels = english(200)
    broken = [*texts, "", " ", "\x00\ud800 !", "\ud83d", "😡" * 9_000]
    found = fitted((broken, np.append(labels, [True, True, False, True, False])))
    assert load_text_model(found.model.to_files()).score([""])[0].tolist() == [0.0]


@pytest.mark.parametrize(
    ("corpus", "reason"),
    [
        (([], np.zeros(0, dtype=bool)), "0 distinct texts, 100 are needed"),
        (english(99), "99 distinct texts, 100 are needed"),
        ((["good", "bad"] * 500, np.arange(1000) % 2 == 0), "2 distinct texts"),
        ((english(200)[0], np.arange(200) < 19), "19 of 200 distinct texts are positive"),
        ((english(200)[0], np.arange(200) < 181), "181 of 200 distinct texts are positive"),
        (([chr(0x4E00 + n) for n in range(200)], np.arange(200) < 100), "in common"),
    ],
)
def test_too_little_to_learn_from_is_said(corpus: Corpus, reason: str) -> None:
    found = fit_text(*corpus, seed=5)
    assert isinstance(found, Undecided)
    assert reason in found.reason


def test_one_customer_cannot_be_on_both_sides() -> None:
    texts, labels = english(200)
    found = fit_text(texts, labels, seed=5, groups=["ada"] * 200)
    assert isinstance(found, Undecided)
    assert "too few groups" in found.reason


def test_copies_are_one_text() -> None:
    texts, labels = english(150)
    copies = [text.upper() for text in texts] + [f" {text}".strip() for text in texts]
    data = distinct(texts + copies, np.tile(labels, 3), seed=5)
    assert data.texts == [normalised(text) for text in texts]
    assert (data.labels == labels).all()


def test_copies_take_the_label_of_most_and_none_when_they_disagree() -> None:
    data = distinct(["a", "b", "A", "a", "B"], [True, True, False, True, False], seed=5)
    assert data.texts == ["a"]
    assert data.labels.tolist() == [True]


def test_the_texts_of_one_customer_share_a_fold() -> None:
    texts, labels = english(600)
    customers = [f"customer {n % 90}" for n in range(600)]
    data = distinct(texts, labels, seed=5, groups=customers)
    folds: dict[str, set[int]] = {}
    for customer, fold in zip(customers, data.folds.tolist(), strict=True):
        folds.setdefault(customer, set()).add(fold)
    assert {len(fold) for fold in folds.values()} == {1}
    assert np.bincount(data.folds).min() > 100
    grouped = fit_text(texts, labels, seed=5, groups=customers)
    assert isinstance(grouped, FittedText)
    assert grouped.metrics["auc"] > 0.95


def test_another_seed_is_another_split() -> None:
    corpus = english(300)
    assert (distinct(*corpus, seed=5).folds != distinct(*corpus, seed=6).folds).any()


@pytest.mark.data
def test_chinese_reviews_are_told_apart_without_a_segmenter() -> None:
    """About 5,000 labels."""
    path = data_folder() / "zh_waimai" / "waimai_10k.csv.gz"
    if not path.is_file():
        pytest.skip(f"{path} is absent: set NBA_DATA to the folder of the public data sets")
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))[::2]
    labels = np.array([row["label"] == "1" for row in rows])
    found = fitted(([row["review"] for row in rows], labels))
    assert found.metrics["auc"] > 0.93
    assert found.metrics["ece"] < 0.05
    assert sum(map(len, found.model.to_files().values())) < 3e6
