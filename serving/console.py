"""What commands print: tables, progress and one-line errors."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

console = Console(stderr=True)  # progress and remarks; stdout is for results


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on stdout; numbers to the right."""
    table = Table(title=title, title_justify="left", title_style="bold")
    body = [[_cell(value) for value in row] for row in rows]
    for position, name in enumerate(columns):
        numeric = all(_is_number(row[position]) for row in body) and bool(body)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in body:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def print_json(value: Any) -> None:
    """One JSON document on one line of stdout."""
    sys.stdout.write(msgspec.json.encode(value, order="deterministic").decode() + "\n")


def pretty_json(value: Any) -> str:
    """Indented JSON, for people."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


Advance = Callable[[float], None]
Step = Callable[[str], None]


@contextmanager
def progress_bar(label: str, total: int | None = None) -> Iterator[Advance]:
    """A bar on stderr over `total` things; yields `advance(n)`."""
    with _bar(total is not None) as bar:
        task = bar.add_task(label, total=total)
        yield lambda n: bar.update(task, advance=n)
        bar.update(task, total=bar.tasks[0].completed or 1, completed=bar.tasks[0].completed or 1)


@contextmanager
def steps(label: str, total: int) -> Iterator[Step]:
    """A bar on stderr over `total` named steps; yields `step(name)`, said as each one begins."""
    with _bar(True) as bar:
        task = bar.add_task(label, total=total)
        begun = 0

        def step(name: str) -> None:
            nonlocal begun
            bar.update(task, completed=min(begun, total), description=f"{label}: {name}")
            begun += 1

        yield step
        bar.update(task, completed=total, description=label)


def _bar(bounded: bool) -> Progress:
    count = "{task.completed:,.0f}" + (" of {task.total:,.0f}" if bounded else "")
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn(count))
    return Progress(*columns, TimeElapsedColumn(), console=console)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _is_number(text: str) -> bool:
    return text == "-" or text.replace(",", "").replace(".", "").lstrip("-").isdigit()
