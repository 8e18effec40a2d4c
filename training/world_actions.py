"""How customers of the simulated bank respond to an action, and what it does to them and costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from training.world_config import Nature, WorldConfig
from training.world_people import Mind, Person, sigmoid


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """The moment in which an action is shown."""

    person: Person
    mind: Mind
    goal: str
    failures: int  # of this visit, so far
    strain: float  # contacts above the customer's threshold
    nature: Nature
    config: WorldConfig

    @property
    def felt(self) -> float:
        """The emotion, as far as it moves behaviour, from -3 to 1.5."""
        return self.config.emotion_effect * min(max(self.mind.emotion, -3.0), 1.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One action: log-odds of acceptance, lift of emotion, and money."""

    logit: Callable[[Situation], float]
    lift: Callable[[Situation, bool], float]  # by situation and acceptance
    shown_eur: float  # cost of each showing
    accepted_eur: float = 0.0  # further cost of an acceptance
    product: str | None = None  # bought on acceptance


def accept_probability(action_id: str, situation: Situation) -> float:
    """P(the customer accepts), where the action is shown."""
    tired = 0.35 * situation.config.fatigue_effect * situation.strain
    return sigmoid(MOVES[action_id].logit(situation) - tired)


def lift(action_id: str, situation: Situation, accepted: bool) -> float:
    """The change of emotion that the action brings, before sensitivity and loss aversion."""
    nuisance = 0.10 * situation.config.fatigue_effect * situation.strain
    return MOVES[action_id].lift(situation, accepted) - nuisance


def cost_eur(action_id: str, accepted: bool) -> float:
    """What it costs to show the action, and to keep its promise."""
    move = MOVES[action_id]
    return move.shown_eur + (move.accepted_eur if accepted else 0.0)


def product_of(action_id: str) -> str | None:
    """The product that an acceptance buys."""
    return MOVES[action_id].product


def _in_need(s: Situation) -> bool:
    return s.failures > 0 or s.mind.issue is not None or s.mind.emotion < -0.6


def _help_logit(s: Situation) -> float:
    return -2.4 + 0.95 * min(s.failures, 3) - 0.30 * min(s.felt, 0.0)


def _callback_logit(s: Situation) -> float:
    return -2.1 + 1.6 * (s.mind.issue is not None) - 0.25 * min(s.felt, 0.0)


def _credit_logit(s: Situation) -> float:
    return -1.6 + 0.8 * (s.mind.issue is not None) - 0.35 * min(s.felt, 0.0)


def _card_logit(s: Situation) -> float:
    fond = {"mass": 0.0, "affluent": 0.8, "business": 0.3}[s.person.segment]
    young = 0.4 if s.person.age < 40 else 0.0
    return -2.3 + fond + young + 0.55 * s.felt - 3.0 * ("card" in s.mind.products)


def _loan_logit(s: Situation) -> float:
    person = s.person
    needs = 1.3 * (s.goal == "borrow") - 0.5 * person.has_mortgage + 0.5 * (s.failures > 0)
    income = 0.3 * min(person.monthly_income_eur / 3_000.0 - 1.0, 2.0)
    return -3.1 + needs + income + 0.55 * s.felt - 3.0 * ("loan" in s.mind.products)


def _help_lift(s: Situation, accepted: bool) -> float:
    if accepted:
        return s.nature.relief if _in_need(s) else 0.0
    return 0.0 if _in_need(s) else -0.16  # a pop-up in the way of somebody who is doing fine


def _callback_lift(s: Situation, accepted: bool) -> float:
    if accepted:
        return 0.9 * s.nature.relief if _in_need(s) else 0.1
    return 0.0 if _in_need(s) else -0.05


def _credit_lift(s: Situation, accepted: bool) -> float:
    if not accepted:
        return 0.0
    return 0.7 * s.nature.relief if _in_need(s) else 0.1


def _sales_lift(s: Situation, accepted: bool) -> float:
    if accepted:
        return 0.1
    return -0.15 if s.mind.emotion < -0.3 else 0.0  # selling to somebody who is cross


def _no_lift(s: Situation, accepted: bool) -> float:
    return 0.0


MOVES: Mapping[str, Move] = {
    "help_popup": Move(logit=_help_logit, lift=_help_lift, shown_eur=0.1, accepted_eur=0.4),
    "agent_callback": Move(
        logit=_callback_logit, lift=_callback_lift, shown_eur=0.1, accepted_eur=5.0
    ),
    "apology_credit": Move(logit=_credit_logit, lift=_credit_lift, shown_eur=0.1, accepted_eur=7.0),
    "card_offer": Move(logit=_card_logit, lift=_sales_lift, shown_eur=0.4, product="card"),
    "loan_offer": Move(logit=_loan_logit, lift=_sales_lift, shown_eur=0.4, product="loan"),
    # the tip is accepted by paying in the IVR: the visit decides, see world_visits.ivr_payment
    "ivr_payment_tip": Move(logit=lambda s: 0.0, lift=_no_lift, shown_eur=0.05),
    # the planted failure: a referral programme that moves nobody
    "referral": Move(logit=lambda s: -5.3, lift=_no_lift, shown_eur=0.3),
}
