"""Playing policies in simulated worlds: histories on disk, values in money, a customer for a demo.

A written history holds what the bank's systems received, in the order in which they did: some
events twice, some late, as it is in life.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from training.simulation.clock import iso
from training.simulation.world import (
    NO_ACTION,
    ContactOpportunity,
    EventJson,
    SimulatedChoice,
    SimulatedPolicy,
    World,
    WorldConfig,
)

PROGRESS_EVERY = 2_000  # events


class NeverAct:
    """The policy that leaves everybody in peace."""

    def observe(self, events: Sequence[EventJson]) -> None:
        """Nothing is learned."""

    def choose(self, opportunity: ContactOpportunity) -> SimulatedChoice:
        """No action, always."""
        return SimulatedChoice(NO_ACTION, 1.0, _decision_id(opportunity, 0))


class RandomPolicy:
    """Uniform over what is offered and no_action; the draw depends on the moment alone."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed

    def observe(self, events: Sequence[EventJson]) -> None:
        """Nothing is learned."""

    def choose(self, opportunity: ContactOpportunity) -> SimulatedChoice:
        """An action with its exact propensity."""
        decision_id = _decision_id(opportunity, self._seed)
        candidates = (*opportunity.offered, NO_ACTION)
        drawn = candidates[int(_uniform(decision_id) * len(candidates))]
        return SimulatedChoice(drawn, 1.0 / len(candidates), decision_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistorySummary:
    """What a written history holds."""

    path: Path
    customers: int
    lines: int  # duplicates among them
    duplicates: int
    late: int
    closed: int  # customers who left
    names: tuple[tuple[str, int], ...]  # event name and count without duplicates, by count
    value_eur: float  # total


def write_history(
    config: WorldConfig,
    path: Path,
    progress: Callable[[int], None] | None = None,
    policy: SimulatedPolicy | None = None,
) -> HistorySummary:
    """Play the world (by default under a random policy) and write its events as JSON lines.

    The lines are sorted by `received_at`. `progress` is called with the number of events so far.
    """
    world = World(config)
    events: list[EventJson] = []
    for event in world.play(policy or RandomPolicy(config.seed)):
        events.append(event)
        if progress is not None and len(events) % PROGRESS_EVERY == 0:
            progress(len(events))
    names = Counter(str(event["name"]) for event in events)
    delivered = sorted(as_delivered(events, config), key=_received)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(event, separators=(",", ":")) + "\n" for event in delivered)
    if progress is not None:
        progress(len(events))
    return HistorySummary(
        path=path,
        customers=config.customers,
        lines=len(delivered),
        duplicates=len(delivered) - len(events),
        late=sum(_lateness(event, config) > timedelta() for event in events),
        closed=len(world.closed),
        names=tuple(names.most_common()),
        value_eur=sum(world.value_eur.values()),
    )


def as_delivered(events: Iterable[EventJson], config: WorldConfig) -> Iterator[EventJson]:
    """The events as they reach the log: a share late by hours, a share sent twice.

    `Action Decided` is the log's own and arrives once, at once. Not sorted.
    """
    for event in events:
        delay = _lateness(event, config)
        if delay:
            received_at = datetime.fromisoformat(event["received_at"]) + delay
            event = {**event, "received_at": iso(received_at)}
        yield event
        retry = _uniform("retry:" + event["event_id"])
        if _may_be_dirty(event, config) and retry < config.duplicate_share:
            again = datetime.fromisoformat(event["received_at"]) + timedelta(
                seconds=5 + 2e4 * retry
            )
            yield {**event, "received_at": iso(again)}


@dataclass(frozen=True, slots=True)
class SimulatedPolicyValue:
    """What a policy is worth per customer over the horizon, against doing nothing, in EUR."""

    mean_eur: float
    stderr_eur: float  # Monte Carlo: of the mean over these customers, paired
    worlds_eur: tuple[float, ...]  # the mean in each world, in the order of the seeds


def policy_value(
    config: WorldConfig, policy_factory: Callable[[int], SimulatedPolicy], seeds: Sequence[int]
) -> SimulatedPolicyValue:
    """The policy's worth in the worlds of these seeds, under common random numbers.

    `policy_factory` makes a fresh policy for each seed. Raises ValueError without a seed.
    """
    if not seeds:
        raise ValueError("policy_value needs at least one seed")
    gains = []
    for seed in seeds:
        world_config = replace(config, seed=seed)
        played = customer_values_eur(world_config, policy_factory(seed))
        gains.append(played - customer_values_eur(world_config, NeverAct()))
    pooled = np.concatenate(gains)
    spread = float(pooled.std(ddof=1)) if pooled.size > 1 else float("nan")
    return SimulatedPolicyValue(
        mean_eur=float(pooled.mean()),
        stderr_eur=spread / float(np.sqrt(pooled.size)),
        worlds_eur=tuple(float(gain.mean()) for gain in gains),
    )


def customer_values_eur(
    config: WorldConfig, policy: SimulatedPolicy
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Each customer's value under the policy, shape (customers,), in the order of their ids."""
    world = World(config)
    for _ in world.play(policy, log_decisions=False):
        pass
    return np.array([world.value_eur[key] for key in sorted(world.value_eur)])


def frustrated_customer(
    customer_id: str, start: datetime, searches: int = 3, seconds_between: float = 40.0
) -> list[EventJson]:
    """A script for a live demo: somebody whose searches keep failing, and who clicks in rage.

    `identify` at `start` (UTC), then two to four empty searches, then a rage click. Raises
    ValueError for another number of searches.
    """
    if not 2 <= searches <= 4:
        raise ValueError(f"searches {searches} must be 2, 3 or 4")
    queries = ("joint account for minors", "open account child", "account for my son", "kids bank")
    traits = {"segment": "affluent", "age": 41, "tenure_months": 74}
    money = {"monthly_income_eur": 5200.0, "has_mortgage": False}
    steps: list[tuple[str, dict[str, object]]] = [("identify", {**traits, **money})]
    for query in queries[:searches]:
        search: dict[str, object] = {"channel": "web", "query": query, "results_count": 0}
        steps.append(("Products Searched", search))
    steps.append(("Rage Click", {"channel": "web", "page": "web_search"}))
    events = []
    for number, (name, properties) in enumerate(steps):
        at = iso(start.astimezone(UTC) + timedelta(seconds=number * seconds_between))
        event = {"event_id": f"{customer_id}-{at}-{number}", "customer_id": customer_id}
        times = {"occurred_at": at, "received_at": at}
        events.append({**event, "name": name, **times, "properties": properties})
    return events


def _decision_id(opportunity: ContactOpportunity, seed: int) -> str:
    content = f"{seed}|{opportunity.customer_id}|{iso(opportunity.at)}|{opportunity.placement}"
    return hashlib.blake2b(content.encode(), digest_size=12).hexdigest()


def _uniform(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    digest = hashlib.blake2b(text.encode(), digest_size=8, person=b"uniform").digest()
    return int.from_bytes(digest) / 2.0**64


def _received(event: EventJson) -> str:
    return str(event["received_at"])


def _may_be_dirty(event: EventJson, config: WorldConfig) -> bool:
    return config.dirty and event["name"] != "Action Decided"


def _lateness(event: EventJson, config: WorldConfig) -> timedelta:
    draw = _uniform("late:" + event["event_id"])
    if not _may_be_dirty(event, config) or draw >= config.late_share:
        return timedelta()
    return timedelta(hours=1.0 + 23.0 * draw / config.late_share)
