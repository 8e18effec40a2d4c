"""Learned valences: simulated customers whose true valences are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nba.events.valences import LearnedValence
from nba.measurement.statistics.estimate import Undecided
from training.emotion.valences import (
    MIN_LOSSES,
    NODES,
    ValenceEvidence,
    ValenceUnit,
    learn_valences,
)

TRUTH = np.array([-0.9, -0.6, -0.3, 0.0, 0.4, 0.8])
PRIORS = (-0.7, -0.5, 0.6, 0.1, 0.3, 0.6)  # the third has the wrong sign
LENGTH = 30


def units_of(priors: tuple[float, ...], types: str = "abcdef") -> tuple[ValenceUnit, ...]:
    return tuple(
        ValenceUnit(kind=f"kind_{i}", touchpoint="site", type=kind, prior=prior)
        for i, (prior, kind) in enumerate(zip(priors, types, strict=True))
    )


def simulate(seed: int, customers: int = 900, truth: np.ndarray = TRUTH) -> ValenceEvidence:
    """Customers who meet one unit at each node, and leave by the sum of the last ten."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, len(truth), (customers, LENGTH))
    happened = np.eye(len(truth))[kinds]
    counts = np.stack(
        [happened[:, max(0, n + 1 - NODES) : n + 1].sum(axis=1) for n in range(LENGTH)], axis=1
    )
    tenure = rng.normal(size=(customers, 1))
    chance = 1 / (1 + np.exp(4.6 + 0.7 * (counts @ truth) + 0.8 * tenure))
    left = rng.random((customers, LENGTH)) < chance
    there = np.cumsum(left, axis=1) - left == 0
    return ValenceEvidence(
        counts=counts[there],
        units=units_of(PRIORS),
        controls=np.broadcast_to(tenure, there.shape)[there][:, None],
        customers=np.nonzero(there)[0],
        labels=left[there],
        losses=int(left[there].sum()),
        low_surveys=0,
    )


def learned(evidence: ValenceEvidence, bootstraps: int = 60) -> tuple[LearnedValence, ...]:
    found = learn_valences(evidence, seed=0, bootstraps=bootstraps)
    assert not isinstance(found, Undecided)
    return found


def valences(found: tuple[LearnedValence, ...]) -> np.ndarray:
    return np.array([one.valence for one in found])


@pytest.fixture(scope="module")
def evidence() -> ValenceEvidence:
    return simulate(1)


@pytest.fixture(scope="module")
def found(evidence: ValenceEvidence) -> tuple[LearnedValence, ...]:
    return learned(evidence)


def test_true_valences_come_out_in_their_order(found: tuple[LearnedValence, ...]) -> None:
    assert np.corrcoef(valences(found), TRUTH)[0, 1] > 0.95
    assert (np.sign(valences(found)) == np.sign(TRUTH))[TRUTH != 0].all()
    assert all(-1 <= one.low <= one.valence <= one.high <= 1 for one in found)


def test_a_prior_of_the_wrong_sign_is_flagged_and_no_other(
    found: tuple[LearnedValence, ...],
) -> None:
    assert [one.kind for one in found if one.flipped] == ["kind_2"]
    assert found[2].high < 0 < found[2].prior


def test_what_means_nothing_has_an_interval_around_zero(found: tuple[LearnedValence, ...]) -> None:
    assert found[3].low < 0.1 and found[3].high > -0.1 and abs(found[3].valence) < 0.2


def test_too_few_losses_and_surveys_are_undecided_and_one_of_the_two_is_enough(
    evidence: ValenceEvidence,
) -> None:
    few = learn_valences(replace(evidence, losses=40, low_surveys=150), seed=0)
    assert isinstance(few, Undecided)
    assert few.reason.startswith("40 losses of 100 and 150 low survey answers of 200")
    surveyed = replace(evidence, losses=MIN_LOSSES - 1, low_surveys=200)
    assert not isinstance(learn_valences(surveyed, seed=0, bootstraps=2), Undecided)


def test_labels_at_random_leave_no_valence_sure() -> None:
    drawn = simulate(3, customers=400)
    rng = np.random.default_rng(0)
    at_random = replace(drawn, labels=rng.permutation(drawn.labels))
    assert sum(one.flipped for one in learned(at_random)) <= 1


def test_the_names_of_customers_and_the_order_of_moments_change_nothing(
    evidence: ValenceEvidence, found: tuple[LearnedValence, ...]
) -> None:
    order = np.random.default_rng(4).permutation(len(evidence.labels))
    mixed = replace(
        evidence,
        counts=evidence.counts[order],
        controls=evidence.controls[order],
        customers=10_000 - evidence.customers[order],
        labels=evidence.labels[order],
    )
    assert valences(learned(mixed)) == pytest.approx(valences(found), abs=1e-6)


def test_units_come_out_in_their_own_order(
    evidence: ValenceEvidence, found: tuple[LearnedValence, ...]
) -> None:
    turned = replace(evidence, counts=evidence.counts[:, ::-1], units=evidence.units[::-1])
    again = learned(turned)
    assert [one.kind for one in again] == [one.kind for one in found[::-1]]
    assert valences(again[::-1]) == pytest.approx(valences(found), abs=1e-6)


def test_the_scale_of_a_control_does_not_matter(
    evidence: ValenceEvidence, found: tuple[LearnedValence, ...]
) -> None:
    constant = np.ones((len(evidence.labels), 1))
    controls = np.column_stack([1e4 * evidence.controls - 3.0, constant])
    again = learned(replace(evidence, controls=controls))
    assert valences(again) == pytest.approx(valences(found), abs=1e-5)


def test_the_same_seed_gives_the_same_table(
    evidence: ValenceEvidence, found: tuple[LearnedValence, ...]
) -> None:
    assert learned(evidence) == found
    assert learn_valences(evidence, seed=1, bootstraps=60) != found


def test_a_rare_unit_stays_near_what_its_type_and_its_prior_say(evidence: ValenceEvidence) -> None:
    """A seventh unit, met by a handful, of the type of the worst one."""
    rare = np.zeros(len(evidence.labels))
    rare[np.flatnonzero(evidence.labels)[:3]] = 1.0
    with_rare = replace(
        evidence,
        counts=np.column_stack([evidence.counts, rare]),
        units=units_of((*PRIORS, -0.6), "abcdefa"),
    )
    seventh = learned(with_rare)[6]
    assert seventh.occurrences == 1 and not seventh.flipped
    assert seventh.valence == pytest.approx(-0.6, abs=0.1)


def test_what_never_occurred_is_not_learned(evidence: ValenceEvidence) -> None:
    empty = np.zeros(len(evidence.labels))
    wider = replace(
        evidence,
        counts=np.column_stack([empty, evidence.counts]),
        units=units_of((0.5, *PRIORS), "zabcdef"),
    )
    assert [one.kind for one in learned(wider)] == [f"kind_{i}" for i in range(1, 7)]


def test_priors_of_zero_set_no_scale(evidence: ValenceEvidence) -> None:
    blank = learn_valences(replace(evidence, units=units_of((0.0,) * 6)), seed=0)
    assert isinstance(blank, Undecided) and "scale" in blank.reason


def test_arrays_that_do_not_fit_are_refused(evidence: ValenceEvidence) -> None:
    with pytest.raises(ValueError, match="counts have the shape"):
        replace(evidence, counts=evidence.counts[:, 1:])
    with pytest.raises(ValueError, match="controls have the shape"):
        replace(evidence, controls=evidence.controls[1:])
    with pytest.raises(ValueError, match="customers have the shape"):
        replace(evidence, customers=evidence.customers[1:])
    with pytest.raises(ValueError, match="finite"):
        replace(evidence, controls=np.full_like(evidence.controls, np.nan))
