"""The breaker, by its laws: it opens after misses in a row, rests, and lets one probe at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
)

from nba.decisions.request import Request
from nba.engine.decider import Decider
from nba.errors import InvalidInput
from serving.api.circuit_breaker import CircuitBreaker
from serving.api.deadline import DeadlineGuard
from serving.replica.assembly import assemble
from serving.settings import Settings
from tests.fixtures.governed_routes import GOVERNED, HeldLog
from tests.fixtures.small_replica import NOON

MISSES, REST_S = 3, 10.0


class Callers(RuleBasedStateMachine):
    """Callers who come, are answered in time or not, or go away, as time goes by."""

    admitted = Bundle("admitted")

    def __init__(self) -> None:
        super().__init__()
        self.breaker = CircuitBreaker(MISSES, REST_S)
        self.now_s = 0.0
        self.in_a_row = 0
        self.rests_until_s = 0.0
        self.probing = False
        self.was_open = False

    @rule(seconds=st.sampled_from([0.1, 1.0, REST_S]))
    def wait(self, seconds: float) -> None:
        """A rest is longer than a deadline: whoever came before it has an answer behind it."""
        self.now_s += seconds

    @rule(target=admitted)
    def come(self) -> object:
        opened = self.breaker.is_open
        if not self.breaker.admits(self.now_s):
            assert opened
            assert self.probing or self.now_s < self.rests_until_s
            return multiple()
        if opened:
            assert not self.probing and self.now_s >= self.rests_until_s
            self.probing = True
        return "probe" if opened else "caller"

    @rule(who=consumes(admitted))
    def be_answered(self, who: str) -> None:
        self.breaker.met()
        self.in_a_row, self.probing = 0, False
        assert not self.breaker.is_open

    @rule(who=consumes(admitted))
    def be_missed(self, who: str) -> None:
        before = self.breaker.is_open
        self.breaker.missed(self.now_s)
        self.in_a_row += 1
        if self.breaker.is_open and (not before or self.probing):
            self.rests_until_s, self.probing = self.now_s + REST_S, False

    @invariant()
    def opens_by_misses_in_a_row_alone(self) -> None:
        if self.breaker.is_open and not self.was_open:
            assert self.in_a_row >= MISSES
        if self.in_a_row == 0:
            assert not self.breaker.is_open
        if self.in_a_row >= MISSES:
            assert self.breaker.is_open
        self.was_open = self.breaker.is_open


TestCallers = Callers.TestCase


@given(misses=st.integers(1, 9), rest_s=st.floats(0.1, 100.0))
def test_it_opens_at_the_last_of_so_many_misses_and_admits_after_its_rest(
    misses: int, rest_s: float
) -> None:
    breaker = CircuitBreaker(misses, rest_s)
    for _ in range(misses):
        assert breaker.admits(0.0) and not breaker.is_open
        breaker.missed(0.0)
    assert breaker.is_open
    assert not breaker.admits(rest_s * 0.999)
    assert breaker.admits(rest_s)
    assert not breaker.admits(rest_s * 100)  # the probe is still under way


@given(st.lists(st.sampled_from(["met", "missed"]), max_size=40))
def test_misses_count_only_in_a_row(said: list[str]) -> None:
    breaker = CircuitBreaker(MISSES, REST_S)
    row = 0
    for one in said:
        if not breaker.admits(0.0):
            break
        row = row + 1 if one == "missed" else 0
        breaker.missed(0.0) if one == "missed" else breaker.met()
    assert breaker.is_open == (row >= MISSES)


def test_a_probe_that_says_nothing_makes_room_for_the_next() -> None:
    breaker = CircuitBreaker(1, REST_S)
    breaker.missed(0.0)
    assert breaker.admits(REST_S) and not breaker.admits(REST_S)
    breaker.released()
    assert breaker.is_open and breaker.admits(REST_S) and not breaker.admits(REST_S)


# In use: decisions on a log that a test holds, and a clock that is given


class Times:
    """Promises on a log that a test holds; seconds as it says."""

    def __init__(self, deadline_s: float = 30.0) -> None:
        self.log = HeldLog()
        self.now_s = 0.0
        self.replica = assemble(Settings(), log=self.log, journey=GOVERNED, now=lambda: NOON)
        self.guard = DeadlineGuard(
            self.replica,
            deadline_s=deadline_s,
            breaker=CircuitBreaker(3, 10.0),
            clock_s=lambda: self.now_s,
        )

    async def note(self) -> str | None:
        decision, _ = await self.guard.decide(Request(customer_id="ada"), self.replica.engine)
        return decision.note


OPEN = "the breaker is open after misses in a row"
DOWN = "the log is out of reach"


def played(play: Callable[[Times], Any], **fields: float) -> None:
    times = Times(**fields)

    async def all_of_it() -> None:
        try:
            await play(times)
        finally:
            times.log.down = False
            times.log.hold()
            await times.guard.close()

    asyncio.run(all_of_it())


def test_the_breaker_opens_after_misses_in_a_row_and_then_asks_nobody() -> None:
    async def play(times: Times) -> None:
        times.log.down = True
        assert [await times.note() for _ in range(5)] == [DOWN, DOWN, DOWN, OPEN, OPEN]
        times.now_s = 9.9
        assert await times.note() == OPEN

    played(play)


def test_after_its_rest_one_caller_probes_and_the_others_get_the_fallback_at_once() -> None:
    async def play(times: Times) -> None:
        times.log.down = True
        for _ in range(3):
            await times.note()
        times.log.down = False
        times.now_s = 10.0
        times.log.hold("append_decisions")
        probe = asyncio.create_task(times.note())
        await asyncio.sleep(0)
        assert await times.note() == OPEN
        times.log.hold()
        assert await probe != OPEN
        assert not times.guard.breaker.is_open
        assert await times.note() != OPEN

    played(play)


def test_a_probe_that_fails_lets_the_breaker_rest_again() -> None:
    async def play(times: Times) -> None:
        times.log.down = True
        for _ in range(3):
            await times.note()
        times.now_s = 10.0
        assert [await times.note() for _ in range(2)] == [DOWN, OPEN]
        times.now_s = 19.9
        assert await times.note() == OPEN
        times.now_s = 20.0
        times.log.down = False
        assert await times.note() not in (DOWN, OPEN)

    played(play)


def test_a_probe_that_ends_in_an_error_of_its_own_leaves_the_next_one_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def play(times: Times) -> None:
        times.log.down = True
        for _ in range(3):
            await times.note()
        times.log.down = False
        times.now_s = 10.0

        def changed_meanwhile(*_: object, **__: object) -> None:
            raise InvalidInput("channel", "web", "the catalogue has changed meanwhile")

        with monkeypatch.context() as patched:
            patched.setattr(Decider, "decide_each", changed_meanwhile)
            with pytest.raises(InvalidInput):
                await times.note()
        assert await times.note() != OPEN

    played(play)
