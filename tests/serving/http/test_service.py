"""The service as an operator runs it: `nba serve`, with its private PostgreSQL, over a socket.

One server is started for this file. The tests run in the order in which they stand; the last one
ends the server.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from models.bundles.prior import MISSING, prior_bundle
from nba.customer.context import ContextSchema
from nba.decisions.request import Request
from nba.journey_file.loader import load_journey
from nba.stores.postgres import embedded
from nba.stores.postgres.log import PostgresLog
from serving.replica.assembly import assemble
from tests.fixtures.service_process import JOURNEY, SEARCH, Service, tiny_bundle


def test_before_the_first_training_the_service_is_ready_and_says_what_is_missing(
    service: Service,
) -> None:
    response = service.client.get("/readyz")
    assert response.status_code == 200
    body = response.json()
    assert (body["ready"], body["degraded"], body["reason"]) == (True, False, None)
    assert body["model_version"] == prior_bundle(ContextSchema(load_journey(JOURNEY))).bundle_id
    assert body["missing"] == MISSING
    assert body["config_version"] == load_journey(JOURNEY).catalogue_version()
    assert "nba_degraded 0.0" in service.client.get("/metrics").text


def test_decisions_are_drawn_by_the_guesses_before_the_first_training(service: Service) -> None:
    service.client.post("/events", json={"event_id": "f1", "customer_id": "ada", **SEARCH})
    answer = service.decide("ada", channel="web", placement="web_search", explain=True)
    assert (answer["mode"], answer["fallback_used"]) == ("live", False)
    assert answer["model_version"] == prior_bundle(ContextSchema(load_journey(JOURNEY))).bundle_id
    assert answer["churn"] is None
    candidates = {one["action_id"]: one["propensity"] for one in answer["candidates"]}
    assert {"help_popup", "no_action"} <= candidates.keys()
    assert sum(candidates.values()) == pytest.approx(1.0, abs=1e-12)
    read = service.client.get(f"/decisions/{answer['decision_id']}")
    assert read.json() == answer


def test_a_body_without_length_is_read_and_one_over_the_limit_refused(service: Service) -> None:
    def chunks(size: int) -> Iterator[bytes]:
        yield b'{"customer_id": "chunked", "name": "Seen", "properties": {"a": "'
        yield b"x" * size
        yield b'"}}'

    assert service.client.post("/events", content=chunks(10)).json()["accepted"] == 1
    assert service.client.post("/events", content=chunks(600_000)).status_code == 413


BENTOML_CLIENT = """
import json, sys
import bentoml
from bentoml.exceptions import BentoMLException

with bentoml.SyncHTTPClient(sys.argv[1]) as client:
    for line in sys.stdin:
        name, request = json.loads(line)
        try:
            print(json.dumps(getattr(client, name)(request=request)))
        except BentoMLException as error:
            print(json.dumps([type(error).__name__, str(error)]))
        sys.stdout.flush()
"""


def test_bentomls_own_client_decides_and_gives_feedback(service: Service) -> None:
    # in a process of its own: importing it warns, and it leaves a folder to the collector
    client = subprocess.Popen(
        [sys.executable, "-c", BENTOML_CLIENT, str(service.client.base_url)],
        env=os.environ | {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": service.bentoml_home},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with client:
        assert client.stdin is not None and client.stdout is not None

        def call(name: str, **request: Any) -> Any:
            client.stdin.write(json.dumps([name, request]) + "\n")
            client.stdin.flush()
            return json.loads(client.stdout.readline())

        answer = call("decide", customer_id="bento", decision_request_id="b1")
        assert answer["mode"] == "live"
        assert service.decide("bento", decision_request_id="b1") == answer
        told = {"decision_id": answer["decision_id"], "outcome": "shown"}
        assert call("feedback", **told)["stored"] is True
        assert service.client.post("/feedback", json=told).json()["stored"] is False
        kind, text = call("decide", costumer_id="bento")
        assert kind == "InvalidArgument" and "did you mean 'customer_id'" in text
        kind, text = call("feedback", decision_id=answer["decision_id"])
        assert kind == "InvalidArgument" and "send either an outcome or a reward" in text
        kind, text = call("feedback", decision_id="dec-none", outcome="shown")
        assert kind == "NotFound" and "'dec-none': not in the log" in text


def test_a_number_that_is_none_is_refused_under_bentoml_too(service: Service) -> None:
    decision_id = service.decide("nan")["decision_id"]
    for body in (
        b'{"request": {"customer_id": "nan", "context": {"device": NaN}}}',
        b'{"request": {"customer_id": "nan", "context": {"device": 1e400}}}',
        b'{"request": {"customer_id": "nan", "context": {"device": %s}}}' % (b"9" * 400),
    ):
        response = service.client.post("/bentoml/decide", content=body, headers=JSON)
        assert response.status_code == 400, response.text
    told = b'{"request": {"decision_id": "%s", "reward": NaN}}' % decision_id.encode()
    response = service.client.post("/bentoml/feedback", content=told, headers=JSON)
    assert response.status_code == 400
    assert "request.reward: nan: send a number" in response.text


JSON = {"content-type": "application/json"}


def test_the_services_output_holds_nothing_that_callers_sent(service: Service) -> None:
    secrets = [f"s3cret{number:02}value" for number in range(12)]
    s = iter(secrets)
    bodies: list[tuple[str, Any]] = [
        ("/decide", {"customer_id": f"{next(s)}\n"}),
        ("/events", {"customer_id": next(s), "name": "", "properties": {"email": next(s)}}),
        ("/feedback", {"decision_id": next(s), "outcome": "shown"}),
        ("/bentoml/decide", {"request": {"customer_id": "c", "channel": next(s)}}),
        ("/bentoml/decide", {"request": {next(s): next(s)}}),
        ("/bentoml/decide", {"request": next(s)}),
        ("/bentoml/decide", {next(s): 1}),
        ("/bentoml/feedback", {"request": {"decision_id": next(s), "outcome": "shown"}}),
        ("/bentoml/feedback", {"request": {"decision_id": "d", "outcome": next(s)}}),
    ]
    for route, body in bodies:
        assert 400 <= service.client.post(route, json=body).status_code < 500
    torn = f'{{"request": "{next(s)}'
    for route in ("/decide", "/bentoml/decide"):
        assert service.client.post(route, content=torn, headers=JSON).status_code == 400
    service.client.get(f"/customers/{secrets[0]}")
    service.client.get(f"/{secrets[1]}")
    held = service.output.read_text() + service.client.get("/metrics").text
    assert [secret for secret in secrets if secret in held] == []
    assert "/bentoml/decide" in held  # what BentoML refused is noted, without its values


def test_while_the_database_is_down_nothing_is_lost_and_afterwards_all_goes_on(
    service: Service,
) -> None:
    home, client = service.settings.home, service.client
    event = {"event_id": "down-1", "customer_id": "ada", **SEARCH}
    assert embedded.stop(home)
    try:
        for route, body in [
            ("/events", event),
            ("/decide", {"customer_id": "ada", "dry_run": True}),
            ("/feedback", {"decision_id": "dec-1", "outcome": "shown"}),
            ("/bentoml/decide", {"request": {"customer_id": "ada", "dry_run": True}}),
        ]:
            response = client.post(route, json=body)
            assert response.status_code == 503, response.text
        promised = client.post("/decide", json={"customer_id": "ada"})
        assert promised.status_code == 200
        assert (promised.json()["policy"], promised.json()["logged"]) == ("blind", False)
        response = client.post("/events", json=event)
        assert response.headers["retry-after"] == "1"
        assert response.json()["message"].endswith("nothing was stored; send the same again")
        ready = client.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["ready"] is False
        assert client.get("/livez").status_code == client.get("/healthz").status_code == 200
        assert service.process.poll() is None
    finally:
        embedded.start(home)
    service.until(service.is_ready)
    assert client.post("/events", json=event).json() == {
        "accepted": 1,
        "duplicates": 0,
        "rejected": [],
        "notes": [],
    }
    assert service.decide("ada")["known_customer"] is True


def test_a_promoted_bundle_is_taken_up_without_a_restart(service: Service) -> None:
    bundle = tiny_bundle(ContextSchema(load_journey(JOURNEY)))
    log = PostgresLog.open(embedded.start(service.settings.home))
    try:
        log.save_bundle(bundle.bundle_id, bundle.files())
        log.set_alias("champion", bundle.bundle_id, datetime.now(UTC))
    finally:
        log.close()
    service.until(lambda: service.client.get("/readyz").json()["missing"] == {})
    ready = service.client.get("/readyz").json()
    assert (ready["model_version"], ready["reason"]) == (bundle.bundle_id, None)
    assert ready["degraded"] is False
    answer = service.decide("ada", channel="web", placement="web_search", explain=True)
    assert (answer["mode"], answer["fallback_used"]) == ("live", False)
    assert answer["model_version"] == bundle.bundle_id
    assert answer["churn"]["horizon_days"] == 30.0
    total = sum(one["propensity"] for one in answer["candidates"])
    assert total == pytest.approx(1.0, abs=1e-12)
    assert "nba_degraded 0.0" in service.client.get("/metrics").text


def test_what_was_accepted_outlives_sigterm_and_a_new_start_has_all_of_it(
    service: Service,
) -> None:
    before = service.decide("ada", decision_request_id="before")
    accepted: list[str] = []
    refused: list[int] = []
    ended: list[str] = []

    def send(name: str) -> None:
        with httpx.Client(base_url=service.client.base_url, timeout=30) as client:
            for number in range(100_000):
                event_id = f"{name}-{number}"
                try:
                    body = {"event_id": event_id, "customer_id": name, **SEARCH}
                    response = client.post("/events", json=body)
                except httpx.TransportError:
                    ended.append(name)
                    return
                if response.status_code == 200:
                    accepted.append(event_id)
                else:
                    refused.append(response.status_code)

    senders = [threading.Thread(target=send, args=(f"sender{n}",)) for n in range(4)]
    for sender in senders:
        sender.start()
    service.until(lambda: len(accepted) > 100)
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(service.settings.shutdown_s + 30) == 0
    for sender in senders:
        sender.join()
    assert sorted(ended) == [f"sender{n}" for n in range(4)]
    assert set(refused) <= {503}
    # the last one out turns off the light
    assert not (service.settings.home / "postgres" / "postmaster.pid").exists()

    replica = assemble(service.settings)
    try:
        found = {event.event_id for event in replica.log.page_events(limit=1_000_000)}
        assert [event_id for event_id in accepted if event_id not in found] == []
        # an event in flight may be there although its answer was not heard; no other one is
        unknown_definitions = {one for one in found if one.startswith("sender")} - set(accepted)
        assert len(unknown_definitions) <= len(senders)
        assert {"f1", "down-1"} <= found
        assert replica.champion == before["model_version"]
        repeated = Request(customer_id="ada", request_id="before")
        decider = replica.engine.decider
        (again,) = decider.decide([repeated], replica.now(), replica.chance)
        assert again.decision_id == before["decision_id"]
        (context,) = replica.engine.contexts.of(["sender0"], datetime.now(UTC))
        sent = sum(one.startswith("sender0-") for one in found)
        assert context.values[replica.engine.fold.schema.index["search_failed.total"]] == sent
    finally:
        replica.close()
