"""The prices of rules, and agreement in shadow mode, as tables and as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from nba.analytics.rules.prices import RulePrice, RuleReport
from nba.analytics.rules.shadow_agreement import Shadow
from nba.measurement.statistics.estimate import Estimate, Undecided, as_json
from serving.console import console, print_table

MAY_CHANGE = "What the owner may change"
DEMANDED = "What law, the product or the customer demands"


def print_rules(report: RuleReport) -> None:
    """What each rule did, and the two kinds of price in tables of their own."""
    console.print(
        f"{report.decisions:,} decisions for {report.customers:,} customers; "
        f"{report.rescored:,} were made on {report.catalogue_version}",
        highlight=False,
    )
    print_table(
        "What each rule did",
        ("kind", "rule", "actions", "decisions", "customers", "moved"),
        [
            (price.kind, price.rule, price.actions, price.decisions, price.customers, price.moved)
            for price in report.rules
        ],
    )
    for whose, demanded in ((MAY_CHANGE, False), (DEMANDED, True)):
        rules = [price for price in report.rules if price.demanded == demanded]
        if not rules:
            continue
        _print_prices(
            f"{whose}. By the model: EUR that it costs over these decisions, 95 % interval",
            [(price, price.model_eur) for price in rules],
        )
        _print_prices(
            f"{whose}. From rewards: EUR without it, less with it, 95 % interval: of a lifted rule "
            "a customer's first decision that it binds, of a weight or lever a decision",
            [(price, price.measured_eur) for price in rules],
        )
    for price in report.rules:
        if price.left_out.decisions:
            console.print(f"{price.rule}: {price.left_out.text}", highlight=False, soft_wrap=True)


def rules_json(report: RuleReport) -> dict[str, object]:
    """The same for scripts."""
    return {
        **structs.asdict(report),
        "rules": [
            {
                **structs.asdict(price),
                "moved": as_json(Undecided(reason=price.model_eur.reason))
                if price.moved is None and isinstance(price.model_eur, Undecided)
                else price.moved,
                "model_eur": as_json(price.model_eur),
                "measured_eur": as_json(price.measured_eur),
            }
            for price in report.rules
        ],
    }


def print_shadow(channels: Sequence[Shadow]) -> None:
    """Agreement by channel."""
    print_table(
        "Share of decisions in shadow mode in which ours is the other system's, 95 % interval",
        ("channel", "share", "low", "high", "decisions", "advice"),
        [
            (channel.channel or "all", *_cells(channel.agreement), channel.advice)
            for channel in channels
        ],
    )


def shadow_json(channels: Sequence[Shadow]) -> dict[str, object]:
    """The same for scripts."""
    rows = [
        {**structs.asdict(channel), "agreement": as_json(channel.agreement)} for channel in channels
    ]
    return {"all": rows[0], "channels": rows[1:]}


def _print_prices(title: str, prices: Sequence[tuple[RulePrice, Estimate | Undecided]]) -> None:
    """What is decided as a table, the dearest first; what is not, by its reason."""
    decided = [(rule, price) for rule, price in prices if isinstance(price, Estimate)]
    decided.sort(key=lambda pair: -pair[1].value)
    if decided:
        columns = ("kind", "rule", "eur", "low", "high", "decisions")
        print_table(
            title, columns, [(rule.kind, rule.rule, *_cells(price)) for rule, price in decided]
        )
    else:
        console.print(title, highlight=False)
    undecided: dict[str, list[str]] = {}
    for rule, price in prices:
        if isinstance(price, Undecided):
            undecided.setdefault(price.reason, []).append(rule.rule)
    for reason, rules in undecided.items():
        console.print(f"undecided: {reason}: {', '.join(rules)}", highlight=False)


def _cells(value: Estimate | Undecided) -> tuple[object, ...]:
    if isinstance(value, Undecided):
        return f"undecided: {value.reason}", None, None, None
    return value.value, value.low, value.high, value.n
