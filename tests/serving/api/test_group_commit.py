"""Group commit: who shares a run, who gets which answer, whom an error reaches."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence

import pytest
from hypothesis import given, strategies as st

from serving.api.group_commit import GroupCommit
from tests.fixtures.examples import examples


class Desk:
    """A blocking `run` that waits at the gate while it is shut, and notes what it was given."""

    def __init__(self) -> None:
        self.runs: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.inside = 0
        self.most_inside = 0
        self.lock = threading.Lock()

    def __call__(self, items: Sequence[int]) -> list[int]:
        with self.lock:
            self.runs.append(list(items))
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
        try:
            assert self.gate.wait(10)
            if any(item < 0 for item in items):
                raise ValueError(f"{min(items)} is negative")
            return [item * 10 for item in items]
        finally:
            with self.lock:
                self.inside -= 1


async def until(holds: Callable[[], bool]) -> None:
    """Let others run until it holds; a test that waits for ever ends with an error."""
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.001)


async def submitted(
    batcher: GroupCommit[int, int], items: Sequence[int]
) -> list[asyncio.Task[int]]:
    """Tasks that have all been accepted."""
    tasks = [asyncio.create_task(batcher.submit(item)) for item in items]
    await asyncio.sleep(0)
    return tasks


def played(
    play: Callable[[Desk, GroupCommit[int, int]], Awaitable[None]],
    *,
    lanes: int = 1,
    most: int = 64,
) -> Desk:
    """The desk after a play on a batcher, which is closed in the end."""

    async def run() -> Desk:
        handlers = Desk()
        batcher = GroupCommit(handlers, name="test", lanes=lanes, most=most)
        try:
            await play(handlers, batcher)
        finally:
            handlers.gate.set()
            await batcher.close()
        return handlers

    return asyncio.run(run())


def test_an_item_that_finds_a_free_lane_runs_at_once_and_alone() -> None:
    async def play(handlers: Desk, batcher: GroupCommit[int, int]) -> None:
        assert await batcher.submit(1) == 10
        assert await batcher.submit(2) == 20

    assert played(play).runs == [[1], [2]]


def test_items_that_come_while_the_lane_is_busy_share_the_next_run() -> None:
    async def play(handlers: Desk, batcher: GroupCommit[int, int]) -> None:
        handlers.gate.clear()
        (first,) = await submitted(batcher, [1])
        await until(lambda: handlers.runs == [[1]])
        others = await submitted(batcher, [2, 3, 4])
        handlers.gate.set()
        assert await asyncio.gather(first, *others) == [10, 20, 30, 40]

    assert played(play).runs == [[1], [2, 3, 4]]


def test_a_run_takes_no_more_than_the_most() -> None:
    async def play(handlers: Desk, batcher: GroupCommit[int, int]) -> None:
        handlers.gate.clear()
        tasks = await submitted(batcher, [1])
        tasks += await submitted(batcher, range(2, 9))
        handlers.gate.set()
        assert await asyncio.gather(*tasks) == [item * 10 for item in range(1, 9)]

    assert played(play, most=3).runs == [[1], [2, 3, 4], [5, 6, 7], [8]]


def test_as_many_runs_as_lanes_are_under_way_at_once_and_no_more() -> None:
    async def play(handlers: Desk, batcher: GroupCommit[int, int]) -> None:
        handlers.gate.clear()
        tasks = await submitted(batcher, [1, 2, 3, 4])
        await until(lambda: handlers.inside == 2)
        handlers.gate.set()
        assert await asyncio.gather(*tasks) == [10, 20, 30, 40]

    handlers = played(play, lanes=2)
    assert handlers.most_inside == 2
    assert sorted(handlers.runs) == [[1], [2], [3, 4]]


def test_a_failing_item_fails_alone() -> None:
    async def play(handlers: Desk, batcher: GroupCommit[int, int]) -> None:
        handlers.gate.clear()
        (first,) = await submitted(batcher, [1])
        others = await submitted(batcher, [2, -3, 4])
        handlers.gate.set()
        await first
        found = await asyncio.gather(*others, return_exceptions=True)
        assert [found[0], found[2]] == [20, 40]
        assert isinstance(found[1], ValueError)
        assert str(found[1]) == "-3 is negative"
        assert await batcher.submit(5) == 50

    assert played(play).runs == [[1], [2, -3, 4], [2], [-3], [4], [5]]


def test_a_caller_who_goes_away_takes_nobody_along() -> None:
    async def play(handlers: Desk, batcher: GroupCommit[int, int]) -> None:
        handlers.gate.clear()
        tasks = await submitted(batcher, [1])
        tasks += await submitted(batcher, [2, 3])
        tasks[0].cancel()
        tasks[1].cancel()
        await asyncio.sleep(0)
        handlers.gate.set()
        assert await tasks[2] == 30
        assert tasks[0].cancelled() and tasks[1].cancelled()
        assert await batcher.submit(4) == 40

    # what was accepted takes effect, whether somebody still waits for the answer or not
    assert played(play).runs == [[1], [2, 3], [4]]


def test_closing_finishes_what_was_accepted() -> None:
    async def play(handlers: Desk, batcher: GroupCommit[int, int]) -> None:
        handlers.gate.clear()
        tasks = await submitted(batcher, [1, 2, 3])
        closing = asyncio.create_task(batcher.close())
        await asyncio.sleep(0)
        assert not closing.done()
        handlers.gate.set()
        await closing
        assert [task.result() for task in tasks] == [10, 20, 30]

    played(play)


def test_after_closing_nothing_is_accepted() -> None:
    async def play(handlers: Desk, batcher: GroupCommit[int, int]) -> None:
        await batcher.close()
        with pytest.raises(RuntimeError):
            async with asyncio.timeout(5):
                await batcher.submit(1)

    assert played(play).runs == []


@given(
    items=st.lists(st.integers(-3, 20), max_size=30),
    lanes=st.integers(1, 3),
    most=st.integers(1, 5),
)
@examples(25, derandomize=True)
def test_everybody_gets_the_answer_to_her_own_item(items: list[int], lanes: int, most: int) -> None:
    async def play(handlers: Desk, batcher: GroupCommit[int, int]) -> None:
        tasks = await submitted(batcher, items)
        found = await asyncio.gather(*tasks, return_exceptions=True)
        for item, answer in zip(items, found, strict=True):
            if item < 0:
                assert str(answer) == f"{item} is negative"
            else:
                assert answer == item * 10

    handlers = played(play, lanes=lanes, most=most)
    assert max(map(len, handlers.runs), default=0) <= most
    assert handlers.most_inside <= lanes
