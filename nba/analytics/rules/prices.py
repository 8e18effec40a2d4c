"""The price tag on every rule.

Two kinds of value stand beside each other and are never added: `model_eur`, the champion's view of
logged decisions with and without the rule, and `measured_eur`, from what really came of decisions.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import msgspec
import numpy as np

from nba.analytics.rules.effects import RuleEffects
from nba.analytics.rules.price_estimates import bootstrap_total, lifted_difference, snips_difference
from nba.customer.context import ContextSchema
from nba.decisions.candidate import Candidate
from nba.decisions.decision import Decision, Mode
from nba.engine.policy import ExplorationPolicy, worth_of
from nba.engine.strategy import Strategy
from nba.governance.rule_ablation import RulePart, rule_parts
from nba.journey.actions import NO_ACTION
from nba.journey.sub_journeys import SubJourney
from nba.measurement.statistics.estimate import Estimate, Undecided

PAGE = 250  # decisions in memory at a time


class RulePrice(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule, lever or weight does, over the decisions of the report."""

    kind: str
    rule: str
    actions: int  # that it refused, or priced
    decisions: int  # in which it did
    customers: int
    lifted_share: float
    moved: float | None  # expected number of decisions that come out otherwise without it
    model_eur: Estimate | Undecided  # by the champion: total priority that it costs
    # from rewards, without minus with: EUR per customer of a rule (her first decision in which it
    # binds), per decision of a lever or weight
    measured_eur: Estimate | Undecided


class RuleReport(msgspec.Struct, frozen=True, kw_only=True):
    """All of them, and what they were seen on."""

    decisions: int
    customers: int
    rescored: int  # decisions that the model's values rest on
    catalogue_version: str
    bundle_id: str | None
    rules: list[RulePrice]


class _Tally:
    """What is summed of one rule while decisions go by."""

    def __init__(self) -> None:
        self.actions = self.decisions = 0
        self.customers: set[str] = set()
        self.moved = 0.0
        self.lost: defaultdict[str, float] = defaultdict(float)
        # by customer, of the first decision in which it binds: the reward, None where it has none
        self.held: dict[str, float | None] = {}
        self.lifted: dict[str, float | None] = {}
        self.weighed: list[tuple[float, float, float, str]] = []


def report_rules(
    pages: Iterator[list[Decision]],
    schema: ContextSchema,
    strategy: Strategy,
    *,
    rewards: Mapping[str, float],
    earlier: Sequence[SubJourney] = (),
    since: datetime | None = None,
    seed: int = 1,
) -> RuleReport:
    """What each rule of this file did to our own live decisions from `since` on, and what it costs.

    `rewards`: EUR by decision id, of those that count and whose window is over. Both values rest on
    decisions that were made on this very file: another one had other rules, and may not have lifted
    them. A rule that is lifted for a share of customers is measured on each customer's first
    decision in which it binds: the lifting itself changes in which later ones it does. So `pages`
    begin with the log, and of those before `since` it is only noted that she has met the rule.
    """
    parts = list(rule_parts(schema.journey))
    version = schema.journey.catalogue_version()
    judge, drawing, why_none = strategy.scorer, strategy.exploration_policy, strategy.why_none
    effects = None if judge is None else RuleEffects(schema, parts, judge, drawing, earlier)
    tallies = [_Tally() for _ in parts]
    customers: set[str] = set()
    rescored: Counter[str] = Counter()
    decisions = 0
    for page in pages:
        ours = []
        for one in page:
            if one.mode not in (Mode.LIVE, Mode.FALLBACK):
                continue
            struck = _struck(one, parts)
            recent = since is None or one.decided_at >= since
            if one.catalogue_version == version:
                reward = rewards.get(one.decision_id) if recent else None
                _compare(one, struck, parts, tallies, reward)
            if recent:
                ours.append(one)
                customers.add(one.request.customer_id)
                _count(one.request.customer_id, struck, tallies)
        decisions += len(ours)
        live = [
            one
            for one in ours
            if one.mode is Mode.LIVE
            and (one.catalogue_version, one.context_schema) == (version, schema.schema_hash)
        ]
        for one in live:
            reward = rewards.get(one.decision_id)
            scored = one.candidates[0].priority is not None
            if reward is not None and scored and one.challenger is None:
                _weigh(one, parts, tallies, drawing, reward, schema)
        if effects is not None and live:
            rescored.update(one.request.customer_id for one in live)
            for one, found in effects.of(live):
                for effect in found:
                    tallies[effect.part].moved += effect.moved
                    tallies[effect.part].lost[one.request.customer_id] += effect.lost_eur
    seen = _Seen(len(rescored), rescored.total(), why_none if effects is None else "", seed)
    return RuleReport(
        decisions=decisions,
        customers=len(customers),
        rescored=seen.decisions,
        catalogue_version=version,
        bundle_id=None if judge is None else judge.base.bundle_id,
        rules=[_price(part, tally, seen) for part, tally in zip(parts, tallies, strict=True)],
    )


class _Seen(msgspec.Struct, frozen=True):
    customers: int
    decisions: int
    why_none: str
    seed: int


def _struck(decision: Decision, parts: Sequence[RulePart]) -> list[int]:
    """How many actions each part refused or priced here."""
    refused = defaultdict(list)
    for one in decision.refused:
        refused[one.rule].append(one)
    priced = Counter(name for one in decision.candidates for name in one.because)
    return [
        sum(map(part.has_refused, refused[part.id])) if part.refuses else priced[part.id]
        for part in parts
    ]


def _count(customer: str, struck: Sequence[int], tallies: Sequence[_Tally]) -> None:
    for tally, n in zip(tallies, struck, strict=True):
        if n:
            tally.actions += n
            tally.decisions += 1
            tally.customers.add(customer)


def _compare(
    decision: Decision,
    struck: Sequence[int],
    parts: Sequence[RulePart],
    tallies: Sequence[_Tally],
    reward: float | None,
) -> None:
    """Put the first decision that each part meets to the side that it is on."""
    lifted = {one.rule for one in decision.lifted}
    for part, tally, n in zip(parts, tallies, struck, strict=True):
        if part.lifted_share and (part.id in lifted or n):
            side = tally.lifted if part.id in lifted else tally.held
            side.setdefault(decision.request.customer_id, reward)


def _weigh(
    decision: Decision,
    parts: Sequence[RulePart],
    tallies: Sequence[_Tally],
    drawing: ExplorationPolicy,
    reward: float,
    schema: ContextSchema,
) -> None:
    """For each lever and weight: the probability of what was drawn, had it not been there."""
    off = schema.journey.arbitration.without
    at = [one.action_id for one in decision.candidates].index(decision.action_id)
    codes = {action.id: code for code, action in enumerate(schema.journey.actions)}
    named = [codes.get(one.action_id, -1) for one in decision.candidates]
    worth = worth_of(decision.candidates, named, decision.learned_from)
    customer = decision.request.customer_id
    for part, tally in zip(parts, tallies, strict=True):
        if part.factor is None:
            continue
        idle = "context_weight" in off if part.kind == "weight" else "lever" in off
        bound = not idle and any(part.id in one.because for one in decision.candidates)
        target = decision.propensity
        if bound and part.factor == 0.0:
            target = np.nan  # what it was worth without cannot be read from 0
        elif bound:
            factors = np.array([_factor(one, part) for one in decision.candidates])
            priorities = np.array([_without(one, part) for one in decision.candidates])
            changed = worth._replace(
                mean_eur=priorities,
                spread_eur=worth.spread_eur / factors,
                gain_eur=worth.gain_eur / factors,
            )
            target = float(drawing.probabilities(changed)[at])
        tally.weighed.append((target, decision.propensity, reward, customer))


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


def _price(part: RulePart, tally: _Tally, seen: _Seen) -> RulePrice:
    measured = _lifted(part, tally) if part.refuses else _unpulled(tally)
    return RulePrice(
        kind=part.kind,
        rule=part.id,
        actions=tally.actions,
        decisions=tally.decisions,
        customers=len(tally.customers),
        lifted_share=part.lifted_share,
        moved=None if seen.why_none else tally.moved,
        model_eur=_modelled(tally, seen),
        measured_eur=measured,
    )


def _modelled(tally: _Tally, seen: _Seen) -> Estimate | Undecided:
    if seen.why_none:
        return Undecided(reason=seen.why_none)
    if seen.decisions == 0:
        return Undecided(reason="no live decision was made on the catalogue in force")
    sums = np.array([one for one in tally.lost.values() if one != 0.0])
    return bootstrap_total(sums, seen.customers, seen.seed, seen.decisions)


def _lifted(part: RulePart, tally: _Tally) -> Estimate | Undecided:
    if part.lifted_share == 0.0:
        return Undecided(reason="no lifted_share: it is lifted for nobody")
    arms = [
        np.array([reward for reward in side.values() if reward is not None])
        for side in (tally.lifted, tally.held)
    ]
    if not any(map(len, arms)):
        return Undecided(
            reason="no customer's first decision of the catalogue in force in which it would bind "
            "has a reward that is over"
        )
    return lifted_difference(*arms)


def _unpulled(tally: _Tally) -> Estimate | Undecided:
    if tally.decisions == 0:
        return Undecided(reason="it priced no candidate")
    rows = [row for row in tally.weighed if not np.isnan(row[0])]
    if len(rows) < len(tally.weighed):
        return Undecided(reason="its factor is 0: what is offered without it is not in the log")
    if not rows:
        return Undecided(reason="no live decision of the catalogue in force has a reward yet")
    target, propensity, reward = (np.array([row[n] for row in rows]) for n in range(3))
    return snips_difference(target, propensity, reward, np.array([row[3] for row in rows]))
