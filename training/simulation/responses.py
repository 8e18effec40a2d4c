"""How customers of the simulated bank respond to an action, and what it does to them and costs."""

from __future__ import annotations

from collections.abc import Mapping

from training.simulation.action_kinds import (
    ActionKind,
    ShownMoment,
    habit,
    help_lift,
    helping,
    keeping,
    making_up,
    no_lift,
    rescuing,
    sales_lift,
    selling,
    settling_in,
)
from training.simulation.customers import sigmoid

__all__ = ["WORLD_ACTIONS", "ShownMoment", "accept_probability", "cost_eur", "lift", "margin_eur"]

QUIET_DAYS = 20.0  # after which an account counts as dormant


def accept_probability(action_id: str, situation: ShownMoment) -> float:
    """P(the customer accepts), where the action is shown."""
    tired = 0.35 * situation.config.fatigue_effect * situation.strain
    return sigmoid(WORLD_ACTIONS[action_id].logit(situation) - tired)


def lift(action_id: str, situation: ShownMoment, accepted: bool, tiring: float = 1.0) -> float:
    """The change of emotion that the action brings, before sensitivity and loss aversion.

    `tiring`: how much of a contact it is; a letter is less in the way than a pop-up.
    """
    change = WORLD_ACTIONS[action_id].lift(situation, accepted)
    nuisance = 0.10 * situation.config.fatigue_effect * situation.strain
    return (tiring * change if change < 0 else change) - tiring * nuisance


def cost_eur(action_id: str, accepted: bool) -> float:
    """What it costs to show the action, and to keep its promise."""
    action = WORLD_ACTIONS[action_id]
    return action.shown_eur + (action.accepted_eur if accepted else 0.0)


def margin_eur(action_id: str, situation: ShownMoment) -> float:
    """What the product of this action brings in this world, 0 without a product."""
    action, parameters = WORLD_ACTIONS[action_id], situation.parameters
    if action.product == "card":
        return parameters.card_margin_eur
    return (
        parameters.loan_margin_eur
        if action.product == "loan"
        else action.margin_eur * parameters.margins
    )


def _help_logit(s: ShownMoment) -> float:
    return -2.4 + 0.95 * min(s.failures, 3) - 0.30 * min(s.felt, 0.0)


def _callback_logit(s: ShownMoment) -> float:
    return -2.1 + 1.6 * (s.state.issue is not None) - 0.25 * min(s.felt, 0.0)


def _card_logit(s: ShownMoment) -> float:
    fond = {"mass": 0.0, "affluent": 0.8, "business": 0.3}[s.customer.segment]
    young = 0.4 if s.customer.age < 40 else 0.0
    wanted = -2.3 + fond + young + 0.55 * s.felt
    return wanted - 0.5 * s.outbound - 3.0 * ("card" in s.state.products)


def _loan_logit(s: ShownMoment) -> float:
    customer = s.customer
    needs = 1.3 * (s.goal == "borrow") - 0.5 * customer.has_mortgage + 0.5 * (s.failures > 0)
    income = 0.3 * min(customer.monthly_income_eur / 3_000.0 - 1.0, 2.0)
    wanted = -3.1 + needs + income + 0.55 * s.felt
    return wanted - 0.5 * s.outbound - 3.0 * ("loan" in s.state.products)


def _mortgage_wish(s: ShownMoment) -> float:
    return 1.6 * (s.goal == "borrow") - 2.0 * s.customer.has_mortgage


def _car_wish(s: ShownMoment) -> float:
    return 2.2 * s.customer.drives


def _overdraft_wish(s: ShownMoment) -> float:
    return 0.6 * (s.customer.monthly_income_eur < 2_500.0) + 0.8 * s.state.overdue


def _savings_wish(s: ShownMoment) -> float:
    return 0.5 * (s.goal == "explore")


def _win_back_logit(s: ShownMoment) -> float:
    return -2.2 + 1.2 * (s.quiet_days > QUIET_DAYS) + 0.2 * s.felt


def _win_back_eur(s: ShownMoment) -> float:
    return 24.0 if s.quiet_days > QUIET_DAYS and "win_back" not in s.state.products else 0.0


WORLD_ACTIONS: Mapping[str, ActionKind] = {
    "card_offer": ActionKind(
        logit=_card_logit, lift=sales_lift, shown_eur=0.4, product="card", marketing=True
    ),
    "loan_offer": ActionKind(
        logit=_loan_logit, lift=sales_lift, shown_eur=0.4, product="loan", marketing=True
    ),
    "car_owner_card": selling("car_card", -3.6, 40.0, fond={"affluent": 0.4}, wish=_car_wish),
    "savings_offer": selling("savings", -2.4, 16.0, fond={"affluent": 0.5}, wish=_savings_wish),
    "insurance_offer": selling("insurance", -2.7, 26.0, fond={"business": 0.5}),
    "mortgage_offer": selling(
        "mortgage", -4.8, 220.0, fond={"affluent": 0.5}, wish=_mortgage_wish, shown_eur=1.0
    ),
    "premium_account": selling("premium", -2.9, 34.0, fond={"affluent": 0.8, "business": 0.5}),
    "investment_plan": selling("fund", -3.1, 52.0, fond={"affluent": 1.0, "business": 0.4}),
    "overdraft_offer": selling("overdraft", -2.6, 14.0, fond={}, wish=_overdraft_wish),
    # the planted failure: a referral programme that moves nobody
    "referral": ActionKind(logit=lambda s: -5.3, lift=no_lift, shown_eur=0.3, marketing=True),
    "help_popup": ActionKind(
        logit=_help_logit, lift=help_lift(1.0, 0.0, 0.16), shown_eur=0.1, accepted_eur=0.4
    ),
    # the tip is accepted by paying in the IVR: the visit decides, see world_visits.ivr_payment
    "ivr_payment_tip": ActionKind(logit=lambda s: 0.0, lift=no_lift, shown_eur=0.05),
    "search_guide": helping(
        -1.9, failure=0.5, issue=0.3, share=0.8, nuisance=0.05, accepted_eur=0.2
    ),
    "chat_invitation": helping(
        -2.2, failure=0.6, issue=0.5, share=0.8, nuisance=0.12, accepted_eur=2.5
    ),
    "branch_appointment": helping(
        -2.6, failure=0.2, issue=0.9, share=0.7, nuisance=0.04, accepted_eur=12.0
    ),
    "app_tour": habit("app_tour", -2.2, 2.0, newcomer=0.8),
    "set_up_direct_debit": habit("direct_debit", -2.4, 8.0),
    "paperless": habit("paperless", -2.0, 4.0),
    "card_activation": habit("active_card", -2.6, 12.0, newcomer=1.8),
    "payment_reminder": rescuing(-0.7, mortgage=-0.3, share=0.1, shown_eur=0.2),
    "payment_plan": rescuing(-1.3, mortgage=1.0, share=0.5, shown_eur=0.6),
    "agent_callback": ActionKind(
        logit=_callback_logit,
        lift=help_lift(0.9, 0.1, 0.05),
        shown_eur=0.1,
        accepted_eur=5.0,
        solves=True,
    ),
    "apology_credit": making_up(-1.6, share=0.7, accepted_eur=7.0, shown_eur=0.1),
    "fee_refund": making_up(-1.2, share=0.8, accepted_eur=9.0, shown_eur=0.2),
    "personal_apology": making_up(-1.0, share=0.6, accepted_eur=1.0, shown_eur=1.5),
    "retention_call": keeping(-2.3, loosens=-0.7, shown_eur=3.0, accepted_eur=4.0),
    "retention_rate": keeping(-1.9, loosens=-0.9, shown_eur=0.2, accepted_eur=30.0),
    "win_back_offer": ActionKind(
        logit=_win_back_logit,
        lift=help_lift(0.3, 0.05, 0.04),
        shown_eur=0.3,
        accepted_eur=8.0,
        earns_eur=_win_back_eur,
        habit="win_back",
        marketing=True,
    ),
    "welcome_call": settling_in(-1.5, loosens=-0.6, shown_eur=3.0),
    "first_steps": settling_in(-1.7, loosens=-0.4, shown_eur=0.1),
}
