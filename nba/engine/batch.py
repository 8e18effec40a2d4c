"""A whole base of customers decided under the same rules, caps and capacities as single requests.

Ids and seeds follow from the batch and the customer alone, so that neither order nor an
interruption matters. In one process every decision equals, byte for byte, the one that the same
request would have got alone, in the same order: what a decision takes of a capacity is gone for
the next one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from nba.customer.context import Context
from nba.decisions.decision import Decision
from nba.decisions.request import Request
from nba.engine.decider import ATTEMPTS, Decider
from nba.errors import StoreUnavailable
from nba.governance.candidate_set import Variants
from nba.journey.file import JourneyFile
from nba.randomization import seed_of

CHUNK = 250  # customers that are scored in one go

Used = dict[tuple[str, str], float]  # by (capacity, period)


class BatchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch is; one that goes on must still be the same."""

    name: str  # the request_id of its decisions
    seed: int
    now: datetime  # UTC
    channel: str | None = None
    placement: str | None = None
    deferred: bool = False
    logged: bool = True  # False: a dry run
    catalogue_version: str = ""
    bundle_id: str | None = None

    def request(self, customer_id: str) -> Request:
        """What is asked for this customer."""
        return Request(
            customer_id=customer_id,
            channel=self.channel,
            placement=self.placement,
            request_id=self.name,
            deferred=self.deferred,
        )

    def decision_id(self, customer_id: str) -> str:
        """The id of this customer's decision."""
        text = msgspec.json.encode((self.seed, "id", self.name, customer_id))
        return f"dec-{hashlib.blake2b(text, digest_size=16).hexdigest()}"

    def draw_seed(self, customer_id: str) -> int:
        """The seed of this customer's draw in this batch."""
        return seed_of(self.seed, "batch", self.name, customer_id)


class Batch:
    """One batch of one decider; `taken` is what a dry run has taken of the capacities so far."""

    def __init__(
        self,
        plan: BatchPlan,
        decider: Decider,
        *,
        taken: Mapping[tuple[str, str], float] | None = None,
    ) -> None:
        """Raises InvalidInput where the plan names what the journey file does not."""
        decider.pipeline.check(plan.request("any"))
        self.plan = plan
        self.taken: Used = dict(taken or {})
        self._pipeline = decider.pipeline
        self._contexts = decider.contexts
        self._log = decider.log
        self._demands = capacity_demands(decider.pipeline.schema.journey)
        self._block = CHUNK  # requests that are decided on one reading of the capacities

    def decide(self, customer_ids: Sequence[str]) -> list[Decision]:
        """One decision a customer, in order; logged, unless this is a dry run.

        A customer for whom the batch has decided before keeps that decision. Raises
        StoreUnavailable: the same call may be made again.
        """
        requests = [self.plan.request(customer_id) for customer_id in customer_ids]
        answers: dict[int, Decision] = {}
        if self.plan.logged:
            keys = [(customer_id, self.plan.name) for customer_id in customer_ids]
            earlier = self._log.answered(keys)
            answers = {n: earlier[key] for n, key in enumerate(keys) if key in earlier}
        for _ in range(ATTEMPTS):
            open_ = [n for n in range(len(requests)) if n not in answers]
            if not open_:
                return [answers[n] for n in range(len(requests))]
            contexts = self._contexts.of([customer_ids[n] for n in open_], self.plan.now)
            drawn = self._in_order([requests[n] for n in open_], contexts)
            logged = self._log.append_decisions(drawn) if self.plan.logged else drawn
            answers |= {
                n: decision
                for n, decision in zip(open_, logged, strict=True)
                if decision is not None
            }
        if len(answers) < len(requests):
            raise StoreUnavailable("the log kept moving; start the batch again: it goes on")
        return [answers[n] for n in range(len(requests))]

    def _in_order(self, requests: Sequence[Request], contexts: Sequence[Context]) -> list[Decision]:
        """As if each request had come after the decisions before it.

        A block is decided on one reading of the capacities. That reading is brought up to date
        decision by decision; where it would have refused otherwise, the rest is decided again.
        """
        periods = [self._pipeline.governor.periods(context.as_of) for context in contexts]
        totals = self._totals(sorted({key for keys in periods for key in keys}))
        done: list[Decision] = []
        while len(done) < len(requests):
            block = slice(len(done), len(done) + self._block)
            read = dict(totals)
            for decision in self._run(requests[block], contexts[block], read):
                own = periods[len(done)]
                used = {capacity: totals.get((capacity, at), 0.0) for capacity, at in own}
                if used != decision.used:
                    if self._left(used) != self._left(decision.used):
                        self._block = 1
                        break
                    decision = replace(decision, used=used)
                done.append(decision)
                for use in decision.uses:
                    key = (use.capacity, use.period)
                    totals[key] = totals.get(key, 0.0) + use.amount
                    if not self.plan.logged:
                        self.taken[key] = self.taken.get(key, 0.0) + use.amount
            else:
                self._block = min(CHUNK, 2 * self._block)
        return done

    def _run(
        self, requests: Sequence[Request], contexts: Sequence[Context], used: Used
    ) -> list[Decision]:
        ids = (self.plan.decision_id(request.customer_id) for request in requests)
        seeds = (self.plan.draw_seed(request.customer_id) for request in requests)
        return self._pipeline.run(
            requests,
            contexts,
            new_id=ids.__next__,
            new_seed=seeds.__next__,
            used=used,
        )

    def _totals(self, periods: Sequence[tuple[str, str]]) -> Used:
        totals = dict(self._log.used(periods)) if periods else {}
        for key, amount in self.taken.items():
            totals[key] = totals.get(key, 0.0) + amount
        return totals

    def _left(self, used: Mapping[str, float]) -> list[tuple[int, float]]:
        """Of each capacity what its refusals depend on: how many amounts no longer fit, and, as
        refusals name it, what is taken."""
        over = overfull(self._demands, used)
        return [
            (n, used.get(demand.capacity, 0.0) if n else 0.0)
            for demand, n in zip(self._demands, over, strict=True)
        ]


class CapacityDemand(NamedTuple):
    """What actions take of one capacity."""

    capacity: str
    most: float
    amounts: tuple[float, ...]


def capacity_demands(journey: JourneyFile) -> list[CapacityDemand]:
    """The capacities of a journey file with the amounts that its actions take."""
    variants = Variants(journey)
    demands = []
    for capacity in journey.contact_policy.capacities:
        codes = set(variants.code[variants.mask(capacity)].tolist())
        costs = {journey.actions[code].cost_eur for code in codes}
        amounts = costs if capacity.unit == "cost_eur" else {1.0} if codes else set()
        demands.append(CapacityDemand(capacity.id, capacity.most, tuple(sorted(amounts))))
    return demands


def overfull(demands: Sequence[CapacityDemand], used: Mapping[str, float]) -> tuple[int, ...]:
    """Of each capacity, how many amounts no longer fit: two readings that agree refuse the same."""
    return tuple(
        sum(used.get(demand.capacity, 0.0) + amount > demand.most for amount in demand.amounts)
        for demand in demands
    )
