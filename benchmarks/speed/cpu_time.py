"""CPU time of a service and of its PostgreSQL, counted over all of their processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil


def cpu_s(pids: list[int]) -> float:
    """User and system seconds of these processes and all below them, the ended ones included."""
    seconds = 0.0
    for process in _below(pids):
        try:
            used = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        seconds += used.user + used.system + used.children_user + used.children_system
    return seconds


def postmaster(home: Path) -> int:
    """The process of the private PostgreSQL below a data folder."""
    (found,) = home.rglob("postmaster.pid")
    return int(found.read_text().splitlines()[0])


def _below(pids: list[int]) -> Iterator[psutil.Process]:
    for pid in pids:
        process = psutil.Process(pid)
        yield process
        yield from process.children(recursive=True)
