"""An effect in words: better, worse, held, broken, or what is missing."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, strategies as st

from nba.measurement.statistics.confidence_sequences import always_valid
from nba.measurement.statistics.effect import Effect, fixed_horizon
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.moments import proportion
from nba.measurement.statistics.verdict import (
    GuardrailVerdict,
    Metric,
    MetricVerdict,
    customers_needed,
    guardrail_verdict,
    metric_verdict,
    sentence,
)
from tests.fixtures.examples import examples

CONVERSION = Metric(name="conversion", unit="points")
COMPLAINTS = Metric(name="the complaint rate", unit="points", higher_is_better=False, margin=0.002)
VALUE = Metric(name="value", unit="EUR per customer")
CLEAR = Effect(
    value=0.008, low=0.002, high=0.014, p=0.01, n=40_000, confidence=0.95, relative=False,
    tuning_n=5_000,
)  # fmt: skip
changed = msgspec.structs.replace


def test_a_clear_answer_is_one_sentence() -> None:
    assert sentence(CONVERSION, CLEAR) == (
        "conversion is 0.8 points higher with B than with A (95 % always-valid interval 0.2 to 1.4)"
    )
    assert sentence(COMPLAINTS, CLEAR, arm="calls", baseline="letters") == (
        "the complaint rate is 0.8 points higher with calls than with letters "
        "(95 % always-valid interval 0.2 to 1.4), which is worse"
    )
    lower = Effect(value=-0.12, low=-0.2, high=-0.04, p=0.01, n=900, confidence=0.9, relative=True)
    assert sentence(COMPLAINTS, lower) == (
        "the complaint rate is 12 % lower with B than with A (90 % interval -20 % to -4.0 %)"
    )
    money = changed(CLEAR, value=1.25, low=0.5, high=2.0)
    assert sentence(VALUE, money).startswith("value is 1.2 EUR per customer higher with B than")


def test_no_answer_says_what_is_missing() -> None:
    found = always_valid(proportion(1_000, 10_000), proportion(1_100, 10_000))
    assert sentence(CONVERSION, found) == (
        "not enough evidence that conversion differs between B and A: 1.0 points "
        "(95 % always-valid interval -0.36 to 2.4); such a difference takes about 38,669 "
        "customers, 20,000 are here"
    )
    assert sentence(CONVERSION, Undecided(reason="12 customers in B, under 30")) == (
        "not enough evidence on conversion: 12 customers in B, under 30"
    )
    nothing = changed(CLEAR, value=0.0, low=-0.01, high=0.01)
    assert sentence(CONVERSION, nothing).endswith(
        "0 points (95 % always-valid interval -1.0 to 1.0)"
    )


@pytest.mark.parametrize("interval", [fixed_horizon, always_valid])
def test_the_customers_that_are_missing_would_do(interval) -> None:
    """The same rates on that many customers, and not on a twentieth fewer, are told apart."""
    found = interval(proportion(1_000, 20_000), proportion(1_050, 20_000))
    needed = customers_needed(found)
    assert needed is not None and needed > found.n

    def low_at(n: int) -> float:
        half = n // 2
        again = interval(
            proportion(round(0.05 * half), half), proportion(round(0.0525 * half), half)
        )
        return again.low

    assert low_at(int(needed * 1.02)) > 0.0 > low_at(int(needed * 0.95))
    assert customers_needed(found, 0.05) < found.n
    assert customers_needed(found, 1e-9) is None
    assert customers_needed(found, 0.0) is None


@pytest.mark.parametrize(
    ("low", "high", "up", "down"),
    [
        (0.001, 0.01, MetricVerdict.BETTER, MetricVerdict.WORSE),
        (-0.01, -0.001, MetricVerdict.WORSE, MetricVerdict.BETTER),
        (-0.01, 0.01, MetricVerdict.NO_EVIDENCE, MetricVerdict.NO_EVIDENCE),
        (0.0, 0.01, MetricVerdict.NO_EVIDENCE, MetricVerdict.NO_EVIDENCE),
    ],
)
def test_which_way_is_good_makes_the_verdict(
    low: float, high: float, up: MetricVerdict, down: MetricVerdict
) -> None:
    effect = changed(CLEAR, value=(low + high) / 2, low=low, high=high)
    assert metric_verdict(CONVERSION, effect) is up
    assert metric_verdict(COMPLAINTS, effect) is down


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.001, 0.001, GuardrailVerdict.HELD),
        (-0.01, 0.0019, GuardrailVerdict.HELD),
        (0.0, 0.003, GuardrailVerdict.UNDECIDED),
        (0.001, 0.0021, GuardrailVerdict.UNDECIDED),
        (0.0021, 0.01, GuardrailVerdict.BROKEN),
    ],
)
def test_a_guardrail_is_held_within_its_margin(
    low: float, high: float, verdict: GuardrailVerdict
) -> None:
    """Complaints may rise by 0.2 points."""
    assert guardrail_verdict(COMPLAINTS, changed(CLEAR, low=low, high=high)) is verdict
    turned = Metric(name="satisfaction", margin=0.002)
    assert guardrail_verdict(turned, changed(CLEAR, low=-high, high=-low)) is verdict


def test_without_an_interval_nothing_is_judged() -> None:
    reason = Undecided(reason="no customers")
    assert metric_verdict(CONVERSION, reason) is MetricVerdict.NO_EVIDENCE
    assert guardrail_verdict(COMPLAINTS, reason) is GuardrailVerdict.UNDECIDED


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 0.5), st.booleans())
@examples(100)
def test_a_better_arm_never_breaks_a_guardrail(
    low: float, width: float, margin: float, higher: bool
) -> None:
    metric = Metric(name="m", higher_is_better=higher, margin=margin)
    effect = changed(CLEAR, low=low, high=low + width, value=low + width / 2)
    if metric_verdict(metric, effect) is MetricVerdict.BETTER:
        assert guardrail_verdict(metric, effect) is GuardrailVerdict.HELD
    if guardrail_verdict(metric, effect) is GuardrailVerdict.BROKEN:
        assert metric_verdict(metric, effect) is MetricVerdict.WORSE
