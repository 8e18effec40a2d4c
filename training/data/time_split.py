"""Splits: by time with purge, so that no label of an earlier part looks into a later one; by
customers where there is too little time for that, so that no customer stands in two parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np

from nba.measurement.statistics.estimate import Undecided
from nba.randomization import position
from training.data.training_sets import TrainingSet

MIN_ROWS = 200
MIN_OF_EACH = 20  # rows with and without the label, in each part
FEW_ROWS, FEW_OF_EACH = 100, 10  # the same where the parts are of different customers


class Split(NamedTuple):
    """Masks (n,) over a training set, in order of time or of different customers."""

    fit: np.ndarray
    held: np.ndarray  # for early stopping and calibration
    test: np.ndarray  # seen by nothing but the metrics
    by: Literal["time", "customers"] = "time"

    @property
    def parts(self) -> dict[str, np.ndarray]:
        """The masks by name."""
        return {"fit": self.fit, "held": self.held, "test": self.test}


def split_of(data: TrainingSet, *, classes: bool) -> Split:
    """The split that a model is fitted and judged on: by time, else, where some part of that would
    be too small, by customers where that suffices.

    A young log, or a long horizon, leaves no time between the parts. Of customers whom the model
    has not seen its figures hold as well, as long as customers are alike over time.
    """
    by_time = split_by_time(data)
    if check_split(data, by_time, classes=classes) is None:
        return by_time
    by_customers = split_by_customers(data)
    enough = check_split(data, by_customers, classes=classes) is None
    return by_customers if enough else by_time


def split_by_customers(data: TrainingSet, *, shares: tuple[float, float] = (0.6, 0.8)) -> Split:
    """Each customer in one part, by a hash of their id: the same whenever it is asked."""
    ids = data.customers.astype(str).tolist()
    known = {customer: position("split", customer) for customer in set(ids)}
    at = np.array([known[customer] for customer in ids])
    held_from, test_from = shares
    return Split(
        at < held_from, (at >= held_from) & (at < test_from), at >= test_from, by="customers"
    )


def split_by_time(data: TrainingSet, *, shares: tuple[float, float] = (0.6, 0.8)) -> Split:
    """The first rows to fit on, later ones to hold, the last ones to test on.

    Rows whose label window reaches into the next part are dropped (purge: Lopez de Prado,
    Advances in Financial Machine Learning, 2018, section 7.4.1). Cuts move earlier where a long
    horizon would leave nothing to fit on.
    """
    moments = np.unique(data.at_s)
    if len(moments) == 0:
        nothing = np.zeros(0, dtype=bool)
        return Split(nothing, nothing, nothing)
    held_from, test_from = np.quantile(data.at_s, shares)
    span, horizon = moments[-1] - moments[0], data.horizon_s
    if held_from - moments[0] < horizon or test_from - held_from < horizon:
        test_from = moments[-1] - 0.1 * span
        held_from = test_from - horizon - 0.1 * span
    fit = data.at_s + horizon <= held_from
    held = (data.at_s >= held_from) & (data.at_s + horizon <= test_from)
    return Split(fit, held, data.at_s >= test_from)


def check_split(data: TrainingSet, split: Split, *, classes: bool) -> Undecided | None:
    """Why no model can be trained and judged on this split, None where one can."""
    few = split.by == "customers"
    return check_parts(
        data,
        split.parts,
        classes=classes,
        rows=FEW_ROWS if few else MIN_ROWS,
        of_each=FEW_OF_EACH if few else MIN_OF_EACH,
    )


def check_parts(
    data: TrainingSet,
    parts: Mapping[str, np.ndarray],
    *,
    classes: bool,
    rows: int = MIN_ROWS,
    of_each: int = MIN_OF_EACH,
) -> Undecided | None:
    """Why one of the parts, masks (n,) by name, does not suffice, None where they do."""
    for name, mask in parts.items():
        labels = data.labels[mask]
        if len(labels) < rows:
            return Undecided(reason=f"{len(labels)} rows to {name}, {rows} are needed")
        if classes and not of_each <= labels.sum() <= len(labels) - of_each:
            positives = int(labels.sum())
            return Undecided(
                reason=f"{positives} of {len(labels)} rows to {name} are positive, "
                f"at least {of_each} of each are needed"
            )
    return None
