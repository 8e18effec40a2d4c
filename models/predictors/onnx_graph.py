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
ZERO_BELOW = 1e-6
_CERTAIN = 1e-7  # no nearer to 0 or 1 than float32 can say


class OccludedColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column that explanations name, for its effect where it is replaced by a typical value."""

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
        inputs = [(tensor.name, tensor.shape[-1]) for tensor in self._session.get_inputs()]
        if inputs != [(INPUT, len(self.columns))]:
            raise InvalidBundle(
                f"an ONNX graph that does not read {len(self.columns)} columns as {INPUT!r}; "
                "train and promote again"
            )
        metadata = self._session.get_modelmeta().custom_metadata_map
        try:
            occluded = metadata.get(OCCLUSION, "[]")
            self._occluded = msgspec.json.decode(occluded, type=tuple[OccludedColumn, ...])
            self._places = [self.columns.index(column.column) for column in self._occluded]
        except ValueError as error:
            raise InvalidBundle(f"{OCCLUSION}: {error}; train and promote again") from None
        self._typical = np.array([column.typical for column in self._occluded], dtype=float)

    @property
    def is_probability(self) -> bool:
        return self.calibration is not None

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """(n, n_columns) float64 rows to (n,) calibrated probabilities, or to values."""
        scores = self.scores(rows)
        return scores if self.calibration is None else self.calibration.probability(scores)

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """(n,) scores before calibration: log-odds, or values; a row's are the same in any n.

        ONNX Runtime multiplies a lone row by another routine, which rounds otherwise: it gets
        company.
        """
        if len(rows) == 0:
            return np.empty(0)
        if len(rows) == 1:
            return self.scores(np.repeat(rows, 2, axis=0))[:1]
        inputs = {INPUT: readable(rows)}
        if self.calibration is None:
            (values,) = self._session.run([VALUE], inputs)
            return np.asarray(values, dtype=float).reshape(-1)
        (probabilities,) = self._session.run([PROBABILITIES], inputs)
        return log_odds(np.asarray(probabilities, dtype=float)[:, 1])

    def contributions(self, rows: np.ndarray) -> np.ndarray:
        """(n, n_columns + 1): by how much each column moves the score from where it would be if
        the column were typical; the last is what the others leave.

        Occlusion: Robnik-Sikonja and Kononenko, Explaining classifications for individual
        instances, IEEE TKDE 2008, section 2. Columns are moved one at a time, so that an effect
        shared by two counts for both or for neither; columns beyond the leading ones have 0.
        """
        return self._shares(rows, self.scores(rows))

    def explained(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) predictions with their (n, n_columns) shares."""
        scores = self.scores(rows)
        shares = self._shares(rows, scores)[:, :-1]
        return scores if self.calibration is None else self.calibration.probability(scores), shares

    def importance(self) -> dict[str, float]:
        """The effect of each leading column, largest first."""
        return {column.column: column.effect for column in self._occluded}

    def to_bytes(self) -> bytes:
        return self._content

    def _shares(self, rows: np.ndarray, scores: np.ndarray) -> np.ndarray:
        n, n_occluded = len(rows), len(self._places)
        moved = np.repeat(rows[None, :, :], n_occluded, axis=0)
        moved[np.arange(n_occluded), :, self._places] = self._typical[:, None]
        without = self.scores(moved.reshape(n_occluded * n, -1)).reshape(n_occluded, n)
        slope = 1.0 if self.calibration is None else self.calibration.slope
        shares = np.zeros((n, len(self.columns) + 1))
        shares[:, self._places] = (scores - without).T * slope
        shares[:, -1] = scores * slope - shares[:, :-1].sum(axis=1)
        return shares


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    """(n,) log-odds of (n,) probabilities, finite."""
    clipped = np.clip(probabilities, _CERTAIN, 1 - _CERTAIN)
    scores: np.ndarray = np.log(clipped) - np.log1p(-clipped)
    return scores


def readable(rows: np.ndarray) -> np.ndarray:
    """The rows as the graph reads them: float32, and what is smaller than ZERO_BELOW as 0.

    A count that has decayed to 1e-40 would else make a scaler divide by less than float32 holds.
    """
    with np.errstate(over="ignore"):
        single = np.asarray(rows, dtype=np.float32)
    return np.where(np.abs(single) < ZERO_BELOW, np.float32(0.0), single)


def _session(content: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # failures are raised
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no base of their own
        reason = " ".join(str(error).split())[:200]
        raise InvalidBundle(f"no ONNX graph that can be run: {reason}; train again") from None
