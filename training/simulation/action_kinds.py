"""The kinds of actions of the simulated bank: selling, helping, making up, keeping, settling in.

Each kind is a template; `responses` fills in the numbers of each action.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from training.simulation.config import WorldConfig, WorldParameters
from training.simulation.customers import HiddenState, SimulatedCustomer


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownMoment:
    """The moment in which an action is shown."""

    customer: SimulatedCustomer
    state: HiddenState
    goal: str
    failures: int  # of this visit, so far
    strain: float  # contacts above the customer's threshold
    parameters: WorldParameters
    config: WorldConfig
    outbound: bool = False  # the bank writes or calls of its own accord
    leaving: bool = False  # they have decided to leave
    quiet_days: float = 0.0  # since their last visit
    fatigue: float = 0.0  # contacts that they still remember

    @property
    def felt(self) -> float:
        """The emotion, as far as it moves behaviour, from -3 to 1.5."""
        return self.config.emotion_effect * min(max(self.state.emotion, -3.0), 1.5)

    @property
    def in_need(self) -> bool:
        """Something failed, is still open, or weighs on them."""
        return self.failures > 0 or self.state.issue is not None or self.state.emotion < -0.6


@runtime_checkable
class TruthSeeingPolicy(Protocol):
    """A policy that is shown the hidden truth before each question: for an upper bound only."""

    def see(self, situation: ShownMoment) -> None:
        """The moment as it is."""
        ...


Logit = Callable[[ShownMoment], float]
Lift = Callable[[ShownMoment, bool], float]


def no_lift(s: ShownMoment, accepted: bool) -> float:
    """The emotion stays as it is."""
    return 0.0


def no_gain(s: ShownMoment) -> float:
    """No money beside a product's margin."""
    return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionKind:
    """One action: log-odds of acceptance, lift of emotion, and money."""

    logit: Logit
    lift: Lift
    shown_eur: float  # cost of each showing
    accepted_eur: float = 0.0  # further cost of an acceptance
    earns_eur: Logit = no_gain  # on acceptance, beside the margin of a product
    product: str | None = None  # bought on acceptance
    margin_eur: float = 0.0  # of the product, in a world with usual margins
    habit: str | None = None  # taken up on acceptance
    loosens: float = 0.0  # log-odds of leaving, added on acceptance; below 0 it ties
    keeps: bool = False  # an acceptance ends the wish to leave
    solves: bool = False  # an acceptance settles the open issue
    settles: bool = False  # an acceptance pays what is overdue
    marketing: bool = False  # needs their consent where the bank writes or calls


def sales_lift(s: ShownMoment, accepted: bool) -> float:
    """Selling to somebody who is cross makes it worse, the more the crosser they are."""
    if accepted:
        return 0.1
    cross = min(max(-s.state.emotion - 0.3, 0.0), 2.0)
    return -0.10 - 0.10 * cross if cross > 0 else 0.0


def help_lift(share: float, glad: float, nuisance: float) -> Lift:
    """Relief where help was needed, a nuisance where it was not."""

    def lift(s: ShownMoment, accepted: bool) -> float:
        if accepted:
            return share * s.parameters.relief if s.in_need else glad
        return 0.0 if s.in_need else -nuisance

    return lift


def selling(
    product: str,
    base: float,
    margin_eur: float,
    *,
    fond: Mapping[str, float],
    wish: Logit = no_gain,
    shown_eur: float = 0.4,
) -> ActionKind:
    """An offer of a product. `fond`: by segment; `wish`: what else makes them want it."""

    def logit(s: ShownMoment) -> float:
        wanted = base + fond.get(s.customer.segment, 0.0) + wish(s) + 0.55 * s.felt
        return wanted - 0.5 * s.outbound - 3.0 * (product in s.state.products)

    return ActionKind(
        logit=logit,
        lift=sales_lift,
        shown_eur=shown_eur,
        product=product,
        margin_eur=margin_eur,
        marketing=True,
    )


def helping(
    base: float,
    *,
    failure: float,
    issue: float,
    share: float,
    nuisance: float,
    accepted_eur: float,
    shown_eur: float = 0.1,
) -> ActionKind:
    """Help with what went wrong, in this visit (`failure`) or before (`issue`)."""

    def logit(s: ShownMoment) -> float:
        trouble = failure * min(s.failures, 3) + issue * (s.state.issue is not None)
        return base + trouble - 0.25 * min(s.felt, 0.0)

    return ActionKind(
        logit=logit,
        lift=help_lift(share, 0.0, nuisance),
        shown_eur=shown_eur,
        accepted_eur=accepted_eur,
        solves=True,
    )


def making_up(base: float, *, share: float, accepted_eur: float, shown_eur: float) -> ActionKind:
    """An apology, with or without money."""

    def logit(s: ShownMoment) -> float:
        return base + 0.8 * (s.state.issue is not None) - 0.35 * min(s.felt, 0.0)

    lift = help_lift(share, 0.1, 0.04)
    return ActionKind(logit=logit, lift=lift, shown_eur=shown_eur, accepted_eur=accepted_eur)


def habit(
    name: str, base: float, earns_eur: float, *, newcomer: float = 0.0, shown_eur: float = 0.1
) -> ActionKind:
    """Something useful that they take up once, and that saves the bank money."""

    def logit(s: ShownMoment) -> float:
        fresh = newcomer * (s.customer.newcomer and s.state.loose > 0)
        return base + fresh - 3.0 * (name in s.state.products)

    def earns(s: ShownMoment) -> float:
        return 0.0 if name in s.state.products else earns_eur

    def lift(s: ShownMoment, accepted: bool) -> float:
        if accepted:
            return 0.05
        return -0.05 if s.state.emotion < -0.3 else 0.0

    return ActionKind(logit=logit, lift=lift, shown_eur=shown_eur, earns_eur=earns, habit=name)


def settling_in(base: float, *, loosens: float, shown_eur: float) -> ActionKind:
    """A welcome for somebody who is new; others shrug."""

    def logit(s: ShownMoment) -> float:
        return base + 1.4 * (s.state.loose > 0)

    def lift(s: ShownMoment, accepted: bool) -> float:
        if accepted:
            return 0.15 if s.state.loose > 0 else 0.0
        return 0.0 if s.state.loose > 0 else -0.05

    return ActionKind(logit=logit, lift=lift, shown_eur=shown_eur, loosens=loosens)


def keeping(base: float, *, loosens: float, shown_eur: float, accepted_eur: float) -> ActionKind:
    """An attempt to keep somebody who thinks of leaving, or has decided to."""

    def logit(s: ShownMoment) -> float:
        return base + 0.9 * s.leaving + 0.2 * s.felt

    lift = help_lift(0.3, 0.05, 0.05)
    return ActionKind(
        logit=logit,
        lift=lift,
        shown_eur=shown_eur,
        accepted_eur=accepted_eur,
        loosens=loosens,
        keeps=True,
    )


def rescuing(base: float, *, mortgage: float, share: float, shown_eur: float) -> ActionKind:
    """A way to pay what is overdue."""

    def logit(s: ShownMoment) -> float:
        return base + mortgage * s.customer.has_mortgage if s.state.overdue else -3.5

    def lift(s: ShownMoment, accepted: bool) -> float:
        if accepted:
            return share * s.parameters.relief if s.state.overdue else 0.0
        return 0.0 if s.state.overdue else -0.10

    return ActionKind(logit=logit, lift=lift, shown_eur=shown_eur, settles=True)
