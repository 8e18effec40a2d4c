"""Prometheus metrics, with labels that no caller can grow."""

from __future__ import annotations

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)


class Metrics:
    """The counters of one process. Every label value comes from a fixed set."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "nba_requests", "HTTP requests", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "nba_request_seconds",
            "Time to answer",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.decisions = Counter(
            "nba_decisions", "Decisions by mode and action", ["mode", "action"],
            registry=self.registry,
        )  # fmt: skip
        self.not_finite = Counter(
            "nba_score_not_finite",
            "Decisions that fell back because a score was no finite number",
            registry=self.registry,
        )
        self.propensity_sum = Counter(
            "nba_propensity_sum",
            "Sum of the probabilities with which an action could have been drawn; audit it "
            "against nba_decisions_total{mode='live'}",
            ["action"],
            registry=self.registry,
        )
        self.refused = Counter(
            "nba_refused", "Actions refused, by stage and rule", ["stage", "rule"],
            registry=self.registry,
        )  # fmt: skip
        self.events = Counter(
            "nba_events", "Events by what became of them", ["result"], registry=self.registry
        )
        self.feedback = Counter(
            "nba_feedback", "Feedback by outcome", ["outcome"], registry=self.registry
        )
        self.degraded = Gauge(
            "nba_degraded",
            "1 while decisions come from the fallback",
            registry=self.registry,
            multiprocess_mode="max",
        )
        self.health = self._latest(
            "nba_health", "Value of each check of the loop, docs/health.md; NaN: undecided", "check"
        )
        self.health_red = self._latest(
            "nba_health_red", "1 where a check is red, 0.5 where it warns", "check"
        )
        self.learner_behind = self._latest(
            "nba_learner_behind_events", "Events that the learner has not read yet"
        )
        self.learner_lessons = self._latest(
            "nba_learner_lessons", "Lessons in the version of the policy that is in force"
        )
        self.learner_left_out = self._latest(
            "nba_learner_left_out_customers", "Customers whose outcomes fail to be learned"
        )
        self.learner_age = self._latest(
            "nba_learner_version_age_seconds", "Time since that version was put in force"
        )

    def _latest(self, name: str, what: str, *labels: str) -> Gauge:
        """A gauge of which the worker that set it last is right."""
        return Gauge(name, what, labels, registry=self.registry, multiprocess_mode="mostrecent")

    def text(self) -> bytes:
        """All metrics; of every worker, where several share a folder."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self.registry)
        shared = CollectorRegistry()
        multiprocess.MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
        return generate_latest(shared)
