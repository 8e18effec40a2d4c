"""Policies to compare in simulated worlds, from doing nothing to knowing everything."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from training.simulation.action_kinds import ShownMoment
from training.simulation.customers import LOSS_AVERSION, HiddenState, closing_probability
from training.simulation.history import NeverAct, RandomPolicy, SimulatedPolicyValue, policy_value
from training.simulation.life import BREACH_LIFT, BREACH_TIRING, FIRMEST, TIRING
from training.simulation.outbound import OVERDUE_EUR
from training.simulation.responses import (
    WORLD_ACTIONS,
    accept_probability,
    cost_eur,
    lift,
    margin_eur,
)
from training.simulation.world import (
    NO_ACTION,
    ContactOpportunity,
    EventJson,
    SimulatedChoice,
    SimulatedPolicy,
    WorldConfig,
)

SELLING = tuple(
    name for name, action in WORLD_ACTIONS.items() if action.marketing and not action.habit
)
HELPING = (
    "help_popup",
    "search_guide",
    "chat_invitation",
    "agent_callback",
    "apology_credit",
    "fee_refund",
    "personal_apology",
    "ivr_payment_tip",
    "payment_reminder",
    "payment_plan",
)


class AlwaysAct:
    """The first of its actions that the channel can show, to everybody, every time."""

    def __init__(self, actions: Sequence[str]) -> None:
        self._actions = actions

    def observe(self, events: Sequence[EventJson]) -> None:
        """Nothing is learned."""

    def choose(self, opportunity: ContactOpportunity) -> SimulatedChoice:
        """Deterministic, so its propensity is 1."""
        drawn = next(
            (action_id for action_id in self._actions if action_id in opportunity.offered),
            NO_ACTION,
        )
        return SimulatedChoice(drawn, 1.0, _decision_id(opportunity))


class LastNode:
    """A trigger on the last event: it answers what has just happened, and forgets the rest."""

    ANSWERS: Mapping[str, tuple[str, ...]] = {
        "failed": HELPING,
        "Payment Overdue": ("payment_reminder", "payment_plan"),
        "Account Opened": ("first_steps", "welcome_call"),
        "Account Dormant": ("win_back_offer",),
        "Closing Info Viewed": ("retention_rate", "retention_call"),
        "Dealer Quote Requested": ("car_owner_card",),
        "IVR Started": ("ivr_payment_tip",),
        "Product Viewed": SELLING,
        "App Opened": SELLING,
        "Account Viewed": SELLING,
        "Advice Given": SELLING,
        "Application Started": SELLING,
    }

    def __init__(self) -> None:
        self._last: dict[str, str] = {}

    def observe(self, events: Sequence[EventJson]) -> None:
        """Remember the last event of each customer, and that it failed."""
        for event in events:
            name = "failed" if _is_failure(event) else str(event["name"])
            self._last[event["customer_id"]] = name

    def choose(self, opportunity: ContactOpportunity) -> SimulatedChoice:
        """What answers the last event, if the channel can show it."""
        answers = self.ANSWERS.get(self._last.get(opportunity.customer_id, ""), ())
        drawn = next(
            (action_id for action_id in answers if action_id in opportunity.offered), NO_ACTION
        )
        return SimulatedChoice(drawn, 1.0, _decision_id(opportunity))


class Oracle:
    """Knows the hidden truth of the moment, and takes what is worth most, in expectation.

    Greedy: it weighs the money of the action and how it moves the risk of leaving at the visits
    to come, not what the next contacts will do. An upper bound for a service, hardly to be reached.
    """

    VISITS = 12  # that it looks ahead

    def __init__(self) -> None:
        self._situation: ShownMoment | None = None

    def see(self, situation: ShownMoment) -> None:
        """The moment as it is."""
        self._situation = situation

    def observe(self, events: Sequence[EventJson]) -> None:
        """It knows already."""

    def choose(self, opportunity: ContactOpportunity) -> SimulatedChoice:
        """The best action, where it is better than none."""
        s = self._situation
        if s is None:
            raise RuntimeError("the world shows the moment before it asks")
        quiet_eur = self._leaving_eur(s, s.state.emotion, s.state.last_gap, 0.0, s.state.loose)
        best, best_eur = NO_ACTION, 0.0
        for action_id in opportunity.offered:
            worth_eur = quiet_eur - self._cost_eur(action_id, opportunity, s)
            if worth_eur > best_eur:
                best, best_eur = action_id, worth_eur
        return SimulatedChoice(best, 1.0, _decision_id(opportunity))

    def _cost_eur(self, action_id: str, opportunity: ContactOpportunity, s: ShownMoment) -> float:
        """What is lost in expectation where this action is shown, earnings deducted."""
        action, state = WORLD_ACTIONS[action_id], s.state
        if action_id == "ivr_payment_tip":  # it moves calls to the machine
            saved = (
                s.parameters.tip_tries_share - s.parameters.ivr_tries_share
            ) * s.parameters.ivr_paid_share
            return (
                cost_eur(action_id, False)
                - saved * s.parameters.call_cost_eur
                + self._leaving_eur(s, state.emotion, state.last_gap, 1.0, state.loose)
            )
        accepts = accept_probability(action_id, s)
        tiring = TIRING.get(opportunity.channel, 1.0) if s.outbound else 1.0
        breach = s.outbound and action.marketing and opportunity.channel not in state.consents
        total_eur = 0.0
        for accepted, chance in ((True, accepts), (False, 1.0 - accepts)):
            change = lift(action_id, s, accepted, tiring)
            change *= (LOSS_AVERSION if change < 0 else 1.0) * s.customer.sensitivity
            change -= breach * -BREACH_LIFT * LOSS_AVERSION * s.customer.sensitivity
            loose = state.loose
            lost_eur = cost_eur(action_id, accepted)
            keeps = s.leaving and accepted and action.keeps
            if accepted:
                lost_eur -= margin_eur(action_id, s) + action.earns_eur(s)
                lost_eur -= (
                    action.settles and state.overdue and OVERDUE_EUR[s.customer.has_mortgage]
                )
                loose = max(loose + action.loosens, FIRMEST) if action.loosens else loose
            lost_eur += self._leaving_eur(
                s,
                state.emotion + change,
                state.last_gap + change,
                tiring + BREACH_TIRING * breach,
                loose,
                stays=keeps,
            )
            total_eur += chance * lost_eur
        return total_eur

    def _leaving_eur(
        self,
        s: ShownMoment,
        emotion: float,
        last_gap: float,
        contact: float,
        loose: float,
        *,
        stays: bool = False,
    ) -> float:
        """Expected loss by leaving at the visits ahead, if nothing else happens."""
        if s.leaving and not stays:
            return s.customer.closing_loss_eur
        customer, parameters, config = s.customer, s.parameters, s.config
        fades = math.exp(-math.log(2.0) * customer.gap_days / parameters.fatigue_half_life_days)
        here = HiddenState(expectation=0.0, emotion=emotion, last_gap=last_gap, loose=loose)
        fatigue, stayed = s.fatigue + contact, 1.0
        for _ in range(self.VISITS):
            strain = max(0.0, fatigue - customer.threshold)
            stayed *= 1.0 - closing_probability(customer, here, strain, parameters, config)
            here.emotion *= customer.memory
            here.last_gap = 0.0
            fatigue *= fades
        return (1.0 - stayed) * customer.closing_loss_eur


def _is_failure(event: EventJson) -> bool:
    properties = event["properties"]
    return (
        event["name"] in ("Form Error", "Complaint Filed")
        or properties.get("results_count") == 0
        or properties.get("resolved") is False
    )


def _decision_id(opportunity: ContactOpportunity) -> str:
    return f"{opportunity.customer_id}|{opportunity.at.timestamp()}|{opportunity.placement}"


BUILT_IN: Mapping[str, Callable[[int], SimulatedPolicy]] = {
    "nothing": lambda seed: NeverAct(),
    "always sell": lambda seed: AlwaysAct(SELLING),
    "always help": lambda seed: AlwaysAct(HELPING),
    "random": RandomPolicy,
    "last node": lambda seed: LastNode(),
    "oracle": lambda seed: Oracle(),
}


def compare_policies(
    config: WorldConfig,
    seeds: Sequence[int],
    policies: Mapping[str, Callable[[int], SimulatedPolicy]] = BUILT_IN,
    progress: Callable[[str], None] = lambda policy: None,
) -> dict[str, SimulatedPolicyValue]:
    """What each policy is worth in the worlds of these seeds, under common random numbers.

    `progress` is told the name of each policy as it begins.
    """
    values = {}
    for name, make in policies.items():
        progress(name)
        values[name] = policy_value(config, make, seeds)
    return values
