"""An ONNX graph over named columns: a deployment's own estimator, as serving reads it.

ONNX Runtime runs a fixed set of operators: nothing in the file is imported or unpickled, and a
graph that asks for data outside of its own bytes is refused. It computes in float32, on rows as
`readable` gives them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from models.predictors.platt_scaling import PlattScaling
from nba.errors import InvalidBundle

INPUT = "rows"
PROBABILITIES, VALUE = "probabilities", "variable"  # outputs, as skl2onnx names them
OCCLUSION = "nba.occlusion"  # the key of the graph's metadata
SUFFIX = ".onnx"
NOTHING = 1e-6
_CERTAIN = 1e-7  # no nearer to 0 or 1 than float32 can say


class Occluded(msgspec.Struct, frozen=True, kw_only=True):
    """A column that explanations name."""

    column: str
    typical: float | None  # of the training rows; None: mostly unknown
    effect: float  # mean size of the score's change where the column becomes typical


class OnnxModel:
    """Implements `models.predictors.predictor.Predictor`; `calibration` None: a regression."""

    suffix = SUFFIX

    def __init__(
        self, content: bytes, columns: Sequence[str], calibration: PlattScaling | None
    ) -> None:
        """Raises InvalidBundle for a graph that cannot be run, or is over other columns."""
        self.columns = tuple(columns)
        self.calibration = calibration
        self._content = content
        self._session = _session(content)
        given = self._session.get_inputs()
        if [(one.name, one.shape[-1]) for one in given] != [(INPUT, len(self.columns))]:
            raise InvalidBundle(
                f"an ONNX graph that does not read {len(self.columns)} columns as {INPUT!r}; "
                "train and promote again"
            )
        metadata = self._session.get_modelmeta().custom_metadata_map
        try:
            found = msgspec.json.decode(metadata.get(OCCLUSION, "[]"), type=tuple[Occluded, ...])
            self._at = [self.columns.index(one.column) for one in found]
        except ValueError as error:
            raise InvalidBundle(f"{OCCLUSION}: {error}; train and promote again") from None
        self._occluded = found
        self._typical = np.array([one.typical for one in found], dtype=float)

    @property
    def is_probability(self) -> bool:
        return self.calibration is not None

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """(n, n_columns) float64 rows to (n,) calibrated probabilities, or to values."""
        scores = self.scores(rows)
        return scores if self.calibration is None else self.calibration.probability(scores)

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """(n,) scores before calibration: log-odds, or values."""
        if len(rows) == 0:
            return np.empty(0)
        given = {INPUT: readable(rows)}
        if self.calibration is None:
            (values,) = self._session.run([VALUE], given)
            return np.asarray(values, dtype=float).reshape(-1)
        (both,) = self._session.run([PROBABILITIES], given)
        return log_odds(np.asarray(both, dtype=float)[:, 1])

    def contributions(self, rows: np.ndarray) -> np.ndarray:
        """(n, n_columns + 1): by how much each column moves the score from where it would be if
        the column were typical; the last is what the others leave.

        Occlusion: Robnik-Sikonja and Kononenko, Explaining classifications for individual
        instances, IEEE TKDE 2008, section 2. Columns are moved one at a time, so that an effect
        shared by two is told of both or of neither; columns beyond the leading ones are not told.
        """
        return self._shares(rows, self.scores(rows))

    def explained(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) predictions with their (n, n_columns) shares."""
        scores = self.scores(rows)
        shares = self._shares(rows, scores)[:, :-1]
        return scores if self.calibration is None else self.calibration.probability(scores), shares

    def importance(self) -> dict[str, float]:
        """The effect of each leading column, largest first."""
        return {one.column: one.effect for one in self._occluded}

    def to_bytes(self) -> bytes:
        return self._content

    def _shares(self, rows: np.ndarray, scores: np.ndarray) -> np.ndarray:
        n, many = len(rows), len(self._at)
        moved = np.repeat(rows[None, :, :], many, axis=0)
        moved[np.arange(many), :, self._at] = self._typical[:, None]
        without = self.scores(moved.reshape(many * n, -1)).reshape(many, n)
        slope = 1.0 if self.calibration is None else self.calibration.slope
        shares = np.zeros((n, len(self.columns) + 1))
        shares[:, self._at] = (scores - without).T * slope
        shares[:, -1] = scores * slope - shares[:, :-1].sum(axis=1)
        return shares


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    """(n,) log-odds of (n,) probabilities, finite."""
    sure = np.clip(probabilities, _CERTAIN, 1 - _CERTAIN)
    odds: np.ndarray = np.log(sure) - np.log1p(-sure)
    return odds


def readable(rows: np.ndarray) -> np.ndarray:
    """The rows as the graph reads them: float32, and what is smaller than NOTHING as 0.

    A count that has decayed to 1e-40 would else make a scaler divide by less than float32 holds.
    """
    with np.errstate(over="ignore"):
        given = np.asarray(rows, dtype=np.float32)
    return np.where(np.abs(given) < NOTHING, np.float32(0.0), given)


def _session(content: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what fails is raised
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no base of their own
        why = " ".join(str(error).split())[:200]
        raise InvalidBundle(f"no ONNX graph that can be run: {why}; train again") from None
