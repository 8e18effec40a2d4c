"""Reading, and what holds on every route: finite numbers, outages, metrics, the document."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from nba.errors import StoreUnavailable
from tests.fixtures.answers import GOOD, OFFERS, live
from tests.fixtures.governed_routes import routes_on
from tests.fixtures.outages import a_log_without_a_usable_champion
from tests.fixtures.small_replica import JOURNEY

if TYPE_CHECKING:
    from tests.fixtures.routes_in_process import InProcess


def all_numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for item in value.values() for number in all_numbers(item)]
    if isinstance(value, list):
        return [number for item in value for number in all_numbers(item)]
    return [value] if isinstance(value, int | float) else []


def strict(text: str) -> Any:
    """The document in `text`, where it is JSON as the RFC has it: without NaN and Infinity."""

    def refuse(constant: str) -> float:
        raise AssertionError(f"{constant} in an answer")

    return json.loads(text, parse_constant=refuse)


# Reading


def test_a_decision_can_be_read_again_as_it_was_answered(client: InProcess) -> None:
    live(client)
    client.post("/events", json=GOOD)
    answered = client.post("/decide", json={"customer_id": "ada", "explain": True})
    client.clock.advance(days=1)
    read = client.get(f"/decisions/{answered.json()['decision_id']}")
    assert read.content == answered.content
    missing = client.get("/decisions/dec-none")
    assert missing.status_code == 404
    assert missing.json()["message"].startswith("decision_id: 'dec-none': not in the log; ")


def test_a_customer_is_what_the_log_says_of_her(client: InProcess) -> None:
    live(client)
    client.post("/events", json=[GOOD, {"customer_id": "ada", **OFFERS}])
    made = [client.decide()["decision_id"] for _ in range(2)]
    known = client.get("/customers/ada").json()
    assert known["traits"] == {"segment": "mass", "tenure_months": None, "has_mortgage": None}
    assert known["stage"] == "explore"
    assert known["churn"] == {"risk": 0.25, "horizon_days": 30.0, "reasons": []}
    assert known["decisions"] == made[::-1]
    assert known["context"]["search_failed.total"] == 1.0
    assert 0 not in known["context"].values()


def test_a_customer_of_whom_the_log_holds_nothing_is_404_with_the_reason(
    client: InProcess,
) -> None:
    response = client.get("/customers/nobody")
    assert response.status_code == 404
    assert response.json()["message"] == (
        "customer_id: 'nobody': no event of them in the log; check the id, or send one to /events"
    )


@pytest.mark.parametrize("customer_id", ["crm/17", "a b", "ädä@example.com", "50%", "a?b#c", ".."])
def test_whatever_id_an_event_may_carry_can_be_read(client: InProcess, customer_id: str) -> None:
    client.post("/events", json={**GOOD, "customer_id": customer_id})
    path = "".join(f"%{byte:02x}" for byte in customer_id.encode())
    assert client.get(f"/customers/{path}").json()["customer_id"] == customer_id


# All routes


def test_no_answer_holds_a_number_that_is_not_finite(client: InProcess) -> None:
    huge = {"customer_id": "ada", "name": "Order Completed", "properties": {"revenue": 1.7e308}}
    client.post("/events", json=[{**huge, "event_id": f"h{n}"} for n in range(4)])
    client.post("/events", json=GOOD)
    texts = []
    for mode in ("fallback", "live"):
        if mode == "live":
            live(client)
        for customer_id in ("ada", "nobody"):
            answer = client.post("/decide", json={"customer_id": customer_id})
            texts += [answer.text, client.get(f"/decisions/{answer.json()['decision_id']}").text]
            texts.append(client.get(f"/customers/{customer_id}").text)
    assert len(texts) == 12
    for text in texts:
        assert all(abs(number) < float("inf") for number in all_numbers(strict(text)))
        assert "NaN" not in text and "Infinity" not in text


def test_the_log_out_of_reach_is_503_with_retry_after_on_every_route(
    client: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision_id = client.decide()["decision_id"]

    def gone(*_: object, **__: object) -> None:
        raise StoreUnavailable("the server at /secret/path does not answer")

    for method in ("append_events", "append_decisions", "events_since", "decision", "answered"):
        monkeypatch.setattr(client.log, method, gone)
    for response in (
        client.post("/decide", json={"customer_id": "ada", "dry_run": True}),
        client.post("/events", json={**GOOD, "event_id": "n1"}),
        client.post("/feedback", json={"decision_id": decision_id, "outcome": "shown"}),
        client.get(f"/decisions/{decision_id}"),
        client.get("/customers/ada"),
    ):
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert response.json()["error"] == "store_unavailable"
        assert "secret" not in response.text
    monkeypatch.undo()
    assert client.post("/events", json={**GOOD, "event_id": "n1"}).json()["accepted"] == 1


def test_metrics_count_what_the_doors_did() -> None:
    with routes_on(a_log_without_a_usable_champion(), JOURNEY) as client:
        client.post("/events", json=[GOOD, GOOD, {"customer_id": ""}])
        decision_id = client.decide()["decision_id"]
        client.post("/feedback", json={"decision_id": decision_id, "outcome": "shown"})
        client.get("/customers/nobody")
        text = client.get("/metrics").text
    for line in (
        'nba_events_total{result="accepted"} 1.0',
        'nba_events_total{result="duplicate"} 1.0',
        'nba_events_total{result="rejected"} 1.0',
        'nba_decisions_total{action="help_popup",mode="fallback"} 1.0',
        'nba_propensity_sum_total{action="help_popup"} 1.0',
        'nba_refused_total{rule="loan_offer.eligible",stage="eligibility"} 1.0',
        'nba_feedback_total{outcome="shown"} 1.0',
        'nba_requests_total{route="/customers/{customer_id}",status="404"} 1.0',
        "nba_degraded 1.0",
    ):
        assert line in text.splitlines()


def test_no_caller_can_grow_the_number_of_series(client: InProcess) -> None:
    def visit(name: str, *, everywhere: bool = True) -> None:
        client.decide(name, decision_request_id=name)
        client.get(f"/{name}")
        if everywhere:
            client.get(f"/customers/{name}")
            client.post("/events", json={"customer_id": name, "name": name, "event_id": name})
            body = {"decision_id": client.decide(name)["decision_id"], "reward": len(name)}
            client.post("/feedback", json={**body, "event_id": f"f-{name}"})
            client.post("/decide", json={"customer_id": name, "channel": name})
            client.get(f"/decisions/{name}")

    def series() -> set[str]:
        lines = client.get("/metrics").text.splitlines()
        return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}

    visit("first")
    client.get("/metrics")
    before = series()
    for number in range(300):
        visit(f"customer-{number}", everywhere=number % 20 == 0)
    assert series() == before
    assert 'nba_events_total{result="accepted"}' in before


def test_the_openapi_document_is_valid_and_its_answers_are_of_its_schemas(
    client: InProcess,
) -> None:
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    live(client)
    client.post("/events", json=[GOOD, {"customer_id": "ada", **OFFERS}])
    decision = client.decide()
    feedback = {"decision_id": decision["decision_id"], "outcome": "shown"}
    for name, answer in [
        ("DecideAnswer", decision),
        ("EventsAnswer", client.post("/events", json=[GOOD, {"name": 1}]).json()),
        ("FeedbackAnswer", client.post("/feedback", json=feedback).json()),
        ("CustomerAnswer", client.get("/customers/ada").json()),
        ("Problem", client.post("/decide", json={}).json()),
        ("Problem", client.get("/customers/nobody").json()),
    ]:
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(answer)


def test_the_openapi_document_names_every_business_route(client: InProcess) -> None:
    described = {
        (path, method.upper())
        for path, methods in client.get("/openapi.json").json()["paths"].items()
        for method in methods
    }
    served = {
        (route.path.replace(":path", ""), method)
        for route in client.app.routes  # type: ignore[attr-defined]
        for method in route.methods - {"HEAD"}
    }
    assert described == served - {("/metrics", "GET"), ("/openapi.json", "GET")}
