"""Emotion at the routes: its parts, its curve, words read on the way in, valences learned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
import pytest

from features.text.model import TextModel
from models.bundles.bundle import Bundle, valences_hash
from models.bundles.registry import TEXT
from nba.customer.context import ContextSchema
from nba.events.names import TEXT_SCORE
from nba.events.valences import LearnedValence, ValenceTable
from nba.journey.mapping import EventMapping
from nba.stores.versioned import CHAMPION
from tests.fixtures.customer_with_signals import signal_journey
from tests.fixtures.routes_in_process import InProcess, opened_routes
from tests.fixtures.small_replica import JOURNEY, NOON, changed
from tests.models.bundles.test_bundle import made
from training.emotion.text import FittedText, fit_text

WORDED = changed(
    signal_journey(),
    events=[
        EventMapping(id="said", event="Said", touchpoint="website", text="comment"),
        EventMapping(id="nps", event="Nps", touchpoint="website", role="nps", text="comment"),
        *signal_journey().events,
    ],
)
GOOD = ("lovely helpful staff", "thanks, quick and easy", "great service today", "love this bank")
BAD = ("awful waiting time", "nobody called me back", "terrible broken form", "hate this mess")


def learned(valence: float = 0.6) -> ValenceTable:
    one = LearnedValence(
        kind="complaint",
        touchpoint="complaint_desk",
        valence=valence,
        low=0.1,
        high=0.9,
        prior=-0.8,
        occurrences=90,
        flipped=True,
    )
    return ValenceTable(losses=200, valences=(one,))


@pytest.fixture(scope="module")
def words() -> TextModel:
    rng = np.random.default_rng(1)
    texts, labels = [], []
    for number in range(400):
        phrases = GOOD if number % 2 else BAD
        texts.append(f"{phrases[rng.integers(4)]} {phrases[rng.integers(4)]} {number}")
        labels.append(number % 2 == 1)
    fitted = fit_text(texts, np.array(labels), seed=1)
    assert isinstance(fitted, FittedText)
    return fitted.model


@pytest.fixture
def worded() -> Iterator[InProcess]:
    with opened_routes(journey=WORDED) as client:
        yield client


def post(client: InProcess, name: str, at_s: float = 0.0, **properties: Any) -> None:
    at = (NOON + timedelta(seconds=at_s)).isoformat()
    event = {"customer_id": "ada", "name": name, "occurred_at": at, "properties": properties}
    event |= {"event_id": f"{name}@{at_s:g}"}
    assert client.post("/events", json=event).status_code == 200


def test_an_answer_says_what_its_emotion_is_made_of(worded: InProcess) -> None:
    worded.clock.advance(hours=1)
    post(worded, "search", 0, query="loan", results_count=0)
    post(worded, "Complaint Filed", 60)
    answer = worded.decide()
    parts = answer["emotion_parts"]
    search, complaint = parts["nodes"]
    assert (search["touchpoint"], search["because"]) == ("site_search", "zero_result")
    assert (complaint["valence"], complaint["because"]) == (-0.8, "complaint")
    assert {node["source"] for node in parts["nodes"]} == {"prior"}
    assert (complaint["agency"], complaint["confidence"]) == ("firm", 0.5)
    assert sum(node["valence"] for node in parts["nodes"]) == pytest.approx(
        answer["emotion"]["sum10"]
    )
    assert parts["valences"] == "prior" and parts["words"] == "untrained"
    assert parts["age_s"] == 3540.0
    assert worded.get("/customers/ada").json()["emotion_parts"] == parts
    stored = worded.get(f"/decisions/{answer['decision_id']}").json()
    assert stored == answer


def test_the_curve_tells_each_signal_and_where_it_comes_from(worded: InProcess) -> None:
    worded.clock.advance(hours=1)
    for at_s in (0, 0.4, 0.8):
        post(worded, "click", at_s, target="pay")
    post(worded, "contact", 600, issue="card")
    curve = worded.get("/customers/ada/emotion").json()
    assert curve["nodes_in_all"] == 2 and curve["valences"] == "prior"
    clicked, called = curve["nodes"]
    [rage] = [part for part in clicked["parts"] if part["signal"]]
    assert rage["derived_from"] == ["click@0", "click@0.4", "click@0.8"]
    assert (rage["kind"], rage["valence"], rage["source"]) == ("rage_click", -0.5, "prior")
    assert (clicked["valence"], clicked["arousal"], clicked["cumulative"]) == (-0.5, 0.9, -0.5)
    assert (called["valence"], called["cumulative"]) == (0.0, -0.5)


def test_a_silence_is_in_answer_and_curve_without_another_event(worded: InProcess) -> None:
    post(worded, "field", 0, form="loan")
    assert worded.decide(dry_run=True)["emotion"]["sum10"] == 0.0
    worded.clock.advance(minutes=30)
    assert worded.decide(dry_run=True)["emotion"]["sum10"] == -0.4
    [node] = worded.get("/customers/ada/emotion").json()["nodes"]
    assert node["valence"] == -0.4 and node["parts"][-1]["kind"] == "form_abandoned"


def test_the_curve_of_nobody_is_404(worded: InProcess) -> None:
    answer = worded.get("/customers/nobody/emotion")
    assert answer.status_code == 404 and "nobody" in answer.json()["message"]


def test_words_are_neutral_until_a_model_is_trained_and_read_from_then_on(
    worded: InProcess, words: TextModel
) -> None:
    post(worded, "Said", 0, comment="nobody called me back, awful")
    answer = worded.decide(dry_run=True)
    assert answer["emotion_parts"]["words"] == "untrained"
    assert (answer["emotion"]["last"], answer["emotion"]["coverage"]) == (0.0, 0.0)

    worded.log.save_bundle(words.model_id, words.to_files())
    worded.log.set_alias(TEXT, words.model_id, NOON)
    worded.replica.reload()
    worded.clock.advance(hours=2)
    post(worded, "Said", 7200, comment="nobody called me back, terrible broken form")
    answer = worded.decide(dry_run=True)
    [_, read] = answer["emotion_parts"]["nodes"]
    assert answer["emotion_parts"]["words"] == words.model_id
    assert read["valence"] < -0.5 and read["source"] == "said" and read["confidence"] > 0.5
    scores = [e.properties.get(TEXT_SCORE) for e in worded.log.page_events(0)]
    assert scores[0] is None and scores[1]["model"] == words.model_id


@pytest.mark.parametrize("comment", ["", "   ", None, 7, "🤬🤬", "非常糟糕", "x" * 9_000])
def test_any_comment_is_taken(worded: InProcess, words: TextModel, comment: object) -> None:
    worded.replica.engine = replace(worded.replica.engine, text_model=words)
    post(worded, "Said", 0, comment=comment)
    assert worded.get("/customers/ada").status_code == 200


def test_a_survey_answer_with_words_weighs_both(worded: InProcess, words: TextModel) -> None:
    worded.replica.engine = replace(worded.replica.engine, text_model=words)
    post(worded, "Nps", 0, score=0, comment="nobody called me back, awful waiting time")
    [node] = worded.decide()["emotion_parts"]["nodes"]
    assert -1.0 < node["valence"] < -0.7 and node["confidence"] > 0.7 and node["source"] == "said"


def test_nobody_may_send_a_score_of_words_of_her_own(worded: InProcess) -> None:
    sent = {"customer_id": "ada", "name": "Said", "properties": {TEXT_SCORE: {"valence": 1}}}
    answer = worded.post("/events", json=sent)
    assert answer.status_code == 422 and "reserved" in answer.json()["remedy"]


def bundle_with(table: ValenceTable) -> Bundle:
    whole = made()
    schema_hash = ContextSchema(JOURNEY, table).schema_hash
    manifest = msgspec.structs.replace(
        whole.manifest, schema_hash=schema_hash, valences=valences_hash(table)
    )
    return Bundle(manifest, whole.churn, whole.touchpoint, table)


def promote(client: InProcess, bundle: Bundle, files: dict[str, bytes] | None = None) -> str:
    client.log.save_bundle(bundle.bundle_id, files or bundle.files())
    client.log.set_alias(CHAMPION, bundle.bundle_id, NOON)
    return bundle.bundle_id


def test_learned_valences_come_with_the_bundle_and_contexts_are_those_of_the_log() -> None:
    with opened_routes() as client:
        post(client, "Complaint Filed")
        before = client.decide(dry_run=True)
        assert before["emotion"]["last"] == -0.8
        old = client.replica.engine
        bundle_id = promote(client, bundle_with(learned()))
        assert client.replica.reload() and client.replica.engine is not old
        assert client.replica.engine.contexts.cached() == ["ada"]  # rebuilt before the first answer
        after = client.decide(dry_run=True)
        assert (after["emotion"]["last"], after["model_version"]) == (0.6, bundle_id)
        told = client.decide(decision_request_id="r")
        [node] = after["emotion_parts"]["nodes"]
        assert node["source"] == "learned" and node["confidence"] == pytest.approx(0.875)
        assert after["emotion_parts"]["valences"] == learned().version
        assert client.replica.engine.fold.schema.kernel_hash != old.fold.schema.kernel_hash
        again = promote(client, bundle_with(ValenceTable()))
        assert client.get(f"/decisions/{told['decision_id']}").json() == told
        assert client.replica.reload() and client.decide(dry_run=True)["model_version"] == again
        assert client.decide(dry_run=True)["emotion"]["last"] == -0.8


def test_a_bundle_whose_valences_were_altered_is_not_served() -> None:
    with opened_routes() as client:
        post(client, "Complaint Filed")
        bundle = bundle_with(learned())
        files = bundle.files()
        promote(client, bundle, {**files, "valences.json": files["valences.json"] + b" "})
        client.replica.reload()
        answer = client.decide(dry_run=True)
        assert answer["fallback_used"] and "valences.json: altered" in answer["note"]
        assert answer["emotion"]["last"] == -0.8
