"""What `nba train emotion` and `nba train text` learn from a log, keep and hand on."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from features.fold import Fold
from models.bundles.registry import EMOTION, TEXT, Registry
from nba.events.valences import ValenceTable
from nba.journey.mapping import EventMapping
from nba.journey_file.loader import load_journey
from nba.measurement.statistics.estimate import Undecided
from nba.stores.memory.log import MemoryLog
from serving.replica.replica import text_model
from tests.fixtures.files import BANK_JOURNEY
from tests.fixtures.small_replica import JOURNEY, NOON, changed, event
from training.data.history import History, events_from, history_of
from training.emotion.friction import report_friction
from training.emotion.learned import (
    LearnedEmotion,
    learn_emotion,
    learn_text,
    learned_table,
    linked_texts,
    save_emotion,
    save_text,
)
from training.emotion.text import FittedText
from training.simulation.history import RandomPolicy
from training.simulation.world import World, WorldConfig

BANK = load_journey(BANK_JOURNEY)
GOOD = ("quick and easy", "friendly staff", "solved at once", "谢谢 很快")
BAD = ("nobody called back", "waited for ever", "form broke again", "太慢 了")
TALK = changed(
    events=[
        EventMapping(id="said", event="Said", touchpoint="website", text="comment"),
        EventMapping(id="nps", event="Nps", touchpoint="website", role="nps", text="comment"),
        *JOURNEY.events,
    ]
)


def talk(n: int = 240) -> History:
    rng = np.random.default_rng(4)
    events = []
    for number in range(n):
        good = number % 2 == 0
        phrases = GOOD if good else BAD
        text = f"{phrases[rng.integers(4)]}, {phrases[rng.integers(4)]} {number}"
        who, at = f"c{number // 2}", NOON + timedelta(days=20 * (number % 2))
        if number % 4 < 2:
            answer = {"score": 10 if good else 2, "comment": text}
            events.append(event("Nps", at, answer, customer_id=who))
        else:
            events.append(event("Said", at, {"comment": text}, customer_id=who))
            later = at + timedelta(days=2)
            answer = {"score": 10 if good else 2}
            events.append(event("Nps", later, answer, customer_id=who))
    ordered = sorted(events, key=lambda e: e.received_at)
    return history_of(
        Fold(TALK), [changed(made, seq=seq) for seq, made in enumerate(ordered, start=1)]
    )


@pytest.fixture(scope="module")
def bank() -> History:
    config = WorldConfig(customers=700, days=150, seed=5)
    return history_of(Fold(BANK), events_from(World(config).play(RandomPolicy(5))))


@pytest.fixture(scope="module")
def learned(bank: History) -> LearnedEmotion:
    return learn_emotion(bank, seed=1)


pytestmark = [
    # MLflow 3.17 on SQLAlchemy 2.1: its model registry still uses `noload`
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:sqlalchemy.exc.SADeprecationWarning"),
]


def registry(folder: Path) -> Registry:
    return Registry(f"sqlite:///{folder}/mlflow.db", folder / "artifacts")


def test_texts_are_labelled_by_the_survey_beside_or_after_them() -> None:
    found = linked_texts(talk())
    assert len(found.texts) == 240
    agree = [
        label == text.startswith(GOOD)
        for text, label in zip(found.texts, found.labels, strict=True)
    ]
    assert all(agree)


def test_a_text_without_a_survey_within_a_week_teaches_nothing() -> None:
    said = event("Said", NOON, {"comment": "so so"})
    late = event("Nps", NOON + timedelta(days=8), {"score": 1})
    fold = Fold(TALK)
    events = [changed(said, seq=1), changed(late, seq=2)]
    assert linked_texts(history_of(fold, events)).texts == []


def test_words_learned_from_the_log_are_in_force_at_the_doors(tmp_path: Path) -> None:
    fitted = learn_text(talk(), seed=1)
    assert isinstance(fitted, FittedText) and fitted.metrics["auc"] > 0.9
    log = MemoryLog()
    assert text_model(log) is None
    assert save_text(fitted, log, registry(tmp_path), seed=1, now=NOON) == "1"
    model = text_model(log)
    assert model is not None and model.model_id == fitted.model.model_id == log.alias(TEXT)
    (good, bad, unknown), trust = model.score(["friendly staff", "太慢 了", "zzzz"])
    assert good > 0.3 and bad < -0.3 and unknown == 0.0 and trust[2] == 0.0


def test_too_few_texts_are_undecided_with_the_number() -> None:
    found = learn_text(talk(40), seed=1)
    assert isinstance(found, Undecided) and "40" in found.reason


def test_valences_learned_from_a_bank_keep_the_plain_signs(learned: LearnedEmotion) -> None:
    assert not isinstance(learned.valences, Undecided) and learned.losses >= 100
    by_kind = {valence.kind: valence.valence for valence in learned.valences}
    assert by_kind["search"] > 0 > by_kind["call_unresolved"]
    assert all(
        -1 <= valence.low <= valence.valence <= valence.high <= 1 for valence in learned.valences
    )
    [scale] = learned.table.surveys
    assert scale.kind == "survey_answered"


def test_the_same_log_and_seed_teach_the_same_table(bank: History, learned: LearnedEmotion) -> None:
    assert learn_emotion(bank, seed=1).table.version == learned.table.version


def test_the_next_training_folds_with_the_learned_table(
    learned: LearnedEmotion, tmp_path: Path
) -> None:
    log = MemoryLog()
    assert learned_table(log) == ValenceTable()
    save_emotion(learned, log, registry(tmp_path), seed=1, now=NOON)
    table = learned_table(log)
    assert table == learned.table and log.alias(EMOTION) == table.version
    fold = Fold(BANK, table)
    assert fold.schema.schema_hash != Fold(BANK).schema.schema_hash
    assert fold.schema.appraisal("search", "web_search").learned


def test_too_few_losses_leave_the_priors(bank: History) -> None:
    few = history_of(bank.fold, bank.events[:2_000])
    found = learn_emotion(few, seed=1)
    assert isinstance(found.valences, Undecided) and found.table.valences == ()


def test_the_report_names_the_valences_that_it_rests_on(bank: History) -> None:
    report = report_friction(bank, seed=1)
    assert report.valences in ("learned, cross-fitted", "prior")
    assert report.friction.losses >= 100 and len(report.rates) > 6
    few = report_friction(history_of(bank.fold, bank.events[:2_000]), seed=1)
    assert isinstance(few.friction.verdict, Undecided) and few.valences == "prior"
