"""The command that asks what another journey file would have been worth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serving.cli.terminal.options import Json, Seed
from serving.cli.terminal.session import command_settings
from serving.console import console, print_json, steps

if TYPE_CHECKING:
    from nba.measurement.statistics.estimate import Estimate, Undecided
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
    from training.gates.whatif_from_log import STEPS, lifted_rule_prices, what_if_from_log

    settings, new = command_settings(), load_journey(file)
    with opened_log(settings) as log:
        old = journey_in_force(settings, log)
        with steps("looking back", STEPS) as step:
            result = what_if_from_log(log, old, new, days=days, seed=seed, progress=step)
        prices: Prices = {}
        if not isinstance(result, Undecided):
            prices = lifted_rule_prices(log, old, new)
    if json:
        print_json(_json(result, prices))
    else:
        _print(result, prices)


def _print(result: WhatIf | Undecided, prices: Prices) -> None:
    from nba.measurement.statistics.estimate import Undecided
    from serving.reports.valuation_tables import estimate_text, print_gain, print_left_out

    if isinstance(result, Undecided):
        console.print(f"undecided: {result.reason}", highlight=False, soft_wrap=True)
        return
    console.print(
        f"{result.decisions:,} decisions of {result.customers:,} customers with a complete reward, "
        f"{result.without_reward:,} without; {result.moved:,.1f} come out otherwise, "
        f"{result.unsupported:.1%} of that on actions that the log could not draw",
        highlight=False,
    )
    print_left_out(result.left_out.text)
    print_gain(result.gain, "the file in force")
    console.print(f"undecided: {result.by_model.reason}", highlight=False, soft_wrap=True)
    for rule, price in prices.items():
        text = estimate_text(price, "customer, the first decision that it binds")
        console.print(f"{rule}, lifted for a share of customers: without it {text}")
    console.print(FIRST_ORDER, highlight=False, soft_wrap=True)


def _json(result: WhatIf | Undecided, prices: Prices) -> dict[str, object]:
    from msgspec import structs

    from nba.measurement.statistics.estimate import Undecided, as_json
    from serving.reports.valuation_tables import gain_json

    if isinstance(result, Undecided):
        return {"undecided": result.reason}
    return {
        **structs.asdict(result),
        "gain": gain_json(result.gain),
        "by_model": as_json(result.by_model),
        "lifted": {rule: as_json(price) for rule, price in prices.items()},
        "note": FIRST_ORDER,
    }
