"""Detectors of clicks, pages, views and searches, compiled; the rules: `nba.events.signals`."""

from __future__ import annotations

import numpy as np

from features.kernel.compilation import compiled
from features.kernel.firing import detect_recurrence, fire, fire_at
from features.kernel.layout import (
    AGAIN,
    BEYOND,
    CLICK_COUNT,
    CLICK_FAILED,
    CLICK_FIRED,
    CLICK_RING,
    CLICK_SEQ,
    CLICK_SIZE,
    CLICK_TARGET,
    CLICK_TIME,
    CLICKS_KEPT,
    EMPTY_SEARCH_SEQ,
    EMPTY_SEARCH_TIME,
    ENTRY_KEY,
    ENTRY_SEQ,
    ENTRY_SIZE,
    ENTRY_TIME,
    PAGE_RING,
    PAGES_KEPT,
    RULE,
    SEARCH_KEY,
    SEARCH_SEQ,
    SEARCH_SKETCH,
    SEARCH_TIME,
    SKETCH_BITS,
    TIMES,
    VIEW_OPEN,
    VIEW_RING,
    VIEW_SEQ,
    VIEW_TIME,
    VIEW_TOUCHPOINT,
    VIEWS_KEPT,
    WITHIN,
)
from features.kernel.plan import channel_of

_RAGE_CLICK, _ERROR_CLICK = RULE["rage_click"], RULE["error_click"]
_QUICK_BACK, _PAGE_LOOP = RULE["quick_back"], RULE["page_loop"]
_ZERO_RESULT, _REPEATED_SEARCH = RULE["zero_result"], RULE["repeated_search"]
_REFORMULATION, _DWELL = RULE["reformulation"], RULE["dwell"]
_REPEATED_VIEW = RULE["repeated_view"]


@compiled
def on_click(state, plan, row, trace, target):  # type: ignore[no-untyped-def]
    time = row["time"]
    times = int(plan[_RAGE_CLICK + TIMES])
    within = plan[_RAGE_CLICK + WITHIN]
    clicks = int(state[CLICK_COUNT])
    last = _click(clicks - 1)
    if clicks == 0 or state[CLICK_TARGET] != target or time - state[last + CLICK_TIME] > within:
        clicks = 0
        state[CLICK_TARGET] = target
        state[CLICK_FIRED] = 0.0
    slot = _click(clicks)
    state[slot + CLICK_TIME] = time
    state[slot + CLICK_SEQ] = row["seq"]
    clicks += 1
    state[CLICK_COUNT] = clicks
    state[CLICK_FAILED] = 0.0
    if state[CLICK_FIRED] == 0.0 and clicks >= times > 0:
        if time - state[_click(clicks - times) + CLICK_TIME] <= within:
            state[CLICK_FIRED] = 1.0
            origins = (
                _click_seq(state, clicks - times, clicks),
                _click_seq(state, clicks - times + 1, clicks),
                _click_seq(state, clicks - times + 2, clicks),
                _click_seq(state, clicks - times + 3, clicks),
            )
            fire(state, plan, row, trace, rule=_RAGE_CLICK, factor=1.0, origins=origins)


@compiled
def _click(number):  # type: ignore[no-untyped-def]
    return CLICK_RING + CLICK_SIZE * (number % CLICKS_KEPT)


@compiled
def _click_seq(state, number, clicks):  # type: ignore[no-untyped-def]
    return state[_click(number) + CLICK_SEQ] if number < clicks else 0.0


@compiled
def on_error(state, plan, row, trace):  # type: ignore[no-untyped-def]
    clicks = int(state[CLICK_COUNT])
    last = _click(clicks - 1)
    if clicks == 0 or state[CLICK_FAILED] > 0.0:
        return
    if row["time"] - state[last + CLICK_TIME] <= plan[_ERROR_CLICK + WITHIN]:
        state[CLICK_FAILED] = 1.0
        origins = (state[last + CLICK_SEQ], float(row["seq"]), 0.0, 0.0)
        fire(state, plan, row, trace, rule=_ERROR_CLICK, factor=1.0, origins=origins)


@compiled
def on_page(state, plan, row, trace, page):  # type: ignore[no-untyped-def]
    pages = int(state[PAGE_RING])
    if pages > 1:
        last = PAGE_RING + 1 + ENTRY_SIZE * ((pages - 1) % PAGES_KEPT)
        before = PAGE_RING + 1 + ENTRY_SIZE * ((pages - 2) % PAGES_KEPT)
        returned = abs(state[before + ENTRY_KEY]) == page and abs(state[last + ENTRY_KEY]) != page
        if returned and row["time"] - state[last + ENTRY_TIME] < plan[_QUICK_BACK + WITHIN]:
            seq = float(row["seq"])
            origins = (state[before + ENTRY_SEQ], state[last + ENTRY_SEQ], seq, 0.0)
            fire(state, plan, row, trace, rule=_QUICK_BACK, factor=1.0, origins=origins)
    detect_recurrence(
        state, plan, row, trace, rule=_PAGE_LOOP, ring=PAGE_RING, size=PAGES_KEPT, key=page
    )


@compiled
def on_view(state, plan, row, trace, item):  # type: ignore[no-untyped-def]
    state[VIEW_OPEN] = 1.0
    state[VIEW_TOUCHPOINT] = row["touchpoint"]
    state[VIEW_TIME] = row["time"]
    state[VIEW_SEQ] = row["seq"]
    detect_recurrence(
        state, plan, row, trace, rule=_REPEATED_VIEW, ring=VIEW_RING, size=VIEWS_KEPT, key=item
    )


@compiled
def close_view(state, plan, row, trace):  # type: ignore[no-untyped-def]
    """The open view lasted until the next event on its channel."""
    viewed = int(state[VIEW_TOUCHPOINT])
    here = row["touchpoint"]
    if viewed < 0 or here < 0 or channel_of(plan, here) != channel_of(plan, viewed):
        return
    state[VIEW_OPEN] = 0.0
    time = row["time"]
    stayed = time - state[VIEW_TIME]
    if plan[_DWELL + BEYOND] < stayed <= plan[_DWELL + WITHIN]:
        origins = (state[VIEW_SEQ], float(row["seq"]), 0.0, 0.0)
        fire_at(
            state, plan, trace, _DWELL, viewed, time=time, visited=state[VIEW_TIME], origins=origins
        )


@compiled
def on_search(state, plan, row, trace):  # type: ignore[no-untyped-def]
    time = row["time"]
    seq = float(row["seq"])
    key = float(row["key"])
    if key != 0.0 and state[SEARCH_KEY] != 0.0:
        origins = (state[SEARCH_SEQ], seq, 0.0, 0.0)
        passed = time - state[SEARCH_TIME]
        if state[SEARCH_KEY] == key:
            if passed <= plan[_REPEATED_SEARCH + WITHIN]:
                fire(state, plan, row, trace, rule=_REPEATED_SEARCH, factor=1.0, origins=origins)
        elif passed <= plan[_REFORMULATION + WITHIN]:
            alike = _similarity(int(state[SEARCH_SKETCH]), row["sketch"])
            if alike > plan[_REFORMULATION + BEYOND]:
                fire(state, plan, row, trace, rule=_REFORMULATION, factor=1.0, origins=origins)
    state[SEARCH_KEY] = key
    state[SEARCH_SKETCH] = row["sketch"]
    state[SEARCH_TIME] = time
    state[SEARCH_SEQ] = seq
    if row["number"] == 0.0:
        since = time - state[EMPTY_SEARCH_TIME]
        repeated = state[EMPTY_SEARCH_SEQ] != 0.0 and since <= plan[_ZERO_RESULT + WITHIN]
        factor = plan[_ZERO_RESULT + AGAIN] if repeated else 1.0
        origins = (state[EMPTY_SEARCH_SEQ], seq, 0.0, 0.0) if repeated else (seq, 0.0, 0.0, 0.0)
        state[EMPTY_SEARCH_TIME] = time
        state[EMPTY_SEARCH_SEQ] = seq
        fire(state, plan, row, trace, rule=_ZERO_RESULT, factor=factor, origins=origins)


@compiled
def _similarity(left, right):  # type: ignore[no-untyped-def]
    """Jaccard similarity of two sets, from a bit for each element among SKETCH_BITS.

    Sizes are estimated by the bits that are left (linear counting: Whang, Vander-Zanden and
    Taylor, ACM TODS 1990, section 3), so that long queries are not alike by chance. Where hardly
    any is left, nothing can be said, and the answer is 0.
    """
    union = _size(left | right)
    return (_size(left) + _size(right) - union) / union if 0.0 < union < np.inf else 0.0


@compiled
def _size(bits):  # type: ignore[no-untyped-def]
    held = 0
    while bits != 0:
        bits &= bits - 1
        held += 1
    free = SKETCH_BITS - held
    return -SKETCH_BITS * np.log(free / SKETCH_BITS) if free > 1 else np.inf
