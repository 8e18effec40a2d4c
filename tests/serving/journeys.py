"""Journeys under governed decisions, and doors on a log that a test holds in its hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import msgspec
from msgspec.structs import replace

from nba.decisions.decision import Decision
from nba.errors import StoreUnavailable
from nba.events.event import Event
from nba.journey.actions import Treatment
from nba.journey.file import JourneyFile
from nba.journey.policies import Cap, Capacity, Consent, ContactRules
from nba.journey.sub_journeys import Step, SubJourney
from nba.journey_file.checks import check_journey
from nba.stores.log import Log
from nba.stores.memory.log import MemoryLog
from serving.http.routes import Routes
from serving.replica.assembly import assemble
from serving.settings import Settings
from tests.house import JOURNEY, changed
from tests.serving.conftest import Clock, InProcess

PATIENCE_S = 20.0  # before a test gives up; nothing is timed
HELP, CARD, CALL, LOAN = JOURNEY.actions


def checked(journey: JourneyFile) -> JourneyFile:
    """The journey as a file would give it, held to the checks."""
    assert not [str(error) for error in check_journey(journey)]
    return msgspec.json.decode(msgspec.json.encode(journey), type=JourneyFile)


# `help_popup` twice a week, one call a day for all customers, and a statement that nothing limits
GOVERNED = checked(
    changed(
        actions=[
            replace(HELP, eligible=None, purpose="service"),
            replace(CARD, eligible=None, purpose="marketing"),
            replace(CALL, eligible=None),
            replace(LOAN, eligible="traits.tenure_months >= 6"),
            replace(CARD, id="statement", type="transactional", eligible=None, value_eur=1.0),
        ],
        consents={
            "service": Consent(default="granted"),
            "marketing": Consent(default="granted"),
        },
        contact_policy=ContactRules(
            caps=[Cap(id="two_a_week", times=2, days=7, per="action", actions=["help_popup"])],
            capacities=[Capacity(id="callers", most=1, channel="phone")],
        ),
        fallback=["help_popup", "card_offer", "agent_callback", "statement"],
    )
)
TREATED = checked(
    replace(
        GOVERNED,
        actions=[
            replace(HELP, treatment=None, eligible=None,
                    treatments=[Treatment(id="popup"), Treatment(id="banner"),
                                Treatment(id="chat")]),
            *GOVERNED.actions[1:],
        ],
    )
)  # fmt: skip

# she is called after a complaint, an hour later is sent an offer unless she is upset again
RESCUE = SubJourney(
    id="rescue",
    enter="complaint.total >= 1",
    again_after_days=1,
    steps=[
        Step(id="call", action="agent_callback", outbound=True),
        Step(id="rest", wait_hours=1),
        Step(id="offer", action="card_offer", outbound=True, when="emotion.last > -0.5"),
    ],
)
RESCUED = checked(
    replace(GOVERNED, sub_journeys=[RESCUE], fallback=["agent_callback", "card_offer"])
)


class HeldLog(MemoryLog):
    """A log that can be out of reach (`down`), or hang in some of its methods until released."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False
        self.held: set[str] = set()
        self.asked = 0  # how often decisions were to be appended
        self._free = threading.Condition()

    def hold(self, *methods: str) -> None:
        with self._free:
            self.held = set(methods)
            self._free.notify_all()

    def append_decisions(self, decisions: Sequence[Decision]) -> list[Decision | None]:
        self.asked += 1
        self._wait("append_decisions")
        answers = super().append_decisions(decisions)
        self._wait("committed")  # stored, and nobody hears of it
        return answers

    def events_since(self, positions: Any) -> dict[str, list[Event]]:
        self._wait("events_since")
        return super().events_since(positions)

    def _wait(self, method: str) -> None:
        with self._free:
            assert self._free.wait_for(lambda: method not in self.held, PATIENCE_S)
        if self.down:
            raise StoreUnavailable("the test has unplugged it")


class Opened(InProcess):
    """A client that can open its doors."""

    doors: Routes


@contextmanager
def doors_on(log: Log, journey: JourneyFile = GOVERNED, **fields: Any) -> Iterator[Opened]:
    """As `opened_doors`, on this log."""
    clock, seeds, numbers = Clock(), count(1), count(1)
    settings = Settings(**fields)
    replica = assemble(
        settings,
        log=log,
        journey=journey,
        now=clock,
        new_id=lambda: f"dec-{next(numbers)}",
        new_seed=lambda: next(seeds),
    )
    doors = Routes(replica, settings)
    with Opened(doors.app) as client:
        client.replica = replica
        client.doors = doors
        client.clock = clock
        yield client
        assert client.portal is not None
        client.portal.call(doors.close)


def until(holds: Callable[[], bool]) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def action_of(answer: dict[str, Any]) -> str | None:
    """The action of an answer, None for none."""
    return answer["actions"][0]["action_id"] if answer["actions"] else None


def refused_codes(refused: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """(action, reason code) of what an answer refuses."""
    return {(one["action_id"], one["code"]) for one in refused}
