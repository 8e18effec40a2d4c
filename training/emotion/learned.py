"""Learned: what `nba train emotion` and `nba train text` put into the store, and who takes it up.

The table of valences is taken up by the next `nba train` and served with its bundle; the text model
scores words on the way in as soon as it is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from models.bundles.registry import EMOTION, TEXT, Registry
from nba.customer.appraisal import SurveyAppraisal
from nba.durations import WEEK_S
from nba.events.signals import SURVEYS
from nba.events.valences import (
    VALENCES_FILE,
    LearnedValence,
    ValenceTable,
    valences_from_json,
    valences_json,
)
from nba.measurement.statistics.estimate import Undecided
from nba.stores.log import Log
from nba.stores.versioned import save_version, version_in_force
from training.data.history import History, number
from training.emotion.evidence import evidence_of, survey_scales
from training.emotion.text import FittedText, fit_text
from training.emotion.valences import learn_valences

LINKED_S = WEEK_S  # a text is labelled by the survey answered within so long after it


def learned_table(log: Log) -> ValenceTable:
    """The last learned table of the store, the priors where there is none."""
    stored = version_in_force(log, EMOTION)
    return valences_from_json(stored.files[VALENCES_FILE]) if stored is not None else ValenceTable()


@dataclass(frozen=True, slots=True)
class LearnedEmotion:
    """What was learned, or why not; survey scales are learned in any case."""

    table: ValenceTable
    valences: tuple[LearnedValence, ...] | Undecided
    losses: int
    low_surveys: int


def learn_emotion(
    history: History, *, seed: int, before: ValenceTable | None = None
) -> LearnedEmotion:
    """Valences and survey scales from a history that was folded with the priors.

    Where the valences are undecided, those of the table `before` are kept.
    """
    evidence = evidence_of(history)
    valences = learn_valences(evidence, seed=seed)
    table = ValenceTable(
        losses=evidence.losses,
        low_surveys=evidence.low_surveys,
        dataset=history.fingerprint(),
        valences=valences
        if not isinstance(valences, Undecided)
        else before.valences
        if before
        else (),
        surveys=survey_scales(history),
    )
    return LearnedEmotion(table, valences, evidence.losses, evidence.low_surveys)


def save_emotion(
    learned: LearnedEmotion, log: Log, registry: Registry, *, seed: int, now: datetime
) -> str:
    """Register the table in MLflow and keep it for the next training; gives the version."""
    table = learned.table
    files = {VALENCES_FILE: valences_json(table)}
    valences = table.valences
    version = registry.save_files(
        EMOTION,
        table.version,
        files,
        params={"seed": seed, "dataset": table.dataset},
        metrics={
            "losses": table.losses,
            "low_surveys": table.low_surveys,
            "learned": len(valences),
            "flipped": sum(valence.flipped for valence in valences),
        },
    )
    save_version(log, alias=EMOTION, version=table.version, files=files, at=now)
    return version


@dataclass(frozen=True, slots=True)
class LinkedTexts:
    """Texts with what the survey beside or after them said."""

    texts: list[str]
    labels: np.ndarray  # (n,) bool, whether positive
    customers: list[str]


def linked_texts(history: History) -> LinkedTexts:
    """Texts whose event carries a survey score, or is followed by one within 7 days."""
    mapping_of = history.fold.encoder.mapping
    scales = {scale.kind: scale for scale in survey_scales(history)}
    written: list[tuple[str, float, str, float]] = []  # customer, time, text, own valence
    answers: dict[str, list[tuple[float, float]]] = {}
    for event in history.events:
        mapping = mapping_of(event)
        if mapping is None:
            continue
        at, own = event.occurred_at.timestamp(), float("nan")
        if mapping.role in SURVEYS:
            score = number(event, mapping.reads.get("score", "score"))
            if not np.isnan(score):
                own = SurveyAppraisal(mapping.role, scales.get(mapping.id)).valence(score)
                answers.setdefault(event.customer_id, []).append((at, own))
        text = event.properties.get(mapping.text) if mapping.text else None
        if isinstance(text, str) and text.strip():
            written.append((event.customer_id, at, text, own))
    texts, labels, customers = [], [], []
    for customer, at, text, own in written:
        later = [v for t, v in sorted(answers.get(customer, [])) if at <= t <= at + LINKED_S]
        valence = own if not np.isnan(own) else later[0] if later else 0.0
        if valence != 0.0:
            texts.append(text)
            labels.append(valence > 0.0)
            customers.append(customer)
    return LinkedTexts(texts, np.array(labels, dtype=bool), customers)


def learn_text(history: History, *, seed: int) -> FittedText | Undecided:
    """The text model of this deployment's own survey-linked texts."""
    linked = linked_texts(history)
    return fit_text(linked.texts, linked.labels, seed=seed, groups=linked.customers)


def save_text(fitted: FittedText, log: Log, registry: Registry, *, seed: int, now: datetime) -> str:
    """Register the model in MLflow and put it in force at the doors; gives the version."""
    model = fitted.model
    files = model.to_files()
    version = registry.save_files(
        TEXT, model.model_id, files, params={"seed": seed}, metrics=fitted.metrics
    )
    save_version(log, alias=TEXT, version=model.model_id, files=files, at=now)
    return version
