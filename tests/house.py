"""A small house for tests: the small journey on a memory log, with a clock, ids and seeds given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from features.context_store import ContextStore
from features.fold import Fold
from models.policies.from_journey import exploration_policy_of
from nba.customer.context import Context
from nba.decisions.candidate import Reason
from nba.decisions.decision import Churn, Decision
from nba.decisions.request import Request
from nba.engine.decider import Decider, IdsAndSeeds
from nba.engine.pipeline import Pipeline
from nba.engine.policy import NO_ACTION_CODE, Policy
from nba.engine.scorer import Scorer
from nba.events.event import Event
from nba.journey.file import JourneyFile
from nba.journey_file.loader import load_journey
from nba.stores.log import Log
from nba.stores.memory.log import MemoryLog

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
JOURNEY = load_journey(Path(__file__).parent / "data" / "small_journey.yaml")
FOLD = Fold(JOURNEY)
_event_numbers = count(1)


def changed(journey: JourneyFile = JOURNEY, **fields: Any) -> JourneyFile:
    """The journey with other fields."""
    return msgspec.structs.replace(journey, **fields)


def event(
    name: str,
    at: datetime = NOON,
    properties: dict[str, Any] | None = None,
    *,
    customer_id: str = "ada",
    received_at: datetime | None = None,
    event_id: str | None = None,
) -> Event:
    """An event that was received when it occurred, unless said otherwise."""
    return Event(
        event_id=event_id or f"e{next(_event_numbers)}",
        customer_id=customer_id,
        name=name,
        occurred_at=at,
        received_at=received_at or at,
        properties=properties or {},
    )


def failed_search(at: datetime = NOON, customer_id: str = "ada") -> Event:
    """A search that found nothing: what makes `help_popup` eligible for an hour or so."""
    return event("Products Searched", at, {"results_count": 0}, customer_id=customer_id)


class StubScorer:
    """A `Scorer` whose score depends on the action alone; `scores` has no_action last."""

    bundle_id = "bundle-stub"

    def __init__(self, scores: Sequence[float], *, learns_value: bool = False) -> None:
        self.scores = np.asarray(scores, dtype=float)
        self.learns_value = learns_value

    def touchpoint(self, contexts: Sequence[Context], codes: Sequence[Sequence[int]]) -> np.ndarray:
        asked = [code for chosen in codes for code in chosen]
        assert self.learns_value or NO_ACTION_CODE not in asked
        return self.scores[np.array(asked, dtype=int)]

    def churn(self, contexts: Sequence[Context]) -> list[Churn]:
        return [Churn(risk=0.25, horizon_days=30.0) for _ in contexts]

    def touchpoint_reasons(
        self, contexts: Sequence[Context], codes: Sequence[int]
    ) -> list[tuple[Reason, ...]]:
        return [
            (Reason(column="action", value=float(code), contribution=1.0, text="why"),)
            for code in codes
        ]


class Remembered:
    """The contexts of a `ContextStore`, with every one that was served kept in `served`."""

    def __init__(self, store: ContextStore) -> None:
        self._store = store
        self.served: dict[tuple[str, int, datetime], Context] = {}

    def of(self, customer_ids: Sequence[str], now: datetime) -> list[Context]:
        contexts = self._store.of(customer_ids, now)
        self.served.update({(c.customer_id, c.seq, c.as_of): c for c in contexts})
        return contexts


@dataclass
class SmallHouse:
    """One replica; several may share a log."""

    journey: JourneyFile = JOURNEY
    log: Log = field(default_factory=MemoryLog)
    scorer: Scorer | None = None
    policy: Policy | None = None
    kept: int = 1_000
    name: str = "d"
    now: datetime = NOON
    new_seed: Callable[[], int] | None = None

    def __post_init__(self) -> None:
        self.fold = FOLD if self.journey is JOURNEY else Fold(self.journey)
        self.contexts = Remembered(ContextStore(self.log, self.fold, kept=self.kept))
        actions = [action.id for action in self.journey.actions]
        drawing = self.policy or exploration_policy_of(self.journey.exploration, actions)
        pipeline = Pipeline(self.fold.schema, drawing)
        self.decider = Decider(pipeline=pipeline, contexts=self.contexts, log=self.log)
        if self.scorer is not None:
            self.decider.pipeline.take(self.scorer)
        self._ids = count(1)
        self._seeds = count(1)

    def decide(
        self, *requests: Request, now: datetime | None = None, later: timedelta = timedelta()
    ) -> list[Decision]:
        """The logged answers at `now`, by default noon, or `later`."""
        return self.decider.decide(requests, (now or self.now) + later, self.chance)

    def draw(self, *requests: Request) -> list[Decision]:
        """The same without logging."""
        return self.decider.draw(requests, self.now, self.chance)

    @property
    def chance(self) -> IdsAndSeeds:
        return IdsAndSeeds(self.new_id, self.seed)

    def new_id(self) -> str:
        return f"{self.name}{next(self._ids)}"

    def seed(self) -> int:
        return self.new_seed() if self.new_seed else next(self._seeds)

    def code(self, action_id: str) -> int:
        """The position of an action in the journey file."""
        return [action.id for action in self.journey.actions].index(action_id)
