"""Sum what one rule, lever or weight did over pages of logged decisions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nba.customer.context import ContextSchema
from nba.decisions.candidate import Candidate
from nba.decisions.decision import Decision
from nba.engine.policy import ExplorationPolicy, worth_of
from nba.engine.redecision import draws
from nba.governance.rule_ablation import RulePart
from nba.journey.actions import NO_ACTION
from nba.measurement.off_policy.propensity_audit import DrawCounts
from nba.measurement.off_policy.support import arm_of


class WeighedDecision(NamedTuple):
    """A decision under the policy without a lever or weight."""

    target: float  # P(the drawn action) without it; NaN where the log cannot tell
    propensity: float
    reward: float  # EUR
    customer: str
    arm: str
    missing: float  # how probably it would be drawn without it what could not be drawn with it


class RuleSums:
    """The sums of one rule."""

    def __init__(self, part: RulePart) -> None:
        self.part = part
        self.actions = self.decisions = 0
        self.customers: set[str] = set()
        self.moved = 0.0
        self.lost_eur: defaultdict[str, float] = defaultdict(float)  # by customer
        # by customer, of the first decision in which it binds: the reward, None where it has none
        self.held: dict[str, float | None] = {}
        self.lifted: dict[str, float | None] = {}
        self.weighed: list[WeighedDecision] = []
        self.draws = DrawCounts()  # of those

    def count(self, decision: Decision, actions: int) -> None:
        """Count a decision in which it refused or priced so many actions."""
        self.actions += actions
        self.decisions += 1
        self.customers.add(decision.request.customer_id)

    def compare(self, decision: Decision, actions: int, reward: float | None) -> None:
        """Put the first decision of a customer that meets it to the side that it is on."""
        is_lifted = any(lifted.rule == self.part.id for lifted in decision.lifted)
        if self.part.lifted_share and (is_lifted or actions):
            side = self.lifted if is_lifted else self.held
            side.setdefault(decision.request.customer_id, reward)


def known_rewards(side: Mapping[str, float | None]) -> np.ndarray:
    """(n,) the rewards of the customers who have one."""
    return np.array([reward for reward in side.values() if reward is not None])


def bound_actions(decision: Decision, parts: Sequence[RulePart]) -> list[int]:
    """How many actions each part refused or priced here."""
    refused = defaultdict(list)
    for refusal in decision.refused:
        refused[refusal.rule].append(refusal)
    priced = Counter(name for candidate in decision.candidates for name in candidate.because)
    return [
        sum(map(part.has_refused, refused[part.id])) if part.refuses else priced[part.id]
        for part in parts
    ]


def weigh(
    decision: Decision,
    sums: Sequence[RuleSums],
    *,
    reward: float,
    policy: ExplorationPolicy,
    schema: ContextSchema,
) -> None:
    """For each lever and weight: the probability of what was drawn, had it not been there.

    `policy`: the one that drew it. Its own part of the draw is moved by as much as the worths move
    it: the floor and a challenger's share stay, and what changes no worth changes no probability.
    """
    off = schema.journey.arbitration.without
    candidates = decision.candidates
    drawn = [candidate.action_id for candidate in candidates].index(decision.action_id)
    code_of = {action.id: code for code, action in enumerate(schema.journey.actions)}
    codes = [code_of.get(candidate.action_id, -1) for candidate in candidates]
    worth = worth_of(candidates, codes, decision.learned_from)
    logged = np.array([candidate.propensity for candidate in candidates])
    own_share = 1.0 - policy.floor
    if decision.challenger is not None:
        own_share -= min(decision.exploration.challenger_share, own_share)
    drawn_counts = draws([decision])
    for rule in sums:
        part = rule.part
        if part.factor is None:
            continue
        idle = "context_weight" in off if part.kind == "weight" else "lever" in off
        bound = not idle and any(part.id in candidate.because for candidate in candidates)
        targets = logged
        if bound and part.factor == 0.0:
            targets = logged * np.nan  # what it was worth without cannot be read from 0
        elif bound:
            factors = np.array([_factor(candidate, part) for candidate in candidates])
            changed = worth._replace(
                mean_eur=np.array([_without(candidate, part) for candidate in candidates]),
                spread_eur=worth.spread_eur / factors,
                gain_eur=worth.gain_eur / factors,
            )
            change = policy.policy.probabilities(changed) - policy.policy.probabilities(worth)
            targets = np.clip(logged + own_share * change, 0.0, 1.0)
        rule.draws += drawn_counts
        rule.weighed.append(
            WeighedDecision(
                target=float(targets[drawn]),
                propensity=decision.propensity,
                reward=reward,
                customer=decision.request.customer_id,
                arm=arm_of(decision.arms),
                missing=float(targets[logged == 0.0].sum()),
            )
        )


def _factor(candidate: Candidate, part: RulePart) -> float:
    """By what this part has multiplied the candidate's worth."""
    assert part.factor is not None  # as its caller has seen
    bound = part.id in candidate.because and candidate.action_id != NO_ACTION
    return part.factor if bound else 1.0


def _without(candidate: Candidate, part: RulePart) -> float:
    """The logged priority with this factor taken out."""
    priority, factor = candidate.priority, _factor(candidate, part)
    assert priority is not None
    if factor == 1.0:
        return priority
    paid = candidate.cost_eur + candidate.annoyance_eur
    return (priority + paid) / factor - paid
