"""Evidence: what the valences are learned from, counted out of a log."""

from __future__ import annotations

import numpy as np

from features.replay.point_in_time import ContextQuestions, replay
from nba.customer.context import STAGE
from nba.events.signals import SURVEYS
from nba.events.valences import SurveyScale
from training.data.history import History, number
from training.emotion.valences import NODES, ValenceEvidence, ValenceUnit
from training.emotion.visits import FollowedVisits, follow


def evidence_of(history: History, followed: FollowedVisits | None = None) -> ValenceEvidence:
    """One moment after each visit: what the last ten were made of, and what came next.

    The label is the loss of the customer, or a survey answer below the middle before their next
    visit. Controls: traits, days known, contacts, stage.
    """
    followed = followed or follow(history)
    units, unit_of = units_of(history, followed)
    low = _low_answer(history, followed)
    return ValenceEvidence(
        counts=_counts(followed, unit_of, len(units)),
        units=units,
        controls=_controls(history, followed),
        customers=followed.customers,
        labels=followed.lost | low,
        losses=int(followed.lost.sum()),
        low_surveys=int(low.sum()),
    )


def survey_scales(history: History) -> tuple[SurveyScale, ...]:
    """The answers to each mapped survey, score by score."""
    mapping_of = history.fold.encoder.mapping
    scores: dict[str, dict[float, int]] = {}
    for event in history.events:
        mapping = mapping_of(event)
        if mapping is None or mapping.role not in SURVEYS:
            continue
        score = number(event, mapping.reads.get("score", "score"))
        if not np.isnan(score):
            counts = scores.setdefault(mapping.id, {})
            counts[score] = counts.get(score, 0) + 1
    return tuple(
        SurveyScale(
            kind=kind, scores=tuple(sorted(counts)), counts=tuple(counts[s] for s in sorted(counts))
        )
        for kind, counts in sorted(scores.items())
    )


def units_of(
    history: History, followed: FollowedVisits
) -> tuple[tuple[ValenceUnit, ...], np.ndarray]:
    """The units, and (n_parts,) the unit of each part, -1 for none."""
    schema = history.fold.schema
    mapped = {mapping.id: mapping for mapping in schema.journey.events}
    touchpoints = [touchpoint.id for touchpoint in schema.journey.touchpoints()]
    parts = followed.table.parts
    pairs, unit_of = np.unique(
        np.column_stack([parts["kind"], parts["touchpoint"]]), axis=0, return_inverse=True
    )
    units: list[ValenceUnit] = []
    codes = np.full(len(pairs), -1)
    for position, (kind_code, touchpoint_code) in enumerate(pairs):
        kind = schema.kinds[kind_code]
        mapping = mapped.get(kind)
        if touchpoint_code < 0 or (mapping is not None and mapping.role in SURVEYS):
            continue
        codes[position] = len(units)
        units.append(
            ValenceUnit(
                kind=kind,
                touchpoint=touchpoints[touchpoint_code],
                type=(mapping.signal if mapping is not None else None) or kind,
                prior=schema.appraisal(kind, None).valence,
            )
        )
    return tuple(units), codes[unit_of.ravel()]


def _counts(followed: FollowedVisits, unit_of: np.ndarray, n_units: int) -> np.ndarray:
    """(n, n_units) occurrences in the last ten visits of the same episode."""
    n = len(followed.times)
    inside = (followed.visit_of >= 0) & (unit_of >= 0)
    own = np.zeros((n, n_units))
    np.add.at(own, (followed.visit_of[inside], unit_of[inside]), 1.0)
    summed = np.vstack([np.zeros(n_units), np.cumsum(own, axis=0)])
    first = np.searchsorted(followed.episodes, followed.episodes)  # of the episode
    begin = np.maximum(first, np.arange(n) + 1 - NODES)
    return np.asarray(summed[np.arange(n) + 1] - summed[begin])


def _low_answer(history: History, followed: FollowedVisits) -> np.ndarray:
    """(n,) whether an answer below the middle came before the customer's next visit."""
    schema = history.fold.schema
    roles = {mapping.id: mapping.role for mapping in schema.journey.events}
    answers = np.array([roles.get(kind) in SURVEYS for kind in schema.kinds])
    table = followed.table
    low = answers[table.parts["kind"]] & (table.parts["valence"] < 0.0)
    # both are sorted by customer, then time
    times = table.parts["time"]
    first = times.min(initial=np.inf)
    apart = times.max(initial=-np.inf) - first + 1.0  # between the clocks of two customers
    keys = followed.customers * apart + followed.times - first
    answer_keys = table.part_customers[low] * apart + times[low] - first
    before = np.searchsorted(keys, answer_keys, side="right") - 1
    same = (before >= 0) & (followed.customers[before] == table.part_customers[low])
    before_low = np.zeros(len(keys), dtype=bool)
    before_low[before[same]] = True
    return before_low


def _controls(history: History, followed: FollowedVisits) -> np.ndarray:
    """(n, k) traits, days known, contacts and stage at each visit; what is missing is flagged."""
    schema = history.fold.schema
    moments = ContextQuestions.at(history.rows.customers[followed.customers], followed.times)
    values, _ = replay(history.fold, history.rows, moments)
    columns: list[np.ndarray] = []
    for name in schema.columns:
        column = values[:, schema.index[name]]
        if name in schema.categories or name == STAGE:
            codes = range(1, len(schema.categories[name]))
            columns += [(column == code).astype(float) for code in codes]
        elif name.startswith("traits.") or name == "customer.days_known":
            known = ~np.isnan(column)
            mean = column[known].mean() if known.any() else 0.0
            columns += [np.where(known, column, mean), (~known).astype(float)]
        elif name.startswith("contact.") and name.endswith(".count_30d"):
            columns.append(column)
    return np.column_stack(columns) if columns else np.empty((len(followed.times), 0))
