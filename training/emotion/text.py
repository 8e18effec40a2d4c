"""Fit the text model: labelled texts become n-gram weights, judged on texts never seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from features.text.model import TextModel, n_grams, normalised
from models.predictors.platt_scaling import (
    PlattScaling,
    expected_calibration_error,
    fit_platt_scaling,
)
from nba.measurement.statistics.estimate import Undecided
from nba.randomization import generator

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

FOLDS = 5
MIN_TEXTS = 100
MIN_OF_EACH = 20  # positive and negative texts
MIN_DOCUMENTS = 2  # texts that an n-gram must occur in
MAX_GRAMS = 60_000  # the most frequent ones: about 2 MB of JSON
# chosen, like the n-grams, by AUC inside the training parts of English and Chinese data
INVERSE_PENALTY = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class FittedText:
    """A model of all texts, and the metrics of its twin that did not see the held-out fifth.

    `metrics`: auc, brier, ece on `n_test` texts; n distinct texts, their positive_share.
    """

    model: TextModel
    metrics: dict[str, float]


class Labelled(NamedTuple):
    """Distinct texts."""

    texts: list[str]  # normalised
    labels: np.ndarray  # (n,) bool
    folds: np.ndarray  # (n,) 0 to FOLDS - 1; the texts of one group share theirs


def fit_text(
    texts: Sequence[str],
    labels: Sequence[bool] | np.ndarray,
    *,
    seed: int,
    groups: Sequence[str] | None = None,
) -> FittedText | Undecided:
    """Fit on texts with labels (n,), True for positive; `groups` (n,): who wrote each.

    Fold 0 is held out for the metrics. Calibration is Platt's on out-of-fold scores; the model is
    then fitted again on everything. The same texts and seed give the same bytes.
    """
    from sklearn.metrics import roc_auc_score

    data = distinct(texts, labels, seed=seed, groups=groups)
    refused = _refusal(data)
    if refused is not None:
        return refused
    grams, counts = _count(data.texts)
    if _is_too_sparse(counts, data.folds):
        return Undecided(reason="the texts have no words or characters in common")
    y, held_out = data.labels, data.folds == 0
    scores = np.empty(len(y))
    for fold in range(1, FOLDS):
        part = ~held_out & (data.folds != fold)
        rest = data.folds == fold
        scores[rest] = _fit(counts[part], y[part]).margins(counts[rest])
    twin = _fit(counts[~held_out], y[~held_out])
    scores[held_out] = twin.margins(counts[held_out])
    judged = twin.model(grams, fit_platt_scaling(scores[~held_out], y[~held_out].astype(float)))
    test = [data.texts[n] for n in np.flatnonzero(held_out)]
    p, y_test = (judged.score(test)[0] + 1) / 2, y[held_out].astype(float)
    metrics = {
        "auc": float(roc_auc_score(y_test, p)),
        "brier": float(np.mean((p - y_test) ** 2)),
        "ece": expected_calibration_error(p, y_test),
        "n": float(len(y)),
        "n_test": float(len(y_test)),
        "positive_share": float(y.mean()),
    }
    calibration = fit_platt_scaling(scores, y.astype(float))
    return FittedText(_fit(counts, y).model(grams, calibration), metrics)


def distinct(
    texts: Sequence[str],
    labels: Sequence[bool] | np.ndarray,
    *,
    seed: int,
    groups: Sequence[str] | None = None,
) -> Labelled:
    """Each text once (as the model reads it), with the label of most of its copies.

    A text that is as often positive as not is left out; its group is that of its first copy.
    Groups are dealt to folds at random, the mostly positive ones and the others in equal parts.
    """
    first: dict[str, int] = {}
    read = [normalised(text) for text in texts]
    first_position = np.array([first.setdefault(text, len(first)) for text in read], dtype=int)
    kept, first_copy = np.unique(first_position, return_index=True)
    shares = np.bincount(first_position, weights=np.asarray(labels, dtype=float)) / np.bincount(
        first_position
    )
    clear = kept[shares != 0.5]
    copies = first_copy[clear]
    positive = shares[clear] > 0.5
    owners = copies.astype(str) if groups is None else np.asarray(groups, dtype=str)[copies]
    names, owner = np.unique(owners, return_inverse=True)
    mostly = np.bincount(owner, weights=positive) / np.bincount(owner) > 0.5
    chance = generator(seed, "folds of texts").random(len(names))
    fold_of = np.empty(len(names), dtype=int)
    fold_of[np.lexsort((chance, mostly))] = np.arange(len(names)) % FOLDS
    return Labelled([read[n] for n in copies], positive, fold_of[owner])


class _Linear(NamedTuple):
    """A logistic regression over some columns of the counts, before calibration."""

    columns: np.ndarray  # (k,) ascending
    scales: np.ndarray  # (k,)
    weights: np.ndarray  # (k,)
    intercept: float

    def rows(self, counts: csr_matrix) -> csr_matrix:
        """(n, k) scaled rows of length 1."""
        from sklearn.preprocessing import normalize

        scaled = counts[:, self.columns].multiply(self.scales).tocsr()
        return normalize(scaled, copy=False)

    def margins(self, counts: csr_matrix) -> np.ndarray:
        """(n,) log-odds."""
        result: np.ndarray = self.rows(counts) @ self.weights + self.intercept
        return result

    def model(self, grams: Sequence[str], calibration: PlattScaling) -> TextModel:
        """The same with the calibration in its weights, at the digits that are kept."""
        return TextModel(
            grams=tuple(grams[n] for n in self.columns),
            scales=self.scales,
            weights=np.round(calibration.slope * self.weights, 4),
            intercept=round(calibration.slope * self.intercept + calibration.intercept, 4),
        )


def _fit(counts: csr_matrix, labels: np.ndarray) -> _Linear:
    """Scale = idf x (1 + |log-count ratio|), after S. Wang and C. Manning, Baselines and Bigrams,
    ACL 2012, section 2: an n-gram that tells the classes apart weighs more from the start.
    """
    from sklearn.linear_model import LogisticRegression

    documents = counts.getnnz(axis=0)
    frequent = np.argsort(-documents, kind="stable")[:MAX_GRAMS]
    columns = np.sort(frequent[documents[frequent] >= MIN_DOCUMENTS])
    seen = documents[columns]
    positive = counts[labels].getnnz(axis=0)[columns]
    n, n_positive = len(labels), int(labels.sum())
    idf = np.log((1 + n) / (1 + seen)) + 1
    ratio = np.log((1 + positive) / n_positive) - np.log((1 + seen - positive) / (n - n_positive))
    start = _Linear(columns, np.round(idf * (1 + np.abs(ratio)), 3), np.empty(0), 0.0)
    # liblinear: its own single-threaded arithmetic, the same bits with any number of cores
    fit = LogisticRegression(C=INVERSE_PENALTY, solver="liblinear").fit(start.rows(counts), labels)
    return start._replace(weights=fit.coef_[0], intercept=float(fit.intercept_[0]))


def _count(texts: Sequence[str]) -> tuple[list[str], csr_matrix]:
    """N-grams of at least two texts, in order, and (n, n_grams) of 1 + log(times)."""
    from sklearn.feature_extraction.text import CountVectorizer

    repeated = _repeated(texts)
    counter = CountVectorizer(
        analyzer=lambda text: ["", *(gram for gram in n_grams(text) if hash(gram) in repeated)]
    )
    counts = counter.fit_transform(texts)
    names = counter.get_feature_names_out()
    # "" is there for texts without any; two n-grams of one hash may each be of one text
    kept = np.flatnonzero((counts.getnnz(axis=0) >= MIN_DOCUMENTS) & (names != ""))
    counts = counts[:, kept].astype(float)
    counts.data = 1 + np.log(counts.data)
    return names[kept].tolist(), counts


def _repeated(texts: Sequence[str]) -> set[int]:
    """Hashes of the n-grams of at least two texts: most are of one, and strings take memory."""
    hashes = [np.fromiter(map(hash, set(n_grams(text))), np.int64) for text in texts]
    values, documents = np.unique(np.concatenate(hashes), return_counts=True)
    return set(values[documents >= MIN_DOCUMENTS].tolist())


def _is_too_sparse(counts: csr_matrix, folds: np.ndarray) -> bool:
    """Whether some part that is fitted on has no n-gram twice."""
    by_fold = np.stack([counts[folds == fold].getnnz(axis=0) for fold in range(1, FOLDS)])
    return bool((by_fold.sum(axis=0) - by_fold).max(axis=1, initial=0).min() < MIN_DOCUMENTS)


def _refusal(data: Labelled) -> Undecided | None:
    """Why no model can be fitted and judged, None where one can."""
    n, positive = len(data.labels), int(data.labels.sum())
    if n < MIN_TEXTS:
        return Undecided(reason=f"{n} distinct texts, {MIN_TEXTS} are needed")
    if not MIN_OF_EACH <= positive <= n - MIN_OF_EACH:
        return Undecided(
            reason=f"{positive} of {n} distinct texts are positive, "
            f"at least {MIN_OF_EACH} of each are needed"
        )
    for fold in range(FOLDS):
        if len(np.unique(data.labels[data.folds == fold])) < 2:
            return Undecided(
                reason="too few groups: a fifth of them has no positive or no negative text"
            )
    return None
