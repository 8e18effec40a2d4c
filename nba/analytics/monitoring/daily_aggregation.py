"""Sum one day of the log: its events, decisions and rewards.

Pure: events and decisions in, records of `nba.analytics.monitoring.daily_summary` out.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from msgspec import UNSET

from nba.analytics.monitoring.context_bins import (
    ContextBins,
    ContextCounts,
    context_bins,
    count_contexts,
)
from nba.analytics.monitoring.daily_summary import (
    DecisionCounts,
    EarlyOutcomes,
    EventCounts,
    SettledOutcomes,
    lag_counts,
    prediction_histograms,
)
from nba.analytics.monitoring.offer_counts import offer_counts
from nba.analytics.monitoring.outcome_join import outcome_join
from nba.analytics.monitoring.sketches import (
    PropertySums,
    bucket_rewards,
    customer_hash,
    customer_hashes,
    distinct_count,
    named_counts,
    properties_by_name,
)
from nba.decisions.decision import Decision, Mode
from nba.engine.redecision import chances, draws
from nba.events.event import Event
from nba.events.names import (
    ACTION_ACTIVATED,
    ACTION_DECIDED,
    ACTION_DELIVERED,
    ACTION_EXPIRED,
    ACTION_SHOWN,
    GOVERNANCE_EVENTS,
    IDENTIFY,
    LOG_EVENTS,
)
from nba.journey.actions import NO_ACTION
from nba.journey.file import JourneyFile
from nba.journey.mapping import EventMapping, Trait
from nba.measurement.off_policy.propensity_audit import draw_counts
from nba.measurement.statistics.calibration import calibration_bins
from nba.rewards.credit import Credit, settled_counts
from nba.rewards.validity import at_s

MAX_NAMES = 200  # of unmapped events on one day; the rest is counted under `OTHERS`
OTHERS = "(others)"
GROWING = (".total", ".sum_total", "customer.days_known")  # columns that time alone moves
_SOUND = 1e-9  # of probabilities that sum to one
# events that name a decision without answering it
_SIGNS = {ACTION_DECIDED, ACTION_ACTIVATED, ACTION_DELIVERED, ACTION_EXPIRED, ACTION_SHOWN}


def count_events(
    events: Iterable[Event],
    journey: JourneyFile,
    mapping_of: Callable[[Event], EventMapping | None],
    known: Sequence[str] = (),
) -> EventCounts:
    """The events of one day from outside. `known`: the unmapped names that it has already."""
    kinds, unmapped = Counter[str](), Counter[str]()
    names = set(known)
    sources: dict[str, PropertySums] = defaultdict(PropertySums)
    count = 0
    for event in events:
        if event.name in LOG_EVENTS:
            continue
        count += 1
        if event.name == IDENTIFY:
            for name, trait in journey.traits.items():
                sources[f"traits.{name}"] += _of_trait(trait, event.properties.get(name))
        mapping = mapping_of(event)
        if mapping is not None:
            kinds[mapping.id] += 1
            if mapping.amount:
                amount = event.properties.get(mapping.amount)
                counted = mapping.amount_in(event.properties)
                beyond = PropertySums(beyond=int(counted is not None and counted != amount))
                sources[f"{mapping.id}.{mapping.amount}"] += _of_number(amount) + beyond
        elif event.name not in (IDENTIFY, *GOVERNANCE_EVENTS) and not _maps(journey, event.name):
            if event.name not in names and len(names) >= MAX_NAMES:
                unmapped[OTHERS] += 1
            else:
                names.add(event.name)
                unmapped[event.name] += 1
    return EventCounts(
        events=count,
        kinds=named_counts(kinds),
        unmapped=named_counts(unmapped),
        sources=properties_by_name(sources),
    )


def count_decisions(decisions: Sequence[Decision], bins: ContextBins | None) -> DecisionCounts:
    """The decisions of one day; contexts are counted where they have the columns of the bins."""
    modes = Counter(decision.mode.value for decision in decisions)
    live = [decision for decision in decisions if decision.mode is Mode.LIVE]
    sound = [decision for decision in live if _is_sound(decision)]
    free = chances(sound)
    rows = context_rows(live, bins.schema) if bins is not None else np.empty((0, 0))
    contexts = ContextCounts() if bins is None else count_contexts(rows, bins)
    by_bundle: dict[str, list[Decision]] = defaultdict(list)
    for decision in live:
        if decision.bundle_id is not None:
            by_bundle[decision.bundle_id].append(decision)
    bundles = tuple(sorted(by_bundle))
    return DecisionCounts(
        modes=named_counts(modes),
        schemas=named_counts(Counter(decision.context_schema for decision in live)),
        customers=distinct_count(customer_hash(decision.request.customer_id) for decision in live),
        draws=draw_counts(*free),
        offers=offer_counts(*free),
        unsound=len(live) - len(sound),
        least=float(free.probabilities[free.probabilities > 0.0].min(initial=1.0)),
        bins_schema="" if bins is None or not contexts.counts else bins.schema,
        contexts=contexts,
        bundles=bundles,
        scores=tuple(
            prediction_histograms(
                np.array([score for decision in by_bundle[name] for score in _scores(decision)]),
                np.array(
                    [
                        decision.churn.risk
                        for decision in by_bundle[name]
                        if decision.churn is not None
                    ]
                ),
            )
            for name in bundles
        ),
    )


def context_rows(decisions: Sequence[Decision], schema: str) -> np.ndarray:
    """(n, columns) the contexts of those decisions that have these columns."""
    rows = [
        np.frombuffer(decision.context, "<f8")
        for decision in decisions
        if decision.context_schema == schema
    ]
    return np.array(rows) if rows else np.empty((0, 0))


def choose_bins(
    schema: str, columns: Sequence[str], rows: np.ndarray, bundle_id: str | None
) -> ContextBins:
    """Where (n, columns) contexts are cut into bins; columns that grow with time are not cut."""
    still = rows.copy()
    for n, column in enumerate(columns):
        if column.endswith(GROWING):
            still[:, n] = np.nan  # no edges: everything falls into one bin
    return context_bins(schema, tuple(columns), still, bundle_id)


def early_outcomes(credits: Sequence[Credit]) -> EarlyOutcomes:
    """What had come of decisions by the time at which they were looked at."""
    counted = [credit for credit in credits if credit.counted]
    offers = [
        credit for credit in counted if credit.decision.properties.get("action_id") != NO_ACTION
    ]
    return EarlyOutcomes(
        join=outcome_join(
            customer_hashes(credit.decision.customer_id for credit in offers),
            np.array([credit.answered for credit in offers], dtype=bool),
        ),
        rewards=bucket_rewards(
            customer_hashes(credit.decision.customer_id for credit in counted),
            np.array([credit.reward for credit in counted]),
        ),
    )


def settled_outcomes(
    credits: Sequence[Credit], decisions: Mapping[str, Decision], answers: Iterable[Event]
) -> SettledOutcomes:
    """What came of decisions whose windows are over; `answers`: events that name them."""
    complete = {credit.decision.decision_id or "": credit for credit in credits if credit.complete}
    first_s: dict[str, float] = {}
    for event in answers:
        name = event.decision_id or ""
        if name in complete and event.name not in _SIGNS:
            since_s = complete[name].since_s
            first_s[name] = min(first_s.get(name, math.inf), max(at_s(event) - since_s, 0.0))
    predictions: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
    for name, credit in complete.items():
        decision = decisions.get(name)
        p = None if decision is None else _predicted(decision)
        if p is not None and decision is not None and decision.bundle_id is not None:
            predictions[decision.bundle_id].append((p, credit.reward, decision.request.customer_id))
    bundles = tuple(sorted(predictions))
    live = [
        decision
        for name in complete
        if (decision := decisions.get(name)) is not None
        and decision.mode is Mode.LIVE
        and _is_sound(decision)
    ]
    return SettledOutcomes(
        counts=settled_counts(credits),
        lags=lag_counts(np.array(list(first_s.values()))),
        bundles=bundles,
        calibration=tuple(
            calibration_bins(
                np.array([p for p, _, _ in predictions[name]]),
                np.array([y for _, y, _ in predictions[name]]),
                customer_hashes(customer for _, _, customer in predictions[name]),
            )
            for name in bundles
        ),
        draws=draws(live) if live else UNSET,
    )


def _predicted(decision: Decision) -> float | None:
    """P(responds well) of what was drawn; None where it is no such decision."""
    if decision.mode is not Mode.LIVE or decision.action_id == NO_ACTION:
        return None
    return next(
        (
            candidate.p_accept
            for candidate in decision.candidates
            if candidate.action_id == decision.action_id
        ),
        None,
    )


def _scores(decision: Decision) -> Iterable[float]:
    """The bundle's own scores of the candidates."""
    for candidate in decision.candidates:
        if candidate.action_id == NO_ACTION:
            continue
        if candidate.batch_score is not None:
            yield candidate.batch_score
        elif candidate.p_accept is not None:
            yield candidate.p_accept


def _is_sound(decision: Decision) -> bool:
    """Whether its probabilities are probabilities, and what was drawn has one."""
    listed = {candidate.action_id: candidate.propensity for candidate in decision.candidates}
    return (
        len(listed) == len(decision.candidates)
        and all(0.0 <= p <= 1.0 for p in listed.values())
        and abs(math.fsum(listed.values()) - 1.0) <= _SOUND
        and listed.get(decision.action_id, 0.0) > 0.0
    )


def _maps(journey: JourneyFile, name: str) -> bool:
    """Whether the file knows events of this name, if only under conditions."""
    return any(mapping.event == name for mapping in journey.events)


def _of_trait(trait: Trait, value: object) -> PropertySums:
    if trait.type == "number":
        return _of_number(value)
    if trait.type == "boolean":
        return PropertySums(1, int(isinstance(value, bool)))
    listed = value in (trait.values or [])
    return PropertySums(1, int(listed), int(value is not None and not listed))


def _of_number(value: object) -> PropertySums:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return PropertySums(1)
    if value == 0.0:
        return PropertySums(1, 1)
    log = math.log(abs(value))
    return PropertySums(1, 1, 0, 1, log, log * log)
