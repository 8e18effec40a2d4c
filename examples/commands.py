"""The command lines that the examples share."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from examples.raw_files import data_folder


def convert_command(
    events: Callable[[Path], Iterable[dict[str, Any]]], description: str | None
) -> None:
    """A converter: a folder of raw files to one event file, as `nba ingest` reads it."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder of the raw files")
    parser.add_argument("out", type=Path, help="event file to write, one JSON object a line")
    asked = parser.parse_args()
    written = 0
    with asked.out.open("w", encoding="utf-8") as file:
        for event in events(asked.folder):
            file.write(json.dumps(event, separators=(",", ":")) + "\n")
            written += 1
    print(f"{written} events in {asked.out}")


def measure_parser(description: str | None) -> argparse.ArgumentParser:
    """What every measurement is asked: where the data lies, the seed, JSON or not."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder of the data sets")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="the figures as JSON on the last line")
    return parser
