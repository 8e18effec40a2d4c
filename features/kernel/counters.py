"""Decayed counts and sums by kind, compiled.

A decayed count is the sum over events of 2^(-age / half-life), kept by one multiplication per
event and exact at any later moment (forward decay: Cormode, Shkapenyuk, Srivastava and Xu,
ICDE 2009, section 3).
"""

from __future__ import annotations

import numpy as np

from features.kernel.layout import KIND_TABLE, N_KINDS, compiled
from nba.customer.context import HALF_LIVES_DAYS
from nba.durations import DAY_S

WINDOWS = len(HALF_LIVES_DAYS)
_HOUR, _, _WEEK, _MONTH = (-1.0 / (days * DAY_S) for days in HALF_LIVES_DAYS.values())
assert HALF_LIVES_DAYS["7d"] == 7 * HALF_LIVES_DAYS["1d"]


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
def count(state, plan, kind, time, amount):  # type: ignore[no-untyped-def]
    """One more event of `kind`: last time, count, decayed counts; with an amount also sums."""
    at = int(plan[KIND_TABLE + 4 * kind])
    seen = state[at + 1] > 0.0
    age = time - state[at]
    state[at] = time
    state[at + 1] += 1.0
    summed = plan[KIND_TABLE + 4 * kind + 1] > 0.0
    sums = at + 2 + WINDOWS
    if summed:
        state[sums] += amount
    left = decays(age) if seen else (0.0, 0.0, 0.0, 0.0)
    for window in range(WINDOWS):
        state[at + 2 + window] = state[at + 2 + window] * left[window] + 1.0
        if summed:
            state[sums + 1 + window] = state[sums + 1 + window] * left[window] + amount


@compiled
def emit_counts(state, plan, as_of, out):  # type: ignore[no-untyped-def]
    """Write the columns of every kind into `out`; returns how many."""
    at = 0
    for kind in range(int(plan[N_KINDS])):
        base = int(plan[KIND_TABLE + 4 * kind])
        summed = plan[KIND_TABLE + 4 * kind + 1] > 0.0
        width = WINDOWS + 2 + (WINDOWS + 1) * summed
        if state[base + 1] == 0.0:
            for index in range(width):
                out[at + index] = 0.0
            out[at + WINDOWS + 1] = np.nan
            at += width
            continue
        age = as_of - state[base]
        sums = base + 2 + WINDOWS
        left = decays(age)
        for window in range(WINDOWS):
            out[at + window] = state[base + 2 + window] * left[window]
            if summed:
                out[at + WINDOWS + 2 + window] = state[sums + 1 + window] * left[window]
        out[at + WINDOWS] = state[base + 1]
        out[at + WINDOWS + 1] = age / DAY_S
        if summed:
            out[at + 2 * WINDOWS + 2] = state[sums]
        at += width
    return at
