"""A simulated telecom, another mechanism than the bank's: trouble makes customers leave, contacts
wear out, answers come late and one in seven never.

Subscribers live day by day. Dropped calls bring trouble, which lasts until it is mended or
forgotten, and is where most leave. What is offered when they open the app is answered by what they
need, less the more often they were contacted. A service sees events and traits, and none of that.
The truth of a decision is its expected gain in EUR over leaving the subscriber in peace.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol

import numpy as np

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
NO_ACTION = "no_action"
CUSTOMER_EUR = 150.0  # worth of one who stays
LOST = 0.15  # of the answers nobody is told
TROUBLE_DAYS, CUT_DAYS, FATIGUE_DAYS = 25.0, 60.0, 7.0  # means, but for the cut's span
LEAVES, LEAVES_IN_TROUBLE, LEAVES_SENSITIVE, LEAVES_TIRED = 0.0008, 0.012, 0.006, 0.0005  # a day


class Offer(NamedTuple):
    """What an action is worth when it is accepted, costs, and how tiring it is."""

    value_eur: float
    cost_eur: float
    tiring: float = 1.0
    delay_days: float = 1.0  # of the answer, on average


OFFERS = {
    "fix_call": Offer(0.0, 3.0, 0.3, 0.3),
    "data_pack": Offer(9.0, 0.1),
    "bigger_plan": Offer(32.0, 0.1, 1.0, 3.0),
    "family_offer": Offer(48.0, 0.1, 1.0, 4.0),
    "price_cut": Offer(-14.0, 0.1, 1.0, 2.0),
    "tips": Offer(1.5, 0.1, 0.3, 0.5),
}


@dataclass
class Subscriber:
    """One customer; what is after `fee_eur` nobody sees."""

    customer_id: str
    household: int
    tenure_months: float
    fee_eur: float
    heavy: bool
    quality: float  # of the network at home, from 0 to 1
    sensitive: float  # to prices, from 0 to 1
    data_gb: float  # seen: of the month before
    asked: int  # seen: how often they asked for a cheaper tariff
    trouble: bool = False
    over: bool = False  # their data are used up
    fatigue: float = 0.0
    cut_until: float = -1.0  # day
    mended: bool = False  # by a call, of which the case is still to be closed

    def p_accept(self, action: str) -> float:
        """The probability of a good response."""
        score = {
            "fix_call": 0.85 if self.trouble else -2.9,
            "data_pack": -2.6 + 2.8 * self.over - 1.0 * self.trouble,
            "bigger_plan": -4.2 + 2.0 * self.over + 1.6 * self.heavy - 1.5 * self.trouble,
            "family_offer": -4.5 + 2.6 * (self.household >= 3) - 1.0 * self.trouble,
            "price_cut": -1.5 + 2.0 * self.sensitive,
            "tips": -0.5 - 0.15 * self.tenure_months,
        }[action]
        return 1.0 / (1.0 + math.exp(-score)) / (1.0 + 0.35 * self.fatigue)

    def gain_eur(self, action: str, day: float) -> float:
        """What an action is expected to bring over leaving them in peace."""
        if action == NO_ACTION:
            return 0.0
        offer = OFFERS[action]
        kept = {
            "fix_call": LEAVES_IN_TROUBLE * TROUBLE_DAYS * self.trouble,
            "price_cut": (day > self.cut_until)
            * 0.5
            * LEAVES_SENSITIVE
            * self.sensitive
            * CUT_DAYS,
            "tips": 0.02,
        }.get(action, 0.0)
        worn = LEAVES_TIRED * offer.tiring * FATIGUE_DAYS / math.log(2.0)
        gain = self.p_accept(action) * (offer.value_eur + kept * CUSTOMER_EUR)
        return gain - offer.cost_eur - worn * CUSTOMER_EUR

    def leaves(self, day: float) -> float:
        """The probability of leaving today."""
        sensitive = LEAVES_SENSITIVE * self.sensitive * (0.5 if day < self.cut_until else 1.0)
        troubled, tired = LEAVES_IN_TROUBLE * self.trouble, LEAVES_TIRED * self.fatigue
        return LEAVES + troubled + sensitive + tired


class Visit(NamedTuple):
    """A subscriber has opened the app."""

    number: int
    customer_id: str
    at: datetime


class Player(Protocol):
    """Who decides."""

    def observe(self, events: list[dict[str, Any]]) -> None:
        """What has happened, in order of time."""

    def choose(self, visit: Visit, truth: Subscriber, day: float) -> str:
        """The action; only an oracle looks at the truth."""

    def answered(self, visit: Visit, at: datetime) -> None:
        """The action of that visit was accepted, as is heard now."""


@dataclass
class Telecom:
    """One company of one seed; `gains` and `best` are the truth of every visit so far, in EUR."""

    seed: int
    size: int = 300
    gains: list[float] = field(default_factory=list)
    best: list[float] = field(default_factory=list)

    def play(self, player: Player, visits: int) -> Iterator[int]:
        """Live until there were so many visits; gives their number, one by one."""
        rng = np.random.default_rng(self.seed)
        luck = np.random.default_rng(self.seed + 1_000_003)
        people = [self._new(rng, number) for number in range(self.size)]
        heard: list[tuple[float, int, Visit]] = []
        joined, day = self.size, 0
        player.observe([_identify(one, BEGIN) for one in people])
        while True:
            for place, one in enumerate(people):
                at_day = day + (place + 0.5) / len(people)
                while heard and heard[0][0] <= at_day:
                    told_day, _, visit = heapq.heappop(heard)
                    player.answered(visit, BEGIN + timedelta(days=told_day))
                at = BEGIN + timedelta(days=at_day)
                player.observe(self._lives(rng, one, at))
                if rng.random() < 0.3:
                    visit = Visit(len(self.gains), one.customer_id, at)
                    player.observe([_event(one, "App Opened", at)])
                    action = player.choose(visit, one, at_day)
                    self._note(one, action, at_day)
                    accepted = self._acts(luck, one, action, at_day)
                    if accepted and luck.random() >= LOST:
                        told = at_day + luck.exponential(OFFERS[action].delay_days)
                        heapq.heappush(heard, (told, visit.number, visit))
                    yield len(self.gains)
                    if len(self.gains) >= visits:
                        return
                if rng.random() < one.leaves(at_day):
                    player.observe([_event(one, "Contract Ended", at + timedelta(seconds=9))])
                    people[place] = self._new(rng, joined, tenure_months=0.0)
                    player.observe([_identify(people[place], at + timedelta(seconds=10))])
                    joined += 1
            day += 1

    def _note(self, one: Subscriber, action: str, day: float) -> None:
        self.gains.append(one.gain_eur(action, day))
        self.best.append(max(one.gain_eur(each, day) for each in (*OFFERS, NO_ACTION)))

    def _new(
        self, rng: np.random.Generator, number: int, tenure_months: float | None = None
    ) -> Subscriber:
        months = float(rng.exponential(18.0))
        heavy, sensitive = bool(rng.random() < 0.35), float(rng.beta(1, 2))
        return Subscriber(
            customer_id=f"s{self.seed}-{number}",
            household=int(rng.integers(1, 6)),
            tenure_months=months if tenure_months is None else tenure_months,
            fee_eur=float(rng.choice([9.0, 19.0, 29.0, 49.0])),
            heavy=heavy,
            quality=float(rng.beta(4, 2)),
            sensitive=sensitive,
            data_gb=float(rng.gamma(6.0, 3.0 if heavy else 1.0)),
            asked=int(rng.poisson(4.0 * sensitive)),
        )

    def _lives(
        self, rng: np.random.Generator, one: Subscriber, at: datetime
    ) -> list[dict[str, Any]]:
        """A day of a subscriber, up to now."""
        names = ["Case Closed"] * one.mended
        one.mended = False
        one.tenure_months += 1 / 30
        one.fatigue *= 2.0 ** (-1.0 / FATIGUE_DAYS)
        dropped = int(rng.poisson(1.2 * (1.0 - one.quality)))
        names += ["Call Dropped"] * dropped
        if not one.trouble and rng.random() < 0.008 + 0.03 * dropped:
            one.trouble = True
            names.append("Complaint Filed")
        elif one.trouble and rng.random() < 1.0 / TROUBLE_DAYS:
            one.trouble = False
            names.append("Case Closed")
        if one.over and rng.random() < 0.06:
            one.over = False
            names.append("Limit Reset")
        elif not one.over and rng.random() < (0.05 if one.heavy else 0.008):
            one.over = True
            names.append("Limit Reached")
        names += ["Price Compared"] * int(rng.random() < 0.06 * one.sensitive)
        names += ["Bill Paid"] * int(at.day == 5)
        before = [at - timedelta(minutes=n + 1) for n in range(len(names))]
        return [_event(one, name, then) for name, then in zip(names, reversed(before), strict=True)]

    def _acts(self, luck: np.random.Generator, one: Subscriber, action: str, day: float) -> bool:
        """What an action does; whether it was accepted."""
        chance = luck.random()
        if action == NO_ACTION:
            return False
        accepted = chance < one.p_accept(action)
        one.fatigue += OFFERS[action].tiring
        if accepted and action == "fix_call":
            one.mended, one.trouble = one.trouble, False
        if accepted and action == "price_cut":
            one.cut_until = max(one.cut_until, day + CUT_DAYS)
        if accepted and action in ("data_pack", "bigger_plan"):
            one.over = False
            one.heavy = one.heavy and action != "bigger_plan"
        return bool(accepted)


def _event(one: Subscriber, name: str, at: datetime, **properties: Any) -> dict[str, Any]:
    return {
        "customer_id": one.customer_id,
        "name": name,
        "occurred_at": at.isoformat(),
        "properties": properties,
    }


def _identify(one: Subscriber, at: datetime) -> dict[str, Any]:
    traits = {
        "household": one.household,
        "months_at_start": round(one.tenure_months, 1),
        "fee_eur": one.fee_eur,
        "data_gb": round(one.data_gb, 1),
        "tariff_calls": one.asked,
    }
    return _event(one, "identify", at, **traits)
