"""Report what every rule costs.

Two kinds of value stand beside each other and are never added: `model_eur`, the champion's view of
logged decisions with and without the rule, and `measured_eur`, from what really came of decisions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import msgspec
import numpy as np

from nba.analytics.rules.effects import RuleEffects
from nba.analytics.rules.price_estimates import bootstrap_total, lifted_difference, snips_difference
from nba.analytics.rules.rule_sums import RuleSums, bound_actions, known_rewards, weigh
from nba.customer.context import ContextSchema
from nba.decisions.decision import Decision, Mode
from nba.engine.policy import PolicyOf
from nba.engine.strategy import Strategy
from nba.governance.rule_ablation import rule_parts
from nba.journey.sub_journeys import SubJourney
from nba.measurement.off_policy.propensity_audit import chosen_by_draw
from nba.measurement.off_policy.support import UNSUPPORTED, LeftOut, answering
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
    demanded: bool  # by law, the product or the customer: a price to know, not to act on
    moved: float | None  # expected number of decisions that come out otherwise without it
    model_eur: Estimate | Undecided  # by the champion: total priority that it costs
    # from rewards, without minus with: EUR per customer of a rule (their first decision in which it
    # binds), per decision of a lever or weight
    measured_eur: Estimate | Undecided
    left_out: LeftOut = LeftOut()  # of what was measured: decisions of arms that cannot answer


class RuleReport(msgspec.Struct, frozen=True, kw_only=True):
    """The prices of all rules, and the decisions that they rest on."""

    decisions: int
    customers: int
    rescored: int  # decisions that the model's values rest on
    catalogue_version: str
    bundle_id: str | None
    rules: list[RulePrice]


def report_rules(
    pages: Iterator[list[Decision]],
    schema: ContextSchema,
    strategy: Strategy,
    policy_of: PolicyOf,
    *,
    rewards: Mapping[str, float],
    earlier: Sequence[SubJourney] = (),
    since: datetime | None = None,
    seed: int = 1,
) -> RuleReport:
    """What each rule of this file did to our own live decisions from `since` on, and what it costs.

    `rewards`: EUR by decision id, of those that count and whose window is over. Both values rest on
    decisions that were made on this very file: another one had other rules, and may not have lifted
    them. Each is decided again by the exploration that it logged, of `policy_of`; a challenger's
    share of a draw stays what it was. A rule that is lifted for a share of customers is measured on
    each customer's first decision in which it binds: the lifting itself changes in which later ones
    it does. So `pages` begin with the log, and of those before `since` it is only noted which
    customers met the rule.
    """
    sums = [RuleSums(part) for part in rule_parts(schema.journey)]
    version = schema.journey.catalogue_version()
    scorer = strategy.scorer
    effects = None
    if scorer is not None:
        effects = RuleEffects(schema, [rule.part for rule in sums], scorer, policy_of, earlier)
    customers: set[str] = set()
    rescored: Counter[str] = Counter()
    n_decisions = 0
    for page in pages:
        recent = []
        for decision in page:
            if decision.mode not in (Mode.LIVE, Mode.FALLBACK) or decision.beside_another_system:
                continue
            is_recent = since is None or decision.decided_at >= since
            reward = rewards.get(decision.decision_id) if is_recent else None
            bound = bound_actions(decision, [rule.part for rule in sums])
            for rule, n in zip(sums, bound, strict=True):
                if decision.catalogue_version == version:
                    rule.compare(decision, n, reward)
                if is_recent and n:
                    rule.count(decision, n)
            if is_recent:
                recent.append(decision)
                customers.add(decision.request.customer_id)
        n_decisions += len(recent)
        live = [
            decision
            for decision in recent
            if decision.mode is Mode.LIVE
            and decision.catalogue_version == version
            and decision.context_schema == schema.schema_hash
        ]
        for decision in live:
            reward = rewards.get(decision.decision_id)
            scored = decision.candidates[0].priority is not None
            if reward is not None and scored:
                policy = policy_of(decision.exploration)
                weigh(decision, sums, reward=reward, policy=policy, schema=schema)
        if effects is not None and live:
            rescored.update(decision.request.customer_id for decision in live)
            for decision, decision_effects in effects.of(live):
                for effect in decision_effects:
                    rule = sums[effect.part]
                    rule.moved += effect.moved
                    rule.lost_eur[decision.request.customer_id] += effect.lost_eur
    why_none = strategy.fallback_reason if effects is None else ""
    basis = _Rescored(len(rescored), rescored.total(), why_none, seed)
    return RuleReport(
        decisions=n_decisions,
        customers=len(customers),
        rescored=basis.decisions,
        catalogue_version=version,
        bundle_id=None if scorer is None else scorer.base.bundle_id,
        rules=[_price(rule, basis) for rule in sums],
    )


class _Rescored(msgspec.Struct, frozen=True):
    """What the model's values rest on."""

    customers: int
    decisions: int
    why_none: str
    seed: int


def _price(rule: RuleSums, rescored: _Rescored) -> RulePrice:
    part = rule.part
    if part.refuses:
        measured_eur, left_out = _lifted_value(rule), LeftOut()
    else:
        measured_eur, left_out = _factor_value(rule)
    return RulePrice(
        kind=part.kind,
        rule=part.id,
        actions=rule.actions,
        decisions=rule.decisions,
        customers=len(rule.customers),
        lifted_share=part.lifted_share,
        demanded=part.demanded,
        moved=None if rescored.why_none else rule.moved,
        model_eur=_model_value(rule, rescored),
        measured_eur=measured_eur,
        left_out=left_out,
    )


def _model_value(rule: RuleSums, rescored: _Rescored) -> Estimate | Undecided:
    """By the champion: expected priority that the rule costs, over all decisions."""
    if rescored.why_none:
        return Undecided(reason=rescored.why_none)
    if rescored.decisions == 0:
        return Undecided(reason="no live decision was made on the catalogue in force")
    lost = np.array([eur for eur in rule.lost_eur.values() if eur != 0.0])
    return bootstrap_total(lost, rescored.customers, rescored.seed, rescored.decisions)


def _lifted_value(rule: RuleSums) -> Estimate | Undecided:
    """From rewards: customers for whom the rule is lifted against those for whom it holds."""
    if rule.part.lifted_share == 0.0:
        return Undecided(reason="no lifted_share: it is lifted for nobody")
    lifted, bound = known_rewards(rule.lifted), known_rewards(rule.held)
    if not len(lifted) and not len(bound):
        return Undecided(
            reason="no customer's first decision of the catalogue in force in which it would bind "
            "has a reward that is over"
        )
    return lifted_difference(lifted, bound)


def _factor_value(rule: RuleSums) -> tuple[Estimate | Undecided, LeftOut]:
    """From rewards: the policy without this lever or weight against the logged one; beside it the
    decisions that cannot answer."""
    reason, rows, left_out = "", rule.weighed, LeftOut()
    if rule.decisions == 0:
        reason = "it priced no candidate"
    elif not rows:
        reason = "no live decision of the catalogue in force has a reward yet"
    elif any(np.isnan(row.target) for row in rows):
        reason = "its factor is 0: what is offered without it is not in the log"
    else:
        missing = np.array([row.missing for row in rows])
        kept, left_out = answering([row.arm for row in rows], missing, np.ones(len(rows)))
        rows = [row for row, is_kept in zip(rows, kept, strict=True) if is_kept]
        lost = float(missing[kept].mean())
        if lost > UNSUPPORTED:
            reason = f"{lost:.1%} of what would be drawn without it could not be drawn with it"
        else:
            reason = chosen_by_draw(rule.draws)
    if reason:
        return Undecided(reason=reason), left_out
    value = snips_difference(
        target=np.array([row.target for row in rows]),
        propensity=np.array([row.propensity for row in rows]),
        rewards=np.array([row.reward for row in rows]),
        customers=np.array([row.customer for row in rows]),
    )
    return value, left_out
