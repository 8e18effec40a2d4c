"""What another journey file would have been worth, from what came of logged decisions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from features.fold import Fold
from models.policies.uniform import Random
from nba.decisions.decision import Mode
from nba.decisions.request import Request
from nba.engine.scorer import CalibratedScorer
from nba.journey.actions import NO_ACTION
from nba.journey.file import JourneyFile
from nba.journey.policies import ContactRules, EngagementRule
from nba.measurement.off_policy.evaluation import BY_MODEL, PolicyGain
from nba.measurement.off_policy.logged_decisions import OverlapRequirements
from nba.measurement.statistics.estimate import Undecided
from nba.promotion import catalogue_versions as catalogue
from serving.cli import app
from tests.fixtures.files import SMALL_JOURNEY
from tests.fixtures.small_replica import JOURNEY, SmallReplica, StubScorer, changed
from training.gates.whatif import Redecided, WhatIf, what_if
from training.rehearsal.redecisions import redecide, span_of
from training.rehearsal.side import RehearsalSide

SCORES = (0.5, 0.2, 0.3, 0.1, 0.0)
OPEN = changed(
    actions=[replace(action, eligible=None) for action in JOURNEY.actions],
    contact_policy=ContactRules(),
    levers=[],
)
BAN = EngagementRule(
    id="no_loans", layer="suitability", when="complaint.total > 5", actions=["loan_offer"]
)
BANNED = changed(OPEN, engagement=[BAN])
LOAN_EUR, CALL_EUR = 1.0, 3.0  # what a response brings; half of them respond


def logged(journey: JourneyFile, customers: int = 3_000) -> SmallReplica:
    """Decisions drawn by chance on this file."""
    replica = SmallReplica(journey, scorer=StubScorer(SCORES), policy=Random())
    catalogue.keep(replica.log, journey)
    replica.decide(*(Request(customer_id=f"c{k}") for k in range(customers)))
    return replica


def rewards_of(replica: SmallReplica) -> dict[str, float]:
    rng = np.random.default_rng(4)
    worth = {"loan_offer": LOAN_EUR, "agent_callback": CALL_EUR}
    return {
        one.decision_id: worth.get(one.action_id, 0.0) * float(rng.random() < 0.5)
        for _, one in replica.log.page_decisions(0, 10_000)
    }


def asked(
    replica: SmallReplica,
    old: JourneyFile,
    new: JourneyFile,
    rewards: Mapping[str, float] | None = None,
    **more: Any,
) -> WhatIf:
    sides = [
        RehearsalSide(Fold(one), CalibratedScorer(StubScorer(SCORES)), replica.log)
        for one in (old, new)
    ]
    span = span_of(replica.log, 1.0)
    assert span is not None
    seen = [
        Redecided(decision, before.chances, after.chances)
        for block in redecide(replica.log, sides[0], sides[1], span)
        for decision, before, after in zip(block.decisions, block.old, block.new, strict=True)
    ]
    return what_if(seen, rewards_of(replica) if rewards is None else rewards, **more)


def test_a_rule_that_takes_an_action_away_is_worth_what_comes_in_its_place() -> None:
    found = asked(logged(OPEN), OPEN, BANNED)
    assert (found.decisions, found.customers, found.without_reward) == (3_000, 3_000, 0)
    assert found.moved == pytest.approx(3_000 * 0.92)
    assert found.unsupported == 0.0
    assert isinstance(found.gain, PolicyGain)
    # the loan had .92, the call .02; without it the call has .925
    truth = 0.905 * CALL_EUR / 2 - 0.92 * LOAN_EUR / 2
    assert found.gain.dr.low < truth < found.gain.dr.high
    assert 0.0 < found.gain.low_always < found.gain.low
    assert found.gain.agree
    figure, _, words = found.by_model.reason.partition(" EUR per decision ")
    assert float(figure) == pytest.approx(truth, abs=0.3) and words == BY_MODEL


def test_what_a_looser_file_would_offer_is_undecided_and_the_model_stands_apart() -> None:
    found = asked(logged(BANNED), BANNED, OPEN)
    assert found.unsupported == pytest.approx(1.0)
    assert isinstance(found.gain, Undecided)
    assert "100.0% of what the change moves" in found.gain.reason
    assert "lifted_share" in found.gain.reason
    assert BY_MODEL in found.by_model.reason


def test_a_change_that_moves_nobody_is_worth_nothing_to_speak_of() -> None:
    found = asked(logged(OPEN, 50), OPEN, OPEN)
    assert found.moved == 0.0
    assert (
        found.gain
        == found.by_model
        == Undecided(reason="both versions draw alike on every decision")
    )


def test_decisions_without_a_complete_reward_are_left_out_and_counted() -> None:
    replica = logged(OPEN, 400)
    every = rewards_of(replica)
    some = dict(list(every.items())[:300])
    found = asked(
        replica, OPEN, BANNED, some, requirements=OverlapRequirements(ess=20.0, positives=5.0)
    )
    assert (found.decisions, found.without_reward) == (300, 100)
    assert isinstance(found.gain, PolicyGain)
    nothing = asked(replica, OPEN, BANNED, {})
    assert nothing.gain == Undecided(reason="no live decision has a complete reward")


def test_thin_evidence_is_undecided() -> None:
    found = asked(logged(OPEN, 200), OPEN, BANNED)
    assert isinstance(found.gain, Undecided) and "effective sample size" in found.gain.reason


def test_the_fallback_is_no_choice_and_is_not_counted() -> None:
    replica = SmallReplica(OPEN)
    catalogue.keep(replica.log, OPEN)
    replica.decide(*(Request(customer_id=f"c{k}") for k in range(20)))
    modes = {one.mode for _, one in replica.log.page_decisions(0, 100)}
    assert modes == {Mode.FALLBACK}
    found = asked(replica, OPEN, BANNED)
    assert (found.decisions, found.without_reward) == (0, 0)


def test_the_command_says_what_is_missing(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NBA_DATABASE_URL", postgres_url)
    monkeypatch.setenv("NBA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NBA_JOURNEY", str(SMALL_JOURNEY))
    other = tmp_path / "other.yaml"
    other.write_text(SMALL_JOURNEY.read_text().replace("times: 3, days: 7", "times: 2, days: 7"))
    result = CliRunner().invoke(app, ["whatif", str(other), "--json"])
    assert result.exit_code == 0, (result.output, result.exception)
    assert "nba promote" in json.loads(result.stdout)["undecided"]


def test_an_action_of_chance_zero_counts_as_one_that_could_not_be_drawn() -> None:
    replica = logged(OPEN, 100)
    (_, one), *_ = replica.log.page_decisions(0, 1)
    closed = replace(
        one, candidates=tuple(replace(c, propensity=0.0) if c.action_id == "agent_callback" else c
                              for c in one.candidates)
    )  # fmt: skip
    moved = Redecided(closed, {NO_ACTION: 1.0}, {"agent_callback": 0.4, "loan_offer": 0.6})
    assert what_if([moved], {one.decision_id: 1.0}).unsupported == pytest.approx(0.4)
