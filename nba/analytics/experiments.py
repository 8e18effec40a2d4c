"""Plans and reports of experiments, read from the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

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
from nba.rewards.bounds import bounded, bounds_in_force
from nba.stores.log import Log
from nba.stores.pages import decision_pages, event_pages

Progress = Callable[[int], None]
# of a journey file: the mapped kind of an event, None for one that it does not map
KindsOf = Callable[[JourneyFile], Callable[[Event], str | None]]


def plan_from_log(
    log: Log,
    journey: JourneyFile,
    experiment: Experiment,
    *,
    days: float,
    kinds_of: KindsOf,
    progress: Progress,
) -> ExperimentPlan:
    """Say what an experiment could show, by the last `days` of the log.

    Raises InvalidInput for one whose arms are actions, or an empty log; StoreUnavailable.
    """
    if experiment.allocation == "bandit":
        remedy = "its arms are drawn already: nba experiment status --actions A,B says how far"
        raise InvalidInput("allocation", "bandit", remedy)
    journey = _bounded(log, journey)
    return plan_experiment(
        experiment,
        journey,
        kinds_of(journey),
        event_pages(log, progress=progress),
        end_s=end_of(log),
        days=days,
    )


def report_from_log(
    log: Log, started: Started, *, kinds_of: KindsOf, progress: Progress
) -> ExperimentReport:
    """Report what an experiment shows so far, measured on the catalogue that it started on.

    Raises NotFound, InvalidInput where that cannot be read any more, StoreUnavailable.
    """
    journey = _bounded(log, stored_journey(log, started.catalogue_version))
    return report_experiment(
        started,
        journey,
        kinds_of(journey),
        event_pages(log, progress=progress),
        decision_pages(log, since=started.started_at, progress=progress),
    )


def report_drawn_arms(
    log: Log, started: Started, *, kinds_of: KindsOf, progress: Progress
) -> ActionReport:
    """The same of an experiment whose arms are actions. Raises as `report_from_log`."""
    experiment = started.experiment
    journey = _bounded(log, stored_journey(log, started.catalogue_version))
    return report_actions(
        [arm.action or NO_ACTION for arm in experiment.arms],
        journey,
        kinds_of(journey),
        event_pages(log, progress=progress),
        decision_pages(log, since=started.started_at, progress=progress),
        since=started.started_at,
        until=started.ended_at,
        alpha=experiment.alpha,
        tuning_n=started.tuning_n,
    )


def compare_actions(
    log: Log,
    journey: JourneyFile,
    actions: Sequence[str],
    *,
    since: datetime,
    kinds_of: KindsOf,
    progress: Progress,
) -> ActionReport:
    """Compare actions as the policy drew them since then with the first of them.

    Raises InvalidInput for actions that the journey does not have, StoreUnavailable.
    """
    known = [*(action.id for action in journey.actions), NO_ACTION]
    for name in actions:
        if name not in known:
            raise InvalidInput("actions", name, did_you_mean(name, known))
    if len(set(actions)) < max(len(actions), 2):
        raise InvalidInput("actions", ",".join(actions), "name two or more, each once")
    journey = _bounded(log, journey)
    return report_actions(
        actions,
        journey,
        kinds_of(journey),
        event_pages(log, progress=progress),
        decision_pages(log, since=since, progress=progress),
        since=since,
    )


def _bounded(log: Log, journey: JourneyFile) -> JourneyFile:
    """The journey with the bounds of rewards that are in force: what is reported is what is
    learned from."""
    return bounded(journey, bounds_in_force(log))
