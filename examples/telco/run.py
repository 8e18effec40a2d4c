"""Who cancels? Five folds of customers, each judged by models that have not seen it.

    python benchmarks/public_data/telco.py --json --data DIR [--seed N]

Within each fold the models are stopped and calibrated on customers of their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedKFold

from examples.commands import measure_parser
from examples.learning import FOLDS, fit_bag, read_events
from examples.telco import convert
from training.data.training_sets import churn_set
from training.fitting.fit import classification

JOURNEY = Path(__file__).with_name("journey.yaml")
# Additive but for pairs of traits, each tree on a few of them: what is known here is little.
PARAMETERS = {
    "num_leaves": 4,
    "learning_rate": 0.1,
    "feature_fraction": 0.3,
    "bagging_fraction": 0.5,
}


def main() -> None:
    asked = measure_parser(__doc__).parse_args()
    try:
        figures = measure(asked.data / "telco", asked.seed)
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f"telco: {error}") from None
    for line in table(figures):
        print(line)
    if asked.json:
        print(json.dumps(figures))


def measure(folder: Path, seed: int = 1) -> dict[str, Any]:
    """AUC, calibration error and Brier score of out-of-fold probabilities.

    Raises ValueError where there are too few customers.
    """
    history = read_events(JOURNEY, convert.events(folder))
    data = churn_set(history, history.fold.schema.journey.churn)
    probability = np.zeros(len(data.labels))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    for _, of_fold in folds.split(data.rows, data.labels):
        test = np.zeros(len(data.labels), dtype=bool)
        test[of_fold] = True
        bag = fit_bag(data, ~test, test, seed=seed, classes=True, parameters=PARAMETERS)
        probability[test] = bag.predict(data.rows[test])
    figures = classification(probability, data.labels)
    return {**figures, "customers": len(data.labels), "seed": seed}


def table(figures: Mapping[str, Any]) -> Iterator[str]:
    """The figures for people."""
    yield f"{figures['customers']} customers, {figures['base_rate']:.3f} of them cancelled"
    for name, what in (
        ("auc", "area under the ROC curve"),
        ("ece", "calibration error, 10 bins"),
        ("brier", "Brier score"),
    ):
        yield f"  {what:28s} {figures[name]:.4f}"


if __name__ == "__main__":
    main()
