"""The sums that an earlier program kept in floats: read, gone on with, and written as they were."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from models.residual.float_sums import FloatSums
from models.residual.sums import FLOATS_MAGIC, MAGIC, ResidualSums
from tests.models.residual.test_sums import ACTIONS, Rows, spec_of


def written_before(half_life: float | None) -> bytes:
    """As the program before wrote it: A by its upper triangle, b, and the exposures."""
    spec = spec_of(half_life)
    rng = np.random.default_rng(3)
    k, d = len(ACTIONS) + 1, spec.size
    header = msgspec.json.encode({"spec": spec, "actions": ACTIONS, "landmark": 7})
    numbers = rng.normal(size=k * d * (d + 1) // 2 + k * d + k)
    return FLOATS_MAGIC + len(header).to_bytes(4, "little") + header + numbers.tobytes()


@pytest.mark.parametrize("half_life", [None, 9.0])
def test_what_was_written_before_is_written_again_as_it_was(half_life: float | None) -> None:
    data = written_before(half_life)
    sums = ResidualSums.from_bytes(data)
    assert sums.to_bytes() == data
    assert sums.for_actions(ACTIONS).to_bytes() == data


@pytest.mark.parametrize("half_life", [None, 9.0])
def test_what_is_learned_on_top_is_added_and_taken_back(half_life: float | None) -> None:
    data = written_before(half_life)
    sums, rows = ResidualSums.from_bytes(data), Rows(spec_of(half_life), 30, 1)
    as_of_s = 1.8e9
    before = sums.decayed(as_of_s)
    rows.into(sums, np.arange(30))
    alone = rows.into(ResidualSums(sums.spec, ACTIONS), np.arange(30)).decayed(as_of_s)
    assert sums.to_bytes().startswith(MAGIC)
    back = ResidualSums.from_bytes(sums.to_bytes())
    for learned, base, new in zip(back.decayed(as_of_s), before, alone, strict=True):
        assert (learned == base + new).all()
    rows.exposed(back, np.arange(30), sign=-1)
    rows.rewarded(back, np.arange(30), rows.reward, sign=-1)
    for left, base in zip(back.decayed(as_of_s), before, strict=True):
        assert (left == base).all()


def test_two_of_them_add_up_and_keep_their_actions() -> None:
    data = written_before(9.0)
    one, other = ResidualSums.from_bytes(data), ResidualSums.from_bytes(data)
    total = one + other
    assert (total.precision == 2 * one.precision).all()
    assert (total.moment == 2 * one.moment).all() and total.exposures == 2 * one.exposures
    moved = one.for_actions(("card", "gift"))
    assert (moved.moment[[0, -1]] == one.moment[[1, -1]]).all() and not moved.moment[1].any()


def test_they_decay_by_half_lives() -> None:
    sums = FloatSums(np.ones((1, 1, 1)), np.ones((1, 1)), landmark=4)
    assert [array.item() for array in sums.decayed(6.0, forgets=True)] == [0.25, 0.25]
    assert sums.decayed(6.0, forgets=False)[0].item() == 1.0
