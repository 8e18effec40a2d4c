"""Decide: contexts from the log, the pipeline, and the log again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from nba.context import Context
from nba.decision import Decision, Request
from nba.errors import StoreUnavailable
from nba.pipeline import Pipeline
from nba.stores.log import Log

ATTEMPTS = 5  # in a row that may come to nothing because the customers' log moved meanwhile


class Contexts(Protocol):
    """Where contexts come from: the fold over the log."""

    def of(self, customer_ids: Sequence[str], now: datetime) -> list[Context]:
        """The current context of each customer."""


class Decider:
    """Decisions on the log as it is now."""

    def __init__(self, *, pipeline: Pipeline, contexts: Contexts, log: Log) -> None:
        self.pipeline = pipeline
        self._contexts = contexts
        self._log = log

    def decide(
        self,
        requests: Sequence[Request],
        now: datetime,
        *,
        new_id: Callable[[], str],
        new_seed: Callable[[], int],
    ) -> list[Decision]:
        """Decide and log each request; every answer is in the log when it is returned.

        A repeated request_id is answered with its first decision. Raises InvalidInput,
        StoreUnavailable.
        """
        decisions = []
        for answer in self.decide_each(requests, now, new_id=new_id, new_seed=new_seed):
            if isinstance(answer, StoreUnavailable):
                raise answer
            decisions.append(answer)
        return decisions

    def decide_each(
        self,
        requests: Sequence[Request],
        now: datetime,
        *,
        new_id: Callable[[], str],
        new_seed: Callable[[], int],
    ) -> list[Decision | StoreUnavailable]:
        """`decide` for requests of several callers: what could be logged stays answered.

        Raises InvalidInput before anything is logged, StoreUnavailable where nothing was.
        """
        for request in requests:
            self.pipeline.check(request)
        answers = self._answered(requests)
        fruitless = 0
        while fruitless < ATTEMPTS:
            open_ = [position for position in range(len(requests)) if position not in answers]
            if not open_:
                break
            try:
                asked = [requests[position] for position in open_]
                drawn = self._drawn(asked, now, new_id, new_seed)
                held = self._log.append_decisions(drawn)
            except StoreUnavailable:
                if not answers:
                    raise
                break
            settled = {p: d for p, d in zip(open_, held, strict=True) if d is not None}
            answers |= settled
            fruitless = 0 if settled else fruitless + 1
        unsettled = StoreUnavailable("the customer's log kept moving, or was lost; send it again")
        return [answers.get(position, unsettled) for position in range(len(requests))]

    def draw(
        self,
        requests: Sequence[Request],
        now: datetime,
        *,
        new_id: Callable[[], str],
        new_seed: Callable[[], int],
    ) -> list[Decision]:
        """Decide without logging: what `decide` appends, and what a dry run answers.

        Raises InvalidInput, StoreUnavailable.
        """
        for request in requests:
            self.pipeline.check(request)
        return self._drawn(requests, now, new_id, new_seed)

    def _drawn(
        self,
        requests: Sequence[Request],
        now: datetime,
        new_id: Callable[[], str],
        new_seed: Callable[[], int],
    ) -> list[Decision]:
        contexts = self._contexts.of([request.customer_id for request in requests], now)
        return self.pipeline.run(requests, contexts, new_id=new_id, new_seed=new_seed)

    def _answered(self, requests: Sequence[Request]) -> dict[int, Decision]:
        """Positions of the requests whose request_id was answered before."""
        keys = [(r.customer_id, r.request_id) for r in requests if r.request_id is not None]
        earlier = self._log.answered(keys) if keys else {}
        found = {
            n: earlier.get((r.customer_id, r.request_id or "")) for n, r in enumerate(requests)
        }
        return {position: decision for position, decision in found.items() if decision is not None}
