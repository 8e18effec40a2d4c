"""World: a simulated retail bank with known truth.

Customers live through visits; a latent emotion accumulates over them, moves what they buy, how
they respond and whether they leave, and is never shown to anybody: a service sees only the events
that an SDK or a back office would send. The structure follows RecSim's long-term satisfaction
(Ie et al. 2019) and KuaiSim (NeurIPS 2023). A world proves that code recovers a known truth; it
is no evidence about real customers.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

from training.simulation.calendar import CustomerCalendar
from training.simulation.config import (
    NO_ACTION,
    ContactOpportunity,
    EventJson,
    SimulatedChoice,
    SimulatedPolicy,
    WorldConfig,
    WorldParameters,
    draw_parameters,
)
from training.simulation.life import VisitTruth

__all__ = [
    "NO_ACTION",
    "ContactOpportunity",
    "SimulatedChoice",
    "EventJson",
    "VisitTruth",
    "WorldParameters",
    "SimulatedPolicy",
    "World",
    "WorldConfig",
]


class World:
    """The bank of one seed. Its other attributes are the truth about the last play."""

    def __init__(self, config: WorldConfig) -> None:
        self.config = config
        self.parameters = draw_parameters(config)
        self.value_eur: dict[str, float] = {}  # by customer id: margins less costs and losses
        self.felt: dict[str, list[VisitTruth]] = {}  # by customer id: emotion after each visit
        self.closed: set[str] = set()  # customer ids
        self.breaches = 0  # contacts against a customer's consent

    def play(
        self,
        policy: SimulatedPolicy,
        customers: Iterable[int] | None = None,
        *,
        log_decisions: bool = True,
    ) -> Iterator[EventJson]:
        """The events of the customers (numbers from 0; None: all), in time order for each.

        Customers take turns visit by visit, in the order of the clock, so that a policy that
        learns sees the bank as it unfolds. `log_decisions`: emit `Action Decided`, which a
        service in the loop logs itself.
        """
        self.value_eur, self.felt, self.closed, self.breaches = {}, {}, set(), 0
        indexes = range(self.config.customers) if customers is None else customers
        turns: list[tuple[float, int, CustomerCalendar]] = []
        for index in indexes:
            calendar = CustomerCalendar(index, self.parameters, self.config, policy, log_decisions)
            heapq.heappush(turns, (calendar.next_s, index, calendar))
        while turns:
            _, index, calendar = heapq.heappop(turns)
            calendar.turn()
            yield from calendar.life.take_events()
            if calendar.over:
                self._note(calendar)
            else:
                heapq.heappush(turns, (calendar.next_s, index, calendar))

    def _note(self, calendar: CustomerCalendar) -> None:
        customer_id = calendar.life.customer.customer_id
        self.value_eur[customer_id] = calendar.life.value_eur
        self.felt[customer_id] = calendar.felt
        self.breaches += calendar.life.breaches
        if calendar.life.closed:
            self.closed.add(customer_id)
