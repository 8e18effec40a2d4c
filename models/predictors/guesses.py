"""The owner's guesses as a model: one score for each action, where none was trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import msgspec
import numpy as np

from models.predictors.touchpoint_columns import ACTION
from nba.engine.policy import Floats
from nba.errors import InvalidBundle

SUFFIX = ".guesses.json"


@dataclass(frozen=True, slots=True, eq=False)
class Guesses:
    """Implements `models.predictors.predictor.Predictor`: it reads the action alone, or nothing
    where there is none: then all rows have the one score.

    `scores`: by the code of an action, that of nobody being contacted last; a row without a code
    has the mean of the actions'.
    """

    columns: tuple[str, ...]
    scores: tuple[float, ...]
    is_probability: bool

    calibration: ClassVar[None] = None
    suffix: ClassVar[str] = SUFFIX

    def predict(self, rows: np.ndarray) -> Floats:
        """(n,) scores of (n, n_columns) float64 rows."""
        if ACTION not in self.columns:
            return np.full(len(rows), self.scores[0])
        scores = np.array(self.scores)
        codes = rows[:, self.columns.index(ACTION)]
        known = np.isfinite(codes)
        found: Floats = np.full(len(rows), self._mean)
        found[known] = scores[codes[known].astype(np.int64)]
        return found

    def contributions(self, rows: np.ndarray) -> Floats:
        """(n, n_columns + 1) shares: all of it is the action's."""
        shares = np.zeros((len(rows), len(self.columns) + 1))
        if ACTION in self.columns:
            shares[:, self.columns.index(ACTION)] = self.predict(rows) - self._mean
        shares[:, -1] = self._mean
        return shares

    def explained(self, rows: np.ndarray) -> tuple[Floats, Floats]:
        """(n,) scores with their (n, n_columns) shares."""
        return self.predict(rows), self.contributions(rows)[:, :-1]

    def importance(self) -> dict[str, float]:
        """No column of the context matters."""
        return dict.fromkeys(self.columns, 0.0)

    def to_bytes(self) -> bytes:
        """The scores as JSON."""
        return msgspec.json.encode({"scores": self.scores, "is_probability": self.is_probability})

    @property
    def _mean(self) -> float:
        return float(np.mean(self.scores[:-1] or self.scores))


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    scores: tuple[float, ...]
    is_probability: bool


def guesses_from_json(content: bytes, columns: tuple[str, ...]) -> Guesses:
    """What `Guesses.to_bytes` wrote. Raises InvalidBundle for anything else."""
    try:
        read = msgspec.json.decode(content, type=_Content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidBundle(f"{SUFFIX}: {error}; promote the bundle again") from None
    if not read.scores or not np.isfinite(read.scores).all():
        raise InvalidBundle(f"{SUFFIX}: no scores; promote the bundle again")
    return Guesses(columns, read.scores, read.is_probability)
