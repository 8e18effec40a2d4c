"""Upkeep: an event comes in, and what a sub-journey has to say to her goes out, step by step."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from models.bundles.bundle import Bundle
from models.learning.scorers import scorer_now
from models.learning.versions import policy_state
from nba.customer.context import ContextSchema
from nba.events.names import ACTION_DELIVERED, ACTION_EXPIRED
from nba.journey.goals import Bounds, RewardRule
from nba.promotion import catalogue_versions as catalogue
from nba.rewards.attribution import Attribution
from nba.rewards.bounds import bounded
from nba.rewards.terms import score_definition
from nba.stores.memory.log import MemoryLog
from serving.metrics import Metrics
from serving.settings import Settings
from serving.workers.background import BackgroundWorkers
from serving.workers.webhook import signature
from tests.fixtures.governed_routes import RESCUED, action_of, routes_on, until
from tests.fixtures.learning_bank import EXPLORING, Bank, learner_on, promote, teachable
from tests.fixtures.outages import a_log_without_a_usable_champion
from tests.fixtures.routes_in_process import InProcess
from tests.fixtures.small_replica import FOLD, JOURNEY, NOON
from tests.fixtures.webhook_receiver import SECRET, Answer, Receiver
from tests.models.bundles.test_bundle import made

COMPLAINT = {"customer_id": "ada", "name": "Complaint Filed"}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


class Kept:
    """Routes with their background workers, whose orchestrator a test moves by hand."""

    def __init__(self, client: InProcess, receiver: Receiver) -> None:
        self.client, self.receiver = client, receiver
        settings = Settings(webhook_url=receiver.url, webhook_secret=SECRET)
        self._orchestrator = BackgroundWorkers(client.replica, settings, Metrics())._orchestrator
        self.settle()

    def settle(self, **duration: float) -> None:
        """Time goes by, and everything that is due then is done."""
        self.client.clock.advance(**duration)
        for _ in range(20):
            done = self._orchestrator.step()
            assert done is not None and done.failed == 0
            if done.rests:
                return
        raise AssertionError("the orchestrator never rests")

    def post(self, name: str, **properties: Any) -> None:
        event = {"customer_id": "ada", "name": name, "properties": properties}
        assert self.client.post("/events", json=event).json()["accepted"] == 1

    @property
    def sent(self) -> list[str]:
        """The actions that went out."""
        return [json.loads(one.body)["action_id"] for one in self.receiver.received]

    @property
    def standing(self) -> list[tuple[str, str]]:
        found = self.client.get("/customers/ada").json()["sub_journeys"]
        return [(one["sub_journey"], one["step"]) for one in found]

    @property
    def told(self) -> list[str]:
        return [event.name for event in self.client.log.page_events()]


@pytest.fixture
def kept(receiver: Receiver) -> Iterator[Kept]:
    with routes_on(a_log_without_a_usable_champion(), RESCUED) as client:
        yield Kept(client, receiver)


def test_an_event_at_the_doors_sends_the_first_message_signed(kept: Kept) -> None:
    kept.post("Complaint Filed")
    kept.settle()
    assert kept.sent == ["agent_callback"]
    (request,) = kept.receiver.received
    body = json.loads(request.body)
    assert (body["customer_id"], body["channel"]) == ("ada", "phone")
    assert body["step"].startswith("rescue:ada:") and body["step"].endswith("/call")
    expected = signature(SECRET, request.headers["Nba-Timestamp"], request.body)
    assert request.headers["Nba-Signature"] == expected
    delivered = [e for e in kept.client.log.page_events() if e.name == ACTION_DELIVERED]
    assert [one.properties["decision_id"] for one in delivered] == [body["decision_id"]]
    decision = kept.client.get(f"/decisions/{body['decision_id']}").json()
    assert decision["actions"][0]["sub_journey"] == "rescue.call"
    replay = kept.client.post(f"/decisions/{body['decision_id']}/replay").json()
    assert replay["differs"] == []


def test_where_she_stands_and_what_she_got_can_be_read(kept: Kept) -> None:
    kept.post("Complaint Filed")
    kept.settle()
    known = kept.client.get("/customers/ada").json()
    (standing,) = known["sub_journeys"]
    assert (standing["sub_journey"], standing["step"]) == ("rescue", "rest")
    assert standing["entered_at"] == standing["since"] == "2026-03-01T12:00:00Z"
    assert standing["held_out"] is False
    assert [(one[0], one[4]) for one in known["contacts"]] == [("agent_callback", True)]


def test_nothing_more_happens_until_it_is_due(kept: Kept) -> None:
    kept.post("Complaint Filed")
    kept.settle()
    position = kept.client.log.position()
    kept.settle(minutes=59)
    assert kept.client.log.position() == position


def test_the_next_message_goes_out_when_the_wait_is_over_and_she_feels_better(kept: Kept) -> None:
    kept.post("Complaint Filed")
    kept.settle()
    kept.post("Order Completed", revenue=20)
    kept.settle()
    assert kept.sent == ["agent_callback"]
    kept.settle(minutes=61)
    assert kept.sent == ["agent_callback", "card_offer"]
    assert kept.standing == []
    assert kept.told.count(ACTION_DELIVERED) == 2
    assert kept.told.count("Sub-journey Left") == 1


def test_who_is_still_upset_is_not_sent_the_next_one(kept: Kept) -> None:
    kept.post("Complaint Filed")
    kept.settle()
    kept.settle(minutes=61)
    assert kept.sent == ["agent_callback"]
    assert kept.standing == []
    (left,) = [e for e in kept.client.log.page_events() if e.name == "Sub-journey Left"]
    assert left.properties["why"].startswith("skipped: emotion.last")


def test_who_is_upset_again_before_the_next_step_is_not_sent_it(kept: Kept) -> None:
    kept.post("Complaint Filed")
    kept.settle()
    kept.post("Order Completed", revenue=20)
    kept.settle(minutes=30)
    assert kept.standing == [("rescue", "rest")]
    kept.post("Rage Click")
    kept.settle(minutes=31)
    assert kept.sent == ["agent_callback"]
    assert kept.standing == []


def test_a_decision_at_the_doors_moves_her_too(kept: Kept) -> None:
    kept.post("Complaint Filed")
    answer = kept.client.decide(channel="phone")
    assert [one["step"] for one in answer["sub_journeys"]] == ["call"]
    assert action_of(answer) == "agent_callback"
    kept.settle()
    assert kept.sent == []  # she has been called: the channel that asked does it
    assert kept.standing == [("rescue", "rest")]


def test_a_consent_that_was_withdrawn_stops_what_is_on_its_way(kept: Kept) -> None:
    kept.receiver.answers = [Answer(200), Answer(503)]
    kept.post("Complaint Filed")
    kept.settle()
    kept.post("Order Completed", revenue=20)
    kept.settle(minutes=61)
    assert kept.sent == ["agent_callback", "card_offer"]
    (waiting,) = kept.client.log.deliveries("waiting")
    kept.post("Consent Withdrawn", purpose="marketing")
    kept.settle(hours=2)
    assert kept.sent == ["agent_callback", "card_offer"]
    (dead,) = kept.client.log.deliveries("dead")
    assert dead.decision_id == waiting.decision_id
    assert "withdrawn" in str(dead.error)
    assert ACTION_EXPIRED in kept.told
    counts = {one[0]: one[4] for one in kept.client.get("/customers/ada").json()["contacts"]}
    assert counts == {"agent_callback": True, "card_offer": False}


def test_without_a_webhook_messages_wait(receiver: Receiver) -> None:
    with routes_on(a_log_without_a_usable_champion(), RESCUED) as client:
        orchestrator = BackgroundWorkers(client.replica, Settings(), Metrics())._orchestrator
        orchestrator.step()
        client.post("/events", json=COMPLAINT)
        orchestrator.step()
        (waiting,) = client.log.deliveries("waiting")
        assert (waiting.customer_id, waiting.attempts) == ("ada", 0)


def test_from_open_to_close_it_runs_by_itself(receiver: Receiver) -> None:
    settings: dict[str, Any] = {
        "webhook_url": receiver.url, "webhook_secret": SECRET, "reload_s": 0.02,
    }  # fmt: skip
    with routes_on(a_log_without_a_usable_champion(), RESCUED, **settings) as client:
        assert client.portal is not None
        client.portal.call(client.workers.open)
        client.post("/events", json=COMPLAINT)
        until(lambda: len(receiver.received) == 1)
        other = replace(JOURNEY, name="other")
        version = catalogue.publish(client.log, other, NOON, by="test", why="try")
        until(lambda: client.decide("bob")["config_version"] == version)


def test_what_is_learned_online_is_kept_within_the_bundles_bounds() -> None:
    """In whatever order an absurd reward and its correction are read."""
    bounds = Bounds(low=-1.0, high=9.0)
    journey = msgspec.structs.replace(
        EXPLORING, reward=RewardRule(target="value", events=["purchase"])
    )
    taught = teachable(made("value"))
    assert taught.warm is not None
    version = Attribution(bounded(journey, bounds), FOLD.encoder.kind).version
    warm = dataclasses.replace(taught.warm, reward_version=version)
    manifest = msgspec.structs.replace(
        taught.manifest, reward_bounds=bounds, residual=warm.part(), asked=score_definition(journey)
    )
    bundle = Bundle(manifest, taught.churn, taught.touchpoint, taught.table, warm)

    def learned(*rewards: float, at_once: bool = False) -> bytes:
        bank = Bank(MemoryLog(), journey)
        promote(bank.log, bundle)
        replica = bank.replica()
        decisions = bank.decide(replica, [f"c{n}" for n in range(10)])
        for reward in rewards:
            given = bank.outcome(decisions[0], "Reward Given")
            properties = given.properties | {"reward": reward}
            bank.log.append_events([msgspec.structs.replace(given, properties=properties)])
            if not at_once:
                assert learner_on(replica).step() is not None
        assert learner_on(replica).step() is not None
        state = policy_state(bank.log)
        assert state is not None
        schema = ContextSchema(journey, bundle.table)
        residual = scorer_now(bundle, state, schema).residual
        assert residual is not None and residual.version == state.version  # it decides
        return state.sums.to_bytes()

    assert learned(1e6) == learned(9.0) != learned(5.0)
    assert learned(-1e6) == learned(-1.0)
    assert learned(1e6, 5.0) == learned(5.0) == learned(1e6, -1e6, 5.0, at_once=True)
