"""ONNX parts: only a graph over these columns, no data from outside, effects that add up."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logit
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from models.predictors.onnx_graph import OnnxModel, readable
from models.predictors.platt_scaling import PlattScaling
from nba.errors import InvalidBundle
from training.fitting.onnx_export import NAMED, onnx_graph, typical

COLUMNS = ("search.count_1h", "calls.count_7d", "never.known")
RNG = np.random.default_rng(6)
ROWS = np.where(RNG.random((400, 3)) < 0.2, np.nan, RNG.normal(size=(400, 3)))
ROWS[:, 2] = 0.0
LABELS = (np.nan_to_num(ROWS[:, 0]) + 0.3 * np.nan_to_num(ROWS[:, 1]) > 0).astype(int)
PIPELINE = make_pipeline(SimpleImputer(), LogisticRegression()).fit(ROWS, LABELS)
GRAPH = onnx_graph(PIPELINE, "own:make", ROWS, ROWS[300:], COLUMNS, classes=True)
MODEL = OnnxModel(GRAPH, COLUMNS, PlattScaling(slope=2.0, intercept=0.5))


def test_bytes_come_back_with_the_same_predictions() -> None:
    again = OnnxModel(MODEL.to_bytes(), COLUMNS, MODEL.calibration)
    assert np.array_equal(again.predict(ROWS), MODEL.predict(ROWS))
    assert again.importance() == MODEL.importance()


def test_a_row_is_predicted_alike_alone_and_among_others() -> None:
    """To the bit, or a decision would not be replayed: of these 200 the runtime rounds 80 or so
    otherwise where they come alone."""
    rows = np.random.default_rng(7).normal(size=(200, 40)) * 3.0
    columns = [f"column{n}" for n in range(40)]
    fitted = LogisticRegression().fit(rows, (rows[:, 0] + rows[:, 1] > 0).astype(int))
    graph = onnx_graph(fitted, "own:make", rows, rows, columns, classes=True)
    model = OnnxModel(graph, columns, PlattScaling())
    together, shares = model.explained(rows)
    alone = [model.explained(row[None, :]) for row in rows]
    assert [float(score[0]) for score, _ in alone] == together.tolist()
    assert np.array_equal(np.concatenate([share for _, share in alone]), shares)
    assert [model.predict(pair).tolist() for pair in rows.reshape(-1, 2, 40)] == [
        pair.tolist() for pair in together.reshape(-1, 2)
    ]
    assert model.predict(rows[:0]).shape == (0,)


def test_an_effect_is_what_becoming_typical_would_change() -> None:
    scores, shares = MODEL.explained(ROWS[:20])
    moved = ROWS[:20].copy()
    moved[:, 0] = typical(ROWS[:, 0])
    change = logit(scores) - logit(MODEL.predict(moved))
    assert shares[:, 0] == pytest.approx(change, abs=1e-6)
    assert (shares[:, 2] == 0.0).all()
    whole = MODEL.contributions(ROWS[:20]).sum(axis=1) + 0.5
    assert whole == pytest.approx(logit(scores), abs=1e-6)


def test_columns_that_matter_are_named_by_their_effect() -> None:
    importance = MODEL.importance()
    assert list(importance) == ["search.count_1h", "calls.count_7d"]
    assert len(importance) <= NAMED


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3.0, 1.0, 2.0, 2.0], 2.0),
        ([0.0, 1.0, 1.0, 0.0], 0.0),
        ([np.nan, np.nan, 4.0, 5.0], 4.0),
        ([np.nan, np.nan, np.nan, 5.0], None),
    ],
)
def test_the_typical_value_is_one_that_occurs(values: list[float], expected: float | None) -> None:
    assert typical(np.array(values)) == expected


@pytest.mark.parametrize("content", [b"", b"abc", GRAPH[: len(GRAPH) // 2]])
def test_what_is_no_graph_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidBundle, match="no ONNX graph that can be run"):
        OnnxModel(content, COLUMNS, PlattScaling())


def test_a_graph_over_other_columns_is_refused() -> None:
    with pytest.raises(InvalidBundle, match="does not read 2 columns"):
        OnnxModel(GRAPH, COLUMNS[:2], PlattScaling())
    with pytest.raises(InvalidBundle, match="nba.occlusion"):
        OnnxModel(GRAPH, ("a", "b", "c"), PlattScaling())


def test_a_graph_that_asks_for_a_file_is_refused() -> None:
    """Weights in another file would be read from wherever the graph says."""
    from onnx import TensorProto, helper

    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3])
    weights.data_location = TensorProto.EXTERNAL
    place = weights.external_data.add()
    place.key, place.value = "location", "/etc/hostname"
    given = helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, 3])
    result = helper.make_tensor_value_info("variable", TensorProto.FLOAT, [None, 3])
    node = helper.make_node("Add", ["rows", "w"], ["variable"])
    graph = helper.make_graph([node], "g", [given], [result], [weights])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    with pytest.raises(InvalidBundle, match="no ONNX graph that can be run"):
        OnnxModel(made.SerializeToString(), COLUMNS, None)


def test_what_has_decayed_to_nothing_is_read_as_nothing() -> None:
    rows = np.array([[1e-7, -1e-30, 5e-324], [0.5, 1e300, np.nan]])
    assert readable(rows).tolist()[0] == [0.0, 0.0, 0.0]
    assert np.array_equal(readable(rows)[1], [0.5, np.inf, np.nan], equal_nan=True)
    assert readable(rows).dtype == np.float32
