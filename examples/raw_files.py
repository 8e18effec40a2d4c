"""Raw files of a data set, plain or gzipped."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

REPOSITORY = Path(__file__).resolve().parents[1]


def data_folder() -> Path:
    """Where the public data sets lie: NBA_DATA, else `shared/data` beside the repository."""
    given = os.environ.get("NBA_DATA")
    return Path(given) if given else REPOSITORY.parent / "shared" / "data"


def find(folder: Path, name: str) -> Path:
    """The file `name` in `folder`, or the same with `.gz`.

    Raises FileNotFoundError naming both.
    """
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise FileNotFoundError(f"{folder / name}: absent, and so is {name}.gz; give its folder")


def open_text(path: Path) -> IO[str]:
    """A text file, unpacked where its name ends in .gz."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file with one JSON object a line; empty lines are passed over."""
    with open_text(path) as file:
        for line in file:
            if line.strip():
                yield json.loads(line)
