"""Whether every outcome is learned once, while learners are killed and outcomes come in disorder.

    .venv/bin/python benchmarks/bank/learner.py --json [--outcomes N]

Two learner processes on one private PostgreSQL take turns, and one after the other is killed with
SIGKILL and started again, while outcomes are appended: shuffled, some twice, some after their
window, some decisions expired. Afterwards the same decisions and outcomes, in another order, are
learned by one learner in memory, and the two states are compared number by number.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from msgspec.structs import replace

from benchmarks.bank.learning_bank import BANK, replica_on
from features.fold import Fold
from models.learning.versions import policy_state
from models.residual.sums import ResidualSums
from nba.decisions.decision import Decision
from nba.decisions.request import Request
from nba.events.event import Event
from nba.journey.actions import NO_ACTION
from nba.journey.policies import ContactRules
from nba.stores.log import Log
from nba.stores.memory.log import MemoryLog
from nba.stores.pages import decision_pages, event_pages
from nba.stores.versioned import CHAMPION
from serving.replica.assembly import assemble, close_log, database_url, open_log
from serving.settings import Settings, prepare_environment, read_settings
from serving.workers.background import learner_of
from training.data.history import events_from, history_of
from training.fitting.fit import train
from training.simulation.history import RandomPolicy
from training.simulation.world import World, WorldConfig

SEED = 7
OPEN = replace(  # the bank without its rules: nearly every decision is an action to learn from
    BANK,
    actions=[
        replace(action, eligible=None, applicable=None, suitable=None, purpose=None,
                only_in_sub_journey=False)
        for action in BANK.actions
    ],
    engagement=[],
    sub_journeys=[],
    contact_policy=ContactRules(),
)  # fmt: skip
NAMES = ("Action Shown", "Action Clicked", "Action Accepted", "Action Dismissed")
BLOCK = 250  # customers that are decided together
PIECE = 1_000  # outcomes that are appended together
KILL_EVERY_S = 4.0
PATIENCE_S = 900.0
QUIET_S = 15.0  # without a new version: all is learned
CUSTOMERS = 500
BEGIN = datetime(2026, 7, 1, tzinfo=UTC)  # after the bank that it was trained on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="the figures as JSON on the last line")
    parser.add_argument("--data", help="not used: the load is simulated")
    parser.add_argument("--outcomes", type=int, default=100_000)
    parser.add_argument("--worker", action="store_true", help="be one of the learners")
    given = parser.parse_args()
    if given.worker:
        work()
        return
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), given.outcomes)
    print(f"{figures['outcomes']:,} outcomes ({figures['duplicates']:,} more were sent twice) of "
          f"{figures['decisions']:,} decisions, {figures['kills']} learners killed: relative "
          f"difference {figures['max_relative_difference']:.1e}, {figures['lessons_lost']} "
          f"exposures lost")  # fmt: skip
    if given.json:
        print(json.dumps(figures))
    if not figures["lessons"]:
        raise SystemExit("nothing was learned")
    if figures["max_relative_difference"] > 1e-12 or figures["lessons_lost"]:
        raise SystemExit("the states differ")


def work() -> None:
    """Learn until killed."""
    settings = read_settings()
    replica = assemble(settings, journey=OPEN)
    learner = learner_of(replica, settings)
    while True:
        done = learner.step(page=2_000)
        replica.reload()
        if done is None or done.rests:
            time.sleep(0.1)


def measure(folder: Path, outcomes: int) -> dict[str, float | int]:
    """The race on a private PostgreSQL in this folder."""
    settings = Settings(home=folder)
    prepare_environment(settings)
    with ExitStack() as stack:
        log = open_log(settings)
        stack.callback(close_log, settings, log)
        promote_one(log)
        decisions = decided(log, outcomes // len(NAMES))
        events, twice = outcomes_of(decisions)
        kills, seconds = race(log, settings, events, twice)
        last = learner_of(replica_on(log, OPEN, SEED), settings)  # what no version was worth
        while not (done := last.step()) or not done.rests:
            pass
        state = policy_state(log)
        assert state is not None
        clean = alone(log)
    return {
        "outcomes": len(events),
        "duplicates": len(twice),
        "decisions": len(decisions),
        "kills": kills,
        "lessons": state.head.changes,
        "lessons_per_s": round(state.head.changes / seconds),
        "max_relative_difference": apart(state.sums, clean),
        "lessons_lost": int(abs(state.sums.exposures - clean.exposures)),
    }


def promote_one(log: Log) -> None:
    """A champion, trained on a small bank under a random policy."""
    config = WorldConfig(customers=1_200, days=120.0, seed=SEED)
    history = history_of(Fold(OPEN), events_from(World(config).play(RandomPolicy(SEED))))
    bundle = train(history, seed=SEED).bundle
    if bundle.manifest.missing:
        raise SystemExit(f"the champion is incomplete: {bundle.manifest.missing}")
    log.save_bundle(bundle.bundle_id, bundle.files())
    log.set_alias(CHAMPION, bundle.bundle_id, BEGIN)


def decided(log: Log, wanted: int) -> list[Decision]:
    """So many decisions about customers of whom little is known, an hour after the other."""
    replica = replica_on(log, OPEN, SEED)
    customers = [f"c{number}" for number in range(CUSTOMERS)]
    now, found = BEGIN, []
    while len(found) < wanted:
        now += timedelta(hours=1)
        for first in range(0, len(customers), BLOCK):
            asked = [Request(customer_id=customer) for customer in customers[first : first + BLOCK]]
            found += replica.engine.decider.decide(asked, now, replica.chance)
    return found[:wanted]


def outcomes_of(decisions: Sequence[Decision]) -> tuple[list[Event], list[Event]]:
    """Every outcome in disorder, and those of them that are sent twice."""
    rng = np.random.default_rng(SEED)
    numbers, events = count(), []
    for decision in decisions:
        drawn = decision.action_id != NO_ACTION
        for name in NAMES:
            expired = name == "Action Dismissed" and rng.random() < 0.1
            late = rng.random() < 0.05
            at = decision.decided_at + timedelta(hours=float(rng.uniform(0, 200 if late else 60)))
            events.append(
                Event(
                    event_id=f"o{next(numbers)}",
                    customer_id=decision.request.customer_id,
                    name="Action Expired" if expired and drawn else name,
                    occurred_at=at,
                    received_at=max(at, decision.decided_at + timedelta(days=9)),
                    properties={"decision_id": decision.decision_id},
                )
            )
    order = rng.permutation(len(events))
    shuffled = [events[n] for n in order]
    return shuffled, [one for one in shuffled if rng.random() < 0.2]


def race(
    log: Log, settings: Settings, events: Sequence[Event], twice: Sequence[Event]
) -> tuple[int, float]:
    """Append while learners are killed; gives how many were, and the seconds until all is learned.

    Raises SystemExit where they do not get to the end.
    """
    rng = np.random.default_rng(SEED)
    environ = {**os.environ, **settings.environ(), "NBA_DATABASE_URL": database_url(settings)}
    command = [sys.executable, __file__, "--worker"]
    learners = [subprocess.Popen(command, env=environ) for _ in range(2)]
    started = killed_at = time.monotonic()
    kills, sent, last = 0, 0, 0
    seen, seen_at = 0, started
    again = list(twice)
    try:
        while time.monotonic() - started < PATIENCE_S:
            if sent < len(events):
                piece = list(events[sent : sent + PIECE])
                sent += PIECE
                log.append_events([*piece, *again[: len(piece) // 5]])
                again = again[len(piece) // 5 :]
            else:
                time.sleep(0.2)
            reached = _reached(log)
            if reached > seen:
                seen, seen_at = reached, time.monotonic()
            elif seen and sent >= len(events) and time.monotonic() - seen_at > QUIET_S:
                return kills, seen_at - started
            if seen > last and time.monotonic() - killed_at > KILL_EVERY_S:
                last = seen
                at = int(rng.integers(2))
                learners[at].kill()
                learners[at].wait()
                learners[at] = subprocess.Popen(command, env=environ)
                kills, killed_at = kills + 1, time.monotonic()
    finally:
        for learner in learners:
            learner.kill()
            learner.wait()
    raise SystemExit(f"the learners did not come to rest in {PATIENCE_S} s")


def _reached(log: Log) -> int:
    state = policy_state(log)
    return 0 if state is None else state.head.learned_to.position


def alone(log: Log) -> ResidualSums:
    """What one learner makes of the same decisions and outcomes, in the order of their ids."""
    memory = MemoryLog()
    champion = log.alias(CHAMPION)
    stored = log.bundle(champion) if champion is not None else None
    assert stored is not None
    memory.save_bundle(stored.bundle_id, stored.files)
    memory.set_alias(CHAMPION, stored.bundle_id, BEGIN)
    for page in decision_pages(log):
        for decision in page:  # one call takes one decision of a customer
            memory.append_decisions([decision])
    outcomes = [
        event for page in event_pages(log) for event in page if event.name != "Action Decided"
    ]
    memory.append_events(sorted(outcomes, key=lambda one: one.event_id))
    learner = learner_of(replica_on(memory, OPEN, SEED), Settings())
    while not (done := learner.step()) or not done.rests:
        pass
    state = policy_state(memory)
    assert state is not None
    return state.sums


def apart(one: ResidualSums, other: ResidualSums) -> float:
    """The largest difference, relative to the largest number of its kind."""
    pairs = [(one.precision, other.precision), (one.moment, other.moment)]
    return float(max(np.abs(a - b).max() / np.abs(b).max() for a, b in pairs))


if __name__ == "__main__":
    main()
