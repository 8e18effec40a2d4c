"""Who will not buy within 90 days? Learned before the cut, judged after it.

    python benchmarks/public_data/online_retail.py --json --data DIR [--cut DATE] [--seed N]

Three figures, all on the same customers, those with a purchase before the cut:

- `auc`: nothing after the cut is learned from, neither rows nor labels. The lessons are earlier
  moments whose 90 days were over by the cut.
- `auc_cross_validated`: as is usual for this data, other customers' 90 days after the cut are
  learned from, in five folds.
- `reference_auc`: a logistic regression of recency, frequency and monetary value, in the same
  five folds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from examples.commands import measure_parser
from examples.learning import FOLDS, fit_bag, read_events
from examples.online_retail import convert
from models.predictors.platt_scaling import expected_calibration_error
from nba.durations import DAY_S
from nba.events.event import micros
from training.data.training_sets import TrainingSet, churn_set

JOURNEY = Path(__file__).with_name("journey.yaml")
CUT = "2011-09-09"
RFM = ("purchase.days_since", "purchase.total", "purchase.sum_total")
# Settled on earlier cuts, 2011-06-10 and 2011-07-10, where no other tried was clearly better.
PARAMETERS = {"num_leaves": 4, "learning_rate": 0.1, "feature_fraction": 0.3}


def main() -> None:
    parser = measure_parser(__doc__)
    parser.add_argument("--cut", default=CUT, help=f"first day not known; default {CUT}")
    asked = parser.parse_args()
    try:
        cut = datetime.fromisoformat(asked.cut).replace(tzinfo=UTC)
        figures = measure(asked.data / "online_retail", cut, asked.seed)
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f"online_retail: {error}") from None
    for line in table(figures):
        print(line)
    if asked.json:
        print(json.dumps(figures))


def measure(folder: Path, cut: datetime, seed: int = 1) -> dict[str, Any]:
    """How well leaving is foreseen at the cut.

    Raises ValueError where the data ends too early, or too little of it is before the cut.
    """
    history = read_events(JOURNEY, convert.events(folder))
    rule = history.fold.schema.journey.churn
    cut_s = micros(cut) / 1e6
    end_s = cut_s + rule.horizon_days * DAY_S
    if history.end_s < end_s:
        end = datetime.fromtimestamp(history.end_s, UTC)
        raise ValueError(
            f"cut {cut:%Y-%m-%d}: the data ends on {end:%Y-%m-%d}, "
            f"{rule.horizon_days:g} days are needed after the cut; choose an earlier one"
        )
    # moments are counted back from the last whose label is known: the last is the cut
    data = churn_set(replace(history, end_s=end_s), rule)
    test = data.at_s == cut_s
    past = data.at_s + data.horizon_s <= cut_s
    bag = fit_bag(data, past, test, seed=seed, classes=True, parameters=PARAMETERS)
    at_cut = data.part(test)
    past_only = bag.predict(at_cut.rows)
    folded = cross_validated(at_cut, seed)
    return {
        "auc": float(roc_auc_score(at_cut.labels, past_only)),
        "reference_auc": float(roc_auc_score(at_cut.labels, reference(at_cut, seed))),
        "auc_cross_validated": float(roc_auc_score(at_cut.labels, folded)),
        "ece_cross_validated": expected_calibration_error(folded, at_cut.labels),
        "customers": len(at_cut.labels),
        "churn_rate": float(at_cut.labels.mean()),
        "rows_learned": int(past.sum()),
        "cut": f"{cut:%Y-%m-%d}",
        "seed": seed,
    }


def cross_validated(data: TrainingSet, seed: int) -> np.ndarray:
    """(n,) probabilities for each fold of customers from the labels of the others."""
    probability = np.zeros(len(data.labels))
    for _, of_fold in _folds(seed).split(data.rows, data.labels):
        test = np.zeros(len(data.labels), dtype=bool)
        test[of_fold] = True
        bag = fit_bag(data, ~test, test, seed=seed, classes=True, parameters=PARAMETERS)
        probability[test] = bag.predict(data.rows[test])
    return probability


def reference(data: TrainingSet, seed: int) -> np.ndarray:
    """(n,) the same by a logistic regression of the logarithms of RFM."""
    model = make_pipeline(FunctionTransformer(np.log1p), StandardScaler(), LogisticRegression())
    rfm = data.rows[:, [data.columns.index(name) for name in RFM]]
    folded = cross_val_predict(model, rfm, data.labels, cv=_folds(seed), method="predict_proba")
    probability: np.ndarray = folded[:, 1]
    return probability


def _folds(seed: int) -> StratifiedKFold:
    return StratifiedKFold(FOLDS, shuffle=True, random_state=seed)


def table(figures: Mapping[str, Any]) -> Iterator[str]:
    """The figures for people."""
    yield (
        f"{figures['customers']} customers on {figures['cut']}, "
        f"{figures['churn_rate']:.3f} of them without a purchase in 90 days"
    )
    yield f"  AUC, learned before the cut alone      {figures['auc']:.4f}"
    yield f"  AUC, five folds of customers           {figures['auc_cross_validated']:.4f}"
    yield f"  AUC of RFM logistic, the same folds    {figures['reference_auc']:.4f}"


if __name__ == "__main__":
    main()
