"""A fitted estimator as an ONNX graph, with what explanations of it need in its metadata."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from models.predictors.onnx_graph import INPUT, OCCLUSION, OccludedColumn, OnnxModel
from models.predictors.platt_scaling import PlattScaling
from nba.errors import InvalidBundle, InvalidInput

NAMED = 12  # leading columns that explanations may name
SAMPLE = 200  # rows on which they are found


def onnx_graph(
    estimator: Any,
    name: str,
    rows: np.ndarray,
    held_rows: np.ndarray,
    columns: Sequence[str],
    *,
    classes: bool,
) -> bytes:
    """The graph's bytes, over float32 rows of all columns; the same estimator gives the same.

    Raises InvalidInput for an estimator that has no converter, or whose graph cannot be run.
    """
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    options = {id(estimator): {"zipmap": False}} if classes else None
    try:
        graph = to_onnx(
            estimator,
            initial_types=[(INPUT, FloatTensorType([None, len(columns)]))],
            name="nba",
            options=options,
        )
        plain = OnnxModel(graph.SerializeToString(), columns, PlattScaling() if classes else None)
        plain.scores(held_rows[:1])
    except Exception as error:  # converters raise what they like
        why = error if isinstance(error, InvalidBundle) else " ".join(str(error).split())[:200]
        raise InvalidInput(
            name,
            type(estimator).__name__,
            f"cannot be exported to ONNX: {why}; take one that skl2onnx converts",
        ) from error
    entry = graph.metadata_props.add()
    entry.key = OCCLUSION
    entry.value = msgspec.json.encode(_occluded(plain, rows, held_rows, columns)).decode()
    return bytes(graph.SerializeToString())


def _occluded(
    model: OnnxModel, rows: np.ndarray, held_rows: np.ndarray, columns: Sequence[str]
) -> list[OccludedColumn]:
    """The columns whose becoming typical moves the score most, on a sample of the held rows."""
    sample = held_rows[:: max(1, len(held_rows) // SAMPLE)][:SAMPLE]
    scores = model.scores(sample)
    effects = []
    for at, column in enumerate(columns):
        value = typical(rows[:, at])
        moved = sample.copy()
        moved[:, at] = np.nan if value is None else value
        effect = float(np.mean(np.abs(model.scores(moved) - scores)))
        if effect > 0.0:
            effects.append(OccludedColumn(column=column, typical=value, effect=effect))
    return sorted(effects, key=lambda effect: (-effect.effect, effect.column))[:NAMED]


def typical(values: np.ndarray) -> float | None:
    """The lower median of (n,) values, one that occurs; None where more than half are NaN."""
    known = np.sort(values[~np.isnan(values)])
    return None if 2 * len(known) < len(values) else float(known[(len(known) - 1) // 2])
