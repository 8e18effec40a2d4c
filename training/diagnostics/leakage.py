"""Leakage: does a training row know what its decision could not have known?

A column that tells the label by itself on later time, a row that changes when everything after its
moment is taken out of the log, and a row that stands in two parts of the split.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import msgspec
import numpy as np

from features.replay.point_in_time import EVERYTHING, ContextQuestions, encode, replay
from nba.durations import DAY_S
from nba.events.event import Event, micros
from nba.randomization import generator
from training.data.history import History
from training.data.time_split import Split
from training.data.training_sets import TrainingSet

TELLS = 0.98  # AUC of a single column, or its rank correlation with a value
MAX_ROWS = 1_000  # test rows of each class
SAMPLE = 60  # rows that are replayed without their future
CLOCKS_S = 5.0  # by how much two clocks may differ


class Leak(msgspec.Struct, frozen=True, kw_only=True):
    """What a row knows too much, and in which column."""

    column: str  # empty: of no column
    text: str


class Leakage(msgspec.Struct, frozen=True, kw_only=True):
    """The leaks that were found, and the strongest column."""

    strongest: str  # the single column that tells most on later time
    strength: float  # its AUC, turned so that it is 0.5 or more, or |rank correlation|
    replayed: int  # rows that were replayed without their future
    leaks: tuple[Leak, ...] = ()  # reasons to refuse
    trusted: tuple[Leak, ...] = ()  # in columns that the data scientist answers for

    @property
    def refusal(self) -> str | None:
        """Why no model may be fitted, None where one may."""
        if not self.leaks:
            return None
        more = f" (and {len(self.leaks) - 1} more)" if len(self.leaks) > 1 else ""
        return f"leakage: {self.leaks[0].text}{more}"


def find_leaks(
    history: History,
    data: TrainingSet,
    moments: ContextQuestions,
    split: Split,
    *,
    classes: bool,
    seed: int,
    trusted: Sequence[str] = (),
) -> Leakage:
    """Find what the rows of a training set know too much.

    `moments`: (n,) where the context of each row was read. `trusted`: columns whose finding
    is reported and does not refuse.
    """
    strengths = telling(data.part(split.test), classes=classes)
    leaks = [
        Leak(
            column=data.columns[at],
            text=f"{data.columns[at]} alone tells the label on later time "
            f"({'AUC' if classes else 'rank correlation'} {strengths[at]:.3f}): it may be written "
            "after the fact; take it out of the journey file, or trust it with --trust",
        )
        for at in np.flatnonzero(strengths > TELLS)
    ]
    leaks += across(data, moments, split)
    chosen = generator(seed, "rows of leakage").permutation(len(data.labels))[:SAMPLE]
    leaks += without_future(history, data, moments, np.sort(chosen))
    best = int(np.argmax(strengths)) if len(strengths) else 0
    return Leakage(
        strongest=data.columns[best] if len(strengths) else "",
        strength=float(strengths[best]) if len(strengths) else 0.5,
        replayed=len(chosen),
        leaks=tuple(leak for leak in leaks if leak.column not in trusted),
        trusted=tuple(leak for leak in leaks if leak.column in trusted),
    )


def telling(test: TrainingSet, *, classes: bool) -> np.ndarray:
    """(n_columns,) how far each column alone orders the labels: by its values, the unknown ones
    below the rest, or by being unknown. At most MAX_ROWS rows of each class are read; a label
    between 0 and 1 is of both, and 1 stands for the order of the labels themselves."""
    if not classes:
        some = test.part(_some(np.arange(len(test.labels))))
        lowest = np.where(np.isnan(some.rows), -np.inf, some.rows)
        by_value = [abs(_rank_correlation(column, some.labels)) for column in lowest.T]
        unknown = np.isnan(some.rows).astype(float)
        return np.maximum(
            by_value, [abs(_rank_correlation(column, some.labels)) for column in unknown.T]
        )
    of_one, of_zero = (
        _some(np.flatnonzero(where)) for where in (test.labels > 0.0, test.labels < 1.0)
    )
    weights = test.labels[of_one], 1.0 - test.labels[of_zero]
    best = _above(test.labels[of_one], test.labels[of_zero], *weights) - 0.5
    if best <= 1e-9:  # the labels are all the same
        return np.full(test.rows.shape[1], 0.5)
    ones, zeros = test.rows[of_one], test.rows[of_zero]
    gap = np.average(np.isnan(ones), axis=0, weights=weights[0]) - np.average(
        np.isnan(zeros), axis=0, weights=weights[1]
    )
    above, below = (np.where(np.isnan(part), -np.inf, part) for part in (ones, zeros))
    areas = np.array(
        [
            _above(above_column, below_column, *weights)
            for above_column, below_column in zip(above.T, below.T, strict=True)
        ]
    )
    return np.asarray(0.5 + np.maximum(np.abs(areas - 0.5), np.abs(gap) / 2) * 0.5 / best)


def _some(places: np.ndarray) -> np.ndarray:
    """Evenly spaced ones of them, at most MAX_ROWS."""
    return places[:: -(-len(places) // MAX_ROWS) or 1]


def _above(
    ones: np.ndarray, zeros: np.ndarray, one_weights: np.ndarray, zero_weights: np.ndarray
) -> float:
    """The weighted share of pairs in which a one is above a zero, ties counting half: the AUC."""
    order = np.argsort(zeros, kind="stable")
    upto = np.concatenate([[0.0], np.cumsum(zero_weights[order])])
    left, right = (np.searchsorted(zeros[order], ones, side=side) for side in ("left", "right"))
    return float(np.average(upto[left] + upto[right], weights=one_weights) / 2 / upto[-1])


def across(data: TrainingSet, moments: ContextQuestions, split: Split) -> list[Leak]:
    """Rows of one customer and moment in two parts, and label windows that reach into the next."""
    leaks = []
    owners: dict[tuple[str, float], str] = {}
    twice = 0
    for name, mask in split.parts.items():
        rows = zip(moments.customers[mask].tolist(), moments.as_of[mask].tolist(), strict=True)
        keys = set(rows)
        twice += sum(key in owners for key in keys)
        owners |= dict.fromkeys(keys, name)
    if twice:
        leaks.append(Leak(column="", text=f"{twice} rows stand in two parts of the split"))
    parts = list(split.parts.items()) if split.by == "time" else []
    for (name, earlier), (after, later) in zip(parts, parts[1:], strict=False):
        if earlier.any() and later.any():
            reach = data.at_s[earlier].max() + data.horizon_s - data.at_s[later].min()
            if reach > 0:
                text = f"labels of {name} reach {reach / DAY_S:.1f} days into {after}"
                leaks.append(Leak(column="", text=text))
    return leaks


def without_future(
    history: History, data: TrainingSet, moments: ContextQuestions, chosen: np.ndarray
) -> list[Leak]:
    """The columns of the chosen rows that change when all that came after is taken out of the log.

    What a row may know: what had occurred by its moment, and had been received by then or, of our
    own decisions, stood in the log up to the position that the decision saw.
    """
    customers = {str(moments.customers[n]) for n in chosen}
    of: dict[str, list[Event]] = defaultdict(list)
    for event in history.events:
        if event.customer_id in customers:
            of[event.customer_id].append(event)
    copies: list[Event] = []
    late = 0
    for n in chosen.tolist():
        at_s, seq, received_s = moments.as_of[n], moments.seen_seq[n], moments.seen_received[n]
        known = [
            event
            for event in of[str(moments.customers[n])]
            if event.seq <= seq
            and micros(event.received_at) / 1e6 <= received_s
            and micros(event.occurred_at) / 1e6 <= at_s
        ]
        late += any(micros(event.received_at) / 1e6 > at_s + CLOCKS_S for event in known)
        copies += [msgspec.structs.replace(event, customer_id=f"row-{n}") for event in known]
    leaks = []
    if late:
        text = f"{late} of {len(chosen)} rows saw events received after their decision"
        leaks.append(Leak(column="", text=text))
    if not len(chosen):
        return leaks
    questions = ContextQuestions(
        customers=np.array([f"row-{n}" for n in chosen], dtype=object),
        as_of=moments.as_of[chosen],
        seen_seq=np.full(len(chosen), EVERYTHING),
        seen_received=np.full(len(chosen), np.inf),
        actions=moments.actions[chosen],
    )
    values, offered = replay(history.fold, encode(history.fold, copies), questions)
    alone = np.hstack([values, offered])[:, : len(data.columns)]
    had = data.rows[chosen, : alone.shape[1]]
    changed = ~np.isclose(had, alone, rtol=1e-9, atol=1e-9, equal_nan=True)
    return leaks + [
        Leak(
            column=data.columns[at],
            text=f"{data.columns[at]} postdates the decision: it differs in "
            f"{int(changed[:, at].sum())} of {len(chosen)} rows once later events are taken out",
        )
        for at in np.flatnonzero(changed.any(axis=0))
    ]


def _rank_correlation(left: np.ndarray, right: np.ndarray) -> float:
    """Spearman's, 0 where one of them is constant."""
    a, b = (np.unique(values, return_inverse=True)[1].astype(float) for values in (left, right))
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
