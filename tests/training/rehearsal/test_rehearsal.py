"""Two versions of the journey file: what differs, and who would have got what."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from features.fold import Fold
from models.learning.versions import put_in_force
from models.residual.features import fit_spec
from models.residual.posterior import ResidualPrior
from models.residual.sums import ResidualSums
from models.residual.version import PolicyHead, PolicyState
from nba.decisions.request import Request
from nba.engine.scorer import CalibratedScorer
from nba.journey.actions import NO_ACTION
from nba.journey.arbitration import Lever
from nba.journey.file import JourneyFile
from nba.journey.mapping import Trait
from nba.journey.policies import Cap, Capacity, ContactRules, EngagementRule
from nba.journey.sub_journeys import Step, SubJourney
from nba.journey_file.diff import PartChange, diff
from nba.measurement.statistics.estimate import Undecided
from nba.promotion import catalogue_versions as catalogue
from nba.rewards.changes import LogPosition
from nba.rewards.terms import reward_version
from nba.stores.memory.log import MemoryLog
from nba.stores.versioned import CHAMPION
from serving.cli.owners.rehearsal_tables import changes_json, rehearsal_json
from tests.fixtures.small_replica import JOURNEY, NOON, SmallReplica, StubScorer, changed, event
from tests.models.bundles.test_bundle import made
from training.rehearsal.redecisions import both_sides, span_of
from training.rehearsal.rehearsal import Rehearsal, coupled, rehearse, rehearse_on
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


def change(part: str, name: str, kind: str, field: str = "", old: Any = None, new: Any = None):  # type: ignore[no-untyped-def]
    return PartChange(part=part, id=name, change=kind, field=field, old=old, new=new)  # type: ignore[arg-type]


# What differs


def test_equal_versions_do_not_differ() -> None:
    assert diff(JOURNEY, JOURNEY) == []


def test_every_part_is_told_by_its_id_and_its_fields() -> None:
    actions = [
        replace(JOURNEY.actions[0], value_eur=7.0, eligible=None),
        *JOURNEY.actions[2:],
        replace(JOURNEY.actions[1], id="new_card", also_at=[]),
    ]
    new = changed(
        actions=actions,
        engagement=[BAN],
        contact_policy=ContactRules(caps=[Cap(id="three_a_week", times=5, days=7, per="action")]),
        levers=[],
        traits={**JOURNEY.traits, "age": Trait(type="number")},
        no_action_value_eur=0.3,
        exploration=replace(JOURNEY.exploration, epsilon=0.2),
    )
    found = diff(JOURNEY, new)
    assert change("actions", "help_popup", "changed", "value_eur", 5.0, 7.0) in found
    old_rule = JOURNEY.actions[0].eligible
    assert change("actions", "help_popup", "changed", "eligible", old_rule, None) in found
    assert change("contact_policy.caps", "three_a_week", "changed", "times", 3, 5) in found
    assert change("exploration", "", "changed", "epsilon", 0.1, 0.2) in found
    assert change("", "", "changed", "no_action_value_eur", 0.1, 0.3) in found
    assert change("traits", "age", "added", new={"type": "number"}) in found
    kinds = {(one.part, one.id): one.change for one in found}
    assert kinds["actions", "card_offer"] == "removed" and kinds["actions", "new_card"] == "added"
    assert kinds["levers", "call_more"] == "removed" and kinds["engagement", "no_loans"] == "added"
    (added,) = [one for one in found if one.id == "no_loans"]
    assert added.new == {
        "id": "no_loans", "layer": "suitability", "when": "complaint.total > 5",
        "actions": ["loan_offer"],
    }  # fmt: skip
    assert changes_json(found)[0]["part"]


def test_a_change_inside_a_part_has_its_path() -> None:
    one = SubJourney(id="care", enter="complaint.total > 1", steps=[Step(id="call"), Step(id="x")])
    other = replace(one, steps=[Step(id="x"), Step(id="call", wait_hours=2.0), Step(id="mail")])
    found = diff(changed(sub_journeys=[one]), changed(sub_journeys=[other]))
    assert {(c.field, str(c.old), str(c.new)) for c in found} == {
        ("steps.order", "['call', 'x']", "['x', 'call']"),
        ("steps.call.wait_hours", "0.0", "2.0"),
        ("steps.mail", "None", "{'id': 'mail'}"),
    }


def test_the_order_of_parts_is_a_difference() -> None:
    (found,) = diff(JOURNEY, changed(events=[*JOURNEY.events[1:], JOURNEY.events[0]]))
    assert (found.part, found.field) == ("events", "order")
    back = changed(traits=dict(reversed(JOURNEY.traits.items())))
    assert [(one.part, one.field) for one in diff(JOURNEY, back)] == [("traits", "order")]


# Who gets what


shares = st.dictionaries(st.sampled_from("abcde"), st.floats(0.01, 1), min_size=1).map(
    lambda p: {name: value / sum(p.values()) for name, value in p.items()}
)


@given(shares, shares)
def test_the_joint_draws_have_both_margins_and_change_as_little_as_can_be(
    old: dict[str, float], new: dict[str, float]
) -> None:
    joint = coupled(old, new)
    for name in {*old, *new}:
        assert sum(p for (a, _), p in joint.items() if a == name) == pytest.approx(old.get(name, 0))
        assert sum(p for (_, b), p in joint.items() if b == name) == pytest.approx(new.get(name, 0))
    moved = sum(p for (a, b), p in joint.items() if a != b)
    distance = 0.5 * sum(abs(old.get(n, 0) - new.get(n, 0)) for n in {*old, *new})
    assert moved == pytest.approx(distance, abs=1e-9)


def side(journey: JourneyFile, log: Any, scores: tuple[float, ...] = SCORES) -> RehearsalSide:
    return RehearsalSide(Fold(journey), CalibratedScorer(StubScorer(scores)), log)


def rehearsed(
    old: JourneyFile, new: JourneyFile, replica: SmallReplica, scores: tuple[float, ...] = SCORES
) -> Rehearsal:
    span = span_of(replica.log, 1.0)
    assert span is not None
    return rehearse(replica.log, side(old, replica.log), side(new, replica.log, scores), span)


def logged(journey: JourneyFile = OPEN, n: int = 40, **request: Any) -> SmallReplica:
    replica = SmallReplica(journey, scorer=StubScorer(SCORES))
    catalogue.keep(replica.log, journey)
    for k in range(n):
        replica.decide(Request(customer_id=f"c{k}", **request))
    return replica


def test_the_same_version_moves_nobody() -> None:
    replica = logged()
    found = rehearsed(OPEN, OPEN, replica)
    assert (found.decisions, found.customers, found.folded_again) == (40, 40, 0)
    assert found.moved == 0.0 and found.refusals == []
    assert all(old == new for old, new in found.actions.values())
    assert sum(old for old, _ in found.actions.values()) == pytest.approx(40)


def test_a_new_rule_moves_its_actions_to_the_next_best_in_expectation() -> None:
    found = rehearsed(OPEN, changed(OPEN, engagement=[BAN]), logged())
    # five candidates: the loan has 0.92, the others 0.02; without it four: 0.925 and 0.025
    assert found.actions["loan_offer"] == pytest.approx((40 * 0.92, 0.0))
    assert found.actions["agent_callback"] == pytest.approx((40 * 0.02, 40 * 0.925))
    assert found.actions[NO_ACTION] == pytest.approx((40 * 0.02, 40 * 0.025))
    assert found.channels["phone"] == pytest.approx((40 * 0.02, 40 * 0.925))
    assert found.moved == pytest.approx(40 * 0.92)
    assert found.refusals == [("suitability", "not_suitable", "no_loans", 40)]
    moved = {(a, b): n for a, b, n in found.matrix}
    assert moved["loan_offer", "agent_callback"] == pytest.approx(40 * 0.905)
    assert rehearsal_json(found)["no_action_share"] == pytest.approx({"old": 0.02, "new": 0.025})


def test_a_capacity_is_taken_in_expectation_and_stands_beside_what_there_is() -> None:
    rationed = changed(
        OPEN, contact_policy=ContactRules(capacities=[Capacity(id="loans", most=500,
                                                               actions=["loan_offer"])])
    )  # fmt: skip
    (use,) = rehearsed(OPEN, rationed, logged()).capacities
    assert (use.capacity, use.period, use.old, use.new_most) == ("loans", "2026-03-01", None, 500)
    assert use.new == pytest.approx(40 * 0.92)


def test_only_the_last_days_are_played() -> None:
    replica = SmallReplica(OPEN, scorer=StubScorer(SCORES))
    for days in (5, 2, 0):
        replica.decide(Request(customer_id=f"c{days}"), now=NOON - timedelta(days=days))
    assert rehearsed(OPEN, OPEN, replica).decisions == 1
    span = span_of(replica.log, 3.0)
    assert span is not None
    both = rehearse(replica.log, side(OPEN, replica.log), side(OPEN, replica.log), span)
    assert both.decisions == 2
    assert span_of(MemoryLog(), 1.0) is None


def test_contexts_are_folded_again_where_the_new_version_reads_more() -> None:
    replica = SmallReplica(OPEN, scorer=StubScorer(SCORES))
    catalogue.keep(replica.log, OPEN)
    for k in range(10):
        past = event("Complaint Filed", NOON - timedelta(days=20), customer_id=f"c{k}")
        replica.log.append_events([past])
        replica.decide(Request(customer_id=f"c{k}"), now=NOON - timedelta(days=10))
        replica.decide(Request(customer_id=f"c{k}"))
    wider = changed(OPEN, traits={**OPEN.traits, "age": Trait(type="number")})
    assert rehearsed(OPEN, wider, replica).folded_again == 10
    # a cap over 30 days needs contacts that a ledger of a day had left out
    capped = changed(OPEN, contact_policy=ContactRules(caps=[Cap(id="one", times=1, days=30)]))
    found = rehearsed(OPEN, capped, replica)
    assert found.folded_again == 10
    contacted = {
        one.request.customer_id
        for _, one in replica.log.page_decisions()
        if one.decided_at < NOON and one.action_id != NO_ACTION
    }
    assert sum(row[3] for row in found.refusals) == 4 * len(contacted) > 0


def test_a_question_that_the_new_version_cannot_answer_is_counted() -> None:
    replica = logged(n=3, channel="app")
    no_app = changed(OPEN, actions=[action for action in OPEN.actions if action.channel != "app"])
    found = rehearsed(OPEN, no_app, replica, (0.5, 0.3, 0.1, 0.0))
    assert (found.unanswerable, found.decisions) == (3, 0)
    assert rehearsal_json(found)["no_action_share"] == {"old": None, "new": None}


def test_without_a_champion_that_fits_the_rehearsal_is_undecided() -> None:
    found = rehearse_on(MemoryLog(), OPEN, changed(OPEN, levers=[
        Lever(id="x", factor=2.0, ends="2030-01-01")]), 1.0)  # fmt: skip
    assert isinstance(found, Undecided) and "nba promote" in found.reason
    assert "undecided" in rehearsal_json(found)


def test_the_champion_rehearses_what_it_fits_and_says_what_it_does_not() -> None:
    replica = SmallReplica(scorer=StubScorer(SCORES))
    for k in range(5):
        replica.decide(Request(customer_id=f"c{k}"))
    bundle = made()
    replica.log.save_bundle(bundle.bundle_id, bundle.files())
    replica.log.set_alias("champion", bundle.bundle_id, NOON)
    found = rehearse_on(replica.log, JOURNEY, changed(levers=[]), 1.0)
    assert isinstance(found, Rehearsal) and found.decisions == 5
    wider = changed(traits={**JOURNEY.traits, "age": Trait(type="number")})
    refused = rehearse_on(replica.log, JOURNEY, wider, 1.0)
    assert isinstance(refused, Undecided) and "does not fit the new version" in refused.reason


def test_both_versions_are_decided_by_the_champion_with_what_it_has_learned() -> None:
    """Its batch model alone serves nobody once a version of the policy is in force."""
    replica, bundle = logged(JOURNEY), made()
    log = replica.log
    log.save_bundle(bundle.bundle_id, bundle.files())
    log.set_alias(CHAMPION, bundle.bundle_id, NOON)
    actions = [action.id for action in JOURNEY.actions]
    sums = ResidualSums(fit_spec((), np.zeros((9, 0)), np.full(9, 0.5)), actions)
    head = PolicyHead(
        bundle_id=bundle.bundle_id,
        reward_version=reward_version(JOURNEY),
        learned_to=LogPosition(),
        prior=ResidualPrior(),
        as_of_s=0.0,
    )
    version = put_in_force(log, PolicyState(head, sums), NOON, by="ada", why="learned", kept=5)
    sides = both_sides(log, JOURNEY, JOURNEY, days=1.0)
    assert not isinstance(sides, Undecided)
    for version_side in sides[:2]:
        assert version_side.scorer.residual is not None
        assert version_side.scorer.residual.version == version
