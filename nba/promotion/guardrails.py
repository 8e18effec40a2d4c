"""Guard: a canary, or a champion that is new, is watched and taken back by itself.

In a canary its customers are compared with those who are in no arm at all: both are random. After
the promotion nobody is decided by the champion before any more: what it would have been worth on
the same decisions is estimated doubly robust, with the priorities that were logged before anything
came of them as the reward model, so that nothing is fitted. Both intervals hold at every look, and
what surely lost more than the margin goes.

The sums are per customer, and grow by what a stretch of the log teaches (`nba.rewards.changes`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, TypeAlias

import numpy as np

from nba.decisions.decision import Decision, Mode
from nba.journey.file import JourneyFile
from nba.measurement.statistics import verdict
from nba.measurement.statistics.confidence_sequences import always_valid_effect
from nba.measurement.statistics.effect import Effect
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.moments import SampleMean, moments, ratio_mean
from nba.promotion.rollout import GuardrailLimits, Rollout, end, roll_back, rollout_of
from nba.randomization import HOLDOUT, in_share
from nba.rewards.attribution import Attribution
from nba.rewards.changes import LogPosition, RewardChange, next_segment
from nba.stores.log import Log
from nba.stores.versioned import CHAMPION

BY = "guard"  # who, in the audit trail
MIN_CUSTOMERS = 100  # of each side, before a normal interval is believed
MIN_REWARDED = 20  # customers of both sides of whom something came
MIN_ESS = 50.0  # of the champion before, on the new one's decisions
MIN_SUPPORT = 0.99  # of its probability, on what could have been drawn

Other: TypeAlias = Callable[[Sequence[Decision]], list[Decision]]


class Keep(NamedTuple):
    """It goes on."""

    sentence: str


class RollBack(NamedTuple):
    """It must not go on."""

    why: str


class CustomerSums(NamedTuple):
    """Of one customer on one side, added up over her decisions."""

    decisions: float = 0.0
    reward_eur: float = 0.0  # less costs; after a promotion: beyond the champion before
    fallbacks: float = 0.0
    answers: float = 0.0  # rewards that came, or changed

    def plus(self, other: CustomerSums) -> CustomerSums:
        """Both together."""
        return CustomerSums(*(a + b for a, b in zip(self, other, strict=True)))


class _Weighed(NamedTuple):
    """What the champion before would have done in one decision."""

    weight: float  # its probability of what was drawn over the logged one
    expected_eur: float  # by the logged priorities
    drawn_eur: float  # the logged priority of what was drawn
    supported: float


Side: TypeAlias = dict[str, CustomerSums]  # by customer


class Guardrails:
    """The guardrails of one rollout; a new one begins at the rollout's own beginning."""

    def __init__(
        self,
        log: Log,
        journey: JourneyFile,
        attribution: Attribution,
        rollout: Rollout,
        other: Other | None = None,
    ) -> None:
        """`other`: decisions made again by the bundle that was champion before."""
        self._log, self._attribution, self._rollout, self._other = log, attribution, rollout, other
        self._place = LogPosition(position=rollout.since_seq, begin=rollout.since_seq)
        response = journey.reward.target == "response"
        self._worth = {a.id: a.value_eur if response else 1.0 for a in journey.actions}
        self._unknown_worth = 0.0 if response else 1.0
        self._cost = {action.id: action.cost_eur for action in journey.actions}
        self._side: Side = defaultdict(CustomerSums)  # canary, or new champion
        self._rest: Side = defaultdict(CustomerSums)
        self._weighed: dict[str, _Weighed] = {}

    def look(self, now: datetime) -> Keep | RollBack:
        """Read on in the log and judge. Raises StoreUnavailable."""
        rollout = self._rollout
        if not rollout.watched_at(now):
            return Keep(f"{rollout.stage}: no guardrails are looked at")
        in_force = rollout.bundle_id if rollout.stage == "champion" else rollout.champion
        if self._log.alias(CHAMPION) != in_force:
            return Keep(f"the champion is not {in_force} any more")
        while (found := next_segment(self._log, self._attribution, self._place)).events:
            self._place = found.place
            self._learn(found.lessons)
        fallback = self._fallback()
        if isinstance(fallback, RollBack):
            return fallback
        return self._reward()

    def _learn(self, lessons: Sequence[RewardChange]) -> None:
        decisions = self._log.decisions([one.decision_id for one in lessons])
        self._weigh([one for one in decisions.values() if one.decision_id not in self._weighed])
        for lesson in lessons:
            decision = decisions.get(lesson.decision_id)
            side = None if decision is None else self._side_of(decision)
            if decision is None or side is None:
                continue
            customer = decision.request.customer_id
            side[customer] = side[customer].plus(self._change(decision, lesson))

    def _side_of(self, decision: Decision) -> Side | None:
        """Where a decision is counted; None: nowhere."""
        if decision.mode not in (Mode.LIVE, Mode.FALLBACK):
            return None
        if self._rollout.stage == "canary" and self._rollout.label in decision.arms:
            return self._side
        share, customer = decision.exploration.holdout_share, decision.request.customer_id
        if decision.arms or in_share(HOLDOUT, share, customer):
            return None
        return self._rest if self._rollout.stage == "canary" else self._side

    def _change(self, decision: Decision, lesson: RewardChange) -> CustomerSums:
        worth = self._worth.get(decision.action_id, self._unknown_worth)
        gained = lesson.reward * worth - lesson.exposed * self._cost.get(decision.action_id, 0.0)
        fallback = float(lesson.exposed * (decision.mode is Mode.FALLBACK))
        weighed = self._weighed.get(lesson.decision_id)
        if weighed is not None:
            model = weighed.expected_eur - weighed.weight * weighed.drawn_eur
            gained = (1.0 - weighed.weight) * gained - lesson.exposed * model
        elif self._rollout.stage == "champion":
            gained = 0.0  # of the fallback, which both would have used
        return CustomerSums(float(lesson.exposed), gained, fallback, float(lesson.reward != 0.0))

    def _weigh(self, decisions: Iterable[Decision]) -> None:
        """After a promotion: what the champion before would have drawn."""
        if self._rollout.stage != "champion" or self._other is None:
            return
        live = [
            one
            for one in decisions
            if one.mode is Mode.LIVE and one.bundle_id == self._rollout.bundle_id and not one.arms
        ]
        for one, again in zip(live, self._other(live) if live else [], strict=True):
            chance = {c.action_id: c.propensity for c in again.candidates}
            logged = {c.action_id: c for c in one.candidates}
            worth = {name: c.priority or 0.0 for name, c in logged.items()}
            possible = [n for n in chance if n in logged and logged[n].propensity > 0.0]
            self._weighed[one.decision_id] = _Weighed(
                weight=chance.get(one.action_id, 0.0) / one.propensity,
                expected_eur=sum(p * worth.get(name, 0.0) for name, p in chance.items()),
                drawn_eur=worth[one.action_id],
                supported=sum(chance[name] for name in possible),
            )

    def _reward(self) -> Keep | RollBack:
        rails = self._rollout.guardrails
        metric = verdict.Metric(
            name="reward per decision", unit="EUR per decision", margin=rails.margin_eur
        )
        small = self._too_few()
        if small is not None:
            return Keep(verdict.sentence(metric, small, **self._names))
        side, rest = (
            _level(found, [one.reward_eur for one in found.values()]) if found else None
            for found in (self._side, self._rest)
        )
        assert side is not None
        return self._judged(metric, difference(side, rest, self._clock, rails))

    def _fallback(self) -> Keep | RollBack:
        """Of this side against the rest, or by itself where there is no rest.

        One decision of either kind is added to each side, so that shares of 0 and 1 have an error:
        Agresti and Caffo, The American Statistician 2000.
        """
        margin = self._rollout.guardrails.fallback_margin
        metric = verdict.Metric(
            name="share of the fallback", unit="points", higher_is_better=False, margin=margin
        )
        if len(self._side) < MIN_CUSTOMERS:
            return Keep("")
        side, rest = (
            _level(
                {**found, "+": CustomerSums(1.0, 0.0, 1.0), "-": CustomerSums(1.0)},
                [*(one.fallbacks for one in found.values()), 1.0, 0.0],
            )
            if found
            else None
            for found in (self._side, self._rest)
        )
        assert side is not None
        rails = self._rollout.guardrails
        return self._judged(metric, difference(side, rest, self._clock, rails))

    @property
    def _clock(self) -> int:
        return int(sum(one.decisions for side in (self._side, self._rest) for one in side.values()))

    def _too_few(self) -> Undecided | None:
        sides = [self._side] if self._rollout.stage == "champion" else [self._side, self._rest]
        for side in sides:
            if len(side) < MIN_CUSTOMERS:
                where = "with it" if side is self._side else "in no arm"
                return Undecided(reason=f"{len(side)} customers {where}, under {MIN_CUSTOMERS}")
        if self._rollout.stage == "champion" and (refused := self._unsupported()):
            return refused
        rewarded = sum(one.answers > 0.0 for side in sides for one in side.values())
        if rewarded < MIN_REWARDED:
            return Undecided(reason=f"something came of {rewarded} customers, under {MIN_REWARDED}")
        return None

    def _unsupported(self) -> Undecided | None:
        """Why the champion before cannot be valued on the new one's decisions."""
        if not self._weighed:
            return Undecided(reason="the champion before does not read the same contexts")
        weights = np.array([one.weight for one in self._weighed.values()])
        supported = float(np.mean([one.supported for one in self._weighed.values()]))
        if supported < MIN_SUPPORT:
            return Undecided(
                reason=f"{1 - supported:.1%} of what the champion before would draw could not be"
            )
        ess = float(weights.sum() ** 2 / (weights**2).sum()) if weights.any() else 0.0
        if ess < MIN_ESS:
            return Undecided(reason=f"effective sample size {ess:.1f}, under {MIN_ESS:.0f}")
        return None

    def _judged(self, metric: verdict.Metric, effect: Effect | Undecided) -> Keep | RollBack:
        sentence = verdict.sentence(metric, effect, **self._names)
        broken = verdict.guardrail_verdict(metric, effect) is verdict.GuardrailVerdict.BROKEN
        return RollBack(sentence) if broken else Keep(sentence)

    @property
    def _names(self) -> Mapping[str, str]:
        if self._rollout.stage == "canary":
            return {"arm": "the canary", "baseline": "the rest"}
        return {"arm": "the champion", "baseline": "the champion before"}


def difference(
    side: SampleMean, rest: SampleMean | None, decisions: int, rails: GuardrailLimits
) -> Effect | Undecided:
    """Of a decision's mean on one side over the rest, or over 0 where there is no rest.

    The clock is that of decisions, and errors are between customers: they come back, so that the
    interval has to hold at looks between which there is no new customer.
    """
    value, error2 = side.mean, side.error2
    if rest is not None:
        value, error2 = value - rest.mean, error2 + rest.error2
    if error2 <= 0.0:
        return Undecided(reason="every customer has the same")
    return always_valid_effect(
        value,
        error2 * decisions,
        decisions,
        tuning_n=rails.tuning_n,
        confidence=rails.confidence,
    )


def act(log: Log, rollout: Rollout, found: Keep | RollBack, now: datetime) -> bool:
    """Do what a look says; True where something moved. What somebody has moved since stays.

    A champion that was watched to the end is left alone from then on. Raises StoreUnavailable.
    """
    if rollout_of(log) != rollout:
        return False
    if isinstance(found, RollBack) and rollout.stage == "champion":
        roll_back(log, now, by=BY, why=found.why, to=rollout.champion)
        return True
    if isinstance(found, RollBack):
        return end(log, now, by=BY, why=found.why) is not None
    if rollout.stage == "champion" and not rollout.watched_at(now):
        days = f"{rollout.guardrails.watch_days:g} days"
        return end(log, now, by=BY, why=f"watched for {days}") is not None
    return False


def _level(side: Side, values: Sequence[float]) -> SampleMean:
    """The mean of one decision, with customers as the units."""
    counts = np.array([one.decisions for one in side.values()])
    return ratio_mean(moments(np.array(values), counts))
