"""The command that asks what another journey file would have been worth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serving.cli.terminal.options import Json, Seed
from serving.cli.terminal.session import command_settings
from serving.console import console, print_json, progress_bar

if TYPE_CHECKING:
    from nba.journey.file import JourneyFile
    from nba.measurement.statistics.estimate import Estimate, Undecided
    from nba.stores.log import Log
    from training.gates.whatif import WhatIf

FIRST_ORDER = (
    "First order: each decision on what was known then. What the change would do to the contexts "
    "that follow is not in it."
)
Prices = dict[str, "Estimate | Undecided"]  # by lifted rule that the change concerns


def whatif(
    file: Annotated[Path, typer.Argument(help="The changed journey file.")],
    days: Annotated[float, typer.Option(min=0.01, help="Of the last so many days.")] = 30.0,
    seed: Seed = 1,
    json: Json = False,
) -> None:
    """What a changed journey file would have been worth on logged decisions, with an interval.

    Off-policy, against the file in force, both with the champion. Where the change offers what the
    log could not draw, rewards cannot say, and the model's word stands apart. Example:
    `nba whatif tighter.yaml --days 14`
    """
    from nba.journey_file.loader import load_journey
    from nba.measurement.statistics.estimate import Undecided
    from serving.replica.assembly import journey_in_force, opened_log

    settings, new = command_settings(), load_journey(file)
    with opened_log(settings) as log:
        old = journey_in_force(settings, log)
        found = _measured(log, old, new, days, seed)
        prices: Prices = {}
        if not isinstance(found, Undecided):
            prices = _lifted(log, old, new)
    if json:
        print_json(_json(found, prices))
    else:
        _print(found, prices)


def _measured(
    log: Log, old: JourneyFile, new: JourneyFile, days: float, seed: int
) -> WhatIf | Undecided:
    """Both versions decide the log's last days again; rewards say what came of them."""
    from nba.measurement.statistics.estimate import Undecided
    from serving.reports.rehearsal import looked_at, sides_on
    from training.data.history import read_history
    from training.data.rule_rewards import mature_rewards
    from training.gates.whatif import Redecided, what_if

    sides = sides_on(log, old, new, days)
    if isinstance(sides, Undecided):
        return sides
    with progress_bar("reading the log") as advance:
        rewards = mature_rewards(read_history(sides[0].fold, log, advance))
    with progress_bar("deciding again") as advance:
        seen = [
            Redecided(decision, before.chances, after.chances)
            for block in looked_at(log, *sides, advance)
            for decision, before, after in zip(block.decisions, block.old, block.new, strict=True)
        ]
    return what_if(seen, rewards, seed=seed)


def _lifted(log: Log, old: JourneyFile, new: JourneyFile) -> Prices:
    """What came of lifting the rules that the change concerns, where a share of them was."""
    from features.fold import Fold
    from models.policies.from_journey import exploration_policy_of
    from nba.analytics.rules.prices import PAGE, report_rules
    from nba.engine.strategy import Strategy
    from nba.governance.rule_ablation import rule_parts
    from nba.journey_file.diff import diff
    from nba.promotion.catalogue_versions import earlier_sub_journeys
    from nba.stores.pages import decision_pages
    from training.data.history import read_history
    from training.data.rule_rewards import mature_rewards
    from training.emotion.learned import learned_table

    changed = {one.id for one in diff(old, new)}
    concerned = {one.id for one in rule_parts(old) if one.lifted_share and one.id in changed}
    if not concerned:
        return {}
    fold = Fold(old, learned_table(log))
    drawing = exploration_policy_of(old.exploration, [action.id for action in old.actions])
    report = report_rules(
        decision_pages(log, size=PAGE),
        fold.schema,
        Strategy(old.exploration, drawing),
        rewards=mature_rewards(read_history(fold, log)),
        earlier=earlier_sub_journeys(log),
    )
    return {one.rule: one.measured_eur for one in report.rules if one.rule in concerned}


def _print(found: WhatIf | Undecided, prices: Prices) -> None:
    from nba.measurement.statistics.estimate import Undecided
    from serving.reports.valuation_tables import estimate_text, print_gain

    if isinstance(found, Undecided):
        console.print(f"undecided: {found.reason}", highlight=False, soft_wrap=True)
        return
    console.print(
        f"{found.decisions:,} decisions of {found.customers:,} customers with a complete reward, "
        f"{found.without_reward:,} without; {found.moved:,.1f} come out otherwise, "
        f"{found.unsupported:.1%} of that on actions that the log could not draw",
        highlight=False,
    )
    print_gain(found.gain, "the file in force")
    by_model = estimate_text(found.by_model, "decision")
    console.print(f"by the model alone, its own error left out: {by_model}", highlight=False)
    for rule, price in prices.items():
        text = estimate_text(price, "customer, her first decision that it binds")
        console.print(f"{rule}, lifted for a share of customers: without it {text}")
    console.print(FIRST_ORDER, highlight=False, soft_wrap=True)


def _json(found: WhatIf | Undecided, prices: Prices) -> dict[str, object]:
    from msgspec import structs

    from nba.measurement.statistics.estimate import Undecided, as_json
    from serving.reports.valuation_tables import gain_json

    if isinstance(found, Undecided):
        return {"undecided": found.reason}
    return {
        **structs.asdict(found),
        "gain": gain_json(found.gain),
        "by_model": as_json(found.by_model),
        "lifted": {rule: as_json(price) for rule, price in prices.items()},
        "note": FIRST_ORDER,
    }
