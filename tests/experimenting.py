"""A house with an experiment, customers who are decided in it, and what they do afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import numpy as np

from nba.decisions.decision import Decision
from nba.decisions.request import Request
from nba.engine.scorer import CalibratedScorer
from nba.experiments.experiment import (
    ArmSpec,
    Experiment,
    GuardrailSpec,
    PrimarySpec,
    Slot,
    Started,
)
from nba.experiments.report import ExperimentReport
from nba.promotion.catalogue_versions import keep
from nba.stores.log import Log
from serving.replica.arms import ExperimentArms, arms_of
from serving.reports.experiment_reading import reported
from tests.house import NOON, SmallHouse, StubScorer, event
from tests.open_house import OPEN, SCORES

PRIMARY = PrimarySpec(
    id="buyers", measure="any", events=["purchase"], window_days=7.0, least_effect=0.05
)
COMPLAINTS = GuardrailSpec(
    id="complaints",
    measure="any",
    events=["complaint"],
    window_days=7.0,
    direction="lower",
    margin=0.05,
)


def an_experiment(id: str = "colour", **fields: Any) -> Experiment:
    given = {
        "hypothesis": "B sells more",
        "arms": [ArmSpec("a", 0.5), ArmSpec("b", 0.5)],
        "primary": PRIMARY,
        "guardrails": [COMPLAINTS],
        "customers": 1_000,
    } | fields
    return Experiment(version=1, id=id, **given)


def in_force(experiment: Experiment, log: Log, **fields: Any) -> Started:
    """As if it had been started at noon, with the whole of its layer."""
    given = {
        "slots": (Slot(0.0, 1.0),),
        "started_at": NOON,
        "tuning_n": experiment.customers or 5_000,
        "by": "ada",
        "why": "to know",
        "catalogue_version": keep(log, OPEN),
    } | fields
    return Started(experiment=experiment, **given)


def judge_of(bundle_id: str) -> CalibratedScorer:
    """A bundle that likes what others like least."""
    scorer = StubScorer([*reversed(SCORES[:-1]), 0.0])
    scorer.bundle_id = bundle_id
    return CalibratedScorer(scorer)


def arms_in(house: SmallHouse, *started: Started) -> ExperimentArms:
    """Let the house decide by these experiments."""
    pipeline = house.decider.pipeline
    arms = arms_of(started, pipeline.strategy, house.journey, judge_of)
    pipeline.arms = arms
    return arms


def asked(house: SmallHouse, customers: Sequence[str], hours_apart: float = 0.2) -> list[Decision]:
    """Each customer is decided once, one after the other."""
    found = []
    for n in range(0, len(customers), 50):
        requests = [Request(customer_id=one) for one in customers[n : n + 50]]
        found += house.decide(*requests, later=timedelta(hours=n * hours_apart))
    return found


def lived(
    log: Log,
    decisions: Sequence[Decision],
    buys: Callable[[Decision], float],
    seed: int,
    *,
    before: bool = False,
) -> None:
    """Each customer buys with her probability within two days, and time goes by after all."""
    rng = np.random.default_rng(seed)
    events = []
    for one in decisions:
        likes = rng.random()
        if before and likes < 0.5:
            at = one.decided_at - timedelta(days=3)
            events.append(event("Order Completed", at, customer_id=one.request.customer_id))
        p = buys(one) + (0.2 if before and likes < 0.5 else 0.0)
        if rng.random() < p:
            at = one.decided_at + timedelta(hours=float(rng.uniform(1.0, 48.0)))
            events.append(event("Order Completed", at, customer_id=one.request.customer_id))
    last = max(one.decided_at for one in decisions) + timedelta(days=20)
    log.append_events([*events, event("page", last, customer_id="somebody else")])


def report(log: Log, started: Started) -> ExperimentReport:
    return reported(log, started, lambda n: None)


def in_arm(decision: Decision, arm: str) -> bool:
    return any(label.endswith(f".{arm}") for label in decision.arms)


def names(n: int, prefix: str = "c") -> list[str]:
    return [f"{prefix}{k}" for k in range(n)]
