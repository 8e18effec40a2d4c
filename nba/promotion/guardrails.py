"""Guardrails: a canary, or a champion that is new, is watched and taken back by itself.

In a canary its customers are compared with those of its control: both are random, of one time, and
in no experiment. After the promotion the new champion is compared with what the one before would
have been worth on the same decisions (`nba.promotion.champion_before`), those in no experiment.
Both intervals hold at every look, and what surely lost more than the margin goes.

The sums are per customer, and grow by the reward changes of the log (`nba.rewards.changes`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from nba.decisions.decision import Decision, Mode
from nba.journey.file import JourneyFile
from nba.measurement.statistics import verdict
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.moments import SampleMean
from nba.promotion.champion_before import ChampionBefore, Redecide
from nba.promotion.customer_sums import (
    CustomerSums,
    Side,
    difference,
    fallback_share,
    mean_reward,
)
from nba.promotion.rollout import CANARY, CONTROL, Rollout, end, roll_back, rollout_of
from nba.randomization import HOLDOUT, in_share
from nba.rewards.attribution import Attribution
from nba.rewards.changes import LogPosition, RewardChange, next_segment, settle_left_out
from nba.stores.log import Log
from nba.stores.versioned import CHAMPION

BY = "guard"  # who, in the audit trail
MIN_CUSTOMERS = 100  # of each side, before a normal interval is believed
MIN_REWARDED = 20  # customers of both sides of whom something came


class Keep(NamedTuple):
    """It goes on."""

    sentence: str


class RollBack(NamedTuple):
    """It must not go on."""

    why: str


class Guardrails:
    """The guardrails of one rollout; a new one begins at the rollout's own beginning."""

    def __init__(
        self,
        log: Log,
        *,
        journey: JourneyFile,
        attribution: Attribution,
        rollout: Rollout,
        redecide: Redecide | None = None,
    ) -> None:
        """`redecide`: makes decisions again by the bundle that was champion before."""
        self._log, self._attribution, self._rollout = log, attribution, rollout
        self._is_canary = rollout.stage == "canary"
        self._position = LogPosition(position=rollout.since_seq, begin=rollout.since_seq)
        response = journey.reward.target == "response"
        self._worth = {a.id: a.value_eur if response else 1.0 for a in journey.actions}
        self._unknown_worth = 0.0 if response else 1.0
        self._cost = {action.id: action.cost_eur for action in journey.actions}
        self._side: Side = defaultdict(CustomerSums)  # canary, or new champion
        self._rest: Side = defaultdict(CustomerSums)  # a canary's control
        self._before = ChampionBefore(rollout.bundle_id, redecide)

    def look(self, now: datetime) -> Keep | RollBack:
        """Read on in the log and judge. Raises StoreUnavailable."""
        rollout = self._rollout
        if not rollout.watched_at(now):
            return Keep(f"{rollout.stage}: no guardrails are looked at")
        in_force = rollout.bundle_id if rollout.stage == "champion" else rollout.champion
        if self._log.alias(CHAMPION) != in_force:
            return Keep(f"the champion is not {in_force} any more")
        while (segment := next_segment(self._log, self._attribution, self._position)).events:
            self._position = segment.end
            self._add(segment.changes)
        if self._position.left_out:
            segment = settle_left_out(self._log, self._attribution, self._position)
            self._position = segment.end
            self._add(segment.changes)
        fallback = self._judge_fallback()
        return fallback if isinstance(fallback, RollBack) else self._judge_reward()

    def _add(self, changes: Sequence[RewardChange]) -> None:
        decisions = self._log.decisions([change.decision_id for change in changes])
        if not self._is_canary:
            self._before.weigh(decisions.values())
        for change in changes:
            decision = decisions.get(change.decision_id)
            side = None if decision is None else self._side_of(decision)
            if decision is None or side is None:
                continue
            customer = decision.request.customer_id
            side[customer] = side[customer].plus(self._sums_of(decision, change))

    def _side_of(self, decision: Decision) -> Side | None:
        """Where a decision is counted; None: nowhere."""
        if decision.mode not in (Mode.LIVE, Mode.FALLBACK) or decision.beside_another_system:
            return None
        labels = set(decision.arms)
        if self._is_canary and CANARY in labels:
            return self._side
        if self._is_canary and self._rollout.control:
            return self._rest if CONTROL in labels else None
        share, customer = decision.exploration.holdout_share, decision.request.customer_id
        if labels - {CONTROL} or in_share(HOLDOUT, share, customer):
            return None
        return self._rest if self._is_canary else self._side

    def _sums_of(self, decision: Decision, change: RewardChange) -> CustomerSums:
        worth = self._worth.get(decision.action_id, self._unknown_worth)
        reward_eur = change.reward * worth - change.reached * self._cost.get(
            decision.action_id, 0.0
        )
        if not self._is_canary:
            reward_eur = self._before.gain_over(change.decision_id, reward_eur, change.exposed)
        return CustomerSums(
            decisions=float(change.exposed),
            reward_eur=reward_eur,
            fallbacks=float(change.exposed * (decision.mode is Mode.FALLBACK)),
            answers=float(change.reward != 0.0),
        )

    def _judge_reward(self) -> Keep | RollBack:
        metric = verdict.Metric(
            name="reward per decision",
            unit="EUR per decision",
            margin=self._rollout.guardrails.margin_eur,
        )
        undecided = self._too_few()
        if undecided is not None:
            return Keep(verdict.sentence(metric, undecided, **self._names))
        return self._judge(metric, mean_reward(self._side), mean_reward(self._rest))

    def _judge_fallback(self) -> Keep | RollBack:
        """Of this side against the rest, or by itself where there is no rest."""
        metric = verdict.Metric(
            name="share of the fallback",
            unit="points",
            higher_is_better=False,
            margin=self._rollout.guardrails.fallback_margin,
        )
        if len(self._side) < MIN_CUSTOMERS:
            return Keep("")
        return self._judge(metric, fallback_share(self._side), fallback_share(self._rest))

    def _judge(
        self, metric: verdict.Metric, mean: SampleMean | None, rest: SampleMean | None
    ) -> Keep | RollBack:
        assert mean is not None  # of MIN_CUSTOMERS
        decisions = int(
            sum(sums.decisions for side in (self._side, self._rest) for sums in side.values())
        )
        effect = difference(mean, rest, decisions, self._rollout.guardrails)
        sentence = verdict.sentence(metric, effect, **self._names)
        broken = verdict.guardrail_verdict(metric, effect) is verdict.GuardrailVerdict.BROKEN
        return RollBack(sentence) if broken else Keep(sentence)

    def _too_few(self) -> Undecided | None:
        sides = [self._side, self._rest] if self._is_canary else [self._side]
        for side in sides:
            if len(side) < MIN_CUSTOMERS:
                group = "with it" if side is self._side else "in its control"
                return Undecided(reason=f"{len(side)} customers {group}, under {MIN_CUSTOMERS}")
        if not self._is_canary and (unsupported := self._before.unsupported()):
            return unsupported
        rewarded = sum(sums.answers > 0.0 for side in sides for sums in side.values())
        if rewarded < MIN_REWARDED:
            return Undecided(reason=f"something came of {rewarded} customers, under {MIN_REWARDED}")
        return None

    @property
    def _names(self) -> Mapping[str, str]:
        if self._is_canary:
            return {"arm": "the canary", "baseline": "its control"}
        return {"arm": "the champion", "baseline": "the champion before"}


def act(log: Log, rollout: Rollout, finding: Keep | RollBack, now: datetime) -> bool:
    """Act on a finding; True where something changed. What somebody has changed since stays.

    A champion that was watched to the end is left alone from then on. Raises StoreUnavailable.
    """
    if rollout_of(log) != rollout:
        return False
    if isinstance(finding, RollBack) and rollout.stage == "champion":
        roll_back(log, now, by=BY, why=finding.why, to=rollout.champion)
        return True
    if isinstance(finding, RollBack):
        return end(log, now, by=BY, why=finding.why) is not None
    if rollout.stage == "champion" and not rollout.watched_at(now):
        days = f"{rollout.guardrails.watch_days:g} days"
        return end(log, now, by=BY, why=f"watched for {days}") is not None
    return False
