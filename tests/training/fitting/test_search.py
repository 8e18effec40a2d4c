"""Search: it goes on where it was killed, ends where an undisturbed one does, and never behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.training_sets import made_set, parts_of
from training.fitting.recipe import Recipe
from training.fitting.search import Search, search

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
DATA = made_set(900)
RECIPE = Recipe(classes=True, parameters={"num_threads": 1})


class Killed(BaseException):
    pass


def searched(trials: int, file: Path | None = None, *, killed_at: int | None = None) -> Search:
    told: list[str] = []

    def progress(step: str) -> None:
        told.append(step)
        if len(told) - 1 == killed_at:
            raise Killed

    found = search(
        *(DATA, parts_of(DATA), RECIPE),
        name="churn",
        seed=5,
        trials=trials,
        file=file,
        progress=progress,
    )
    assert len(told) == trials
    return found


def test_a_search_is_never_behind_the_default_on_the_held_rows() -> None:
    found = searched(4)
    assert found.trials == 4
    assert found.loss <= found.default_loss
    assert searched(1).loss == searched(1).default_loss == found.default_loss


def test_a_killed_search_goes_on_and_ends_where_an_undisturbed_one_does(tmp_path: Path) -> None:
    file = tmp_path / "searches.db"
    with pytest.raises(Killed):
        searched(5, file, killed_at=2)
    assert searched(3, file).trials == 3
    assert searched(5, file) == searched(5)


def test_a_finished_search_is_not_made_again(tmp_path: Path) -> None:
    file = tmp_path / "searches.db"
    first = searched(3, file)
    steps: list[str] = []
    again = search(
        *(DATA, parts_of(DATA), RECIPE),
        name="churn",
        seed=5,
        trials=3,
        file=file,
        progress=steps.append,
    )
    assert again == first
    assert all(step.endswith("done before") for step in steps)


def test_other_rows_are_another_search(tmp_path: Path) -> None:
    file, other = tmp_path / "searches.db", made_set(900, seed=2)
    first = searched(1, file)
    second = search(*(other, parts_of(other), RECIPE), name="churn", seed=5, trials=1, file=file)
    assert first.name != second.name and second.trials == 1
