"""The slices gate: no segment and no stage loses while the whole gains.

Tested one by one at 5 %, twenty slices would block two good challengers of three: the levels are
Holm's over all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from nba.customer.context import ContextSchema
from nba.measurement.off_policy.estimators import RatioEstimate
from nba.measurement.off_policy.evaluation import paired_scores
from nba.measurement.off_policy.intervals import standard_error
from nba.measurement.off_policy.logged_decisions import Floats, LoggedDecisions
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.multiple_testing import holm
from nba.promotion.verdict import Gate, gathered, undecided
from training.gates.limits import LIMITS, GateLimits

NAME = "slices"
Masks = Mapping[str, NDArray[np.bool_]]  # by `column=value`, (n,)


class Exposures(NamedTuple):
    """(n,) how probably something is done at all, by challenger and champion."""

    challenger: Floats
    champion: Floats


def slices_of(schema: ContextSchema, columns: tuple[str, ...], rows: np.ndarray) -> Masks:
    """The categories and truth values of (n, n_columns) rows: segments, traits and the stage."""
    masks = {}
    for at, column in enumerate(columns):
        if column not in schema.categories and column not in schema.booleans:
            continue
        numbers = rows[:, at]
        for number in np.unique(numbers[~np.isnan(numbers)]).tolist():
            masks[f"{column}={schema.value(column, number)}"] = numbers == number
    return masks


def slices_gate(
    evidence: LoggedDecisions,
    champion: LoggedDecisions | None,
    slices: Masks,
    exposures: Exposures,
    limits: GateLimits = LIMITS,
) -> Gate:
    """Failed where a slice is surely worse off by more than the margin.

    Offer rates are among the numbers; the reason names the slices below `fair_ratio` of the best
    one of the same column, for the reader to judge.
    """
    large = {name: mask for name, mask in slices.items() if mask.sum() >= limits.slice_rows}
    numbers = {"slices": float(len(slices)), "slices_judged": float(len(large))}
    if not large:
        reason = f"none of {len(slices)} slices has {limits.slice_rows} decisions"
        return undecided(NAME, reason, numbers)
    scores = paired_scores(evidence, champion, requirements=limits.requirements)
    if isinstance(scores, Undecided):
        return undecided(NAME, scores, numbers)
    worst, p = {}, {}
    for name, mask in large.items():
        value, error = _gain(scores[0], mask, evidence.customers)
        numbers[f"gain_eur.{name}"] = worst[name] = value
        p[name] = float(ndtr((value + limits.margin_eur) / error)) if error > 0.0 else 1.0
    adjusted = dict(zip(p, holm(np.array(list(p.values()))).tolist(), strict=True))
    failures = [
        f"{name} is surely worse off: {worst[name]:.4g} EUR per decision, p {adjusted[name]:.2g}"
        for name in large
        if adjusted[name] < limits.slice_level
    ]
    rates = {name: float(exposures.challenger[mask].mean()) for name, mask in large.items()}
    before = {name: float(exposures.champion[mask].mean()) for name, mask in large.items()}
    numbers |= {f"offer_rate.{name}": rate for name, rate in rates.items()}
    numbers |= {f"offer_rate_champion.{name}": rate for name, rate in before.items()}
    uneven = _uneven(rates, limits.fair_ratio)
    lowest = min(worst, key=lambda name: worst[name])
    reason = f"{len(large)} slices, the least is {lowest} with {worst[lowest]:.4g} EUR per decision"
    if evidence.left_out.decisions:
        reason += f"; {evidence.left_out.text}"
    if uneven:
        reason += f"; offered to less than {limits.fair_ratio:g} of the most: {', '.join(uneven)}"
    return gathered(NAME, failures, [], numbers, reason)


def _gain(
    scores: RatioEstimate, mask: NDArray[np.bool_], customers: np.ndarray
) -> tuple[float, float]:
    """The gain within a slice and its standard error between customers."""
    inside = scores.of_rows(mask)
    codes = np.unique(customers[mask], return_inverse=True)[1]
    return inside.value, standard_error(inside, codes)


def _uneven(rates: Mapping[str, float], ratio: float) -> list[str]:
    most: dict[str, float] = {}
    for name, rate in rates.items():
        column = name.partition("=")[0]
        most[column] = max(rate, most.get(column, 0.0))
    return [n for n, rate in rates.items() if rate < ratio * most[n.partition("=")[0]]]
