"""The customers of the simulated bank: what they are, what they feel, and their random numbers.

Chance is drawn before anything is decided: every visit has its own row of uniforms and every
purpose its own place in it, so that two policies meet the same customers on the same days
(common random numbers).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from statistics import NormalDist

import numpy as np

from training.simulation.config import DAY_S, WorldConfig, WorldParameters

SEGMENTS = (("mass", 0.65), ("affluent", 0.25), ("business", 0.10))
TIME_ZONES = (
    ("Europe/Berlin", 0.60),
    ("Europe/London", 0.25),
    ("America/New_York", 0.12),
    ("", 0.03),  # nobody has asked them
)
REACHED = frozenset({"push", "email", "mail", "phone", "ivr"})  # where the bank may address them
GOALS = (("everyday", 0.50), ("explore", 0.28), ("borrow", 0.22))
LOSS_AVERSION = 2.0  # a loss weighs twice a gain of the same size
EMOTION_FLOOR, EMOTION_CEILING = -5.0, 3.0
PEAK_VISITS = 10  # the worst of so many visits is remembered

_PURPOSES = {  # how many uniforms each purpose may use in one visit
    **{"gap": 1, "clock": 1, "goal": 1, "kind": 1, "noise": 1, "topic": 1, "product": 1},
    **{"result": 5, "searches": 1, "form": 4, "submit": 1, "path": 1, "try": 1, "paid": 1},
    **{"wait": 1, "resolved": 1, "agent": 1, "buy": 1, "buy_delay": 1, "amount": 1},
    **{"response": 1, "manner": 1, "rage": 1, "complaint": 1, "survey": 1},
    **{"answer": 1, "score": 1, "answer_delay": 1, "closing": 1, "closing_delay": 1},
    **{"follow": 1, "follow_gap": 1, "follow_kind": 1, "new_goal": 1, "notice": 1, "minute": 1},
    **{"leaving": 1, "pace": 12},
}
FIRST_WIDTH = sum(_PURPOSES.values())  # these come from a stream of their own and never change
_PURPOSES |= {  # what came later: a stream of its own too, so that the first draws stay as they are
    **{"page": 3, "response_more": 3, "manner_more": 3, "dormant": 1, "dormant_days": 1},
    **{"consent": 1, "trigger": 1, "trigger_gap": 1, "trigger_channel": 1, "partner": 1},
}
_OFFSETS = dict(zip(_PURPOSES, accumulate(_PURPOSES.values(), initial=0), strict=False))
UNIFORMS_WIDTH = sum(_PURPOSES.values())
_NORMAL = NormalDist()


class VisitUniforms:
    """The uniforms of one visit, shape (UNIFORMS_WIDTH,), addressed by purpose and turn."""

    __slots__ = ("_row",)

    def __init__(self, row: Sequence[float]) -> None:
        self._row = row

    def uniform(self, purpose: str, turn: int = 0) -> float:
        """A number in [0, 1)."""
        return self._row[_OFFSETS[purpose] + turn]

    def happens(self, purpose: str, probability: float, turn: int = 0) -> bool:
        """True with this probability; monotone in it, so that close worlds stay close."""
        return self._row[_OFFSETS[purpose] + turn] < probability

    def normal(self, purpose: str, turn: int = 0) -> float:
        """A standard normal number."""
        return _NORMAL.inv_cdf(min(max(self.uniform(purpose, turn), 1e-12), 1 - 1e-12))

    def lognormal(self, purpose: str, median: float, sigma: float, turn: int = 0) -> float:
        """A log-normal number with this median."""
        return median * math.exp(sigma * self.normal(purpose, turn))

    def pick(self, purpose: str, weighted: Sequence[tuple[str, float]]) -> str:
        """One of the names, by weight."""
        return picked(self.uniform(purpose), weighted)


def picked(uniform: float, weighted: Sequence[tuple[str, float]]) -> str:
    """The name under which `uniform`, in [0, 1), falls when the weights are laid end to end."""
    total = 0.0
    for _, weight in weighted:
        total += weight
    left = uniform * total
    for name, weight in weighted:
        left -= weight
        if left < 0:
            return name
    return weighted[-1][0]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedCustomer:
    """The attributes of one customer. The second block is hidden from everybody but the world."""

    customer_id: str
    segment: str
    age: int
    tenure_months: int
    monthly_income_eur: float
    has_mortgage: bool
    time_zone: str  # empty: not known
    newcomer: bool  # has opened the account on the day on which the world begins

    goal: str
    hard_topic: bool  # searches for what the search knows badly
    sensitivity: float  # log-normal around 1
    memory: float  # share of the emotion that lasts to the next visit
    frailty: float  # log-odds of leaving, whatever happens
    trouble: float  # log-odds of a bad visit: how badly the bank suits their needs
    threshold: float  # contacts within the fatigue's memory that are still welcome
    gap_days: float  # median days between visits
    expectation: float  # valence that feels like nothing special
    closing_loss_eur: float
    drives: bool  # owns a car, or is about to
    consents: frozenset[str]  # channels on which they let the bank advertise, at the beginning


def draw_customer(
    index: int, parameters: WorldParameters, config: WorldConfig
) -> SimulatedCustomer:
    """Customer number `index` of this world, the same in every run."""
    rng = np.random.Generator(np.random.Philox(key=(config.seed << 64) + 2 * index))
    u, z = rng.random(8).tolist(), rng.standard_normal(8).tolist()
    segment = picked(u[0], SEGMENTS)
    rank = {"mass": 0, "affluent": 1, "business": 2}[segment]
    age = int(min(max(44.0 + 14.0 * z[0] + 3.0 * rank, 18.0), 88.0))
    tenure_months = int(min(1.0 + 48.0 * math.exp(0.9 * z[1]), 12.0 * (age - 17)))
    v = rng.random(5).tolist()
    consents = REACHED if v[2] < 0.62 else frozenset[str]()
    newcomer = v[1] < 0.10
    return SimulatedCustomer(
        customer_id=f"w{config.seed}-{index:05d}",
        segment=segment,
        age=age,
        tenure_months=0 if newcomer else tenure_months,
        monthly_income_eur=round((2_300.0, 5_200.0, 7_400.0)[rank] * math.exp(0.35 * z[2]), 2),
        has_mortgage=u[1] < (0.18, 0.38, 0.30)[rank] * (0.4 if age < 30 else 1.0),
        time_zone=picked(v[0], TIME_ZONES),
        newcomer=newcomer,
        goal=picked(u[2], GOALS),
        hard_topic=u[3] < parameters.hard_topic_share,
        sensitivity=math.exp(0.35 * z[3]),
        memory=0.70 + 0.25 * u[4],
        frailty=0.30 * z[4] - 0.25 * math.log1p(tenure_months / 24.0) + 0.2,
        trouble=0.75 * z[5],
        threshold=1.0 + 1.6 * u[5],
        gap_days=7.2 * math.exp(0.35 * z[6]),
        expectation=(0.0, 0.05, 0.08)[rank],
        closing_loss_eur=parameters.closing_loss_eur * (1.0, 2.2, 3.0)[rank],
        drives=v[4] < 0.30,
        consents=consents if v[3] < 0.50 else consents - {"phone"},
    )


@dataclass(slots=True)
class HiddenState:
    """The feelings and the memory of one customer, seen by the simulated world alone."""

    expectation: float
    emotion: float = 0.0
    last_gap: float = 0.0  # the last visit's valence less the expectation, losses doubled
    gaps: deque[float] = field(default_factory=lambda: deque(maxlen=PEAK_VISITS))  # the last ones
    fatigue: float = 0.0  # decayed count of contacts, as of `fatigue_at_s`
    fatigue_at_s: float = 0.0
    issue: str | None = None  # what they still want solved
    products: set[str] = field(default_factory=set)  # and habits, such as paying by direct debit
    loose: float = 0.0  # log-odds of leaving of a newcomer; below 0: what keeps them here
    consents: set[str] = field(default_factory=set)  # channels on which the bank may advertise
    overdue: bool = False  # a payment is missing

    def feel(self, valence: float, customer: SimulatedCustomer, noise: float) -> None:
        """Live through a visit: E <- memory E + sensitivity gap + noise, losses doubled."""
        gap = valence - self.expectation
        self.last_gap = customer.sensitivity * (LOSS_AVERSION * gap if gap < 0 else gap)
        self.gaps.append(self.last_gap)
        self.expectation += 0.05 * gap
        self._set(customer.memory * self.emotion + self.last_gap + noise)

    def push(self, lift: float, customer: SimulatedCustomer) -> None:
        """The effect of an action: a lift of the emotion, downwards doubled."""
        felt = LOSS_AVERSION * lift if lift < 0 else lift
        self.last_gap += customer.sensitivity * felt
        if self.gaps:
            self.gaps[-1] = self.last_gap
        self._set(self.emotion + customer.sensitivity * felt)

    def _set(self, emotion: float) -> None:
        self.emotion = min(max(emotion, EMOTION_FLOOR), EMOTION_CEILING)

    def peak_end(self) -> float:
        """The mean of the worst and the last gap (Kahneman et al., Psychological Science 1993)."""
        return 0.5 * (min([self.last_gap, *self.gaps]) + self.last_gap)

    def tire(self, now_s: float, half_life_days: float, weight: float = 1.0) -> None:
        """Count a contact."""
        self.fatigue = self.faded(now_s, half_life_days) + weight
        self.fatigue_at_s = now_s

    def strain(self, now_s: float, half_life_days: float, threshold: float) -> float:
        """Contacts above the annoyance threshold."""
        return max(0.0, self.faded(now_s, half_life_days) - threshold)

    def faded(self, now_s: float, half_life_days: float) -> float:
        """The contacts that they still remember."""
        age_days = max(0.0, now_s - self.fatigue_at_s) / DAY_S
        return self.fatigue * math.exp(-math.log(2.0) * age_days / half_life_days)


def closing_probability(
    customer: SimulatedCustomer,
    state: HiddenState,
    strain: float,
    parameters: WorldParameters,
    config: WorldConfig,
) -> float:
    """P(the customer decides to leave after this visit).

    logit = base + frailty + loose - b emotion + k strain; in the confounded world + c trouble
    """
    felt, effect = 0.0, 0.0
    if config.mechanism in ("accumulation", "blocking", "peak_end"):
        effect = config.emotion_effect
        felt = _felt(state, config)
    logit = parameters.closing_base + customer.frailty + state.loose
    if config.mechanism == "confounded":
        logit += 1.6 * customer.trouble
    logit += 1.4 * max(0.0, 1.0 - effect)  # the churn that emotion would have brought
    logit -= parameters.closing_emotion * effect * min(felt, 1.0)
    logit += parameters.closing_strain * config.fatigue_effect * strain
    return sigmoid(logit)


def _felt(state: HiddenState, config: WorldConfig) -> float:
    """What moves them to leave; scaled so that about as many leave under each mechanism."""
    if config.mechanism == "peak_end":
        return 2.0 * state.peak_end() + 0.9
    return state.emotion if config.mechanism == "accumulation" else 1.6 * state.last_gap


def sigmoid(logit: float) -> float:
    """1 / (1 + exp(-logit))."""
    return 1.0 / (1.0 + math.exp(-logit))
