"""Who decides in the telecom: our service from a cold start, a plain LinUCB, VW, and bounds."""

from __future__ import annotations

import json
import subprocess
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bandits.bandits import PEERS_PYTHON
from benchmarks.telecom.telecom import BEGIN, NO_ACTION, OFFERS, Subscriber, Visit
from features.fold import Fold
from nba.decisions.request import Request
from nba.events.event import Event
from nba.events.parsing import parse_event
from nba.journey_file.loader import load_journey
from nba.stores.memory.log import MemoryLog
from nba.stores.versioned import CHAMPION
from serving.replica.assembly import assemble, seeds
from serving.settings import Settings
from serving.workers.background import learner_of
from training.data.history import read_history
from training.fitting.fit import train

JOURNEY = load_journey(Path(__file__).with_name("journey.yaml"))
ACTIONS = (*OFFERS, NO_ACTION)
WINDOW_DAYS = 7.0  # after which a peer takes silence for a no
KEPT_EUR = {"fix_call": 24.0, "price_cut": 16.0, "tips": 2.0}  # as declared: what keeping is worth
LEARN_EVERY, FIRST_TRAINING = 50, 500  # decisions


class Service:
    """The service's own parts on a log in memory, by default settings and from an empty log.

    It learns as it goes on, and trains a bundle whenever its decisions have doubled.
    """

    def __init__(self, seed: int) -> None:
        numbers, self._now = count(), BEGIN
        self.log = MemoryLog()
        self._seed, self._events, self._decisions = seed, count(), 0
        self._replica = assemble(
            Settings(),
            log=self.log,
            journey=JOURNEY,
            now=lambda: self._now,
            new_id=lambda: f"t{next(numbers)}",
            seed_for=seeds(seed),
        )
        self._learner = learner_of(self._replica, Settings(policy_versions=2))
        self._next = FIRST_TRAINING
        self._drawn: dict[int, str] = {}
        self.trained: list[str] = []

    def observe(self, events: list[dict[str, Any]]) -> None:
        made = [{**one, "event_id": f"e{next(self._events)}"} for one in events]
        parsed = [parse_event(one, datetime.fromisoformat(one["occurred_at"]), trusted=True)
                  for one in made]  # fmt: skip
        if parsed:
            self._now = max(self._now, parsed[-1].occurred_at)
            self.log.append_events(parsed)

    def choose(self, visit: Visit, truth: Subscriber, day: float) -> str:
        self._now = visit.at + timedelta(seconds=1)
        replica = self._replica
        request = Request(customer_id=visit.customer_id, channel="app", placement="app_home")
        (decision,) = replica.engine.decider.decide([request], self._now, replica.chance)
        self._drawn[visit.number] = decision.decision_id
        self._decisions += 1
        if self._decisions % LEARN_EVERY == 0:
            self._learner.step()
            replica.reload()
        if self._decisions >= self._next:
            self._next *= 2
            self._train()
        return decision.action_id

    def answered(self, visit: Visit, at: datetime) -> None:
        self._now = max(self._now, at)
        self.log.append_events(
            [
                Event(
                    event_id=f"a{visit.number}",
                    customer_id=visit.customer_id,
                    name="Action Accepted",
                    occurred_at=at,
                    received_at=self._now,
                    properties={"decision_id": self._drawn[visit.number]},
                )
            ]
        )

    def _train(self) -> None:
        bundle = train(read_history(Fold(JOURNEY), self.log), seed=self._seed).bundle
        self.trained.append(f"{self._decisions}: {dict(bundle.manifest.missing) or 'both'}")
        if bundle.touchpoint is None:
            return
        self.log.save_bundle(bundle.bundle_id, bundle.files())
        self.log.set_alias(CHAMPION, bundle.bundle_id, self._now)
        self._replica.reload()
        self._learner.step()
        self._replica.reload()


class Features:
    """What a plain bandit is told of a subscriber: counts of the last days, and traits."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[tuple[datetime, str]]] = {}
        self._traits: dict[str, list[float]] = {}

    def add(self, events: list[dict[str, Any]]) -> None:
        for one in events:
            customer, at = one["customer_id"], datetime.fromisoformat(one["occurred_at"])
            if one["name"] == "identify":
                of = one["properties"]
                household, months = float(of["household"] >= 3), of["months_at_start"] / 24
                heavy, asked = of["data_gb"] / 20, of["tariff_calls"] / 4
                self._traits[customer] = [household, months, heavy, asked]
            else:
                self._seen.setdefault(customer, deque()).append((at, one["name"]))

    def contact(self, visit: Visit) -> None:
        self._seen.setdefault(visit.customer_id, deque()).append((visit.at, "contact"))

    def of(self, visit: Visit) -> np.ndarray:
        seen = self._seen.get(visit.customer_id, deque())
        while seen and visit.at - seen[0][0] > timedelta(days=60):
            seen.popleft()
        week = visit.at - timedelta(days=7)

        def counted(name: str, *, since: datetime | None = None) -> float:
            return float(sum(each == name and (since is None or at > since) for at, each in seen))

        def last(name: str) -> float:
            return max((at.timestamp() for at, each in seen if each == name), default=0.0)

        return np.array(
            [
                1.0,
                float(last("Complaint Filed") > last("Case Closed")),
                counted("Call Dropped", since=week) / 3,
                float(last("Limit Reached") > last("Limit Reset")),
                min(counted("Price Compared"), 2.0) / 2,
                min(counted("contact", since=week), 5.0) / 3,
                *self._traits[visit.customer_id],
            ]
        )


class Bandit:
    """A bandit on `Features`: told an acceptance when it is heard, a refusal after WINDOW_DAYS."""

    def __init__(self, pick: Callable[[np.ndarray], int], learn: Callable[..., None]) -> None:
        self._pick, self._learn = pick, learn
        self._features = Features()
        self._open: dict[int, tuple[datetime, np.ndarray, int]] = {}

    def observe(self, events: list[dict[str, Any]]) -> None:
        self._features.add(events)

    def choose(self, visit: Visit, truth: Subscriber, day: float) -> str:
        late = visit.at - timedelta(days=WINDOW_DAYS)
        for number in [n for n, (at, _, _) in self._open.items() if at < late]:
            self._told(number, accepted=False)
        x = self._features.of(visit)
        arm = self._pick(x)
        self._open[visit.number] = (visit.at, x, arm)
        if ACTIONS[arm] != NO_ACTION:
            self._features.contact(visit)
        return ACTIONS[arm]

    def answered(self, visit: Visit, at: datetime) -> None:
        if visit.number in self._open:
            self._told(visit.number, accepted=True)

    def _told(self, number: int, *, accepted: bool) -> None:
        _, x, arm = self._open.pop(number)
        reward = 0.0
        if ACTIONS[arm] != NO_ACTION:
            offer = OFFERS[ACTIONS[arm]]
            worth = offer.value_eur + KEPT_EUR.get(ACTIONS[arm], 0.0)
            reward = accepted * worth - offer.cost_eur
        self._learn(x, arm, reward)


def linucb(seed: int, alpha: float = 1.0) -> Bandit:
    """Li et al., A contextual-bandit approach to personalized news article recommendation, 2010."""
    d = 10
    a, b = np.tile(np.eye(d), (len(ACTIONS), 1, 1)), np.zeros((len(ACTIONS), d))

    def pick(x: np.ndarray) -> int:
        inverse = np.linalg.inv(a)
        mean = np.einsum("kij,kj,i->k", inverse, b, x)
        width = alpha * np.sqrt(np.einsum("i,kij,j->k", x, inverse, x))
        return int(np.argmax(mean + width))

    def learn(x: np.ndarray, arm: int, reward: float) -> None:
        a[arm] += np.outer(x, x)
        b[arm] += reward * x

    return Bandit(pick, learn)


def vw(seed: int) -> tuple[Bandit, subprocess.Popen[str]]:
    """Vowpal Wabbit's SquareCB in an environment of its own (`make peers`)."""
    script = str(Path(__file__).with_name("vw_worker.py"))
    worker = subprocess.Popen(
        [str(PEERS_PYTHON), script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    rng = np.random.default_rng(seed)
    drawn: dict[bytes, float] = {}

    def ask(**message: Any) -> Any:
        assert worker.stdin is not None and worker.stdout is not None
        worker.stdin.write(json.dumps(message) + "\n")
        worker.stdin.flush()
        return json.loads(worker.stdout.readline())

    def pick(x: np.ndarray) -> int:
        chances = np.array(ask(x=x.tolist(), arms=len(ACTIONS)))
        arm = int(rng.choice(len(ACTIONS), p=chances / chances.sum()))
        drawn[x.tobytes() + bytes([arm])] = float(chances[arm])
        return arm

    def learn(x: np.ndarray, arm: int, reward: float) -> None:
        p = drawn.get(x.tobytes() + bytes([arm]), 1.0)
        ask(x=x.tolist(), arms=len(ACTIONS), arm=arm, cost=-reward / 30, p=p)

    return Bandit(pick, learn), worker


class Known:
    """Looks at the truth, or at nothing: the oracle, one action for all, or any of them."""

    def __init__(self, pick: Callable[[Subscriber, float], str]) -> None:
        self._pick = pick

    def observe(self, events: list[dict[str, Any]]) -> None:
        """Nothing is learned."""

    def choose(self, visit: Visit, truth: Subscriber, day: float) -> str:
        return self._pick(truth, day)

    def answered(self, visit: Visit, at: datetime) -> None:
        """Nothing is learned."""


def oracle() -> Known:
    """The best action of each visit by its true gain."""
    return Known(lambda one, day: max(ACTIONS, key=lambda action: one.gain_eur(action, day)))


def uniform(seed: int) -> Known:
    """Any action, or none, with equal probability."""
    rng = np.random.default_rng(seed)
    return Known(lambda one, day: str(rng.choice(ACTIONS)))
