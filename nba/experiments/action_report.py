"""Actions compared by reward where the policy draws them, by what was logged of each draw.

A bandit draws what it likes, and likes what did well: plain means of what it drew are wrong. Here
every decision in which both actions could have been drawn counts, weighted by the probability that
was logged (AIPW), in units of customers, once both have events enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import msgspec
import numpy as np

from nba.decisions.candidate import Candidate
from nba.decisions.decision import Decision, Mode
from nba.events.event import Event
from nba.experiments.results import holm_levels
from nba.experiments.validity_checks import ValidityCheck, audit_decisions, propensity_check
from nba.journey.file import JourneyFile
from nba.measurement.off_policy.bandit_arms import (
    ArmContrast,
    ArmCounts,
    ScoredDecisions,
    aipw_scores,
    arm_contrast,
    arm_difference,
    arm_scores,
)
from nba.measurement.statistics.confidence_sequences import TUNING_N
from nba.measurement.statistics.effect import Effect
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.moments import ratio_mean
from nba.measurement.statistics.verdict import Metric, MetricVerdict, metric_verdict, sentence
from nba.rewards.attribution import Attribution

A, B, OTHER = 0, 1, 2  # columns of the scores


class ActionComparison(msgspec.Struct, frozen=True, kw_only=True):
    """One action against the first on the decisions in which both could have been drawn."""

    action: str
    decisions: int
    customers: int
    pulls: ArmCounts  # of the first
    action_pulls: ArmCounts
    control_mean: float  # reward of a decision
    action_mean: float
    effect: Effect | Undecided
    p_adjusted: float | None
    verdict: MetricVerdict
    sentence: str


class ActionReport(msgspec.Struct, frozen=True, kw_only=True):
    """Actions against the first of them."""

    control: str
    checks: list[ValidityCheck] = msgspec.field(name="lights")
    withheld: str
    comparisons: list[ActionComparison]
    answer: str


class _Row(NamedTuple):
    customer: str
    drawn: int
    propensity: float
    reward: float
    predicted: tuple[float, float, float]


@dataclass
class _Pair:
    """The decisions in which both of two actions could have been drawn."""

    control: str
    action: str
    rows: list[_Row] = field(default_factory=list)

    def take(self, decision: Decision, reward: float) -> None:
        """Count a decision, if both could."""
        by_id = {
            candidate.action_id: candidate
            for candidate in decision.candidates
            if candidate.propensity > 0.0
        }
        if self.control not in by_id or self.action not in by_id:
            return
        drawn = {self.control: A, self.action: B}.get(decision.action_id, OTHER)
        a, b = by_id[self.control], by_id[self.action]
        self.rows.append(
            _Row(
                decision.request.customer_id,
                drawn,
                decision.propensity,
                reward,
                (_predicted(a), _predicted(b), 0.0),
            )
        )

    def draws(self) -> ScoredDecisions:
        """As AIPW takes them."""
        columns = list(zip(*self.rows, strict=True)) or [()] * len(_Row._fields)
        return aipw_scores(
            np.array(columns[1], dtype=np.int64),
            np.array(columns[2], dtype=float),
            np.array(columns[3], dtype=float),
            np.array(columns[4], dtype=float).reshape(len(self.rows), 3),
            np.array(columns[0], dtype=str),
        )


def report_actions(
    actions: Sequence[str],
    journey: JourneyFile,
    kind_of: Callable[[Event], str | None],
    events: Iterable[list[Event]],
    decisions: Iterator[list[Decision]],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    alpha: float = 0.05,
    tuning_n: int = TUNING_N,
) -> ActionReport:
    """Each of the actions against the first, on our own live decisions whose reward is complete.

    `actions`: at least two. Holm over all of them.
    """
    rewards = _rewards(journey, kind_of, events)
    pairs = [_Pair(actions[0], action) for action in actions[1:]]

    def compared() -> Iterator[list[Decision]]:
        for page in decisions:
            live = [
                decision
                for decision in page
                if decision.mode is Mode.LIVE
                and _within(decision, since, until)
                and decision.decision_id in rewards
            ]
            for decision in live:
                for decision_pair in pairs:
                    decision_pair.take(decision, rewards[decision.decision_id])
            yield live  # those alone that count: chosen by their draw they would show it

    check = propensity_check(audit_decisions(compared(), lambda decision: True))
    return _report(pairs, check, _metric(journey), alpha, tuning_n)


def _report(
    pairs: Sequence[_Pair], check: ValidityCheck, metric: Metric, alpha: float, tuning_n: int
) -> ActionReport:
    control = pairs[0].control
    if check.red:
        withheld = f"{check.name}: {check.detail}"
        return ActionReport(
            control=control,
            checks=[check],
            withheld=withheld,
            comparisons=[],
            answer=f"results are withheld: {withheld}",
        )
    draws = [pair.draws() for pair in pairs]
    records = [arm_contrast(draw, A, B) for draw in draws]

    def effect(n: int, level: float) -> Effect | Undecided:
        names = (control, pairs[n].action)
        return arm_difference(records[n], names=names, tuning_n=tuning_n, confidence=1.0 - level)

    first = [effect(n, alpha) for n in range(len(pairs))]
    p = [None if isinstance(contrast, Undecided) else contrast.p for contrast in first]
    comparisons = [
        _comparison(pair, draws[n], records[n], effect(n, level), p_adjusted, metric)
        for n, (pair, (level, p_adjusted)) in enumerate(
            zip(pairs, holm_levels(p, alpha), strict=True)
        )
    ]
    return ActionReport(
        control=control,
        checks=[check],
        withheld="",
        comparisons=comparisons,
        answer="; ".join(comparison.sentence for comparison in comparisons),
    )


def _comparison(
    pair: _Pair,
    draws: ScoredDecisions,
    record: ArmContrast,
    effect: Effect | Undecided,
    p_adjusted: float | None,
    metric: Metric,
) -> ActionComparison:
    return ActionComparison(
        action=pair.action,
        decisions=len(pair.rows),
        customers=record.scores.n,
        pulls=record.a,
        action_pulls=record.b,
        control_mean=ratio_mean(arm_scores(draws, A).scores).mean,
        action_mean=ratio_mean(arm_scores(draws, B).scores).mean,
        effect=effect,
        p_adjusted=p_adjusted,
        verdict=metric_verdict(metric, effect),
        sentence=sentence(metric, effect, arm=pair.action, baseline=pair.control),
    )


def _within(decision: Decision, since: datetime | None, until: datetime | None) -> bool:
    at = decision.decided_at
    return (since is None or since <= at) and (until is None or at <= until)


def _metric(journey: JourneyFile) -> Metric:
    if journey.reward.target == "response":
        return Metric(name="response", unit="points")
    return Metric(name="reward", unit="EUR per decision")


def _predicted(candidate: Candidate) -> float:
    """Its expected reward as it was known before the draw."""
    return candidate.value_eur if candidate.p_accept is None else candidate.p_accept


def _rewards(
    journey: JourneyFile, kind_of: Callable[[Event], str | None], pages: Iterable[list[Event]]
) -> Mapping[str, float]:
    """Of the decisions whose reward is complete, by id."""
    rule = Attribution(journey, kind_of)
    kept: list[Event] = []
    end_s = -np.inf
    for page in pages:
        end_s = max([end_s, *(event.received_at.timestamp() for event in page)])
        kept += [event for event in page if rule.concerns(event)]
    return {
        credit.decision.decision_id or "": credit.reward
        for credit in rule.credits(kept, float(end_s))
        if credit.complete
    }
