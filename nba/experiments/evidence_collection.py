"""Collect the evidence of one experiment from pages of the log.

The unit is the customer: their exposure is their first decision that carries a label of the
experiment, and they stay in its arm whatever is decided for them later. Decisions in shadow mode
expose nobody: the customer got what the other system decided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from nba.durations import DAY_S
from nba.events.event import Event
from nba.experiments.evidence import ExperimentEvidence
from nba.experiments.experiment import Experiment, Started
from nba.experiments.metrics import Exposure, MetricAccumulator
from nba.journey.file import JourneyFile

GRACE_S = 900.0  # replicas take a start or a stop up within seconds, and clocks differ


UNKNOWN = "?"  # before the arm's name, of labels that the experiment has no arm for


def collect_evidence(
    started: Started, metrics: MetricAccumulator
) -> tuple[ExperimentEvidence, bool]:
    """What was tallied as sums, and whether the fixed analysis is due.

    It is made once: over the first `customers` who were exposed and all who were in the first
    `min_days`, as soon as the windows of all of them are over. So it never changes with looks.
    """
    experiment = started.experiment
    arms = [arm.id for arm in experiment.arms]
    began_s = started.started_at.timestamp()
    ended_s = np.inf if started.ended_at is None else started.ended_at.timestamp()
    exposed = dict.fromkeys(arms, 0)
    unknown: dict[str, int] = {}
    strays = misplaced = 0
    good: dict[str, Exposure] = {}
    for customer, exposure in metrics.exposures.items():
        if exposure.arm.startswith(UNKNOWN):
            name = exposure.arm.removeprefix(UNKNOWN)
            unknown[name] = unknown.get(name, 0) + 1
            continue
        exposed[exposure.arm] += 1
        own = started.arm_of(customer)
        outside = not began_s - GRACE_S <= exposure.at_s <= ended_s + GRACE_S
        misplaced += own is None or own.id != exposure.arm or outside
        strays += len(metrics.arms_seen[customer]) > 1
        good[customer] = exposure
    due = _fixed_analysis(experiment, good, began_s, metrics)
    evidence = ExperimentEvidence(
        exposed=exposed,
        unknown=unknown,
        strays=strays,
        misplaced=misplaced,
        left_out=len(metrics.left_out & good.keys()),
        sums=metrics.sums(good),
        fixed_sums={} if due is None else metrics.sums(due),
    )
    return evidence, due is not None


def read_metrics(
    started: Started,
    journey: JourneyFile,
    kind_of: Callable[[Event], str | None],
    events: Iterable[list[Event]],
) -> MetricAccumulator:
    experiment = started.experiment
    known = {experiment.label(arm): arm.id for arm in experiment.arms}

    def arm_of(event: Event) -> str | None:
        if "shadow_action_id" in event.properties:
            return None
        label = label_in(experiment, event.properties.get("arms") or ())
        if label is None:
            return None
        return known.get(label, UNKNOWN + label.partition(".")[2])

    metrics = MetricAccumulator(
        journey,
        kind_of,
        experiment.metrics,
        arm_of=arm_of,
        concerns=lambda customer: started.arm_of(customer) is not None,
        since_s=started.started_at.timestamp(),
        covariate_days=experiment.covariate_days,
    )
    for page in events:
        metrics.read(page)
    metrics.settle(None if started.ended_at is None else started.ended_at.timestamp())
    return metrics


def label_in(experiment: Experiment, labels: Iterable[object]) -> str | None:
    """The label of this experiment among those of a decision."""
    begins = f"{experiment.id}."
    return next((str(label) for label in labels if str(label).startswith(begins)), None)


def _fixed_analysis(
    experiment: Experiment, exposed: dict[str, Exposure], began_s: float, metrics: MetricAccumulator
) -> dict[str, Exposure] | None:
    """The customers of the fixed analysis, None while it is not due."""
    if experiment.customers is None or len(exposed) < experiment.customers:
        return None
    times = sorted(exposure.at_s for exposure in exposed.values())
    until_s = max(times[experiment.customers - 1], began_s + experiment.min_days * DAY_S)
    slowest_s = max(metrics.window_s(metric) for metric in experiment.metrics)
    if until_s + slowest_s > metrics.end_s:
        return None
    return {
        customer: exposure for customer, exposure in exposed.items() if exposure.at_s <= until_s
    }
