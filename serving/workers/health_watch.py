"""The health of a replica: what is watched, the report on it, and its gauges."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime

import msgspec

from models.learning.versions import mode, policy_state, versions
from nba.analytics.monitoring.health_report import (
    REFERENCE_DAYS,
    WINDOW_DAYS,
    HealthReport,
    LearnerProgress,
    ServingFacts,
    health_report,
)
from nba.analytics.monitoring.log_summarizer import LogSummarizer, MonitoredJourney
from nba.analytics.monitoring.summary_store import SummaryStore
from nba.errors import NbaError, StoreUnavailable
from nba.rewards.attribution import Attribution
from nba.rewards.bounds import bounded
from nba.stores.log import Log
from nba.stores.versioned import CHAMPION
from serving.metrics import Metrics
from serving.replica.replica import Replica

LOOK_S = 60.0  # how often a replica looks


class LearnerView(msgspec.Struct, frozen=True, kw_only=True):
    """What is learned online, from outside."""

    behind: int  # events of the log
    lessons: int
    age_s: float  # of the version in force
    paused: bool
    left_out: tuple[str, ...] = ()  # customers whose outcomes fail to be learned


def watch_of(replica: Replica) -> LogSummarizer:
    """The watch over what this replica serves."""
    return LogSummarizer(replica.log, lambda: subject_of(replica), replica.now)


def subject_of(replica: Replica) -> MonitoredJourney:
    """What is watched now."""
    fold, bundle = replica.engine.fold, replica.engine.bundle
    bounds = None if bundle is None else bundle.reward_bounds
    rule = Attribution(bounded(fold.schema.journey, bounds), fold.encoder.kind)
    return MonitoredJourney(fold.schema, fold.encoder.mapping, rule, replica.champion)


def look_after(
    replica: Replica, watch: LogSummarizer, metrics: Metrics, stopping: Callable[[], bool]
) -> bool:
    """One look: read on, where nobody else does, and set the gauges; whether there is more to read.

    Raises StoreUnavailable.
    """
    seen = watch.step(stopping)
    if seen is None:
        watch.summaries.load()
    note(metrics, health_now(replica, watch.summaries), learner_view(replica.log, replica.now()))
    return seen is not None and seen.more


def health_now(
    replica: Replica,
    summaries: SummaryStore,
    *,
    window_days: int = WINDOW_DAYS,
    reference_days: int = REFERENCE_DAYS,
    anchor: datetime | None = None,
) -> HealthReport:
    """The report on the loaded summaries. `anchor`: by default when the champion was promoted.

    Raises StoreUnavailable.
    """
    learner = learner_view(replica.log, replica.now())
    facts = ServingFacts(
        champion=replica.champion,
        anchor=anchor or promoted_at(replica.log, replica.champion),
        bins=summaries.bins,
        schema=replica.engine.fold.schema.schema_hash,
        catalogue=tuple(action.id for action in replica.engine.journey.actions),
        learning=None
        if learner is None
        else LearnerProgress(
            behind=learner.behind, paused=learner.paused, left_out=learner.left_out
        ),
        left_out=summaries.cursors.left_out,
    )
    return health_report(
        summaries.dated,
        replica.now(),
        facts,
        window_days=window_days,
        reference_days=reference_days,
    )


def promoted_at(log: Log, champion: str | None) -> datetime | None:
    """When the champion was put in force, None without one. Raises StoreUnavailable."""
    for change in log.alias_changes(CHAMPION, 1):
        if change.after == champion:
            return change.at
    return None


def learner_view(log: Log, now: datetime) -> LearnerView | None:
    """How far the learner is; None before anything was learned. Raises StoreUnavailable."""
    try:
        state = policy_state(log)
    except StoreUnavailable:
        raise
    except NbaError:  # the learner begins anew, and says so
        return None
    if state is None:
        return None
    changed = versions(log, 1)
    return LearnerView(
        behind=max(log.position() - state.head.learned_to.position, 0),
        lessons=state.head.changes,
        age_s=(now - changed[0].at).total_seconds() if changed else math.nan,
        paused=mode(log) == "paused",
        left_out=tuple(one.customer_id for one in state.head.learned_to.left_out),
    )


def note(metrics: Metrics, health: HealthReport, learner: LearnerView | None) -> None:
    """Set the gauges."""
    for check in health.checks:
        value = math.nan if check.value is None else check.value
        metrics.health.labels(check.name).set(value)
        shade = 1.0 if check.state == "red" else 0.5 if check.state == "warn" else 0.0
        metrics.health_red.labels(check.name).set(shade)
    if learner is not None:
        metrics.learner_behind.set(learner.behind)
        metrics.learner_lessons.set(learner.lessons)
        metrics.learner_left_out.set(len(learner.left_out))
        metrics.learner_age.set(learner.age_s)
