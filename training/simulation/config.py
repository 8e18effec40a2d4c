"""The settings of the simulated bank, what it asks a policy, and the numbers of one world.

The world shares no constant and no import with the service: it knows its own action ids and event
names, as a bank's back office would, and a service sees only the events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

import numpy as np

Mechanism = Literal["accumulation", "blocking", "peak_end", "confounded", "null"]
EventJson = dict[str, Any]  # one event as an SDK would send it

NO_ACTION = "no_action"
HOUR_S = 3_600.0  # not from `nba`: the world knows nothing of the service
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldConfig:
    """One simulated bank. Every effect can be switched off.

    `mechanism` says why customers leave: `accumulation` of emotion over visits, the last visit
    alone (`blocking`), the worst and the last of the last ten visits (`peak_end`), the hidden
    trait that brings bad visits (`confounded`), or none of them (`null`).
    """

    customers: int = 3_000
    days: float = 120.0
    start: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    seed: int = 1  # the world: its numbers, its customers and their draws
    mechanism: Mechanism = "accumulation"
    emotion_effect: float = 1.0  # 0: emotion shows in clicks and surveys but moves nothing else
    fatigue_effect: float = 1.0  # 0: customers never tire of contacts
    search_frustration: bool = True  # False: every search finds something
    ivr: bool = True  # False: nobody pays by telephone
    referral: bool = True  # False: the referral programme is not offered
    outbound: bool = True  # False: the bank never writes or calls of its own accord
    dirty: bool = True  # False: a written history has no duplicates and no late arrivals
    duplicate_share: float = 0.03  # of the events, where dirty
    late_share: float = 0.05  # of the events, received hours after they occurred, where dirty

    def __post_init__(self) -> None:
        if self.customers < 1 or self.days <= 0:
            raise ValueError("customers and days must be positive")
        if self.seed < 0:
            raise ValueError(f"seed {self.seed} must not be negative")
        if self.start.tzinfo is None:
            raise ValueError("start needs a time zone, such as UTC")


@dataclass(frozen=True, slots=True)
class ContactOpportunity:
    """A moment at which the bank may do something."""

    customer_id: str
    at: datetime  # UTC
    channel: str  # web, app, ivr, phone, branch; of the bank's own accord also push, email, mail
    placement: str  # the touchpoint, such as web_search
    offered: tuple[str, ...]  # action ids that the channel can show there, without no_action


@dataclass(frozen=True, slots=True)
class SimulatedChoice:
    """A policy's answer."""

    action_id: str  # one of `offered` or no_action; anything else is not shown and has no effect
    propensity: float  # P(this action was drawn), in (0, 1]
    decision_id: str


class SimulatedPolicy(Protocol):
    """Whoever decides: a rule, a random draw, or a service behind HTTP."""

    def observe(self, events: Sequence[EventJson]) -> None:
        """The events of one customer since the last call, before `choose` and after a visit."""
        ...

    def choose(self, opportunity: ContactOpportunity) -> SimulatedChoice:
        """The action for this moment."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldParameters:
    """The numbers that hold in one world. Shares are probabilities, money is EUR."""

    zero_result_share: float  # of searches on an easy topic
    hard_topic_share: float  # of customers whose topic the search knows badly
    form_error_share: float
    branch_bad_share: float
    wait_median_s: float
    announced_wait_s: float
    resolved_share: float  # of calls that settle the issue
    ivr_tries_share: float  # of IVR callers who try to pay there; the bank case has 0.40
    ivr_paid_share: float  # of those who try; the bank case has 0.45
    tip_tries_share: float  # of IVR callers who try to pay after the tip
    screen_paid_share: float  # of payments begun in app or web; the bank case has about 0.59
    rage_false_share: float  # of visits with a rage click that means nothing
    emotion_noise: float
    relief: float  # lift of emotion by help that was needed
    closing_base: float  # log-odds of leaving after a visit
    closing_emotion: float  # change of the log-odds for each unit of emotion, downwards
    closing_strain: float  # change of the log-odds for each contact above the threshold
    fatigue_half_life_days: float
    card_margin_eur: float
    loan_margin_eur: float
    call_cost_eur: float
    closing_loss_eur: float  # value of a mass-market customer lost
    margins: float  # of all other products, against the usual
    outbound_gap_days: float  # median days between two moments at which the bank may write
    newcomer_loose: float  # log-odds of leaving of somebody who has not settled yet


def draw_parameters(config: WorldConfig) -> WorldParameters:
    """The numbers of the world with this seed, drawn from ranges; the IVR case is fixed."""
    rng = np.random.Generator(np.random.Philox(key=(config.seed << 64) + 2**63))

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    return WorldParameters(
        zero_result_share=between(0.10, 0.20) * config.search_frustration,
        hard_topic_share=between(0.20, 0.35) * config.search_frustration,
        form_error_share=between(0.22, 0.38),
        branch_bad_share=between(0.12, 0.25),
        wait_median_s=between(120.0, 240.0),
        announced_wait_s=between(120.0, 240.0),
        resolved_share=between(0.60, 0.75),
        ivr_tries_share=0.40,
        ivr_paid_share=0.45,
        tip_tries_share=between(0.54, 0.68),
        screen_paid_share=0.59,
        rage_false_share=between(0.02, 0.05),
        emotion_noise=between(0.10, 0.20),
        relief=between(0.6, 1.0),
        closing_base=between(-6.1, -5.9),
        closing_emotion=between(1.6, 1.9),
        closing_strain=between(0.35, 0.60),
        fatigue_half_life_days=between(6.0, 12.0),
        card_margin_eur=between(28.0, 45.0),
        loan_margin_eur=between(60.0, 110.0),
        call_cost_eur=between(4.0, 7.0),
        closing_loss_eur=between(350.0, 550.0),
        margins=between(0.8, 1.2),
        outbound_gap_days=between(4.0, 7.0),
        newcomer_loose=between(0.4, 0.9),
    )
