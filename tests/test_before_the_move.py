"""What was decided, stored and bundled before the code was moved is read, and gone on with, after.

The folder `fixtures/before_the_move` was written by the old layout (`make_fixture.py.txt` in it
says how): a log with everything that a deployment keeps in it, and what the old code said of it.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from features.encoder import kinds_of
from models.bundles.bundle import load_bundle
from models.bundles.scorer import BundleScorer
from models.learning.status import policy_status
from models.residual.posterior import ResidualPosterior
from models.residual.version import load_policy_state
from nba.analytics.experiments import report_from_log
from nba.customer.context import ContextSchema
from nba.decisions.decision import Request, decision_from_json
from nba.engine.redecision import context_of
from nba.errors import InvalidBundle
from nba.experiments.registry import stored_experiments
from nba.promotion.catalogue_versions import stored_journey
from nba.promotion.rollout import rollout_of
from nba.promotion.verdict import GateVerdict
from nba.stores import parquet
from nba.stores.postgres import schema
from nba.stores.postgres.log import PostgresLog
from serving.api.replay import replayed
from serving.http.routes import Routes
from serving.jobs import decision_files
from serving.jobs.batch_decisions import BatchOptions, run_batch
from serving.replica.assembly import assemble
from serving.replica.replica import Replica, text_model
from serving.settings import Settings
from serving.workers.background import learner_of
from serving.workers.delivery import Deliverer
from serving.workers.health_watch import health_now, watch_of
from serving.workers.orchestrator import Orchestrator
from serving.workers.webhook import Webhook
from tests.fixtures.stored_before_the_move import (
    ANSWERS,
    DATA,
    EXACT,
    EXPECTED,
    as_before,
    but_of,
    digest,
    plain,
    restore_log,
    same,
    spend,
)

SETTINGS = Settings(deadline_ms=20_000.0, learn_s=0.0)


@pytest.fixture
def log(postgres_url: str) -> Iterator[PostgresLog]:
    """The old log in a database that this program's migrations have made."""
    restore_log(postgres_url)
    opened = PostgresLog.open(postgres_url)
    yield opened
    opened.close()


@pytest.fixture
def replica(log: PostgresLog) -> Replica:
    """A replica on it, at the moment at which the old one stopped."""
    now = datetime.fromisoformat(EXPECTED["now"])
    ids, seeds = count(1), count(9_000)
    return assemble(
        SETTINGS,
        log=log,
        now=lambda: now,
        new_id=lambda: f"new-{next(ids):03d}",
        seed_for=lambda *_: next(seeds),
    )


@pytest.fixture
def client(replica: Replica) -> TestClient:
    return TestClient(Routes(replica, SETTINGS).app)


def test_every_earlier_decision_is_replayed_as_it_was(client: TestClient, log: PostgresLog) -> None:
    assert len(EXPECTED["decisions"]) > 100 and len(EXPECTED["kinds"]) > 50
    decisions = log.decisions(list(EXPECTED["decisions"]))
    for decision_id, was in EXPECTED["decisions"].items():
        again = client.post(f"/decisions/{decision_id}/replay").json()
        assert again["logged_sha256"] == was["sha256"], decision_id
        assert again["equal"] == (again["replayed_sha256"] == was["sha256"]), decision_id
        if EXACT:
            assert (again["equal"], again["differs"]) == (True, []), decision_id
        elif not again["equal"]:
            decision = decisions[decision_id]
            assert same(plain(replayed(log, decision)), plain(decision)), decision_id


def test_the_records_of_earlier_decisions_are_written_again_as_they_were(
    log: PostgresLog, postgres_url: str
) -> None:
    with psycopg.connect(postgres_url) as connection:
        rows = connection.execute("SELECT decision_id, record::text FROM decisions").fetchall()
    assert {decision_id for decision_id, _ in rows} == set(EXPECTED["decisions"])
    for decision_id, record in rows:
        written = decision_from_json(record).to_json()
        assert written == record.encode()
        assert hashlib.sha256(written).hexdigest() == EXPECTED["decisions"][decision_id]["sha256"]


def test_the_doors_answer_of_the_past_as_they_did(client: TestClient) -> None:
    for decision_id, answer in ANSWERS["past"].items():
        assert client.get(f"/decisions/{decision_id}").json() == answer
    for decision_id, was in EXPECTED["decisions"].items():
        answer = client.get(f"/decisions/{decision_id}").json()
        assert digest(answer)[:16] == was["answer"], decision_id
    for customer_id, was in EXPECTED["customers"].items():
        path = f"/customers/{customer_id}"
        history = client.get("/decisions", params={"customer_id": customer_id})
        assert digest(client.get(path).json()) == was["customer"], customer_id
        assert digest(client.get(f"{path}/emotion").json()) == was["emotion"], customer_id
        assert digest(history.json()) == was["decisions"], customer_id


def test_the_names_on_the_wire_are_the_same(client: TestClient) -> None:
    contract = client.get("/openapi.json").json()
    schemas = contract["components"]["schemas"].values()
    fields = {name for schema in schemas for name in schema.get("properties", {})}
    metrics = client.get("/metrics").text.splitlines()
    assert sorted(contract["paths"]) == EXPECTED["wire"]["paths"]
    assert fields >= set(EXPECTED["wire"]["fields"])  # newer ones stand beside them
    names = {line.split()[2] for line in metrics if "# TYPE" in line}
    assert names >= set(EXPECTED["metrics"])  # newer ones stand beside them
    assert [[field.name, str(field.type)] for field in decision_files.schema()] == EXPECTED["batch"]
    assert [[field.name, str(field.type)] for field in parquet.schema()] == EXPECTED["export"]


def test_events_snapshots_messages_and_the_trail_are_read(
    replica: Replica, log: PostgresLog
) -> None:
    events = log.page_events(0, 100_000)
    assert digest(plain(events)) == EXPECTED["events"]["sha256"]
    assert schema.HEAD >= EXPECTED["revision"]
    assert not log.snapshots(EXPECTED["snapshots"], replica.engine.fold.snapshot_hash)  # older fold
    for state, messages in EXPECTED["deliveries"].items():
        assert plain(log.deliveries(state)) == messages and messages
    for alias, changes in EXPECTED["changes"].items():
        assert log.alias(alias) == EXPECTED["aliases"][alias]
        assert plain(log.alias_changes(alias, 1_000)) == changes and changes


def test_an_earlier_bundle_predicts_as_it_did(log: PostgresLog) -> None:
    files = {path.name: path.read_bytes() for path in (DATA / "bundle").iterdir()}
    assert load_bundle(files).bundle_id in EXPECTED["bundles"]
    for bundle_id, was in EXPECTED["bundles"].items():
        stored = log.bundle(bundle_id)
        assert stored is not None
        assert was["files"] == {
            name: hashlib.sha256(content).hexdigest() for name, content in stored.files.items()
        }
        bundle = load_bundle(stored.files)
        assert (bundle.bundle_id, bundle.files()) == (bundle_id, stored.files)
        journey = stored_journey(log, bundle.manifest.catalogue_version)
        scorer = BundleScorer(bundle, ContextSchema(journey, bundle.table))
        decisions = log.decisions(was["decisions"])
        contexts = [context_of(decisions[decision_id]) for decision_id in was["decisions"]]
        scores = scorer.touchpoint(contexts, [range(4)] * len(contexts))
        assert same(scores.reshape(-1, 4).tolist(), was["scores"]) and was["scores"]
        assert same([churn.risk for churn in scorer.churn(contexts)], was["churn"])


def test_earlier_catalogues_verdicts_and_text_models_are_what_their_ids_say(
    log: PostgresLog,
) -> None:
    for version in EXPECTED["catalogues"]:
        assert stored_journey(log, version).catalogue_version() == version
    (verdict_id,) = EXPECTED["verdicts"]
    stored = log.bundle(verdict_id)
    assert stored is not None
    verdict = msgspec.json.decode(stored.files["verdict.json"], type=GateVerdict)
    assert verdict.verdict_id == verdict_id and set(verdict.files()) == set(stored.files)
    assert verdict.to_json() == stored.files["verdict.json"]
    model = text_model(log)
    assert model is not None and model.model_id == EXPECTED["aliases"]["text"]
    valences, _ = model.score(EXPECTED["words"]["texts"])
    assert same(valences.tolist(), EXPECTED["words"]["valences"])


def test_what_was_learned_online_is_read_version_by_version(replica: Replica) -> None:
    assert same(plain(policy_status(replica.log)), EXPECTED["policy_status"])
    for version, was in EXPECTED["policies"].items():
        stored = replica.log.bundle(version)
        assert stored is not None
        state = load_policy_state(stored.files)
        posterior = ResidualPosterior.of(state.sums, state.head.prior, state.head.as_of_s)
        assert (state.version, state.head.bundle_id) == (version, was["bundle_id"])
        assert state.head.changes == was["lessons"]
        assert same(posterior.theta[:, 0].tolist(), was["intercepts"])


def test_the_rollout_the_experiments_and_the_health_stand_where_they_stood(
    replica: Replica,
) -> None:
    log = replica.log
    assert plain(rollout_of(log)) == EXPECTED["rollout"]
    experiments = {
        started.experiment.id: {
            "started": plain(started),
            "report": plain(
                report_from_log(log, started, kinds_of=kinds_of, progress=lambda events: None)
            ),
        }
        for started in stored_experiments(log).started
    }
    assert same(experiments, EXPECTED["experiments"]) and len(experiments) == 2
    watch = watch_of(replica)
    with pytest.raises(InvalidBundle, match="format 1"):  # its outcomes were not by customer
        watch.summaries.load()
    watch.step()
    assert len(watch.summaries.dated) == EXPECTED["health_days"][0]
    assert same(plain(health_now(replica, watch.summaries)), EXPECTED["health"])


def test_what_happens_next_is_what_the_old_code_would_have_done(replica: Replica) -> None:
    log, end = replica.log, replica.log.position()
    waiting = log.decision(ANSWERS["activated"])
    assert waiting is not None
    decider = replica.engine.decider
    decider.activate(waiting, replica.now(), anyway=True)
    webhook = Webhook(url=None, secret=None, attempts=3, dry_run=True)
    deliverer = Deliverer(log, webhook, decider.delivery_block)
    first_pass = Orchestrator(
        log,
        lambda customers: decider.advance_sub_journeys(customers, replica.now(), replica.chance),
        deliverer,
        replica.now,
    ).step()
    # five steps whose action was refused: of the old code four sent another, and that was paid for
    without = {f"new-{n:03d}" for n in range(1, 6)}
    assert plain(first_pass) == ANSWERS["conducted"] | {"tried": 7}
    for decision in log.decisions(sorted(without)).values():
        assert (decision.action_id, decision.request.candidates) == ("no_action", ("card_offer",))
    spend(log, 0.2, decider.pipeline.governor.periods(replica.now()), replica.now())
    for was in ANSWERS["next"]:
        request = msgspec.convert(was["request"], type=Request)
        (decision,) = decider.decide([request], replica.now(), replica.chance)
        assert same(as_before(decision), was), was["decision_id"]
    told = but_of(without, plain(log.page_events(end, 10_000)))
    assert same(told, but_of(without, ANSWERS["next_events"]))
    learned = plain(learner_of(replica, SETTINGS).step())
    assert learned["version"] == log.alias("policy")
    # a version's name is the hash of its sums, and those are kept in integers since; 17 changes
    # then: the activation above was one more, now its decision counts from when it was made
    # and four decisions between an action and others have become none, four messages one event
    changed = {"events": 40, "lessons": 12, "passed_over": 8, "version": learned["version"]}
    assert learned == EXPECTED["next_learned"] | changed


def test_what_was_sent_before_the_move_counts_once_when_it_is_sent_again(
    client: TestClient, log: PostgresLog
) -> None:
    events, end = log.page_events(0, 100_000), log.position()
    first = next(event for event in events if event.event_id == "n1")
    body: dict[str, Any]
    body = {"customer_id": first.customer_id, "name": first.name, "event_id": first.event_id}
    assert client.post("/events", json=body).json()["duplicates"] == 1
    activated = next(event for event in events if event.name == "Action Activated")
    body = {"decision_id": activated.decision_id}
    assert client.post("/activate", json=body).json()["activated"]
    shown = next(event for event in events if event.name == "Action Shown")
    body = {"decision_id": shown.decision_id, "outcome": "shown"}
    assert not client.post("/feedback", json=body).json()["stored"]
    body = {"customer_id": "c28", "decision_request_id": "question-1"}
    assert client.post("/decide", json=body).json()["decision_id"] in EXPECTED["decisions"]
    assert log.position() == end


def test_a_batch_that_was_cut_short_goes_on(replica: Replica, tmp_path: Path) -> None:
    shutil.copytree(DATA / "batch", tmp_path / "batch")
    ask = BatchOptions(seed=6, deferred=True)
    done = run_batch(replica, tmp_path / "batch", ask, lambda: iter(()))
    assert (done.went_on, done.customers) == (True, 12)
    (part,) = (tmp_path / "batch").glob("*.parquet")
    rows = pq.read_table(part).to_pylist()
    assert list(rows[0]) == [name for name, _ in EXPECTED["batch"]]
    decision_ids = {row["decision_id"] for row in rows}
    assert len(rows) == 12 and len(decision_ids & EXPECTED["decisions"].keys()) == 6
