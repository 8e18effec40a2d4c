"""The gates of value and calibration: what passes, what fails, and what nobody can say."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from scipy.special import expit, logit

from benchmarks.error_rates.error_trials_gate import gate_trials
from nba.measurement.off_policy.logged_decisions import LoggedDecisions, logged_decisions
from nba.measurement.statistics.estimate import Undecided
from nba.promotion.verdict import Gate, GateVerdict, Status, failed, passed, undecided
from training.data.training_sets import TrainingSet
from training.gates.gates import calibration_gate
from training.gates.held_out import HeldOutPredictions
from training.gates.limits import GateLimits
from training.gates.off_policy_gate import off_policy_gate
from training.gates.slices_gate import Exposures, slices_gate

N = 8_000


def compared(
    gain: float | np.ndarray, n: int = N, floor: float = 0.3, seed: int = 1
) -> tuple[LoggedDecisions, LoggedDecisions]:
    """Two arms; the champion draws the first, the challenger the second, which is worth `gain`
    more than 1 EUR."""
    rng = np.random.default_rng(seed)
    second = rng.random(n) < floor
    rewards = rng.normal(1.0, 1.0, n) + np.where(second, gain, 0.0)
    challenger = logged_decisions(
        second.astype(float),
        np.where(second, floor, 1.0 - floor),
        rewards,
        positive=rewards > 0,
        q_logged=np.ones(n),
        q_target=np.ones(n),
    )
    return challenger, challenger.with_target(1.0 - challenger.target, np.ones(n))


# Off-policy


@pytest.mark.parametrize(
    ("gain", "status"), [(0.3, "passed"), (-0.3, "failed"), (0.0, "undecided")]
)
def test_what_is_surely_better_passes_and_what_is_surely_worse_fails(
    gain: float, status: str
) -> None:
    gate = off_policy_gate(*compared(gain))
    assert gate.status == status
    assert gate.numbers["low_eur"] < gate.numbers["gain_eur"] < gate.numbers["high_eur"]
    assert gate.numbers["low_eur"] < gate.numbers["low_one_look_eur"]
    assert gate.numbers["gain_eur"] == pytest.approx(gain, abs=4 * gate.numbers["stderr_eur"])


def test_a_margin_lets_an_equal_challenger_through() -> None:
    assert off_policy_gate(*compared(0.0), GateLimits(margin_eur=0.2)).status == "passed"


def test_what_is_missing_is_told_in_customers() -> None:
    gate = off_policy_gate(*compared(0.02))
    assert gate.status == "undecided"
    assert "such a gain takes about" in gate.reason and "8,000 are here" in gate.reason


def test_a_thin_log_is_no_evidence_however_large_the_gain() -> None:
    gate = off_policy_gate(*compared(3.0, n=1_000))
    assert gate.status == "undecided" and "effective sample size" in gate.reason
    assert gate.numbers["ess"] < 500


def test_a_customer_who_holds_much_of_the_weight_is_no_evidence() -> None:
    challenger, champion = compared(1.0)
    customers = np.where(np.arange(N) < 800, 0, np.arange(N))
    one = logged_decisions(
        *(challenger.target, challenger.propensity, challenger.rewards, customers),
        positive=challenger.positive,
        q_logged=challenger.q_logged,
        q_target=challenger.q_target,
    )
    gate = off_policy_gate(one, one.with_target(champion.target, champion.q_target))
    assert gate.status == "undecided" and "of all weight" in gate.reason


def test_two_estimators_that_disagree_are_no_evidence() -> None:
    """A reward model that is far off, and propensities that are not those of the draw."""
    challenger, _ = compared(0.5)
    wrong = logged_decisions(
        challenger.target,
        np.clip(challenger.propensity * 1.04, 0.0, 1.0),
        challenger.rewards,
        positive=challenger.positive,
        q_logged=np.full(N, 40.0),
        q_target=np.full(N, 40.0),
    )
    gate = off_policy_gate(wrong, None)
    assert gate.status == "undecided" and "standard errors apart" in gate.reason


def test_a_challenger_that_draws_like_the_champion_is_not_told_apart() -> None:
    challenger, _ = compared(0.5)
    assert "draw alike" in off_policy_gate(challenger, challenger).reason


def test_looked_at_forty_times_the_gate_hardly_ever_errs() -> None:
    """The benchmark's table has 500 runs; here a few, with the same function."""
    rng = np.random.default_rng(7)
    assert gate_trials(rng, 40, gain=0.0).promoted == 0.0
    assert gate_trials(rng, 20, gain=-0.2).promoted == 0.0
    assert gate_trials(rng, 20, gain=0.6).promoted >= 0.5


# Slices


def halves(n: int = N) -> dict[str, np.ndarray]:
    first = np.arange(n) % 2 == 0
    return {"segment=mass": first, "segment=private": ~first}


EVEN = Exposures(np.full(N, 0.9), np.full(N, 0.5))


def test_a_segment_that_pays_for_the_others_blocks() -> None:
    gain = np.where(halves()["segment=mass"], 1.0, -0.4)
    gate = slices_gate(*compared(gain), halves(), EVEN)
    assert off_policy_gate(*compared(gain)).status == "passed"
    assert gate.status == "failed"
    assert "segment=private is surely worse off" in gate.reason and "mass" not in gate.reason


def test_twenty_equal_slices_seldom_block() -> None:
    blocked = 0
    for seed in range(60):
        groups = np.random.default_rng(seed).integers(0, 20, N)
        slices = {f"group={n}": groups == n for n in range(20)}
        gate = slices_gate(*compared(0.0, seed=seed), slices, EVEN)
        blocked += gate.status is Status.FAILED
    assert blocked <= 8  # 5 % of 60, and three standard errors; uncorrected it is two in three


def test_small_slices_are_not_judged() -> None:
    few = np.arange(N) < 150
    gate = slices_gate(*compared(-1.0), {"segment=tiny": few}, EVEN)
    assert gate.status == "undecided" and "none of 1 slices" in gate.reason
    both = slices_gate(*compared(1.0), {**halves(), "segment=tiny": few}, EVEN)
    assert both.status == "passed" and both.numbers["slices_judged"] == 2


def test_a_segment_that_is_offered_less_is_named() -> None:
    rates = np.where(halves()["segment=mass"], 0.9, 0.6)
    gate = slices_gate(*compared(1.0), halves(), Exposures(rates, np.full(N, 0.9)))
    assert gate.status == "passed" and "segment=private" in gate.reason
    assert gate.numbers["offer_rate.segment=private"] == pytest.approx(0.6)


# Calibration


def held(sharper: float = 1.0, n: int = 20_000, shift: float = 0.0) -> HeldOutPredictions:
    """Predictions whose log odds are `sharper` times the true ones."""
    rng = np.random.default_rng(3)
    p = rng.beta(2.0, 6.0, n)
    labels = (rng.random(n) < p).astype(float)
    test = TrainingSet((), np.empty((n, 0)), labels, np.zeros(n), 1.0, np.arange(n).astype(str))
    return HeldOutPredictions(expit(sharper * logit(p) + shift), test, True)


def test_calibrated_models_pass() -> None:
    gate = calibration_gate({"churn": held(), "touchpoint": held()})
    assert gate.status == "passed"
    assert gate.numbers["churn.ece"] < 0.02 and 0.9 < gate.numbers["churn.slope"] < 1.1


@pytest.mark.parametrize("sharper", [1.6, 0.5])
def test_an_overconfident_model_and_a_timid_one_are_refused(sharper: float) -> None:
    gate = calibration_gate({"churn": held(), "touchpoint": held(sharper)})
    assert gate.status == "failed" and "calibrate again" in gate.reason
    assert gate.numbers["touchpoint.slope"] == pytest.approx(1 / sharper, abs=0.1)


def test_a_model_that_is_off_everywhere_is_refused() -> None:
    assert calibration_gate({"churn": held(shift=1.0)}).status == "failed"


def test_few_rows_that_look_off_are_undecided() -> None:
    gate = calibration_gate({"churn": held(1.25, n=500)})
    assert gate.status == "undecided" and "chance alone" in gate.reason


def test_a_model_that_is_not_there_is_undecided() -> None:
    gate = calibration_gate({"churn": Undecided(reason="20 rows to fit, 200 are needed")})
    assert gate.status == "undecided" and gate.reason == "churn: 20 rows to fit, 200 are needed"


# The verdict


def verdict(*gates: Gate, champion: str | None = "bundle-a") -> GateVerdict:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    return GateVerdict(bundle_id="bundle-b", champion=champion, judged_at=at, gates=gates)


def test_one_gate_that_fails_or_is_undecided_blocks() -> None:
    good, bad, open_ = passed("data", "ok"), failed("slices", "no"), undecided("behaviour", "?")
    assert verdict(good).status == "passed" and verdict(good).blocking == ()
    assert verdict(good, open_).status == "undecided" and verdict(good, open_).blocking == (open_,)
    assert verdict(open_, bad).status == "failed" and verdict(open_, bad).blocking == (open_, bad)


def test_before_the_first_champion_only_what_fails_blocks() -> None:
    bad, open_ = failed("calibration", "no"), undecided("off_policy", "no log")
    assert verdict(open_, champion=None).blocking == ()
    assert verdict(open_, bad, champion=None).blocking == (bad,)


def test_a_verdict_is_named_by_its_content_and_reads_like_prose() -> None:
    one = verdict(passed("data", "ok", {"rows": 66_414.0}), undecided("slices", "few rows"))
    assert one.verdict_id == verdict(*one.gates).verdict_id != verdict().verdict_id
    text = one.files()["verdict.md"].decode()
    assert text.startswith("# bundle-b: undecided")
    assert "| slices | undecided | few rows |" in text and "| rows | 66414 |" in text
    assert one.summary() == f"{one.verdict_id}: data passed, slices undecided"
