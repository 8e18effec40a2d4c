"""Raw files of a data set, plain or gzipped, and event files as `nba ingest` reads them."""

from __future__ import annotations

import argparse
import gzip
import json
import os
from collections.abc import Callable, Iterable, Iterator
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


def convert_command(
    events: Callable[[Path], Iterable[dict[str, Any]]], description: str | None
) -> None:
    """The command line of a converter: a folder of raw files to one event file."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("folder", type=Path, help="folder of the raw files")
    parser.add_argument("out", type=Path, help="event file to write, one JSON object a line")
    asked = parser.parse_args()
    written = 0
    with asked.out.open("w", encoding="utf-8") as file:
        for event in events(asked.folder):
            file.write(json.dumps(event, separators=(",", ":")) + "\n")
            written += 1
    print(f"{written} events in {asked.out}")
