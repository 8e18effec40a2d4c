"""When the simulated bank may write or call of its own accord: every few days, and on occasions.

The routine moments are a calendar that no policy moves. An occasion (a payment that is missing, a
new account, a look at how to leave, a long silence, a bad day, a dealer's quote) opens a moment of
its own, with the uniforms of the visit that it follows.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping

import numpy as np

from training.simulation.config import DAY_S, HOUR_S
from training.simulation.customers import FIRST_WIDTH, UNIFORMS_WIDTH, VisitUniforms
from training.simulation.life import Life

PLACEMENTS = {
    "push": "push_message",
    "email": "inbox",
    "phone": "outbound_call",
    "mail": "letter",
    "ivr": "outbound_ivr",
}
ROUTINE_CHANNELS = (("email", 0.42), ("push", 0.33), ("mail", 0.15), ("phone", 0.10))
ROUTINE: Mapping[str, tuple[str, ...]] = {
    "push": ("savings_offer", "app_tour", "card_activation"),
    "email": ("car_owner_card", "branch_appointment", "fee_refund"),
    "phone": ("premium_account", "agent_callback"),
    "mail": ("mortgage_offer", "personal_apology"),
}
OCCASIONS: Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "overdue": (("ivr", ("payment_reminder",)), ("phone", ("payment_plan", "premium_account"))),
    "welcome": (
        ("email", ("first_steps", "car_owner_card")),
        ("phone", ("welcome_call", "premium_account")),
        ("push", ("card_activation", "app_tour", "savings_offer")),
    ),
    "leaving": (("phone", ("retention_call", "premium_account")),),
    "dormant": (("email", ("win_back_offer", "car_owner_card")),),
    "bad_day": (
        ("email", ("fee_refund", "branch_appointment", "car_owner_card")),
        ("phone", ("agent_callback", "premium_account")),
        ("mail", ("personal_apology", "mortgage_offer")),
    ),
    "dealer": (("email", ("car_owner_card", "branch_appointment")),),
}
OVERDUE_EUR = (8.0, 25.0)  # what a bill or a mortgage instalment costs that nobody brings in


class Outbound:
    """One customer's outbound moments, in the order of the clock."""

    def __init__(self, life: Life, seed: int, index: int) -> None:
        self._life = life
        self._rng = np.random.Generator(np.random.Philox(key=(seed << 64) + 2**62 + 2 * index + 1))
        self._due: list[tuple[float, int, str, str, tuple[str, ...], VisitUniforms]] = []
        self._opened = 0
        self._next_s = 0.0
        self._uniforms = self._draw()
        self._plan()

    @property
    def next_s(self) -> float:
        """When the next moment comes, infinite where the bank never writes."""
        if not self._life.config.outbound:
            return float("inf")
        return min(self._next_s, self._due[0][0]) if self._due else self._next_s

    def occasion(
        self, kind: str, at_s: float, uniforms: VisitUniforms, which: int | None = None
    ) -> None:
        """Something gives the bank a reason to write or call; `which`: of its channels."""
        ways = OCCASIONS[kind]
        index = int(uniforms.uniform("trigger_channel") * len(ways)) if which is None else which
        channel, offered = ways[index]
        self._opened += 1
        heapq.heappush(self._due, (at_s, self._opened, kind, channel, offered, uniforms))

    def live(self) -> None:
        """Let the next moment pass: the bank writes or calls, or does not."""
        life = self._life
        if self._due and self._due[0][0] <= self._next_s:
            at_s, _, kind, channel, offered, uniforms = heapq.heappop(self._due)
            if kind == "overdue" and not life.state.overdue:
                return
            life.begin(at_s, uniforms)
            self._announce(kind)
            self._ask(channel, offered)
            if kind == "overdue" and life.state.overdue:
                life.state.overdue = False
                life.value_eur -= OVERDUE_EUR[life.customer.has_mortgage]
            return
        life.begin(self._next_s, self._uniforms)
        channel = self._uniforms.pick("path", ROUTINE_CHANNELS)
        self._ask(channel, ROUTINE[channel])
        self._uniforms = self._draw()
        self._plan()

    def _ask(self, channel: str, offered: tuple[str, ...]) -> None:
        self._life.ask(channel, PLACEMENTS[channel], offered, outbound=True)

    def _announce(self, kind: str) -> None:
        """What the bank's own systems say about the occasion."""
        if kind == "overdue":
            mortgage = self._life.customer.has_mortgage
            properties: dict[str, object] = {"kind": "mortgage" if mortgage else "bill"}
            self._life.emit("Payment Overdue", {"channel": "core", **properties}, 0.0)
        elif kind == "dormant":
            self._life.emit("Account Dormant", {"channel": "core"}, 0.0)

    def _plan(self) -> None:
        gap_s = self._uniforms.lognormal(
            "gap", self._life.parameters.outbound_gap_days * DAY_S, 0.5
        )
        hour = 9.0 + 10.0 * self._uniforms.uniform("clock")
        self._next_s = (self._next_s + gap_s) // DAY_S * DAY_S + hour * HOUR_S

    def _draw(self) -> VisitUniforms:
        return VisitUniforms(self._rng.random(UNIFORMS_WIDTH).tolist())


def later_stream(seed: int, index: int) -> np.random.Generator:
    """The stream of the purposes that came later; see `customers.FIRST_WIDTH`."""
    return np.random.Generator(np.random.Philox(key=(seed << 64) + 2**62 + 2 * index))


def visit_uniforms(first: np.random.Generator, second: np.random.Generator) -> VisitUniforms:
    """The uniforms of one visit, from both streams."""
    more = second.random(UNIFORMS_WIDTH - FIRST_WIDTH).tolist()
    return VisitUniforms([*first.random(FIRST_WIDTH).tolist(), *more])
