"""The simulated bank of `ope.py`: moments with their true probabilities, decided many times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from models.policies.thompson import Thompson
from nba.engine.policy import Worth
from nba.measurement.off_policy import estimators
from nba.measurement.off_policy.cross_fitting import CandidateRows, cross_fit
from nba.measurement.off_policy.estimators import RatioEstimate
from nba.measurement.off_policy.intervals import standard_error
from nba.measurement.off_policy.logged_decisions import (
    GATE_REQUIREMENTS,
    LoggedDecisions,
    logged_decisions,
    overlap,
    refusal,
)
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.intervals import normal_interval
from training.simulation.action_kinds import ShownMoment
from training.simulation.history import RandomPolicy
from training.simulation.responses import accept_probability
from training.simulation.world import ContactOpportunity, SimulatedChoice, World, WorldConfig

CUSTOMERS, DAYS = 6_000, 60.0
FLOOR, SHARE = 0.02, 0.10  # of the draw: uniform, and the challenger's own
LEARN_EVERY = 250  # decisions
ESTIMATORS: Mapping[str, Callable[[LoggedDecisions], RatioEstimate]] = {
    "ips": estimators.ips,
    "snips": lambda evidence: _certain(estimators.snips(evidence)),
    "dr": lambda evidence: _certain(estimators.dr(evidence)),
}
METHODS = (*ESTIMATORS, *(f"gain_{method}" for method in ESTIMATORS))


@dataclass(frozen=True, eq=False)
class Bank:
    """Every moment at which the bank may do something; rows (n, 4) are candidates, -1 for none."""

    customers: np.ndarray  # (n,) codes
    features: np.ndarray  # (n, d) what a bank can know
    codes: np.ndarray  # action codes; no_action is the highest
    accepts: np.ndarray  # true P(accepts), 0 where there is no candidate
    target: np.ndarray  # the probabilities of the policy that is evaluated

    @property
    def size(self) -> int:
        return int(self.customers.max()) + 1

    @property
    def truth(self) -> float:
        """The target's value: acceptances per decision."""
        return float((self.target * self.accepts).sum(axis=1).mean())


class _Watched(RandomPolicy):
    """Draws by chance, and notes what is true of each moment."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.rows: list[tuple[str, list[float], tuple[str, ...], list[float]]] = []
        self._situation: ShownMoment | None = None

    def see(self, situation: ShownMoment) -> None:
        self._situation = situation

    def choose(self, asked: ContactOpportunity) -> SimulatedChoice:
        s = self._situation
        assert s is not None
        known = [1.0, min(s.failures, 3), s.quiet_days > 30, s.customer.age / 50 - 1, s.outbound]
        accepts = [accept_probability(action, s) for action in asked.offered]
        self.rows.append((asked.customer_id, [*map(float, known)], asked.offered, accepts))
        return super().choose(asked)


def lived(seed: int) -> Bank:
    """The bank after so many days under chance, and a target that knows something of the truth."""
    watched = _Watched(seed)
    config = WorldConfig(customers=CUSTOMERS, days=DAYS, seed=seed)
    for _ in World(config).play(watched, log_decisions=False):
        pass
    names = sorted({action for _, _, offered, _ in watched.rows for action in offered})
    widest = max(len(offered) for _, _, offered, _ in watched.rows) + 1
    codes = np.full((len(watched.rows), widest), -1)
    accepts = np.zeros(codes.shape)
    for n, (_, _, offered, true) in enumerate(watched.rows):
        codes[n, : len(offered) + 1] = [*(names.index(one) for one in offered), len(names)]
        accepts[n, : len(offered)] = true
    rng = np.random.default_rng(seed)
    believed = accepts * rng.lognormal(0.0, 0.5, len(names) + 2)[codes]
    target = 0.05 * np.where(codes >= 0, 1.0, 0.0) / (codes >= 0).sum(axis=1, keepdims=True)
    target[np.arange(len(codes)), believed.argmax(axis=1)] += 0.95
    _, customers = np.unique([row[0] for row in watched.rows], return_inverse=True)
    features = np.array([row[1] for row in watched.rows])
    return Bank(customers, features, codes, accepts, target)


def replicate(
    bank: Bank, customers: int, rng: np.random.Generator
) -> dict[str, tuple[bool, float] | None]:
    """One log of so many customers: by method, whether the interval holds the truth, and its half.

    The target's truth is the bank's; that of its gain over what was drawn is of the same moments,
    since what is drawn depends on what was learned by then. None where it was refused.
    """
    chosen = np.flatnonzero(np.isin(bank.customers, rng.choice(bank.size, customers, False)))
    drawn, chances, rewards = _played(bank, chosen, rng)
    codes, row = bank.codes[chosen], np.arange(len(chosen))
    of, at = np.nonzero(codes >= 0)
    features = bank.features[chosen]
    offered = CandidateRows(of, lambda m: np.column_stack([codes[of[m], at[m]], features[of[m]]]))
    fitted = cross_fit(
        lambda fold: _Ridge(),
        np.column_stack([codes[row, drawn], features]),
        rewards,
        bank.customers[chosen],
        offered,
    )
    target, accepts = bank.target[chosen], bank.accepts[chosen]
    evidence = logged_decisions(
        target[row, drawn],
        chances[row, drawn],
        rewards,
        bank.customers[chosen],
        q_logged=fitted.logged,
        q_target=fitted.expected(offered, target[of, at]),
    )
    if refusal(overlap(evidence), GATE_REQUIREMENTS) is not None:
        return dict.fromkeys(METHODS)
    found = {method: make(evidence) for method, make in ESTIMATORS.items()}
    logs = estimators.logged_mean(evidence)
    gains = {f"gain_{method}": one.minus(logs) for method, one in found.items()}
    gain = float(((target - chances) * accepts).sum(axis=1).mean())
    return {method: _held(one, bank.truth, evidence) for method, one in found.items()} | {
        method: _held(one, gain, evidence) for method, one in gains.items()
    }


def _held(scores: RatioEstimate, truth: float, evidence: LoggedDecisions) -> tuple[bool, float]:
    stderr = standard_error(scores, evidence.customers)
    low, high = normal_interval(scores.value, stderr)
    return low <= truth <= high, (high - low) / 2


def _certain(found: RatioEstimate | Undecided) -> RatioEstimate:
    assert isinstance(found, RatioEstimate)
    return found


def _played(
    bank: Bank, chosen: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(positions drawn, chances (n, k), rewards) of a Thompson policy that learns as it goes."""
    shown = np.full(int(bank.codes.max()) + 1, 2.0)
    taken = np.full(len(shown), 0.3)
    policy = Thompson(1.0)
    drawn, rewards = np.zeros(len(chosen), dtype=int), np.zeros(len(chosen))
    every = np.zeros((len(chosen), bank.codes.shape[1]))
    for begin in range(0, len(chosen), LEARN_EVERY):
        moments = chosen[begin : begin + LEARN_EVERY]
        mean = taken / shown
        mean[-1] = 0.0  # of no_action
        spread = np.sqrt(mean * (1 - mean) / (shown + 1))
        chances = np.zeros((len(moments), bank.codes.shape[1]))
        sets, of = np.unique(bank.codes[moments], axis=0, return_inverse=True)
        for one, row in enumerate(sets):
            codes = row[row >= 0]
            worth = Worth(codes, mean[codes], spread[codes], np.ones(len(codes)))
            chances[of == one, : len(codes)] = policy.probabilities(worth)
        there = bank.codes[moments] >= 0
        chances = (1 - FLOOR - SHARE) * chances + SHARE * bank.target[moments]
        chances += FLOOR * there / there.sum(axis=1, keepdims=True)
        upto = np.cumsum(chances, axis=1)
        at = (rng.random((len(moments), 1)) * upto[:, -1:] >= upto).sum(axis=1)
        block = slice(begin, begin + len(moments))
        drawn[block], every[block] = at, chances
        rewards[block] = rng.random(len(moments)) < bank.accepts[moments, at]
        seen = bank.codes[moments, at]
        shown += np.bincount(seen, minlength=len(shown))
        taken += np.bincount(seen, weights=rewards[block], minlength=len(shown))
    return drawn, every, rewards


class _Ridge:
    """A linear model of each action, drawn towards the mean of all."""

    def fit(self, rows: np.ndarray, rewards: np.ndarray) -> _Ridge:
        self._mean = float(rewards.mean())
        codes, x = rows[:, 0].astype(int), rows[:, 1:]
        self._slopes = np.zeros((int(codes.max()) + 2, x.shape[1]))
        for code in np.unique(codes):
            mine = codes == code
            gram = x[mine].T @ x[mine] + 5.0 * np.eye(x.shape[1])
            self._slopes[code] = np.linalg.solve(gram, x[mine].T @ (rewards[mine] - self._mean))
        return self

    def predict(self, rows: np.ndarray) -> np.ndarray:
        codes = np.minimum(rows[:, 0].astype(int), len(self._slopes) - 1)
        predicted: np.ndarray = self._mean + (rows[:, 1:] * self._slopes[codes]).sum(axis=1)
        return predicted
