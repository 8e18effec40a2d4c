"""Time-ordered splits with purge: no label of an earlier part looks into a later one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from nba.measurement.statistics.estimate import Undecided
from training.data.training_sets import TrainingSet

MIN_ROWS = 200
MIN_OF_EACH = 20  # rows with and without the label, in each part


class Split(NamedTuple):
    """Masks (n,) over a training set, in order of time."""

    fit: np.ndarray
    held: np.ndarray  # for early stopping and calibration
    test: np.ndarray  # seen by nothing but the metrics


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
    return check_parts(data, split._asdict(), classes=classes)


def check_parts(
    data: TrainingSet, parts: Mapping[str, np.ndarray], *, classes: bool
) -> Undecided | None:
    """Why one of the parts, masks (n,) by name, does not suffice, None where they do."""
    for name, mask in parts.items():
        labels = data.labels[mask]
        if len(labels) < MIN_ROWS:
            return Undecided(reason=f"{len(labels)} rows to {name}, {MIN_ROWS} are needed")
        if classes and not MIN_OF_EACH <= labels.sum() <= len(labels) - MIN_OF_EACH:
            positives = int(labels.sum())
            return Undecided(
                reason=f"{positives} of {len(labels)} rows to {name} are positive, "
                f"at least {MIN_OF_EACH} of each are needed"
            )
    return None
