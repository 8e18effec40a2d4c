"""A log on the small journey in which some of the events arrive late and out of order."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np

from nba.durations import DAY_S
from nba.events.event import Event
from nba.stores.memory.log import MemoryLog
from tests.house import NOON

DAYS = 40
LATE = 0.1  # share of the events
CONTENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("page", {}),
    ("Products Searched", {"results_count": 0}),
    ("Products Searched", {"results_count": 5}),
    ("Order Completed", {"revenue": 12.5}),
    ("Complaint Filed", {}),
    ("Rage Click", {}),
    ("Action Decided", {"action_id": "help_popup", "channel": "web"}),
    ("identify", {"segment": "affluent", "tenure_months": 7, "has_mortgage": True}),
    ("identify", {"shoe_size": 40}),  # says nothing that the journey file knows
    ("Never Heard Of", {"n": 1}),
)


def late_log(customers: int, events: int, seed: int = 1) -> MemoryLog:
    """`events` events of DAYS days from NOON on, in order of arrival; the same for one seed."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(events):
        occurred = NOON + timedelta(seconds=round(rng.uniform(0, DAYS * DAY_S - 1), 6))
        late = rng.uniform(0, 9 * DAY_S) if rng.random() < LATE else 0.0
        name, properties = CONTENTS[rng.integers(len(CONTENTS))]
        made.append(
            Event(
                event_id=f"e{number}",
                customer_id=f"kunde-{rng.integers(customers)}-ß",
                name=name,
                occurred_at=occurred,
                received_at=min(
                    occurred + timedelta(seconds=round(late, 6)), NOON + timedelta(days=DAYS)
                ),
                properties=properties,
            )
        )
    log = MemoryLog()
    log.append_events(sorted(made, key=lambda event: event.received_at))
    return log
