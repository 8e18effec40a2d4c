"""Text to valence: one bag of n-grams for every language, scored by a calibrated linear model.

Words and pairs of words carry spaced languages; a character of a script without spaces is a word
of its own, so that its pairs do there what a segmenter would. Pieces of 3 to 5 characters inside
words carry inflection and misspelling. No dictionary, no segmenter, no language is named.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import TypeVar

import msgspec
import numpy as np

from nba.content_ids import content_id
from nba.errors import InvalidBundle

FORMAT = 1
CONTENT = "text.json"
MANIFEST = "text_manifest.json"
MAX_LENGTH = 2_000  # characters of a text that are read: half from its head, half from its tail
CHUNK = 256  # texts scored at once: bounds the memory
# Thai, Lao, Burmese, Khmer, kana, Han: one character, one word
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff"
)
# marks inside words of Latin, Hebrew, Arabic and the scripts of India, which `\w` leaves out
_MARKS = "\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0900-\u0963\u0966-\u0dff"
# a character of these, a word, or one sign: an emoji, a punctuation mark
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+(?:[{_MARKS}]+[^\W{_UNSPACED}]*)*|[^\w\s]")
_Kind = TypeVar("_Kind")


def normalised(text: str) -> str:
    """The text as the model reads it: cut, NFKC, lower case, without lone surrogates.

    >>> normalised("ＧＯＯＤ\\ud800")
    'good'
    """
    whole = _cut(text).encode("utf-8", "ignore").decode()
    return _cut(unicodedata.normalize("NFKC", whole).lower())


def n_grams(text: str) -> list[str]:
    """Every n-gram of a `normalised` text, as often as it occurs; those of words begin with a tab.

    >>> n_grams("不 no")
    ['\\t不', '\\tno', '\\t不 no', ' 不 ', ' no', 'no ', ' no ']
    """
    words = ["\t" + word for word in _TOKEN.findall(text)]
    pairs = [f"{left} {right[1:]}" for left, right in pairwise(words)]
    padded = [f" {run} " for run in text.split()]
    pieces = [
        run[start : start + n]
        for n in (3, 4, 5)
        for run in padded
        for start in range(len(run) - n + 1)
    ]
    return words + pairs + pieces


@dataclass(frozen=True, slots=True, eq=False)
class TextModel:
    """P(positive) = 1 / (1 + exp(-(intercept + weights . x / |x|))).

    x = scale x (1 + log(times)) over the known n-grams of the text (sublinear TF-IDF: Manning,
    Raghavan and Schuetze, Introduction to Information Retrieval, 2008, section 6.4.1).
    """

    grams: tuple[str, ...]
    scales: np.ndarray  # (n_grams,), positive
    weights: np.ndarray  # (n_grams,), log-odds, with the calibration in them
    intercept: float
    _index: dict[str, int] = field(init=False, repr=False)
    _files: dict[str, bytes] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        content = msgspec.json.encode(
            _Content(
                grams=self.grams,
                scales=tuple(self.scales.tolist()),
                weights=tuple(self.weights.tolist()),
                intercept=self.intercept,
            )
        )
        manifest = msgspec.json.encode(
            _Manifest(format=FORMAT, sha256=hashlib.sha256(content).hexdigest())
        )
        for array in (self.scales, self.weights):
            array.flags.writeable = False
        object.__setattr__(self, "_index", {gram: n for n, gram in enumerate(self.grams)})
        object.__setattr__(self, "_files", {CONTENT: content, MANIFEST: manifest})

    @property
    def model_id(self) -> str:
        """Of the content: equal models have equal ids."""
        return content_id("text", self._files[CONTENT])

    def score(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """(n,) valences in [-1, 1], which are 2 P(positive) - 1, and (n,) confidences in [0, 1].

        Both are 0 for a text in which no n-gram is known. A text's score does not depend
        on the others.
        """
        parts = [self._score(texts[n : n + CHUNK]) for n in range(0, len(texts), CHUNK)]
        valences = np.concatenate([np.empty(0), *parts])
        return valences, np.abs(valences)

    def to_files(self) -> dict[str, bytes]:
        """Its JSON files by name; the same model gives the same bytes."""
        return dict(self._files)

    def _score(self, texts: Sequence[str]) -> np.ndarray:
        """(n,) valences."""
        index, size = self._index, len(self.grams)
        columns_of = [
            [index[gram] for gram in n_grams(normalised(text)) if gram in index] for text in texts
        ]
        lengths = np.array([len(columns) for columns in columns_of])
        rows = np.repeat(np.arange(len(texts)), lengths)
        columns = np.fromiter(chain.from_iterable(columns_of), np.int64, lengths.sum())
        cells, times = np.unique(rows * size + columns, return_counts=True)
        rows, columns = np.divmod(cells, max(size, 1))
        values = self.scales[columns] * (1.0 + np.log(times))
        squares = np.bincount(rows, weights=values**2, minlength=len(texts))
        sums = np.bincount(rows, weights=values * self.weights[columns], minlength=len(texts))
        known = squares > 0
        margins = self.intercept + sums / np.sqrt(np.where(known, squares, 1.0))
        valences: np.ndarray = np.where(known, np.tanh(margins / 2), 0.0)
        return valences


def load_text_model(files: Mapping[str, bytes]) -> TextModel:
    """The model in these files; other files beside them are left alone.

    Raises InvalidBundle for a missing, altered or unreadable file, or an unknown format.
    """
    manifest = _decoded(files, MANIFEST, _Manifest)
    if manifest.format != FORMAT:
        raise InvalidBundle(f"{MANIFEST}: format {manifest.format}; this program reads {FORMAT}")
    content = _decoded(files, CONTENT, _Content)
    if not len(content.grams) == len(content.scales) == len(content.weights):
        raise InvalidBundle(f"{CONTENT}: lists of different lengths; train the text model again")
    model = TextModel(
        grams=content.grams,
        scales=np.array(content.scales, dtype=float),
        weights=np.array(content.weights, dtype=float),
        intercept=content.intercept,
    )
    for name, expected in model.to_files().items():
        if files[name] != expected:
            raise InvalidBundle(f"{name}: altered since training; train the text model again")
    return model


class _Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: int
    sha256: str  # of the content


class _Content(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    grams: tuple[str, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float


def _decoded(files: Mapping[str, bytes], name: str, kind: type[_Kind]) -> _Kind:
    if name not in files:
        raise InvalidBundle(f"{name}: absent; train the text model again")
    try:
        return msgspec.json.decode(files[name], type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidBundle(f"{name}: {error}; train the text model again") from None


def _cut(text: str) -> str:
    if len(text) <= MAX_LENGTH:
        return text
    return text[: MAX_LENGTH // 2] + text[-(MAX_LENGTH // 2) :]
