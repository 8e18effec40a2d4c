"""Who is in which arm: sticky, exclusive within a layer, independent between layers."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, strategies as st

from nba.errors import InvalidInput
from nba.experiments.experiment import (
    ArmSpec,
    Experiment,
    ExperimentSet,
    PrimarySpec,
    Slot,
    Started,
    free_slots,
    taken_slots,
)
from tests.fixtures.examples import examples

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PRIMARY = PrimarySpec(id="buyers", measure="any", events=["purchase"], least_effect=0.01)
CUSTOMERS = [f"customer-{n}" for n in range(20_000)]


def experiment(id: str = "colour", shares: tuple[float, ...] = (0.5, 0.5), **fields: object):
    arms = [ArmSpec(f"arm_{n}", share) for n, share in enumerate(shares)]
    given = {"hypothesis": "blue sells", "primary": PRIMARY, "arms": arms} | fields
    return Experiment(version=1, id=id, **given)  # type: ignore[arg-type]


def started(one: Experiment, slots: tuple[Slot, ...] = (Slot(0.0, 1.0),)) -> Started:
    return Started(
        experiment=one,
        slots=slots,
        started_at=NOW,
        tuning_n=5_000,
        by="ada",
        why="to know",
        catalogue_version="catalogue-1",
    )


def arms(one: Started, customers: list[str] = CUSTOMERS) -> np.ndarray:
    return np.array([arm.id if (arm := one.arm_of(c)) else "" for c in customers])


def off(count: int, share: float, n: int) -> float:
    """Standard errors between a count and what its share leads to expect."""
    return abs(count - n * share) / np.sqrt(n * share * (1.0 - share))


@examples(200)
@given(customer=st.text(min_size=1, max_size=50), seed=st.integers(0, 5))
def test_an_arm_is_a_matter_of_ids_alone(customer: str, seed: int) -> None:
    one = started(experiment(salt=f"salt-{seed}"))
    again = started(experiment(salt=f"salt-{seed}"))
    found = one.arm_of(customer)
    assert found is not None
    assert found == again.arm_of(customer)


@examples(20)
@given(
    shares=st.lists(st.floats(0.05, 0.4), min_size=2, max_size=4).filter(lambda s: sum(s) <= 1.0),
    salt=st.text(min_size=1, max_size=10),
)
def test_arms_hold_their_shares(shares: list[float], salt: str) -> None:
    found = arms(started(experiment(shares=tuple(shares), salt=salt)))
    for n, share in enumerate(shares):
        assert off(int((found == f"arm_{n}").sum()), share, len(CUSTOMERS)) < 5.0
    rest = 1.0 - sum(shares)
    assert abs((found == "").mean() - rest) < 0.03


@examples(30)
@given(sizes=st.lists(st.floats(0.05, 0.5), min_size=2, max_size=5), drop=st.integers(0, 4))
def test_experiments_of_one_layer_share_no_customer_and_fill_what_is_free(
    sizes: list[float], drop: int
) -> None:
    running: list[Started] = []
    for n, size in enumerate(sizes):
        free = 1.0 - sum(slot.high - slot.low for slot in taken_slots(running, "main"))
        if size > free:
            with pytest.raises(InvalidInput, match="of the layer is free"):
                free_slots(size, taken_slots(running, "main"))
            continue
        slots = free_slots(size, taken_slots(running, "main"))
        assert sum(slot.high - slot.low for slot in slots) == pytest.approx(size, abs=1e-8)
        running.append(started(experiment(f"e{n}", share=size), slots))
        if n == drop:
            running.pop(0)  # stopped: its place is free for those after
    for customer in CUSTOMERS[:500]:
        assert sum(one.arm_of(customer) is not None for one in running) <= 1


def test_experiments_of_different_layers_are_independent() -> None:
    one = arms(started(experiment("colour", layer="look")))
    other = arms(started(experiment("price", layer="offers")))
    both = ((one == "arm_1") & (other == "arm_1")).sum()
    assert off(int(both), 0.25, len(CUSTOMERS)) < 4.0


def test_who_follows_in_a_slot_is_mixed_anew() -> None:
    before = arms(started(experiment("colour")))
    after = arms(started(experiment("shape")))
    assert off(int(((before == "arm_1") & (after == "arm_1")).sum()), 0.25, len(CUSTOMERS)) < 4.0


def test_a_larger_share_later_moves_nobody_who_is_in() -> None:
    small = arms(started(experiment(), (Slot(0.0, 0.2),)))
    large = arms(started(experiment(), (Slot(0.0, 0.2), Slot(0.6, 0.9))))
    assert (large[small != ""] == small[small != ""]).all()
    assert (large != "").mean() == pytest.approx(0.5, abs=0.02)


def test_a_set_keeps_the_ended_and_replaces_by_id() -> None:
    one, other = started(experiment("colour")), started(experiment("price"))
    ended = Started(**{**{f: getattr(one, f) for f in one.__struct_fields__}, "ended_at": NOW})
    kept = ExperimentSet().with_started(one).with_started(other).with_started(ended)
    assert [each.experiment.id for each in kept.started] == ["colour", "price"]
    assert [each.experiment.id for each in kept.running] == ["price"]
    assert kept.named("colour") == ended
