"""One customer's life in the simulated bank: clock, events, answers, money."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from datetime import datetime, timedelta

from training.simulation.action_kinds import TruthSeeingPolicy
from training.simulation.clock import EPOCH, stamp
from training.simulation.config import (
    DAY_S,
    HOUR_S,
    NO_ACTION,
    ContactOpportunity,
    EventJson,
    SimulatedPolicy,
    WorldConfig,
    WorldParameters,
)
from training.simulation.customers import HiddenState, SimulatedCustomer, VisitUniforms
from training.simulation.responses import (
    WORLD_ACTIONS,
    ShownMoment,
    accept_probability,
    cost_eur,
    lift,
    margin_eur,
)

TIRING = {"push": 0.4, "email": 0.3, "mail": 0.3, "ivr": 0.5, "phone": 0.9}  # against 1
BREACH_LIFT, BREACH_TIRING = -0.03, 0.1  # what advertising against their consent does beside
FIRMEST = -1.2  # log-odds of leaving: no more than so much can tie a customer
DELAYS = {"push": 30.0, "email": 300.0, "mail": 4_000.0}  # an answer takes so much longer than 1


@dataclass(frozen=True, slots=True)
class VisitTruth:
    """The hidden truth after one visit."""

    at: datetime  # UTC
    touchpoint: str
    valence: float
    emotion: float


class Life:
    """A customer living. Times are seconds since the world's start; a visit sets `uniforms`."""

    def __init__(
        self,
        customer: SimulatedCustomer,
        parameters: WorldParameters,
        config: WorldConfig,
        policy: SimulatedPolicy,
        *,
        log_decisions: bool,
    ) -> None:
        self.customer, self.parameters, self.config = customer, parameters, config
        self.state = HiddenState(
            expectation=customer.expectation,
            loose=parameters.newcomer_loose if customer.newcomer else 0.0,
            consents=set(customer.consents),
        )
        self.goal = customer.goal
        self.uniforms = VisitUniforms(())
        self._start_micros = (config.start - EPOCH) // timedelta(microseconds=1)
        self.failures = 0  # of this visit, so far
        self.now_s = 0.0
        self.value_eur = 0.0
        self.closed = False
        self.leaving = False  # they have decided to leave
        self.breaches = 0  # contacts against their consent
        self.last_visit_s = 0.0
        self.events: list[EventJson] = []
        self._policy = policy
        self._seeing = policy if isinstance(policy, TruthSeeingPolicy) else None
        self._log_decisions = log_decisions
        self._observed = 0  # of `events`
        self._emitted = 0
        self._paces = 0
        self._announced = 0
        self._coming: list[tuple[float, int, str, dict[str, object], float]] = []

    def begin(self, at_s: float, uniforms: VisitUniforms) -> None:
        """Start a visit."""
        self.pass_time(at_s)
        self.now_s = max(self.now_s + 1.0, at_s)
        self.uniforms, self.failures, self._paces = uniforms, 0, 0

    def moment(self) -> datetime:
        """The UTC time of now."""
        return EPOCH + timedelta(microseconds=self._micros(self.now_s))

    def emit(self, name: str, properties: dict[str, object], after_s: float | None = None) -> None:
        """Something happened `after_s` seconds after the last event; None: at a human pace."""
        if after_s is None:
            after_s = 2.0 + self.uniforms.lognormal("pace", 12.0, 0.7, self._paces % 12)
            self._paces += 1
        self.now_s += after_s
        self._append(name, self.now_s, properties)

    def later(
        self, delay_s: float, name: str, properties: dict[str, object], value_eur: float
    ) -> None:
        """Something will happen, and bring this value, unless the account is closed by then."""
        self._announced += 1
        entry = (self.now_s + delay_s, self._announced, name)
        heapq.heappush(self._coming, (*entry, properties, value_eur))

    def pass_time(self, until_s: float) -> None:
        """Let everything happen that was due before `until_s`."""
        while self._coming and self._coming[0][0] < until_s:
            at_s, _, name, properties, value_eur = heapq.heappop(self._coming)
            self.now_s = max(self.now_s, at_s)
            self.value_eur += value_eur
            self._append(name, self.now_s, properties)

    def strain(self) -> float:
        """Contacts above the customer's threshold, now."""
        half_life = self.parameters.fatigue_half_life_days
        return self.state.strain(self.now_s, half_life, self.customer.threshold)

    def situation(self, *, outbound: bool = False) -> ShownMoment:
        """The moment, as an action meets it."""
        return ShownMoment(
            customer=self.customer,
            state=self.state,
            goal=self.goal,
            failures=self.failures,
            strain=self.strain(),
            parameters=self.parameters,
            config=self.config,
            outbound=outbound,
            leaving=self.leaving,
            fatigue=self.state.faded(self.now_s, self.parameters.fatigue_half_life_days),
            quiet_days=(self.now_s - self.last_visit_s) / DAY_S,
        )

    def ask(
        self,
        channel: str,
        placement: str,
        offered: tuple[str, ...],
        turn: int = 0,
        *,
        outbound: bool = False,
    ) -> None:
        """Let the policy choose, show its action, live through the response.

        `turn`: of the asks in one visit, from 0 to 3, each with its own uniforms.
        """
        shown = self._show(channel, placement, offered, outbound=outbound)
        if shown is None:
            return
        action_id, decision_id = shown
        probability = accept_probability(action_id, self.situation(outbound=outbound))
        purpose, index = ("response_more", turn - 1) if turn else ("response", 0)
        accepted = self.uniforms.happens(purpose, probability, index)
        self.respond(decision_id, action_id, channel, accepted, turn, outbound=outbound)

    def tip(self) -> str | None:
        """The decision id of an IVR tip, where one is shown; the caller then responds."""
        shown = self._show("ivr", "ivr_menu", ("ivr_payment_tip",))
        return None if shown is None else shown[1]

    def respond(
        self,
        decision_id: str,
        action_id: str,
        channel: str,
        accepted: bool,
        turn: int = 0,
        *,
        outbound: bool = False,
    ) -> None:
        """The customer's response to what was shown, with its effects."""
        situation = self.situation(outbound=outbound)
        outcome = {"decision_id": decision_id, "action_id": action_id, "channel": channel}
        purpose, index = ("manner_more", turn - 1) if turn else ("manner", 0)
        manner = self.uniforms.uniform(purpose, index)
        slow = DELAYS.get(channel, 1.0)
        if accepted or manner < 0.08:
            self.emit("Action Clicked", dict(outcome), slow * (3.0 + 10.0 * manner))
        if accepted:
            self.emit("Action Accepted", dict(outcome), 4.0 + 40.0 * manner)
            self._carry_out(action_id, channel, situation)
        elif manner > 0.55:
            self.emit("Action Dismissed", dict(outcome), slow * (2.0 + 5.0 * manner))
        self.value_eur -= cost_eur(action_id, accepted)
        tiring = TIRING.get(channel, 1.0) if outbound else 1.0
        self.state.push(lift(action_id, situation, accepted, tiring), self.customer)
        if outbound and WORLD_ACTIONS[action_id].marketing and channel not in self.state.consents:
            self.breaches += 1
            self.state.push(BREACH_LIFT, self.customer)
            tiring += BREACH_TIRING
        self.state.tire(self.now_s, self.parameters.fatigue_half_life_days, tiring)

    def buy(self, product: str, margin_eur: float) -> None:
        """A purchase, one hour to seven days from now."""
        self.state.products.add(product)
        delay_s = HOUR_S + self.uniforms.uniform("buy_delay") ** 2 * 7.0 * DAY_S
        properties: dict[str, object] = {"product": product, "margin_eur": margin_eur}
        self.later(delay_s, "Product Purchased", properties, margin_eur)

    def pay_for_call(self) -> None:
        """A call reached an agent."""
        self.value_eur -= self.parameters.call_cost_eur

    def report(self) -> None:
        """Let the policy observe what it has not seen yet."""
        if self._observed < len(self.events):
            self._policy.observe(self.events[self._observed :])
            self._observed = len(self.events)

    def take_events(self) -> list[EventJson]:
        """The events since the last call, all observed."""
        self.report()
        taken, self.events, self._observed = self.events, [], 0
        return taken

    def _carry_out(self, action_id: str, channel: str, situation: ShownMoment) -> None:
        action, state = WORLD_ACTIONS[action_id], self.state
        self.value_eur += action.earns_eur(situation)
        if action.product is not None:
            margin = margin_eur(action_id, situation)
            self.buy(
                action.product, round(margin * (0.8 + 0.4 * self.uniforms.uniform("amount")), 2)
            )
        if action.habit is not None:
            state.products.add(action.habit)
        if action.solves:
            state.issue = None
        if action.settles and state.overdue:
            state.overdue = False
            self.emit("Payment Completed", {"channel": channel}, 60.0)
        if action.loosens:
            state.loose = max(state.loose + action.loosens, FIRMEST)
        if action.keeps:
            self.leaving = False

    def _show(
        self, channel: str, placement: str, offered: tuple[str, ...], *, outbound: bool = False
    ) -> tuple[str, str] | None:
        self.report()
        self.now_s += 1.0
        if self._seeing is not None:
            self._seeing.see(self.situation(outbound=outbound))
        opportunity = ContactOpportunity(
            self.customer.customer_id, self.moment(), channel, placement, offered
        )
        choice = self._policy.choose(opportunity)
        where = {"channel": channel, "placement": placement}
        if self._log_decisions:
            decided: dict[str, object] = {
                "decision_id": choice.decision_id,
                "action_id": choice.action_id,
                "propensity": choice.propensity,
                "candidates": [*offered, NO_ACTION],
            }
            event_id = f"decision:{choice.decision_id}"
            self._append("Action Decided", self.now_s, {**decided, **where}, event_id)
        if choice.action_id not in offered:
            return None
        shown = {"decision_id": choice.decision_id, "action_id": choice.action_id, **where}
        self.emit("Action Shown", dict(shown), 1.0)
        return choice.action_id, choice.decision_id

    def _append(
        self, name: str, at_s: float, properties: dict[str, object], event_id: str | None = None
    ) -> None:
        self._emitted += 1
        micros = self._micros(at_s)
        latency_micros = 0 if event_id else 1_000 * (40 + self._emitted * 37 % 350)
        self.events.append(
            {
                "event_id": event_id or f"{self.customer.customer_id}-{self._emitted}",
                "customer_id": self.customer.customer_id,
                "name": name,
                "occurred_at": stamp(micros),
                "received_at": stamp(micros + latency_micros),
                "properties": properties,
            }
        )

    def _micros(self, at_s: float) -> int:
        return self._start_micros + round(at_s * 1e6)
