"""What is made of the sums: they add up, families are under Holm, guardrails have margins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from nba.experiments.evidence import ExperimentEvidence
from nba.experiments.experiment import ArmSpec, GuardrailSpec, MetricSpec
from nba.experiments.results import as_metric, compare, holm_levels
from nba.experiments.validity_checks import validity_checks
from nba.measurement.statistics.effect import Effect
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.moments import moments
from nba.measurement.statistics.multiple_testing import holm
from nba.measurement.statistics.verdict import GuardrailVerdict, MetricVerdict
from tests.fixtures.examples import examples
from tests.nba.experiments.test_experiment import PRIMARY, experiment

ARMS = [ArmSpec("a", 0.5), ArmSpec("b", 0.5)]
NO_AUDIT = Undecided(reason="no decision")


def sums(y: np.ndarray, x: np.ndarray | None = None):
    return moments(y, np.zeros(len(y)) if x is None else x)


def shares(n: int, a: int, b: int, metric: str = "buyers") -> ExperimentEvidence:
    """n customers in each arm, of whom so many did."""
    by_arm = {arm: sums((np.arange(n) < many).astype(float)) for arm, many in (("a", a), ("b", b))}
    return ExperimentEvidence(exposed={"a": n, "b": n}, sums={metric: by_arm})


@examples(50)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(-9, 9), st.integers(0, 9)), max_size=60),
    st.integers(1, 5),
)
def test_evidence_of_shards_adds_up_to_that_of_all(
    rows: list[tuple[str, int, int]], shards: int
) -> None:
    def evidence(part: list[tuple[str, int, int]]) -> ExperimentEvidence:
        found = ExperimentEvidence(
            exposed={arm: sum(a == arm for a, _, _ in part) for arm in {a for a, _, _ in part}},
            strays=sum(y < 0 for _, y, _ in part),
            sums={
                "m": {
                    arm: sums(
                        np.array([y for a, y, _ in part if a == arm], dtype=float),
                        np.array([x for a, _, x in part if a == arm], dtype=float),
                    )
                    for arm in {a for a, _, _ in part}
                }
            },
        )
        return found

    total = ExperimentEvidence()
    for n in range(shards):
        total = total + evidence(rows[n::shards])
    whole = ExperimentEvidence() + evidence(rows)
    assert total.exposed == whole.exposed
    assert total.strays == whole.strays
    assert total.sums == whole.sums  # of whole numbers: exactly


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6))
def test_what_a_level_rejects_is_what_holm_rejects(p: list[float]) -> None:
    levels = holm_levels(p, 0.05)
    adjusted = holm(np.array(p))
    for one, (level, told), known in zip(p, levels, adjusted, strict=True):
        assert told == known
        if abs(known - 0.05) > 1e-12:
            assert (one <= level) == (known <= 0.05)


def test_an_interval_excludes_0_where_the_claim_is_made() -> None:
    arms = [*ARMS, ArmSpec("c", 0.5)]
    evidence = ExperimentEvidence(
        sums={
            "buyers": {
                arm: sums((np.arange(4_000) < many).astype(float))
                for arm, many in (("a", 800), ("b", 1_050), ("c", 830))
            }
        }
    )
    b, c = compare(experiment(arms=arms), evidence, 5_000)
    assert (b.verdict, c.verdict) == (MetricVerdict.BETTER, MetricVerdict.NO_EVIDENCE)
    assert isinstance(b.effect, Effect) and isinstance(c.effect, Effect)
    assert (b.effect.confidence, c.effect.confidence) == (0.975, 0.95)
    assert b.sentence.startswith("buyers is 6.2 points higher with b than with a (97.5 % always")


@pytest.mark.parametrize(
    ("b", "verdict"),
    [
        (310, GuardrailVerdict.HELD),
        (390, GuardrailVerdict.UNDECIDED),
        (600, GuardrailVerdict.BROKEN),
    ],
)
def test_a_guardrail_holds_within_its_margin(b: int, verdict: GuardrailVerdict) -> None:
    complaints = GuardrailSpec(
        id="complaints",
        measure="any",
        events=["complaint"],
        direction="lower",
        margin=0.03,
    )
    evidence = shares(5_000, 300, b, "complaints")
    (_, guard) = compare(experiment(arms=ARMS, guardrails=[complaints]), evidence, 5_000)
    assert guard.verdict is verdict


def test_where_nobody_does_in_either_arm_there_is_an_interval_all_the_same() -> None:
    (one,) = compare(experiment(arms=ARMS), shares(2_000, 0, 0), 5_000)
    assert isinstance(one.effect, Effect)
    assert -0.01 < one.effect.low < 0.0 < one.effect.high < 0.01


def test_a_metric_that_should_fall_is_better_when_it_falls() -> None:
    lower = MetricSpec(id="calls", measure="count", events=["complaint"], direction="lower")
    found = compare(
        experiment(arms=ARMS, secondary=[lower]), shares(3_000, 900, 500, "calls"), 5_000
    )
    assert found[1].verdict is MetricVerdict.BETTER
    assert as_metric(lower).unit == "per customer"


def test_lights_are_green_where_all_is_as_planned_and_say_what_would_show() -> None:
    ratio, impossible, audited = validity_checks(
        experiment(arms=ARMS), shares(20_000, 0, 0), NO_AUDIT, due=False
    )
    assert not (ratio.red or impossible.red or audited.red)
    assert "a loss of" in ratio.detail and "would show" in ratio.detail


def test_one_look_at_chi_square_counts_only_once_it_is_due() -> None:
    # p of one look is below 0.001, and that of every look is not
    evidence = ExperimentEvidence(exposed={"a": 8_900, "b": 1_100})
    arms = [ArmSpec("a", 0.9), ArmSpec("b", 0.1)]
    early, *_ = validity_checks(experiment(arms=arms), evidence, NO_AUDIT, due=False)
    due, *_ = validity_checks(experiment(arms=arms), evidence, NO_AUDIT, due=True)
    assert (early.red, due.red) == (False, True)


def test_the_primary_metric_does_not_see_the_margin() -> None:
    assert as_metric(PRIMARY).margin == 0.0
