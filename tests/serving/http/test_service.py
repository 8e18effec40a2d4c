"""The service as an operator runs it: `nba serve`, with its private PostgreSQL, over a socket.

One server is started for this file. The tests run in the order in which they stand; the last one
ends the server.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from nba.journey_file.loader import load_journey
from tests.fixtures.service_process import JOURNEY, SEARCH, Service


def test_without_a_model_the_service_is_ready_and_says_that_it_is_degraded(
    service: Service,
) -> None:
    response = service.client.get("/readyz")
    assert response.status_code == 200
    body = response.json()
    assert (body["ready"], body["degraded"], body["model_version"]) == (True, True, None)
    assert body["reason"] == "no bundle is promoted: run nba train, then nba promote"
    assert body["config_version"] == load_journey(JOURNEY).catalogue_version()
    assert "nba_degraded 1.0" in service.client.get("/metrics").text


def test_decisions_come_from_the_fallback_and_are_marked(service: Service) -> None:
    service.client.post("/events", json={"event_id": "f1", "customer_id": "ada", **SEARCH})
    answer = service.decide("ada", channel="web", placement="web_search")
    assert (answer["mode"], answer["fallback_used"]) == ("fallback", True)
    assert answer["actions"][0]["action_id"] == "help_popup"
    assert answer["note"].startswith("no bundle is promoted")
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
        assert answer["fallback_used"] is True
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
    assert "finite" in response.text


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
