"""What another journey file would have been worth, read from the log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from features.fold import Fold
from models.bundles.bundle import Bundle
from models.bundles.scorer import BundleScorer
from models.policies.from_journey import ExplorationPolicies
from nba.analytics.rules.prices import PAGE, report_rules
from nba.customer.context import ContextSchema
from nba.engine.scorer import CalibratedScorer
from nba.engine.strategy import Strategy
from nba.governance.rule_ablation import rule_parts
from nba.journey.file import JourneyFile
from nba.journey_file.diff import diff
from nba.measurement.statistics.estimate import Estimate, Undecided
from nba.promotion.catalogue_versions import earlier_sub_journeys
from nba.stores.log import Log
from nba.stores.pages import decision_pages
from training.data.history import History, read_history
from training.data.rule_rewards import mature_rewards
from training.data.training_sets import decided_set
from training.emotion.learned import learned_table
from training.gates.served import residual_at
from training.gates.whatif import Redecided, WhatIf, what_if
from training.rehearsal.redecisions import both_sides, redecide

STEPS = 2  # that `what_if_from_log` announces


def what_if_from_log(
    log: Log,
    old: JourneyFile,
    new: JourneyFile,
    *,
    days: float,
    seed: int,
    progress: Callable[[str], None] = lambda step: None,
) -> WhatIf | Undecided:
    """Let both versions decide the log's last days again; rewards say what came of them.

    `progress` is told each of its STEPS as it begins. Raises InvalidBundle, StoreUnavailable.
    """
    progress("reading the log")
    read: list[History] = []

    def as_it_stood(bundle: Bundle, schema: ContextSchema, begin: datetime) -> CalibratedScorer:
        """The champion with what it had learned when the span began: of none of its rewards."""
        base = BundleScorer(bundle, schema)
        if not read:
            read.append(read_history(Fold(old, bundle.table), log))
        history, risk = read[0], None if bundle.churn is None else bundle.churn.predict
        decided = decided_set(history, old.reward, risk)
        until_s = begin.timestamp()
        residual = residual_at(history, decided, bundle, until_s, schema, online=log)
        return CalibratedScorer(base, residual)

    sides = both_sides(log, old, new, days=days, scorer_of=as_it_stood)
    if isinstance(sides, Undecided):
        return sides
    rewards = mature_rewards(read[0])
    progress("deciding again")
    redecided = [
        Redecided(decision, before.chances, after.chances)
        for block in redecide(log, *sides)
        for decision, before, after in zip(block.decisions, block.old, block.new, strict=True)
    ]
    return what_if(redecided, rewards, seed=seed)


def lifted_rule_prices(
    log: Log, old: JourneyFile, new: JourneyFile
) -> dict[str, Estimate | Undecided]:
    """By rule that the change concerns: what came of lifting it, where a share of it was lifted.

    EUR per customer. Raises StoreUnavailable.
    """
    changed = {change.id for change in diff(old, new)}
    lifted = {rule.id for rule in rule_parts(old) if rule.lifted_share and rule.id in changed}
    if not lifted:
        return {}
    fold = Fold(old, learned_table(log))
    policy_of = ExplorationPolicies([action.id for action in old.actions])
    report = report_rules(
        decision_pages(log, size=PAGE),
        fold.schema,
        Strategy(old.exploration, policy_of(old.exploration)),
        policy_of,
        rewards=mature_rewards(read_history(fold, log)),
        earlier=earlier_sub_journeys(log),
    )
    return {price.rule: price.measured_eur for price in report.rules if price.rule in lifted}
