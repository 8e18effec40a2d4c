"""The data gate: what it says of weeks, audits and shares."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from nba.analytics.monitoring.outcome_join import OutcomeJoin, outcome_join
from nba.experiments.experiment import ArmSpec, Experiment, PrimarySpec, Started
from nba.measurement.off_policy.propensity_audit import PropensityAudit
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.sample_ratio import Mismatch, anytime_mismatch
from nba.stores.memory.log import MemoryLog
from tests.fixtures.open_replica import OPEN
from tests.fixtures.small_replica import NOON, SmallReplica, event
from training.data.history import read_history
from training.gates.data_gate import DataFacts, data_gate, mismatches_of

GREEN = PropensityAudit(n=5_000, p=0.4, mean_weight=1.0, weight_error=0.01, actions=())


def week(joined: int, seed: int = 9, decisions: int = 400) -> OutcomeJoin:
    """A week in which every decision is of a customer of its own."""
    hashes = np.random.default_rng(seed).integers(0, 2**63, decisions, dtype=np.uint64)
    return outcome_join(hashes, np.arange(decisions) < joined)


WEEKS = [week(40, seed) for seed in range(6)]


def facts(**changed: object) -> DataFacts:
    return DataFacts(5_000, 0, WEEKS, GREEN, {})._replace(**changed)


def test_data_that_is_as_ever_passes() -> None:
    gate = data_gate(facts())
    assert gate.status == "passed" and gate.numbers["join_rate"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"immature": 3}, "before their window was over"),
        ({"weeks": [*WEEKS[:5], week(10)]}, "2.50% of last week's"),
        ({"audited": "probabilities: a row"}, "cannot be true"),
        ({"audited": replace(GREEN, p=1e-6)}, "not drawn as often as was logged"),
        ({"mismatches": {"experiment e": Mismatch(p=1e-6, n=900, anytime=True)}}, "experiment e"),
    ],
)
def test_data_that_is_not_to_be_learned_from_fails(changed: dict[str, object], said: str) -> None:
    gate = data_gate(facts(**changed))
    assert gate.status == "failed" and said in gate.reason


def test_what_nobody_can_say_of_the_data_is_undecided() -> None:
    few = data_gate(facts(rows=999))
    assert few.status == "undecided" and few.reason.startswith("999 decisions with a reward, 1000")
    assert data_gate(facts(weeks=WEEKS[:4])).status == "undecided"
    assert data_gate(facts(audited=Undecided(reason="12 decisions"))).status == "undecided"


def test_a_clean_week_seldom_alarms() -> None:
    rng = np.random.default_rng(2)
    alarms = 0
    for _ in range(300):
        weeks = [week(int(n), seed) for seed, n in enumerate(rng.binomial(400, 0.1, 13))]
        alarms += data_gate(facts(weeks=weeks)).status == "failed"
    assert alarms <= 10


def test_arms_that_do_not_have_their_shares_are_seen() -> None:
    primary = PrimarySpec(id="p", measure="reward", least_effect=1.0)
    arms = [ArmSpec(id="a", share=0.5), ArmSpec(id="b", share=0.5)]
    spec = Experiment(version=1, id="e", hypothesis="h", arms=arms, primary=primary)
    started = Started(
        experiment=spec, slots=(), started_at=NOON, tuning_n=5_000, by="", why="",
        catalogue_version="",
    )  # fmt: skip
    log = MemoryLog()
    log.append_events(
        [
            event(
                "Action Decided", NOON, {"arms": ["e.a" if n < 700 else "e.b"]}, customer_id=f"c{n}"
            )
            for n in range(1_000)
        ]
    )
    replica = SmallReplica(OPEN, log=log)
    found = mismatches_of(read_history(replica.fold, log), [started])
    assert found == {"experiment e": anytime_mismatch([700, 300], [0.5, 0.5], ["e.a", "e.b"])}
    assert data_gate(facts(mismatches=found)).status == "failed"
