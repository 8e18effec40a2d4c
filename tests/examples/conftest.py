"""Fixtures of the examples' tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from examples.raw_files import data_folder


@pytest.fixture
def data_set() -> Callable[[str], Path]:
    """The folder of a public data set by name; skips the test where it is absent."""

    def folder_of(name: str) -> Path:
        folder = data_folder() / name
        if not folder.is_dir():
            pytest.skip(f"{folder} is absent: set NBA_DATA to the folder of the public data sets")
        return folder

    return folder_of
