"""A load of HTTP requests over keep-alive connections, with as little work of its own as asyncio
allows, so that the server is what is measured."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Load:
    """What a load measured."""

    rps: float
    p50_ms: float
    p99_ms: float
    statuses: dict[int, int]
    answers: list[bytes]

    def figures(self) -> dict[str, float]:
        return {"rps": self.rps, "p50_ms": self.p50_ms, "p99_ms": self.p99_ms}


def post_all(host: str, port: int, path: str, bodies: Sequence[bytes], *, connections: int) -> Load:
    """POST every body once, over this many connections at a time."""
    return asyncio.run(_post_all(host, port, path, bodies, connections))


async def _post_all(
    host: str, port: int, path: str, bodies: Sequence[bytes], connections: int
) -> Load:
    waiting = iter(bodies)
    seconds: list[float] = []
    statuses: dict[int, int] = {}
    answers: list[bytes] = []

    async def work() -> None:
        reader, writer = await asyncio.open_connection(host, port)
        for asked in waiting:
            head = (
                f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(asked)}\r\n\r\n"
            )
            started = time.perf_counter()
            writer.write(head.encode() + asked)
            answer = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(_length(answer))
            seconds.append(time.perf_counter() - started)
            answers.append(body)
            status = int(answer[9:12])
            statuses[status] = statuses.get(status, 0) + 1
        writer.close()
        await writer.wait_closed()

    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(connections)))
    elapsed = time.perf_counter() - started
    p50, p99 = np.percentile(seconds, [50, 99]) * 1000
    return Load(len(bodies) / elapsed, float(p50), float(p99), statuses, answers)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise ValueError(f"an answer without a length: {head[:80]!r}")
