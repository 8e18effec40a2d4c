"""The promise: a decision in time, or the owner's fallback, marked; and what is logged after."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from nba.decisions.decision import Decision
from nba.decisions.request import Request
from nba.events.names import ACTION_EXPIRED
from nba.journey.file import Exploration
from serving.api.circuit_breaker import CircuitBreaker
from serving.api.deadline import DeadlineGuard
from serving.replica.engine import make_engine
from tests.fixtures.governed_routes import GOVERNED, HeldLog, action_of, checked, routes_on, until
from tests.fixtures.outages import without_a_usable_champion
from tests.fixtures.routes_in_process import InProcess
from tests.fixtures.small_replica import StubScorer, score_with

SCORES = [0.9, 0.05, 0.04, 0.03, 0.02, 0.0]
CARELESS = checked(replace(GOVERNED, exploration=Exploration(epsilon=0.0)))


@contextmanager
def held_routes(**fields: Any) -> Iterator[tuple[InProcess, HeldLog]]:
    log = HeldLog()
    with routes_on(log, CARELESS, **fields) as client:
        score_with(client.replica, StubScorer(SCORES))
        yield client, log


def ids(log: HeldLog) -> list[str]:
    return [decision.decision_id for _, decision in log.page_decisions()]


def expired(log: HeldLog) -> int:
    return sum(event.name == ACTION_EXPIRED for event in log.page_events())


def test_a_slow_log_costs_the_deadline_and_not_the_answer() -> None:
    with held_routes(deadline_ms=50) as (client, log):
        log.hold("append_decisions")
        answer = client.decide(channel="web")
        assert (answer["mode"], answer["policy"]) == ("fallback", "blind")
        assert (answer["fallback_used"], answer["logged"]) == (True, False)
        assert answer["note"] == "no decision within the deadline of 50 ms"
        assert client.get(f"/decisions/{answer['decision_id']}").status_code == 404
        log.hold()


def test_what_was_answered_is_logged_soon_afterwards_and_takes_feedback() -> None:
    with held_routes(deadline_ms=50) as (client, log):
        log.hold("events_since")
        answer = client.decide()
        assert action_of(answer) == "statement"
        log.hold()
        path = f"/decisions/{answer['decision_id']}"
        until(lambda: client.get(path).status_code == 200)
        kept = client.get(path).json()
        assert kept == {**answer, "logged": True}
        shown = {"decision_id": answer["decision_id"], "outcome": "shown"}
        assert client.post("/feedback", json=shown).json()["stored"] is True
        assert client.post(f"{path}/replay").json()["differs"] == []


def test_a_late_decision_that_was_not_logged_yet_is_not_logged_any_more() -> None:
    with held_routes(deadline_ms=50) as (client, log):
        log.hold("events_since")
        answer = client.decide()
        log.hold()
        until(lambda: ids(log) == [answer["decision_id"]])
    assert ids(log) == [answer["decision_id"]]


def test_a_late_decision_that_was_logged_is_taken_back_and_does_not_count() -> None:
    with held_routes(deadline_ms=50, breaker_misses=9) as (client, log):
        for number in (1, 2, 3):  # the cap allows two
            log.hold("committed")
            assert action_of(client.decide()) == "statement"
            log.hold()
            until(lambda taken=number: expired(log) == taken)
        contacts = client.get("/customers/ada").json()["contacts"]
        assert [(contact[0], contact[4]) for contact in contacts if contact[0] == "help_popup"] == (
            [("help_popup", False)] * 3
        )
    with routes_on(log, CARELESS) as client:
        score_with(client.replica, StubScorer(SCORES))
        assert action_of(client.decide()) == "help_popup"


def test_a_retry_gets_what_was_taken_back_and_it_counts_again() -> None:
    with held_routes(deadline_ms=50, breaker_misses=9) as (client, log):
        log.hold("committed")
        assert action_of(client.decide(decision_request_id="r1")) == "statement"
        log.hold()
        until(lambda: expired(log) == 1)
        assert action_of(client.decide(decision_request_id="r1")) == "help_popup"
        contacts = client.get("/customers/ada").json()["contacts"]
        assert [contact[4] for contact in contacts if contact[0] == "help_popup"] == [True]


def test_an_earlier_answer_that_is_repeated_too_late_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with held_routes(deadline_ms=200, breaker_misses=99) as (client, log):
        first = client.decide(decision_request_id="r1")
        assert action_of(first) == "help_popup"
        held = log.answered
        monkeypatch.setattr(log, "answered", lambda keys: (log._wait("answered"), held(keys))[1])
        log.hold("answered")
        repeated = client.decide(decision_request_id="r1")
        assert repeated["policy"] == "blind"
        log.hold()
        until(lambda: repeated["decision_id"] in ids(log))
        client.decide("bob")  # behind whatever was still to be done
    assert expired(log) == 0
    kept = log.decision(repeated["decision_id"])
    assert kept is not None and kept.request.request_id is None


def test_a_log_out_of_reach_is_no_error_and_the_fallback_is_logged_once_it_is_back() -> None:
    with held_routes() as (client, log):
        log.down = True
        answer = client.decide()
        assert (answer["mode"], answer["policy"]) == ("fallback", "blind")
        assert (answer["note"], answer["logged"]) == ("the log is out of reach", False)
        assert client.post("/decide", json={"customer_id": "ada", "dry_run": True}).is_server_error
        log.down = False
        until(lambda: ids(log) == [answer["decision_id"]])


class Busy(HeldLog):
    """A log of customers to whom something else happens all the time."""

    moves = 12  # before a decision is stored

    def append_decisions(self, decisions: Sequence[Decision]) -> list[Decision | None]:
        self.moves -= 1
        return super().append_decisions(decisions) if self.moves < 0 else [None] * len(decisions)


def test_a_customer_whose_log_keeps_moving_is_no_outage() -> None:
    with routes_on(without_a_usable_champion(Busy()), CARELESS, breaker_misses=1) as client:
        for _ in range(2):
            answer = client.decide()
            assert (answer["policy"], answer["logged"]) == ("fallback", True)


def test_a_customer_whose_log_never_rests_gets_the_fallback_at_the_deadline() -> None:
    log = Busy()
    log.moves = 10**9
    with routes_on(log, CARELESS, deadline_ms=50) as client:
        assert client.decide()["note"] == "no decision within the deadline of 50 ms"
        log.moves = 0


def test_the_service_ends_with_what_it_answered_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with held_routes() as (client, log):
        log.down = True
        answer = client.decide()
        until(lambda: "is not logged yet" in caplog.text)
        log.down = False
    assert ids(log) == [answer["decision_id"]]


def test_only_what_nothing_concerns_is_offered_blindly() -> None:
    with held_routes() as (client, log):
        log.down = True
        answer = client.decide()
        assert action_of(answer) == "statement"
        assert answer["known_customer"] is False
        assert {(one["action_id"], one["code"]) for one in answer["filtered"]} == {
            (name, "unread")
            for name in ("help_popup", "card_offer", "agent_callback", "loan_offer")
        }
        assert client.decide(channel="web")["no_action"] is True
        log.down = False


def test_a_blind_answer_to_a_shadow_question_counts_the_other_systems_contact_once() -> None:
    with held_routes(deadline_ms=50) as (client, log):
        log.hold("committed")
        client.decide(shadow_of="card_offer")
        log.hold()
        until(lambda: len(ids(log)) == 2)
        until(lambda: expired(log) == 1)
        contacts = client.get("/customers/ada").json()["contacts"]
        assert sorted((contact[0], contact[4]) for contact in contacts) == [
            ("card_offer", False), ("card_offer", True),
        ]  # fmt: skip


def test_what_cannot_be_asked_is_an_error_and_nothing_is_promised() -> None:
    with held_routes() as (client, log):
        log.down = True
        response = client.post("/decide", json={"customer_id": "ada", "channel": "wep"})
        assert response.status_code == 422
        log.down = False
    assert ids(log) == []


def test_requests_that_wait_while_the_engine_changes_are_each_decided_on_their_own() -> None:
    with held_routes() as (client, log):
        before = client.replica.engine
        other = replace(CARELESS, name="other")
        after = make_engine(other, log, before.fold.schema.table)

        async def answers() -> list[tuple[Decision, bool]]:
            guard = DeadlineGuard(client.replica, deadline_s=20.0, breaker=CircuitBreaker(9, 1.0))
            # the first is run at once, the two others wait and share the next run
            waiting = (("ada", before), ("bob", before), ("eve", after))
            try:
                return await asyncio.gather(
                    *(guard.decide(Request(customer_id=name), engine) for name, engine in waiting)
                )
            finally:
                await guard.close()

        assert client.portal is not None
        decisions = client.portal.call(answers)
        versions = [CARELESS.catalogue_version()] * 2 + [other.catalogue_version()]
        assert [decision.catalogue_version for decision, _ in decisions] == versions
        assert [logged for _, logged in decisions] == [True] * 3
        assert log.asked == 3  # the two that waited were decided alone
