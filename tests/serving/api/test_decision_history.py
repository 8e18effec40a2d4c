"""History: a customer's decisions, and each computed again from what it logged."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from models.bundles.bundle import Bundle, part, valences_hash
from models.predictors.onnx_graph import OnnxModel
from models.predictors.platt_scaling import PlattScaling
from nba.customer.context import ContextSchema
from nba.decisions.decision import Decision, Mode
from nba.engine.batch import Batch, BatchPlan
from nba.events.valences import LearnedValence, ValenceTable
from nba.journey.file import Exploration, JourneyFile
from nba.promotion import catalogue_versions as catalogue
from nba.stores.log import Log
from nba.stores.memory.log import MemoryLog
from nba.stores.postgres.log import PostgresLog
from nba.stores.versioned import CHAMPION
from tests.fixtures.governed_routes import RESCUE, TREATED, HeldLog, checked, routes_on, until
from tests.fixtures.outages import without_a_usable_champion
from tests.fixtures.routes_in_process import InProcess, opened_routes
from tests.fixtures.small_replica import JOURNEY, NOON, advance
from tests.models.bundles.test_bundle import made

EVERYTHING = checked(replace(TREATED, sub_journeys=[RESCUE], exploration=Exploration(epsilon=0.9)))
COMPLAINT = {"customer_id": "ada", "name": "Complaint Filed"}
LEARNED = ValenceTable(
    losses=200,
    valences=(
        LearnedValence(kind="complaint", touchpoint="complaint_desk", valence=0.6, low=0.1,
                       high=0.9, prior=-0.8, occurrences=90, flipped=True),
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return made()


def promote(client: InProcess, bundle: Bundle) -> None:
    client.log.save_bundle(bundle.bundle_id, bundle.files())
    client.log.set_alias(CHAMPION, bundle.bundle_id, NOON)
    assert client.replica.reload()


def trained_on(bundle: Bundle, journey: JourneyFile, table: ValenceTable, dataset: str) -> Bundle:
    """The same models under another manifest."""
    manifest = msgspec.structs.replace(
        bundle.manifest,
        schema_hash=ContextSchema(journey, table).schema_hash,
        valences=valences_hash(table),
        dataset=dataset,
    )
    return Bundle(manifest, bundle.churn, bundle.touchpoint, table)


def publish(client: InProcess, journey: JourneyFile) -> None:
    catalogue.publish(client.log, journey, NOON, by="test", why="another")
    assert client.replica.reload()
    assert client.replica.engine.journey.catalogue_version() == journey.catalogue_version()


def replay(client: InProcess, decision_id: str) -> dict[str, Any]:
    response = client.post(f"/decisions/{decision_id}/replay")
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def decided(client: InProcess) -> list[Decision]:
    return [decision for _, decision in client.log.page_decisions()]


def every_kind(client: InProcess, bundle: Bundle) -> None:
    """One decision of each kind into the log."""
    client.decide("bob")  # no champion yet: the guesses
    without_a_usable_champion(client.log)
    assert client.replica.reload()
    client.decide("bob")  # none that can be read: the fallback
    promote(client, bundle)
    for number in range(6):
        client.decide(f"c{number}", channel="web")
    client.decide("bob", context={"page": "home"}, decision_request_id="r1")
    client.decide("bob", defer_activation=True)
    client.decide("bob", shadow_of="card_offer")
    client.decide("eve", placements=["site_search", "banking_app"])
    client.post("/events", json=COMPLAINT)
    client.decide(explain=False)  # she enters a sub-journey
    for number in range(6):  # and some are called by it
        client.clock.advance(days=1)
        client.post("/events", json={**COMPLAINT, "customer_id": f"d{number}"})
        advance(client.replica, f"d{number}")


# Replay


def logs(url: str) -> Iterator[Log]:
    yield MemoryLog()
    log = PostgresLog.open(url)
    yield log


def test_decisions_of_every_kind_are_equal_whatever_was_promoted_and_published_since(
    bundle: Bundle, postgres_url: str
) -> None:
    for log in logs(postgres_url):
        with routes_on(log, EVERYTHING) as client:
            every_kind(client, bundle)
            made_before = decided(client)
            assert {one.mode.value for one in made_before} == {"live", "fallback", "shadow"}
            assert len({one.treatment for one in made_before}) > 2
            assert any(one.moves for one in made_before) and any(one.step for one in made_before)
            assert any(one.uses for one in made_before)
            assert any(one.request.deferred for one in made_before)
            assert any(one.request.already_placed for one in made_before)
            at_first = [replay(client, one.decision_id) for one in made_before]
            promote(client, trained_on(bundle, JOURNEY, LEARNED, "data-1"))
            publish(client, JOURNEY)
            for one, first in zip(made_before, at_first, strict=True):
                again = replay(client, one.decision_id)
                assert again == first
                assert (again["equal"], again["differs"]) == (True, [])
                logged = hashlib.sha256(one.to_json()).hexdigest()
                assert again["logged_sha256"] == again["replayed_sha256"] == logged
                assert again["model_version"] == one.bundle_id
                assert again["config_version"] == EVERYTHING.catalogue_version()


def test_a_blind_decision_is_equal_under_whatever_valences_it_was_made(bundle: Bundle) -> None:
    log = HeldLog()
    with routes_on(log, EVERYTHING) as client:
        promote(client, trained_on(bundle, EVERYTHING, LEARNED, "data-1"))
        client.post("/events", json=COMPLAINT)
        log.down = True
        answer = client.decide()
        assert (answer["policy"], answer["model_version"]) == ("blind", None)
        log.down = False
        until(lambda: len(decided(client)) == 1)
        assert replay(client, answer["decision_id"])["differs"] == []
        promote(client, trained_on(bundle, EVERYTHING, ValenceTable(), "data-2"))
        assert replay(client, answer["decision_id"])["equal"] is True


def test_a_catalogue_that_was_published_is_served_in_the_order_of_its_file() -> None:
    turned = checked(replace(JOURNEY, traits=dict(reversed(JOURNEY.traits.items()))))
    with routes_on(MemoryLog(), JOURNEY) as client:
        publish(client, checked(replace(turned, name="turned")))
        assert client.replica.engine.fold.schema.schema_hash == ContextSchema(turned).schema_hash
        made_by = client.decide()["decision_id"]
        assert replay(client, made_by)["equal"] is True


class Tampered(MemoryLog):
    """A log in which somebody has changed what is stored."""

    def __init__(self, **fields: Any) -> None:
        super().__init__()
        self.fields = fields

    def decision(self, decision_id: str) -> Decision | None:
        stored = super().decision(decision_id)
        return None if stored is None else replace(stored, **self.fields)


@pytest.mark.parametrize(
    ("fields", "differs"),
    [
        ({"propensity": 0.5}, ["propensity"]),
        ({"action_id": "no_action", "reasons": ()}, ["action_id"]),
        ({"refused": (), "known_customer": True}, ["refused"]),
        ({"note": "as told", "mode": "live"}, ["mode"]),
        ({"used": {"callers": 1.0}}, ["refused", "candidates"]),
    ],
)
def test_what_was_changed_in_the_record_is_named(
    fields: dict[str, Any], differs: list[str]
) -> None:
    with routes_on(without_a_usable_champion(Tampered(**fields)), EVERYTHING) as client:
        answer = replay(client, client.decide("ada")["decision_id"])
        assert answer["equal"] is False
        assert set(differs) <= set(answer["differs"])
        assert answer["logged_sha256"] != answer["replayed_sha256"]
        if len(fields) == 1 and "used" not in fields:
            assert answer["differs"] == differs


def test_what_is_not_in_the_log_cannot_be_replayed() -> None:
    for changed, message in [
        ({"catalogue_version": "catalogue-0"}, "catalogue-0: no catalogue of this version"),
        ({"bundle_id": "bundle-0"}, "this bundle is not in the log"),
        ({"valences": "valences-0"}, "no bundle that was promoted has these"),
        ({"context_schema": "context-0"}, "replay with the version that decided"),
    ]:
        with routes_on(without_a_usable_champion(Tampered(**changed)), EVERYTHING) as client:
            made_by = client.decide()["decision_id"]
            response = client.post(f"/decisions/{made_by}/replay")
            assert response.status_code == 404
            assert message in response.json()["message"]
            assert client.post("/decisions/dec-none/replay").status_code == 404


# History


def test_a_customers_decisions_are_listed_newest_first() -> None:
    with routes_on(MemoryLog()) as client:
        assert client.get("/decisions", params={"customer_id": "ada"}).json() == {
            "customer_id": "ada", "decisions": [],
        }  # fmt: skip
        answers = []
        for _ in range(23):
            answers.append(client.decide())
            client.decide("bob")
            client.clock.advance(minutes=1)
        newest = answers[::-1]
        found = client.get("/decisions", params={"customer_id": "ada"}).json()["decisions"]
        assert found == newest[:20]
        for limit in (1, 22, 500):
            given = {"customer_id": "ada", "limit": limit}
            assert client.get("/decisions", params=given).json()["decisions"] == newest[:limit]


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({}, "customer_id"),
        ({"customer_id": ""}, "customer_id"),
        ({"customer_id": "x" * 201}, "customer_id"),
        *(({"customer_id": "ada", "limit": one}, "limit") for one in
          ("0", "501", "-1", "1.5", "x", "", "²", "9" * 5000)),
        ({"customer_id": "ada", "lmit": "3"}, "lmit"),
    ],
)  # fmt: skip
def test_a_history_that_cannot_be_listed_is_refused(params: dict[str, str], field: str) -> None:
    with routes_on(MemoryLog()) as client:
        response = client.get("/decisions", params=params)
        assert response.status_code == 422
        assert response.json()["field"] == field
        assert response.json()["remedy"]


def broken(bundle: Bundle) -> Bundle:
    """With a touchpoint model whose graph gives NaN for every row."""
    from onnx import TensorProto, helper

    columns = bundle.touchpoint.columns if bundle.touchpoint is not None else ()
    given = helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, len(columns)])
    result = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])
    weights = helper.make_tensor(
        "w", TensorProto.FLOAT, [len(columns), 2], [np.nan] * 2 * len(columns)
    )
    node = helper.make_node("MatMul", ["rows", "w"], ["probabilities"])
    graph = helper.make_graph([node], "g", [given], [result], [weights])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    model = OnnxModel(made.SerializeToString(), columns, PlattScaling())
    manifest = msgspec.structs.replace(bundle.manifest, touchpoint=part("touchpoint", model, {}))
    return Bundle(manifest, bundle.churn, model, bundle.table)


def test_an_estimator_that_gives_nan_falls_back_is_counted_and_replayed(bundle: Bundle) -> None:
    with opened_routes(EVERYTHING) as client:
        fits = trained_on(broken(bundle), EVERYTHING, ValenceTable(), "nan")
        promote(client, fits)
        answer = client.post("/decide", json={"customer_id": "ada"}).json()
        assert answer["fallback_used"] and answer["propensity"] == 1.0
        assert answer["note"].startswith("score_not_finite: the worth of ")
        again = replay(client, answer["decision_id"])
        assert again["equal"], again["differs"]
        assert answer["model_version"] == fits.bundle_id
        assert "nba_score_not_finite_total 1.0" in client.get("/metrics").text
        batch = Batch(BatchPlan(name="b", seed=1, now=NOON), client.replica.engine.decider)
        assert {one.mode for one in batch.decide(["ada", "eve"])} == {Mode.FALLBACK}
