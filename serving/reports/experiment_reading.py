"""Plans and reports of experiments, read from the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from features.encoder import Encoder
from nba.analytics.rules.prices import decisions_of
from nba.customer.context import ContextSchema
from nba.errors import InvalidInput, did_you_mean
from nba.events.event import Event
from nba.experiments.action_report import ActionReport, report_actions
from nba.experiments.experiment import Experiment, Started
from nba.experiments.metrics import end_of
from nba.experiments.plan import ExperimentPlan, plan_experiment
from nba.experiments.report import ExperimentReport, report_experiment
from nba.journey.actions import NO_ACTION
from nba.journey.file import JourneyFile
from nba.promotion.catalogue_versions import stored_journey
from nba.stores.log import Log
from nba.stores.pages import event_pages

Progress = Callable[[int], None]


def planned(
    log: Log, journey: JourneyFile, experiment: Experiment, days: float, progress: Progress
) -> ExperimentPlan:
    """What an experiment could show, by the last `days` of the log.

    Raises InvalidInput for one whose arms are actions, or an empty log; StoreUnavailable.
    """
    if experiment.allocation == "bandit":
        remedy = "its arms are drawn already: nba experiment status --actions A,B says how far"
        raise InvalidInput("allocation", "bandit", remedy)
    return plan_experiment(
        experiment,
        journey,
        _kind_of(journey),
        event_pages(log, progress=progress),
        end_s=end_of(log),
        days=days,
    )


def reported(log: Log, started: Started, progress: Progress) -> ExperimentReport:
    """What it shows so far, measured on the catalogue that it started on.

    Raises NotFound, InvalidInput where that cannot be read any more, StoreUnavailable.
    """
    journey = stored_journey(log, started.catalogue_version)
    return report_experiment(
        started,
        journey,
        _kind_of(journey),
        event_pages(log, progress=progress),
        decisions_of(log, started.started_at, progress),
    )


def drawn_arms(log: Log, started: Started, progress: Progress) -> ActionReport:
    """The same of an experiment whose arms are actions. Raises as `reported`."""
    experiment = started.experiment
    journey = stored_journey(log, started.catalogue_version)
    return report_actions(
        [arm.action or NO_ACTION for arm in experiment.arms],
        journey,
        _kind_of(journey),
        event_pages(log, progress=progress),
        decisions_of(log, started.started_at, progress),
        since=started.started_at,
        until=started.ended_at,
        alpha=experiment.alpha,
        tuning_n=started.tuning_n,
    )


def compared(
    log: Log, journey: JourneyFile, actions: Sequence[str], since: datetime, progress: Progress
) -> ActionReport:
    """Actions as the policy drew them since then, against the first of them.

    Raises InvalidInput for actions that the journey does not have, StoreUnavailable.
    """
    known = [*(action.id for action in journey.actions), NO_ACTION]
    for name in actions:
        if name not in known:
            raise InvalidInput("actions", name, did_you_mean(name, known))
    if len(set(actions)) < max(len(actions), 2):
        raise InvalidInput("actions", ",".join(actions), "name two or more, each once")
    return report_actions(
        actions,
        journey,
        _kind_of(journey),
        event_pages(log, progress=progress),
        decisions_of(log, since, progress),
        since=since,
    )


def _kind_of(journey: JourneyFile) -> Callable[[Event], str | None]:
    return Encoder(ContextSchema(journey)).kind
