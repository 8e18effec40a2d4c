"""The prices of rules, and agreement in shadow mode, as tables and as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from nba.analytics.rules.prices import RulePrice, RuleReport
from nba.analytics.rules.shadow_agreement import Shadow
from nba.measurement.statistics.estimate import Estimate, Undecided, as_json
from serving.console import console, print_table


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
            (one.kind, one.rule, one.actions, one.decisions, one.customers, one.moved)
            for one in report.rules
        ],
    )
    _print_prices(
        "By the model: EUR that it costs over these decisions, 95 % interval",
        [(one, one.model_eur) for one in report.rules],
    )
    _print_prices(
        "From rewards: EUR without it, less with it, 95 % interval: of a lifted rule a customer's "
        "first decision that it binds, of a weight or lever a decision",
        [(one, one.measured_eur) for one in report.rules],
    )


def rules_json(report: RuleReport) -> dict[str, object]:
    """The same for scripts."""
    return {
        **structs.asdict(report),
        "rules": [
            {
                **structs.asdict(one),
                "moved": as_json(Undecided(reason=one.model_eur.reason))
                if one.moved is None and isinstance(one.model_eur, Undecided)
                else one.moved,
                "model_eur": as_json(one.model_eur),
                "measured_eur": as_json(one.measured_eur),
            }
            for one in report.rules
        ],
    }


def print_shadow(found: Sequence[Shadow]) -> None:
    """Agreement by channel."""
    print_table(
        "Share of decisions in shadow mode in which ours is the other system's, 95 % interval",
        ("channel", "share", "low", "high", "decisions", "advice"),
        [(one.channel or "all", *_cells(one.agreement), one.advice) for one in found],
    )


def shadow_json(found: Sequence[Shadow]) -> dict[str, object]:
    """The same for scripts."""
    rows = [{**structs.asdict(one), "agreement": as_json(one.agreement)} for one in found]
    return {"all": rows[0], "channels": rows[1:]}


def _print_prices(title: str, prices: Sequence[tuple[RulePrice, Estimate | Undecided]]) -> None:
    """What is decided as a table, the dearest first; what is not, by its reason."""
    decided = [(one, price) for one, price in prices if isinstance(price, Estimate)]
    decided.sort(key=lambda pair: -pair[1].value)
    if decided:
        columns = ("kind", "rule", "eur", "low", "high", "decisions")
        print_table(title, columns, [(o.kind, o.rule, *_cells(price)) for o, price in decided])
    else:
        console.print(title, highlight=False)
    undecided: dict[str, list[str]] = {}
    for one, price in prices:
        if isinstance(price, Undecided):
            undecided.setdefault(price.reason, []).append(one.rule)
    for reason, rules in undecided.items():
        console.print(f"undecided: {reason}: {', '.join(rules)}", highlight=False)


def _cells(value: Estimate | Undecided) -> tuple[object, ...]:
    if isinstance(value, Undecided):
        return f"undecided: {value.reason}", None, None, None
    return value.value, value.low, value.high, value.n
