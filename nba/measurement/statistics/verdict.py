"""What an effect means for its metric, as a verdict and as a sentence."""

from __future__ import annotations

import math
from enum import StrEnum

import msgspec

from nba.measurement.statistics.confidence_sequences import half_width
from nba.measurement.statistics.effect import Effect
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.power import MAX_CUSTOMERS, least_sample


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """What is measured, and which way is good."""

    name: str  # as the subject of a sentence: "conversion"
    higher_is_better: bool = True
    unit: str = ""  # "EUR per customer"; "points": a share, in percentage points
    margin: float = 0.0  # of a guardrail: how much worse is still held


class MetricVerdict(StrEnum):
    BETTER = "better"
    WORSE = "worse"
    NO_EVIDENCE = "no evidence"


class GuardrailVerdict(StrEnum):
    HELD = "held"
    BROKEN = "broken"
    UNDECIDED = "undecided"


def metric_verdict(metric: Metric, effect: Effect | Undecided) -> MetricVerdict:
    """Better or worse where the interval excludes 0."""
    if isinstance(effect, Undecided) or effect.low <= 0.0 <= effect.high:
        return MetricVerdict.NO_EVIDENCE
    return (
        MetricVerdict.BETTER
        if (effect.low > 0.0) == metric.higher_is_better
        else MetricVerdict.WORSE
    )


def guardrail_verdict(metric: Metric, effect: Effect | Undecided) -> GuardrailVerdict:
    """Whether B is worse than A by less than the margin, in the effect's own terms.

    Held where the whole interval is on the good side of the margin, broken where it is beyond it.
    """
    if isinstance(effect, Undecided):
        return GuardrailVerdict.UNDECIDED
    worst, best = (
        (effect.low, effect.high) if metric.higher_is_better else (-effect.high, -effect.low)
    )
    if worst > -metric.margin:
        return GuardrailVerdict.HELD
    return GuardrailVerdict.BROKEN if best < -metric.margin else GuardrailVerdict.UNDECIDED


def customers_needed(effect: Effect, difference: float | None = None) -> int | None:
    """Customers of both arms at which a true difference of this size would show.

    None where the number is beyond reason. Without `difference`, the one that was seen.
    """
    aim = abs(effect.value if difference is None else difference)
    half = (effect.high - effect.low) / 2.0
    if aim == 0.0:
        return None
    if effect.tuning_n is None:
        needed = effect.n * (half / aim) ** 2
        return math.ceil(needed) if needed <= MAX_CUSTOMERS else None
    now = _width(effect, effect.n)
    return least_sample(lambda n: half * _width(effect, n) / now <= aim, start=effect.n)


def sentence(
    metric: Metric, effect: Effect | Undecided, *, arm: str = "B", baseline: str = "A"
) -> str:
    """The answer in words, with its interval, or what is missing for one."""
    if isinstance(effect, Undecided):
        return f"not enough evidence on {metric.name}: {effect.reason}"
    level = f"{100 * effect.confidence:g} % {'' if effect.tuning_n is None else 'always-valid '}"
    low, high = (_number(metric, effect, end) for end in (effect.low, effect.high))
    verdict = metric_verdict(metric, effect)
    if verdict is not MetricVerdict.NO_EVIDENCE:
        way = "higher" if effect.value > 0.0 else "lower"
        size = _with_unit(metric, effect, abs(effect.value))
        worse = ", which is worse" if verdict is MetricVerdict.WORSE else ""
        return (
            f"{metric.name} is {size} {way} with {arm} than with {baseline} "
            f"({level}interval {low} to {high}){worse}"
        )
    undecided = (
        f"not enough evidence that {metric.name} differs between {arm} and {baseline}: "
        f"{_with_unit(metric, effect, effect.value)} ({level}interval {low} to {high})"
    )
    needed = customers_needed(effect)
    if needed is None or needed <= effect.n:
        return undecided
    return f"{undecided}; such a difference takes about {needed:,} customers, {effect.n:,} are here"


def _width(effect: Effect, n: int) -> float:
    assert effect.tuning_n is not None
    return float(half_width(n, tuning_n=effect.tuning_n, confidence=effect.confidence))


def _with_unit(metric: Metric, effect: Effect, value: float) -> str:
    """A size with its unit: `0.8 points`, `12 %`, `1.2 EUR per customer`."""
    number = _number(metric, effect, value)
    unit = "" if effect.relative else metric.unit
    return f"{number} {unit}".strip()


def _number(metric: Metric, effect: Effect, value: float) -> str:
    """A number, in percent where it is relative, in percentage points where its unit is points."""
    if effect.relative:
        return f"{_digits(100.0 * value)} %"
    return _digits(100.0 * value if metric.unit == "points" else value)


def _digits(value: float) -> str:
    """To two significant digits, and never fewer than the integer ones.

    >>> _digits(0.8049), _digits(0.99999), _digits(-1234.4), _digits(0.00012)
    ('0.8', '1.0', '-1234', '0.00012')
    """
    if value == 0.0:
        return "0"
    rounded = float(f"{value:.1e}")
    places = max(1 - math.floor(math.log10(abs(rounded))), 0)
    text = f"{value:.{places}f}"
    return text.rstrip("0") if places > 1 else text
