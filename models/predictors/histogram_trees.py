"""scikit-learn's histogram gradient boosting in LightGBM's text format: the same trees, exactly.

They serve like `lightgbm_trees`, in float64 and with TreeSHAP. Both send x <= threshold to the left
and keep per node where a missing value goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nba.errors import InvalidInput

_UNSPLIT = (  # what a tree of one leaf leaves empty
    "split_feature split_gain threshold decision_type left_child right_child "
    "leaf_weight leaf_count internal_value internal_weight internal_count"
).split()
_NAN_LEFT, _NAN_RIGHT = 10, 8  # LightGBM's decision type: missing is NaN, and its default side


def histogram_text(estimator: Any, columns: Sequence[str], *, probability: bool) -> str:
    """A fitted HistGradientBoostingClassifier (of two classes) or -Regressor as LightGBM text.

    Raises InvalidInput for categorical features.
    """
    if estimator.is_categorical_ is not None:
        raise InvalidInput(
            "estimator",
            f"{type(estimator).__name__} with categorical_features",
            "it splits on sets of categories; leave that out: codes are split as numbers",
        )
    trees = [_leaf(0, float(np.ravel(estimator._baseline_prediction)[0]))]  # it starts from here
    trees += [_tree(n, nodes[0].nodes) for n, nodes in enumerate(estimator._predictors, start=1)]
    names = [column.replace(".", "__") for column in columns]
    head = [
        "tree",
        "version=v4",
        "num_class=1",
        "num_tree_per_iteration=1",
        "label_index=0",
        f"max_feature_idx={len(names) - 1}",
        f"objective={'binary sigmoid:1' if probability else 'regression'}",
        f"feature_names={' '.join(names)}",
        f"feature_infos={' '.join(['[-inf:inf]'] * len(names))}",
        f"tree_sizes={' '.join(str(len(tree.encode())) for tree in trees)}",
    ]
    return "\n".join(head) + "\n\n" + "".join(trees) + "end of trees\n"


def _leaf(number: int, value: float) -> str:
    """A tree that does not split."""
    empty = "".join(f"{name}=\n" for name in _UNSPLIT)
    return _tree_text(number, leaves=1, body=f"{empty}leaf_value={value!r}\n")


def _tree(number: int, nodes: np.ndarray) -> str:
    """Inner nodes and leaves are counted apart; a child that is a leaf is -1 - its number."""
    is_leaf = nodes["is_leaf"].astype(bool)
    index = np.where(is_leaf, -1 - (np.cumsum(is_leaf) - 1), np.cumsum(~is_leaf) - 1)
    inner, leaves = nodes[~is_leaf], nodes[is_leaf]
    if not len(inner):
        return _leaf(number, float(leaves["value"][0]))
    columns = {
        "split_feature": inner["feature_idx"],
        "split_gain": inner["gain"],
        "threshold": inner["num_threshold"],
        "decision_type": np.where(inner["missing_go_to_left"], _NAN_LEFT, _NAN_RIGHT),
        "left_child": index[inner["left"]],
        "right_child": index[inner["right"]],
        "leaf_value": leaves["value"],
        "leaf_weight": leaves["count"],
        "leaf_count": leaves["count"],
        "internal_value": inner["value"],
        "internal_weight": inner["count"],
        "internal_count": inner["count"],
    }
    body = "".join(
        f"{name}={' '.join(map(repr, column.tolist()))}\n" for name, column in columns.items()
    )
    return _tree_text(number, leaves=len(leaves), body=body)


def _tree_text(number: int, *, leaves: int, body: str) -> str:
    head = f"Tree={number}\nnum_leaves={leaves}\nnum_cat=0\n"
    return f"{head}{body}is_linear=0\nshrinkage=1\n\n\n"
