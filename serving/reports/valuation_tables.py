"""Off-policy values and gains, as tables and as JSON."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import structs

from nba.measurement.off_policy.evaluation import PolicyGain, PolicyValue
from nba.measurement.statistics.estimate import Estimate, Undecided, as_json
from serving.console import console, print_table


def print_methods(methods: Mapping[str, PolicyValue | Undecided]) -> None:
    """One value by every method."""
    print_table(
        "The same value by each method, EUR per decision, 95 %",
        ("method", "value", "low", "high", "always low", "always high", "note"),
        [
            (name, f"undecided: {one.reason}", None, None, None, None, "")
            if isinstance(one, Undecided)
            else (name, one.value, one.low, one.high, *one.always, one.note)
            for name, one in methods.items()
        ],
    )


def print_gain(found: PolicyGain | Undecided, over: str) -> None:
    """A difference, and whether the two methods that need no model's word agree on it."""
    if isinstance(found, Undecided):
        console.print(f"gain over {over} undecided: {found.reason}", highlight=False)
        return
    print_table(
        f"Gain over {over}, EUR per decision, 95 %",
        ("method", "value", "low", "high", "always low", "always high"),
        [
            (one.method, one.value, one.low, one.high, *one.always)
            for one in (found.dr, found.snips)
        ],
    )
    agree = "agree" if found.agree else "do NOT agree"
    console.print(
        f"one-sided: above {found.low:.4g} now, above {found.low_always:.4g} however often one "
        f"looks; DR and SNIPS {agree} ({found.apart:.1f} standard errors apart)",
        highlight=False,
    )


def methods_json(methods: Mapping[str, PolicyValue | Undecided]) -> dict[str, object]:
    """The same for scripts."""
    return {name: _json(one) for name, one in methods.items()}


def gain_json(found: PolicyGain | Undecided) -> dict[str, object]:
    """The same for scripts."""
    if isinstance(found, Undecided):
        return {"undecided": found.reason}
    return {
        **structs.asdict(found),
        "dr": _json(found.dr),
        "snips": _json(found.snips),
        "agree": found.agree,
    }


def _json(found: PolicyValue | Undecided) -> dict[str, object]:
    if isinstance(found, Undecided):
        return {"undecided": found.reason}
    return {**structs.asdict(found), **as_json(found.estimate)}


def estimate_text(found: Estimate | Undecided, per: str) -> str:
    """One line: a value with its interval, or why there is none."""
    if isinstance(found, Undecided):
        return f"undecided: {found.reason}"
    return f"{found.value:+.4g} EUR per {per}, 95 % from {found.low:+.4g} to {found.high:+.4g}"
