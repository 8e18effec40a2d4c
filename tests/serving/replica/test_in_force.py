"""What is in force decides on the service's own composition, and each decision can be replayed."""

from __future__ import annotations

from functools import partial
from itertools import count

import pytest
from msgspec.structs import replace

from models.bundles.bundle import Bundle
from models.bundles.prior import prior_bundle
from nba.customer.context import ContextSchema
from nba.decisions.decision import Decision, Mode
from nba.decisions.request import Request
from nba.experiments.experiment import ArmSpec, ExplorationChange, Slot
from nba.experiments.registry import start, stop
from nba.journey.actions import NO_ACTION
from nba.promotion.rollout import begin
from nba.stores.memory.log import MemoryLog
from nba.stores.versioned import CHAMPION
from serving.api.replay import replayed
from serving.replica.assembly import assemble
from serving.replica.bundle_checks import check_arm_bundle
from serving.replica.replica import Replica
from serving.settings import Settings
from tests.fixtures.outages import a_log_without_a_usable_champion
from tests.fixtures.running_experiment import an_experiment, names
from tests.fixtures.small_replica import JOURNEY, NOON, failed_search
from tests.models.bundles.test_bundle import made

WHO = {"by": "ada", "why": "to know"}


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return made()


def replica_on(log: MemoryLog) -> Replica:
    ids, seeds = count(1), count(1)
    return assemble(
        Settings(),
        log=log,
        journey=JOURNEY,
        now=lambda: NOON,
        new_id=lambda: f"dec-{next(ids)}",
        seed_for=lambda *_: next(seeds),
    )


def another(bundle: Bundle) -> Bundle:
    """The same models under another id."""
    manifest = replace(bundle.manifest, dataset="data-2")
    return Bundle(manifest, bundle.churn, bundle.touchpoint, bundle.table)


def decided(replica: Replica, customers: list[str]) -> list[Decision]:
    replica.log.append_events([failed_search(customer_id=customer) for customer in customers])
    requests = [Request(customer_id=customer) for customer in customers]
    return replica.engine.decider.decide(requests, replica.now(), replica.chance)


def test_a_service_takes_experiments_up_and_each_decision_is_replayed_byte_for_byte(
    bundle: Bundle,
) -> None:
    log = MemoryLog()
    other = another(bundle)
    for one in (bundle, other):
        log.save_bundle(one.bundle_id, one.files())
    log.set_alias(CHAMPION, bundle.bundle_id, NOON)
    replica = replica_on(log)
    assert {one.arms for one in decided(replica, names(5, "before"))} == {()}

    softmax = ExplorationChange(policy="softmax", temperature_eur=3.0)
    arms = [
        ArmSpec("a", 0.3),
        ArmSpec("b", 0.3, softmax, without=["three_a_week", "call_more"]),
        ArmSpec("c", 0.4, bundle=other.bundle_id),
    ]
    experiment = an_experiment(arms=arms, share=0.9)
    started = start(
        log,
        experiment,
        JOURNEY,
        NOON,
        by="ada",
        why="to know",
        check_bundle=partial(check_arm_bundle, log, JOURNEY),
    )
    assert started.slots == (Slot(0.0, 0.9),)
    replica.reload()
    found = decided(replica, names(60))
    assert {one.arms for one in found} == {(), ("colour.a",), ("colour.b",), ("colour.c",)}
    for one in found:
        assert one.mode is Mode.LIVE
        assert (one.bundle_id == other.bundle_id) == (one.arms == ("colour.c",))
        assert replayed(log, one).to_json() == one.to_json()

    stop(log, "colour", NOON, by="ada", why="seen enough")
    replica.reload()
    assert {one.arms for one in decided(replica, names(20, "after"))} == {()}
    for one in found:  # whatever has ended since
        assert replayed(log, one).to_json() == one.to_json()


@pytest.mark.parametrize(
    ("log", "mode", "bundle_id"),
    [
        (MemoryLog(), Mode.LIVE, prior_bundle(ContextSchema(JOURNEY)).bundle_id),
        (a_log_without_a_usable_champion(), Mode.FALLBACK, None),
    ],
    ids=["none: the guesses", "none that can be read: the fallback"],
)
def test_without_a_champion_everybody_is_decided_for_in_their_arms(
    log: MemoryLog, mode: Mode, bundle_id: str | None
) -> None:
    start(
        log,
        an_experiment(),
        JOURNEY,
        NOON,
        by="ada",
        why="to know",
        check_bundle=partial(check_arm_bundle, log, JOURNEY),
    )
    found = decided(replica_on(log), names(40))
    assert {one.arms for one in found} == {("colour.a",), ("colour.b",)}
    for one in found:
        assert (one.mode, one.bundle_id) == (mode, bundle_id)
        assert one.action_id in ("help_popup", NO_ACTION)
        assert replayed(log, one).to_json() == one.to_json()


@pytest.mark.parametrize("broken", ["the champion", "the canary"])
def test_the_arms_in_force_do_not_outlive_a_bundle_that_cannot_be_used(
    bundle: Bundle, broken: str
) -> None:
    """Whoever decides, customers are in the arms that are in force, each told why it falls back."""
    log = MemoryLog()
    other, unusable = another(bundle), "bundle-unusable"
    for one in (bundle, other):
        log.save_bundle(one.bundle_id, one.files())
    log.save_bundle(unusable, {})
    log.set_alias(CHAMPION, bundle.bundle_id, NOON)
    replica = replica_on(log)
    canary = unusable if broken == "the canary" else other.bundle_id
    begin(log, "canary", canary, NOON, share=0.4, **WHO)
    if broken == "the champion":
        log.set_alias(CHAMPION, unusable, NOON)
    replica.reload()
    able = {
        "the champion": {"canary": other.bundle_id, "control": None},
        "the canary": {"canary": None, "control": bundle.bundle_id},
    }[broken]
    found = decided(replica, names(60))
    assert {label for one in found for label in one.arms} == {"canary", "control"}
    for one in found:
        (label,) = one.arms or ("control",)
        assert one.bundle_id == able[label]
        assert one.mode is (Mode.FALLBACK if able[label] is None else Mode.LIVE)
        assert able[label] or one.note == "manifest.json: absent; promote the bundle again"
        assert replayed(log, one).to_json() == one.to_json()
