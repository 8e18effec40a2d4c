"""Move customers through sub-journeys, and find the steps that call for actions.

The moves follow from contact history, facts and time; the log appends them as events, and the
contact history folds them. So the path is fitted anew whenever somebody looks: at every decision,
event and timer. A customer finishes on the definition that they entered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from nba.customer.contact_history import (
    ContactHistory,
    SubJourneyPosition,
    outbound_request_kind,
    sub_journey_of,
)
from nba.decisions.decision import ASK_AGAIN_S
from nba.decisions.sub_journey_moves import SubJourneyMove
from nba.durations import HOUR_S
from nba.errors import InvalidInput
from nba.events.event import micros
from nba.governance.consent import ConsentPolicy
from nba.governance.sub_journey_steps import SubJourneyFlow, SubJourneyInputs, step_key
from nba.governance.sub_journey_transitions import SubJourneyTransitions, leave
from nba.journey.actions import Action
from nba.journey.file import JourneyFile
from nba.journey.sub_journeys import Step, SubJourney
from nba.rules.rule import Names


class OpenStep(NamedTuple):
    """A step that is open now and calls for an action."""

    step_key: str  # episode and step
    sub_journey: str
    step: Step
    definition: SubJourney


class SubJourneys:
    """All sub-journeys of a journey file, and older definitions that customers may be on."""

    def __init__(
        self,
        journey: JourneyFile,
        names: Names,
        consent: ConsentPolicy,
        earlier: Iterable[SubJourney] = (),
    ) -> None:
        self._actions = {action.id: action for action in journey.actions}
        self._transitions = SubJourneyTransitions(journey, names, consent)
        self._flows: dict[str, SubJourneyFlow] = {}  # by definition
        self._unreadable: set[str] = set()
        for sub_journey in [*earlier, *journey.sub_journeys]:
            try:
                flow = SubJourneyFlow(sub_journey, names)
            except InvalidInput:  # an older one names what is no longer there
                self._unreadable.add(sub_journey.definition())
            else:
                self._flows[flow.definition] = flow
        ranked = sorted(journey.sub_journeys, key=lambda sub_journey: -sub_journey.priority)
        self._entered = [self._flows[sub_journey.definition()] for sub_journey in ranked]

    def __bool__(self) -> bool:
        return bool(self._entered or self._flows)

    @property
    def names(self) -> set[str]:
        """What the rules of all of them name."""
        return {name for flow in self._flows.values() for name in flow.names}

    def settle(self, inputs: SubJourneyInputs) -> tuple[ContactHistory, tuple[SubJourneyMove, ...]]:
        """(contact history, moves): everything that is due now, in order, until nothing is left.

        One move may bring another: a step that is skipped at once, a rival that is free to begin.
        """
        moves: list[SubJourneyMove] = []
        for _ in range(2 * len(self._flows) + 2):  # nobody enters the same one twice at a moment
            settled = len(moves)
            for position in inputs.history.positions:
                for move in self._onward(position, inputs):
                    moves.append(move)
                    inputs = inputs.after(move)
            for flow in self._entered:
                for move in self._transitions.enter(flow, inputs):
                    moves.append(move)
                    inputs = inputs.after(move)
            if len(moves) == settled:
                break
        return inputs.history, tuple(moves)

    def calls(
        self, contact_history: ContactHistory, now: datetime, asked_for: str = ""
    ) -> dict[str, OpenStep]:
        """The open steps by the action that they call for; of two, the one that is asked for, else
        the higher priority's."""

        def rank(call: OpenStep) -> tuple[bool, int]:
            return call.step_key == asked_for, call.definition.priority

        calls: dict[str, OpenStep] = {}
        for call in self._open_steps(contact_history, now):
            action = call.step.action or ""
            if action not in calls or rank(calls[action]) < rank(call):
                calls[action] = call
        return calls

    def _open_steps(self, contact_history: ContactHistory, now: datetime) -> Iterator[OpenStep]:
        now_s = micros(now) / 1e6
        for position in contact_history.positions:
            flow = self._flows.get(position.definition)
            if flow is None or position.held_out or position.step not in flow.steps:
                continue
            _, step = flow.steps[position.step]
            if step.action is None or now_s < position.since_s + step.wait_hours * HOUR_S:
                continue
            yield OpenStep(
                step_key=step_key(position.episode, step),
                sub_journey=sub_journey_of(position.sub_journey),
                step=step,
                definition=flow.sub_journey,
            )

    def outbound(
        self, contact_history: ContactHistory, now: datetime
    ) -> list[tuple[OpenStep, Action]]:
        """(call, its action) of the steps that address the customer and have not done so yet.

        Where several sub-journeys call for an action, those of the highest priority alone do.
        """
        now_s = micros(now) / 1e6
        calls, outbound = self.calls(contact_history, now), []
        for call in self._open_steps(contact_history, now):
            action_id = call.step.action or ""
            if calls[action_id].sub_journey != call.sub_journey:
                continue
            kind = outbound_request_kind(call.step_key)
            asked_s = [event.at_s for event in contact_history.counted_events if event.kind == kind]
            waits = bool(asked_s) and now_s - max(asked_s) < ASK_AGAIN_S
            done = any(contact.step == call.step_key for contact in contact_history.contacts)
            if call.step.outbound and not (waits or done) and action_id in self._actions:
                outbound.append((call, self._actions[action_id]))
        return sorted(outbound, key=lambda pair: -pair[0].definition.priority)

    def unknown_definitions(self, contact_history: ContactHistory) -> tuple[str, ...]:
        """The definitions that the customer is on and that this replica does not know."""
        known = self._flows.keys() | self._unreadable
        return tuple(sorted({at.definition for at in contact_history.positions} - known))

    def _onward(
        self, position: SubJourneyPosition, inputs: SubJourneyInputs
    ) -> Iterator[SubJourneyMove]:
        flow = self._flows.get(position.definition)
        if flow is not None:
            yield from self._transitions.onward(position, flow, inputs)
        # an unknown one is newer than what this replica has taken up: the customer stays
        elif position.definition in self._unreadable:
            why = "its definition names what the catalogue no longer has"
            yield leave(position, "gone", why, number=position.moves + 1)
