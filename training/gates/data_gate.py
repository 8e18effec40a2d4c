"""The gates of data and reproduction: check the training data, and that training repeats."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from features.replay.point_in_time import ContextQuestions, replay
from nba.analytics.monitoring.outcome_join import OutcomeJoin, outcome_join
from nba.analytics.monitoring.sketches import customer_hashes
from nba.decisions.decision import Decision
from nba.durations import WEEK_S
from nba.errors import InvalidInput
from nba.events.event import micros
from nba.events.names import ACTION_DECIDED
from nba.experiments.experiment import Started
from nba.measurement.off_policy.propensity_audit import (
    DrawCounts,
    PropensityAudit,
    audit_propensities,
    draw_counts,
)
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.sample_ratio import Mismatch, anytime_mismatch
from nba.promotion.verdict import Gate, gathered
from nba.rewards.credit import Credit
from training.data.history import History
from training.data.rewards import attribution_of
from training.data.training_sets import PastDecisions
from training.gates.limits import LIMITS, GateLimits

DATA, REPRODUCIBLE = "data", "reproducible"
WEEKS = 12  # before the last one, at most
MIN_OF_WEEK = 100  # decisions, under which a week says nothing
PAGE = 5_000  # decisions audited at a time


class DataFacts(NamedTuple):
    """What the data gate judges."""

    rows: int  # decisions whose reward is complete
    immature: int  # of them, those whose window was not over
    weeks: Sequence[OutcomeJoin]  # outcomes by week, the last one last
    audited: PropensityAudit | Undecided | str  # of the propensities; text: why they cannot be true
    mismatches: Mapping[str, Mismatch | Undecided]  # of running experiments, by name


def data_facts(
    history: History, decided: PastDecisions, mismatches: Mapping[str, Mismatch | Undecided]
) -> DataFacts:
    """What the log says of its own evidence."""
    attribution = attribution_of(history, history.fold.schema.journey.reward)
    credits = attribution.carried(attribution.credits(history.events, history.end_s), history.end_s)
    closes = {(credit.decision.customer_id, credit.since_s): credit.closes_s for credit in credits}
    used = zip(decided.set.customers.tolist(), decided.set.at_s.tolist(), strict=True)
    return DataFacts(
        rows=len(decided.actions),
        immature=sum(closes.get(key, np.inf) > history.end_s for key in used),
        weeks=weekly(credits, history.end_s),
        audited=audited(history),
        mismatches=mismatches,
    )


def mismatches_of(history: History, running: Iterable[Started]) -> dict[str, Mismatch | Undecided]:
    """Whether the arms of running experiments have the shares that were planned, at every look."""
    arms: dict[str, set[str]] = defaultdict(set)
    for event in history.events:
        if event.name == ACTION_DECIDED:
            for label in event.properties.get("arms") or ():
                arms[str(label)].add(event.customer_id)
    mismatches = {}
    for started in running:
        experiment = started.experiment
        if experiment.allocation == "share":
            labels = [experiment.label(arm) for arm in experiment.arms]
            counts = [len(arms[label]) for label in labels]
            shares = [arm.share for arm in experiment.arms]
            mismatches[f"experiment {experiment.id}"] = anytime_mismatch(counts, shares, labels)
    return mismatches


def weekly(credits: Sequence[Credit], end_s: float) -> list[OutcomeJoin]:
    """How many decisions an outcome was joined to, by the week in which their window closed."""
    weeks: dict[int, list[Credit]] = defaultdict(list)
    for credit in credits:
        if credit.counted and credit.closed:
            weeks[int((end_s - credit.closes_s) // WEEK_S)].append(credit)
    return [
        outcome_join(
            customer_hashes(credit.decision.customer_id for credit in weeks[week]),
            np.array([credit.answered for credit in weeks[week]], dtype=bool),
        )
        for week in sorted(weeks, reverse=True)
    ]


def audited(history: History) -> PropensityAudit | Undecided | str:
    """The propensity audit over all own decisions."""
    drawn = {
        event.decision_id: str(event.properties.get("action_id"))
        for event in history.events
        if event.name == ACTION_DECIDED and event.decision_id in history.candidates
    }
    ids, counts = list(drawn), DrawCounts()
    try:
        for begin in range(0, len(ids), PAGE):
            page = [decision_id for decision_id in ids[begin:][:PAGE] if decision_id is not None]
            names = sorted(
                {c.action_id for decision_id in page for c in history.candidates[decision_id]}
            )
            at = {name: n for n, name in enumerate(names)}
            probabilities = np.zeros((len(page), len(names)))
            for row, decision_id in zip(probabilities, page, strict=True):
                for candidate in history.candidates[decision_id]:
                    row[at[candidate.action_id]] = candidate.propensity
            hits = np.array([at[drawn[decision_id]] for decision_id in page], dtype=np.int64)
            counts = counts + draw_counts(tuple(names), probabilities, hits)
    except InvalidInput as error:
        return str(error)
    return audit_propensities(counts)


def data_gate(facts: DataFacts, limits: GateLimits = LIMITS) -> Gate:
    """Enough rows, outcomes that arrive as before, propensities that are those of the draw."""
    failures: list[str] = []
    unknown: list[str] = []
    numbers = {"rows": float(facts.rows), "immature": float(facts.immature)}
    if facts.rows < limits.min_rows:
        unknown.append(f"{facts.rows} decisions with a reward, {limits.min_rows} are needed")
    if facts.immature:
        failures.append(f"{facts.immature} rewards were used before their window was over")
    _join(facts.weeks, limits, numbers, failures, unknown)
    _audit(facts.audited, numbers, failures, unknown)
    for name, mismatch in facts.mismatches.items():
        if isinstance(mismatch, Undecided):  # nobody was exposed yet
            continue
        numbers[f"mismatch_p.{name}"] = mismatch.p
        if mismatch.broken:
            failures.append(f"{name}: its arms do not have the shares that were planned")
    reason = f"{facts.rows:,} decisions with a reward, outcomes arrive as before, audit green"
    return gathered(DATA, failures, unknown, numbers, reason)


def _join(
    weeks: Sequence[OutcomeJoin],
    limits: GateLimits,
    numbers: dict[str, float],
    failures: list[str],
    unknown: list[str],
) -> None:
    """The last week's join rate against the weeks before: their spread, or that of chance between
    customers where this is wider."""
    full = [week for week in weeks if week.decisions >= MIN_OF_WEEK][-WEEKS - 1 :]
    if len(full) <= limits.weeks:
        unknown.append(
            f"{len(full)} weeks with {MIN_OF_WEEK} closed decisions or more, "
            f"{limits.weeks + 1} are needed to say whether outcomes arrive as before"
        )
        return
    rates = np.array([week.joined / week.decisions for week in full])
    before, now = rates[:-1], rates[-1]
    effect = max(week.design_effect for week in (full[-1], sum(full[:-1], OutcomeJoin())))
    chance = np.sqrt(effect * before.mean() * (1.0 - before.mean()) / full[-1].decisions)
    spread = max(float(before.std(ddof=1)), float(chance))
    numbers |= {
        "join_rate": float(now),
        "join_rate_before": float(before.mean()),
        "join_rate_deviations": float(abs(now - before.mean()) / spread) if spread else 0.0,
    }
    if numbers["join_rate_deviations"] > limits.join_deviations:
        failures.append(
            f"{now:.2%} of last week's decisions have an outcome, {before.mean():.2%} before: "
            f"{numbers['join_rate_deviations']:.1f} standard deviations"
        )


def _audit(
    audit: PropensityAudit | Undecided | str,
    numbers: dict[str, float],
    failures: list[str],
    unknown: list[str],
) -> None:
    if isinstance(audit, str):
        failures.append(f"propensities cannot be true: {audit}")
    elif isinstance(audit, Undecided):
        unknown.append(f"propensity audit: {audit.reason}")
    else:
        numbers |= {"audit_p": audit.p, "audit_mean_weight": audit.mean_weight}
        if audit.alarm:
            failures.append(f"actions are not drawn as often as was logged: p {audit.p:.2g}")


def reproduction_gate(
    differs: Sequence[str] | Undecided, history: History, decisions: Sequence[Decision]
) -> Gate:
    """`differs`: what the same data and seed gave otherwise when trained again. Its features are
    those that decisions were served with, byte for byte, on these decisions."""
    failures: list[str] = []
    unknown: list[str] = []
    numbers = {"contexts": float(len(decisions))}
    if isinstance(differs, Undecided):
        unknown.append(differs.reason)
    elif differs:
        failures.append(f"trained again on the same data and seed: {'; '.join(differs[:5])}")
    if decisions:
        wrong = unequal_contexts(history, decisions)
        numbers["contexts_unequal"] = float(len(wrong))
        if wrong:
            failures.append(
                f"{len(wrong)} of {len(decisions)} contexts are not what was served: {wrong[0]}"
            )
    else:
        unknown.append("no decision with a context of this journey file is in the log")
    reason = f"the same bundle again, {len(decisions)} contexts equal to those served"
    return gathered(REPRODUCIBLE, failures, unknown, numbers, reason)


def unequal_contexts(history: History, decisions: Sequence[Decision]) -> list[str]:
    """The decisions whose context, folded again from the log, has other bytes."""
    moments = ContextQuestions(
        customers=np.array([decision.request.customer_id for decision in decisions], dtype=object),
        as_of=np.array([micros(decision.decided_at) / 1e6 for decision in decisions]),
        seen_seq=np.array([decision.context_seq for decision in decisions], dtype=np.int64),
        seen_received=np.full(len(decisions), np.inf),
        actions=np.full(len(decisions), -1, dtype=np.int64),
    )
    values, _ = replay(history.fold, history.rows, moments)
    return [
        decision.decision_id
        for decision, row in zip(decisions, values, strict=True)
        if row.astype("<f8").tobytes() != decision.context
    ]
