"""Decayed counts and sums by kind, compiled.

A decayed count is the sum over events of 2^(-age / half-life), kept by one multiplication per
event and exact at any later moment (forward decay: Cormode, Shkapenyuk, Srivastava and Xu,
ICDE 2009, section 3).
"""

from __future__ import annotations

import numpy as np

from features.kernel.compilation import compiled
from features.kernel.layout import (
    KIND_AT,
    KIND_COUNT,
    KIND_DECAYED,
    KIND_SIZE,
    KIND_SUM,
    KIND_SUM_DECAYED,
    KIND_SUMMED,
    KIND_TABLE,
    KIND_TIME,
    N_KINDS,
    WINDOWS,
)
from nba.customer.context import HALF_LIVES_DAYS
from nba.durations import DAY_S

_HOUR, _, _WEEK, _MONTH = (-1.0 / (days * DAY_S) for days in HALF_LIVES_DAYS.values())
assert HALF_LIVES_DAYS["7d"] == 7 * HALF_LIVES_DAYS["1d"]

# columns of a kind: the decayed counts, then
_TOTAL, _DAYS_SINCE, _SUMS = range(WINDOWS, WINDOWS + 3)
_SUM_TOTAL = _SUMS + WINDOWS


@compiled
def decays(age):  # type: ignore[no-untyped-def]
    """What is left after `age` seconds, by half-life: an hour, a day, 7 days, 30 days.

    A day's is the seventh power of a week's: four multiplications for an exponential.
    """
    week = np.exp2(age * _WEEK)
    squared = week * week
    day = squared * squared * squared * week
    return np.exp2(age * _HOUR), day, week, np.exp2(age * _MONTH)


@compiled
def count_event(state, plan, kind, time, amount):  # type: ignore[no-untyped-def]
    """Count one more event of `kind`; where the kind has an amount, add it to the sums."""
    entry = KIND_TABLE + KIND_SIZE * kind
    at = int(plan[entry + KIND_AT])
    seen = state[at + KIND_COUNT] > 0.0
    age = time - state[at + KIND_TIME]
    state[at + KIND_TIME] = time
    state[at + KIND_COUNT] += 1.0
    summed = plan[entry + KIND_SUMMED] > 0.0
    if summed:
        state[at + KIND_SUM] += amount
    left = decays(age) if seen else (0.0, 0.0, 0.0, 0.0)
    for window in range(WINDOWS):
        counts = at + KIND_DECAYED + window
        state[counts] = state[counts] * left[window] + 1.0
        if summed:
            sums = at + KIND_SUM_DECAYED + window
            state[sums] = state[sums] * left[window] + amount


@compiled
def emit_counts(state, plan, as_of, out):  # type: ignore[no-untyped-def]
    """Write the columns of every kind into `out`; returns how many."""
    column = 0
    for kind in range(int(plan[N_KINDS])):
        entry = KIND_TABLE + KIND_SIZE * kind
        at = int(plan[entry + KIND_AT])
        summed = plan[entry + KIND_SUMMED] > 0.0
        width = _SUMS + (WINDOWS + 1) * summed
        if state[at + KIND_COUNT] == 0.0:
            for index in range(width):
                out[column + index] = 0.0
            out[column + _DAYS_SINCE] = np.nan
            column += width
            continue
        age = as_of - state[at + KIND_TIME]
        left = decays(age)
        for window in range(WINDOWS):
            out[column + window] = state[at + KIND_DECAYED + window] * left[window]
            if summed:
                decayed = state[at + KIND_SUM_DECAYED + window]
                out[column + _SUMS + window] = decayed * left[window]
        out[column + _TOTAL] = state[at + KIND_COUNT]
        out[column + _DAYS_SINCE] = age / DAY_S
        if summed:
            out[column + _SUM_TOTAL] = state[at + KIND_SUM]
        column += width
    return column
