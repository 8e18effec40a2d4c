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
        ("method", "value", "low", "high", "always low", "always high"),
        [
            (name, f"undecided: {value.reason}", None, None, None, None)
            if isinstance(value, Undecided)
            else (name, value.value, value.low, value.high, *value.always)
            for name, value in methods.items()
        ],
    )
    for text in {
        value.left_out.text for value in methods.values() if isinstance(value, PolicyValue)
    }:
        print_left_out(text)


def print_left_out(text: str) -> None:
    """Which decisions are in none of the figures, where some are not."""
    if text:
        console.print(text, highlight=False, soft_wrap=True)


def print_gain(gain: PolicyGain | Undecided, over: str) -> None:
    """A difference, and whether the two methods that need no model's word agree on it."""
    if isinstance(gain, Undecided):
        console.print(f"gain over {over} undecided: {gain.reason}", highlight=False)
        return
    print_table(
        f"Gain over {over}, EUR per decision, 95 %",
        ("method", "value", "low", "high", "always low", "always high"),
        [
            (value.method, value.value, value.low, value.high, *value.always)
            for value in (gain.dr, gain.snips)
        ],
    )
    agree = "agree" if gain.agree else "do NOT agree"
    console.print(
        f"one-sided: above {gain.low:.4g} now, above {gain.low_always:.4g} however often one "
        f"looks; DR and SNIPS {agree} ({gain.apart:.1f} standard errors apart)",
        highlight=False,
    )
    print_left_out(gain.dr.left_out.text)


def methods_json(methods: Mapping[str, PolicyValue | Undecided]) -> dict[str, object]:
    """The same for scripts."""
    return {name: _json(value) for name, value in methods.items()}


def gain_json(gain: PolicyGain | Undecided) -> dict[str, object]:
    """The same for scripts."""
    if isinstance(gain, Undecided):
        return {"undecided": gain.reason}
    return {
        **structs.asdict(gain),
        "dr": _json(gain.dr),
        "snips": _json(gain.snips),
        "agree": gain.agree,
    }


def _json(value: PolicyValue | Undecided) -> dict[str, object]:
    if isinstance(value, Undecided):
        return {"undecided": value.reason}
    return {**structs.asdict(value), **as_json(value.estimate)}


def estimate_text(estimate: Estimate | Undecided, per: str) -> str:
    """One line: a value with its interval, or why there is none."""
    if isinstance(estimate, Undecided):
        return f"undecided: {estimate.reason}"
    interval = f"95 % from {estimate.low:+.4g} to {estimate.high:+.4g}"
    return f"{estimate.value:+.4g} EUR per {per}, {interval}"
