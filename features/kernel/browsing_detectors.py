"""Detectors of clicks, pages, views and searches, compiled; the rules: `nba.events.signals`."""

from __future__ import annotations

import numpy as np

from features.kernel.firing import AGAIN, BEYOND, TIMES, WITHIN, fire, recur
from features.kernel.layout import (
    CLICK,
    CLICKS,
    DWELL,
    PAGE,
    PAGES,
    SEARCH,
    SIGNAL,
    SIGNALS,
    SKETCH_BITS,
    VIEW,
    VIEWS,
    channel_of,
    compiled,
)

_RAGE_CLICK, _ERROR_CLICK = SIGNAL["rage_click"], SIGNAL["error_click"]
_QUICK_BACK, _PAGE_LOOP = SIGNAL["quick_back"], SIGNAL["page_loop"]
_ZERO_RESULT, _REPEATED_SEARCH = SIGNAL["zero_result"], SIGNAL["repeated_search"]
_REFORMULATION, _DWELL = SIGNAL["reformulation"], SIGNAL["dwell"]
_REPEATED_VIEW = SIGNAL["repeated_view"]


@compiled
def click(state, plan, row, target, trace):  # type: ignore[no-untyped-def]
    time = row["time"]
    times = int(plan[SIGNALS + 5 * _RAGE_CLICK + TIMES])
    within = plan[SIGNALS + 5 * _RAGE_CLICK + WITHIN]
    clicks = int(state[CLICK + 1])
    before = CLICK + 4 + 2 * ((clicks - 1) % CLICKS)
    if clicks == 0 or state[CLICK] != target or time - state[before] > within:
        clicks = 0
        state[CLICK] = target
        state[CLICK + 2] = 0.0
    slot = CLICK + 4 + 2 * (clicks % CLICKS)
    state[slot] = time
    state[slot + 1] = row["seq"]
    clicks += 1
    state[CLICK + 1] = clicks
    state[CLICK + 3] = 0.0
    if state[CLICK + 2] == 0.0 and clicks >= times > 0:
        first = CLICK + 4 + 2 * ((clicks - times) % CLICKS)
        if time - state[first] <= within:
            state[CLICK + 2] = 1.0
            seqs = (
                _click_seq(state, clicks - times, clicks),
                _click_seq(state, clicks - times + 1, clicks),
                _click_seq(state, clicks - times + 2, clicks),
                _click_seq(state, clicks - times + 3, clicks),
            )
            fire(state, plan, _RAGE_CLICK, row["b"], time, time, 1.0, seqs, trace)


@compiled
def _click_seq(state, number, clicks):  # type: ignore[no-untyped-def]
    return state[CLICK + 5 + 2 * (number % CLICKS)] if number < clicks else 0.0


@compiled
def error(state, plan, row, trace):  # type: ignore[no-untyped-def]
    clicks = int(state[CLICK + 1])
    slot = CLICK + 4 + 2 * ((clicks - 1) % CLICKS)
    time = row["time"]
    if clicks == 0 or state[CLICK + 3] > 0.0:
        return
    if time - state[slot] <= plan[SIGNALS + 5 * _ERROR_CLICK + WITHIN]:
        state[CLICK + 3] = 1.0
        seqs = (state[slot + 1], float(row["seq"]), 0.0, 0.0)
        fire(state, plan, _ERROR_CLICK, row["b"], time, time, 1.0, seqs, trace)


@compiled
def page_viewed(state, plan, row, page, trace):  # type: ignore[no-untyped-def]
    time = row["time"]
    seq = float(row["seq"])
    pages = int(state[PAGE])
    if pages > 1:
        last = PAGE + 1 + 3 * ((pages - 1) % PAGES)
        before = PAGE + 1 + 3 * ((pages - 2) % PAGES)
        returned = abs(state[before]) == page and abs(state[last]) != page
        if returned and time - state[last + 1] < plan[SIGNALS + 5 * _QUICK_BACK + WITHIN]:
            seqs = (state[before + 2], state[last + 2], seq, 0.0)
            fire(state, plan, _QUICK_BACK, row["b"], time, time, 1.0, seqs, trace)
    recur(state, plan, _PAGE_LOOP, PAGE, PAGES, page, row, trace)


@compiled
def item_viewed(state, plan, row, item, trace):  # type: ignore[no-untyped-def]
    state[DWELL] = 1.0
    state[DWELL + 1] = row["b"]
    state[DWELL + 2] = row["time"]
    state[DWELL + 3] = row["seq"]
    recur(state, plan, _REPEATED_VIEW, VIEW, VIEWS, item, row, trace)


@compiled
def dwell(state, plan, row, trace):  # type: ignore[no-untyped-def]
    """The view lasted until the next event on its channel."""
    viewed = int(state[DWELL + 1])
    here = row["b"]
    if viewed < 0 or here < 0 or channel_of(plan, here) != channel_of(plan, viewed):
        return
    state[DWELL] = 0.0
    time = row["time"]
    stayed = time - state[DWELL + 2]
    if plan[SIGNALS + 5 * _DWELL + BEYOND] < stayed <= plan[SIGNALS + 5 * _DWELL + WITHIN]:
        seqs = (state[DWELL + 3], float(row["seq"]), 0.0, 0.0)
        fire(state, plan, _DWELL, viewed, time, state[DWELL + 2], 1.0, seqs, trace)


@compiled
def search(state, plan, row, trace):  # type: ignore[no-untyped-def]
    time = row["time"]
    seq = float(row["seq"])
    key = float(row["key"])
    touchpoint = row["b"]
    if key != 0.0 and state[SEARCH] != 0.0:
        seqs = (state[SEARCH + 3], seq, 0.0, 0.0)
        passed = time - state[SEARCH + 2]
        if state[SEARCH] == key:
            if passed <= plan[SIGNALS + 5 * _REPEATED_SEARCH + WITHIN]:
                fire(
                    *(state, plan, _REPEATED_SEARCH, touchpoint, time, time, 1.0, seqs),
                    trace,
                )
        elif passed <= plan[SIGNALS + 5 * _REFORMULATION + WITHIN]:
            alike = _similarity(int(state[SEARCH + 1]), row["sketch"])
            if alike > plan[SIGNALS + 5 * _REFORMULATION + BEYOND]:
                fire(
                    *(state, plan, _REFORMULATION, touchpoint, time, time, 1.0, seqs),
                    trace,
                )
    state[SEARCH] = key
    state[SEARCH + 1] = row["sketch"]
    state[SEARCH + 2] = time
    state[SEARCH + 3] = seq
    if row["number"] == 0.0:
        repeated = state[SEARCH + 5] != 0.0
        repeated = (
            repeated and time - state[SEARCH + 4] <= plan[SIGNALS + 5 * _ZERO_RESULT + WITHIN]
        )
        factor = plan[SIGNALS + 5 * _ZERO_RESULT + AGAIN] if repeated else 1.0
        seqs = (state[SEARCH + 5], seq, 0.0, 0.0) if repeated else (seq, 0.0, 0.0, 0.0)
        state[SEARCH + 4] = time
        state[SEARCH + 5] = seq
        fire(state, plan, _ZERO_RESULT, touchpoint, time, time, factor, seqs, trace)


@compiled
def _similarity(one, other):  # type: ignore[no-untyped-def]
    """Jaccard similarity of two sets, from a bit for each element among SKETCH_BITS.

    Sizes are estimated by the bits that are left (linear counting: Whang, Vander-Zanden and
    Taylor, ACM TODS 1990, section 3), so that long queries are not alike by chance. Where hardly
    any is left, nothing can be said, and the answer is 0.
    """
    either = _size(one | other)
    return (_size(one) + _size(other) - either) / either if 0.0 < either < np.inf else 0.0


@compiled
def _size(bits):  # type: ignore[no-untyped-def]
    held = 0
    while bits != 0:
        bits &= bits - 1
        held += 1
    free = SKETCH_BITS - held
    return -SKETCH_BITS * np.log(free / SKETCH_BITS) if free > 1 else np.inf
