"""Sub-journeys: where a customer stands in each, and what moves her on.

A pure function of ledger, facts and time gives the moves; the log appends them as events, and the
ledger folds them. So the path is fitted anew whenever somebody looks: at every decision, event and
timer. A customer finishes on the definition that she entered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from nba.customer.contact_history import ContactHistory, SubJourneyPosition, outbound_request_kind
from nba.customer.contact_history_fold import apply_sub_journey_move
from nba.decisions.decision import ASK_AGAIN_S
from nba.decisions.sub_journey_moves import SubJourneyMove
from nba.durations import DAY_S, HOUR_S
from nba.errors import InvalidInput
from nba.events.event import micros
from nba.events.names import SUB_JOURNEY_ENTERED, SUB_JOURNEY_LEFT, SUB_JOURNEY_MOVED
from nba.governance.consent import ConsentPolicy
from nba.governance.rule_inputs import RuleInputs
from nba.governance.sub_journey_steps import SubJourneyFlow, due, step_key
from nba.journey.actions import Action
from nba.journey.file import JourneyFile
from nba.journey.sub_journeys import Step, SubJourney
from nba.randomization import in_share
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
        self._consent = consent
        self._actions = {action.id: action for action in journey.actions}
        self._known: dict[str, SubJourneyFlow] = {}
        self._unreadable: set[str] = set()
        for given in [*earlier, *journey.sub_journeys]:
            try:
                self._known[given.definition()] = SubJourneyFlow(given, names)
            except InvalidInput:  # an older one names what is no longer there
                self._unreadable.add(given.definition())
        ranked = sorted(journey.sub_journeys, key=lambda one: -one.priority)
        self._entered = [(one.definition(), self._known[one.definition()]) for one in ranked]
        self._priority = {one.id: one.priority for one in journey.sub_journeys}
        pairs = {(one.id, other) for one in journey.sub_journeys for other in one.conflicts}
        self._conflicts = pairs | {(other, one) for one, other in pairs}

    def __bool__(self) -> bool:
        return bool(self._entered or self._known)

    @property
    def names(self) -> set[str]:
        """What the rules of all of them name."""
        return {name for known in self._known.values() for name in known.names}

    def settle(
        self, customer_id: str, contact_history: ContactHistory, facts: RuleInputs, now: datetime
    ) -> tuple[ContactHistory, tuple[SubJourneyMove, ...]]:
        """(ledger, moves): everything that is due at `now`, in order, until nothing is left.

        One move may bring another: a step that is skipped at once, a rival that is free to begin.
        """
        moves: list[SubJourneyMove] = []
        for _ in range(2 * len(self._known) + 2):  # nobody enters the same one twice at a moment
            done = len(moves)
            for position in contact_history.positions:
                for move in self._onward(position, contact_history, facts, now):
                    moves.append(move)
                    contact_history = _applied(contact_history, move, customer_id, now)
                    facts = facts.after(contact_history)
            for definition, known in self._entered:
                for move in self._enter(
                    definition, known, customer_id, contact_history, facts, now
                ):
                    moves.append(move)
                    contact_history = _applied(contact_history, move, customer_id, now)
                    facts = facts.after(contact_history)
            if len(moves) == done:
                break
        return contact_history, tuple(moves)

    def calls(self, contact_history: ContactHistory, now: datetime) -> dict[str, OpenStep]:
        """The open steps by the action that they call for; of two, the higher priority's."""
        found: dict[str, OpenStep] = {}
        now_s = micros(now) / 1e6
        for position in contact_history.positions:
            known = self._known.get(position.definition)
            if known is None or position.held_out or position.step not in known.steps:
                continue
            _, step = known.steps[position.step]
            if step.action is None or now_s < position.since_s + step.wait_hours * HOUR_S:
                continue
            call = OpenStep(step_key(position, step), position.sub_journey, step, known.given)
            other = found.get(step.action)
            if other is None or other.definition.priority < known.given.priority:
                found[step.action] = call
        return found

    def outbound(
        self, contact_history: ContactHistory, now: datetime
    ) -> list[tuple[OpenStep, Action]]:
        """(call, its action) of the steps in which we address her and have not done so yet."""
        now_s = micros(now) / 1e6
        found = []
        for action_id, call in self.calls(contact_history, now).items():
            kind = outbound_request_kind(call.step_key)
            asked = [event.at_s for event in contact_history.counted_events if event.kind == kind]
            waits = bool(asked) and now_s - max(asked) < ASK_AGAIN_S
            done = any(touch.step == call.step_key for touch in contact_history.contacts)
            if call.step.outbound and not (waits or done) and action_id in self._actions:
                found.append((call, self._actions[action_id]))
        return sorted(found, key=lambda one: -one[0].definition.priority)

    def unknown_definitions(self, contact_history: ContactHistory) -> tuple[str, ...]:
        """The definitions that she is on and that were never heard of here."""
        known = self._known.keys() | self._unreadable
        found = {one.definition for one in contact_history.positions} - known
        return tuple(sorted(found))

    def _onward(
        self,
        position: SubJourneyPosition,
        contact_history: ContactHistory,
        facts: Mapping[str, Any],
        now: datetime,
    ) -> Iterator[SubJourneyMove]:
        known = self._known.get(position.definition)
        if known is None:
            # one that was never heard of is newer than what this replica has taken up: she stays
            if position.definition in self._unreadable:
                fact = "its definition names what the catalogue no longer has"
                yield _leave(position, "gone", fact, position.moves + 1)
            return
        now_s, number = micros(now) / 1e6, position.moves
        ended = self._ended(position, known, contact_history, facts, now_s)
        if ended is not None:
            yield _leave(position, *ended, number + 1)
            return
        if position.held_out:
            return
        _, step = known.steps[position.step]
        since_s = position.since_s
        while True:
            why = known.over(position, step, since_s, contact_history, facts, now_s)
            if why is None:
                return
            number += 1
            following = known.follows(step, facts)
            if following is None:
                yield _leave(position, "done", why, number)
                return
            step, since_s = following, now_s
            yield SubJourneyMove(
                name=SUB_JOURNEY_MOVED,
                sub_journey=position.sub_journey,
                definition=position.definition,
                episode_id=position.episode,
                number=number,
                step=step.id,
                why=why,
                due=due(step, now),
            )
            if number - position.moves > len(known.steps):
                return  # branches that go round in a circle go on next time

    def _ended(
        self,
        position: SubJourneyPosition,
        known: SubJourneyFlow,
        contact_history: ContactHistory,
        facts: Mapping[str, Any],
        now_s: float,
    ) -> tuple[str, str] | None:
        """(exit, why) where the whole sub-journey is over."""
        given = known.given
        if any(
            m.kind == given.goal and m.at_s > position.entered_s
            for m in contact_history.counted_events
        ):
            return "success", f"{given.goal} happened"
        if now_s >= position.entered_s + given.time_out_days * DAY_S:
            return "time_out", f"{given.time_out_days:g} days are over"
        if position.held_out:
            return None
        purpose = given.purpose
        if purpose is not None and not self._allowed(purpose, given, contact_history):
            return "opt_out", f"consent to {purpose} was withdrawn"
        leave = known.rule(given.leave)
        if leave is not None and leave.holds(facts):
            return "left", " ".join((given.leave or "").split())
        passage = f"{position.episode}/"
        spent = [c for c in contact_history.contacts if c.counted and c.step.startswith(passage)]
        budget = given.budget
        if budget.contacts is not None and len(spent) >= budget.contacts:
            return "budget", f"{len(spent)} contacts, at most {budget.contacts}"
        cost_eur = sum(self._cost_eur(touch.action) for touch in spent)
        coming = self._cost_eur(known.steps[position.step][1].action or "")
        if budget.cost_eur is not None and cost_eur + coming > budget.cost_eur:
            fact = f"{cost_eur:g} EUR and {coming:g} for this step, at most {budget.cost_eur:g}"
            return "budget", fact
        return None

    def _cost_eur(self, action_id: str) -> float:
        action = self._actions.get(action_id)
        return 0.0 if action is None else action.cost_eur

    def _allowed(self, purpose: str, given: SubJourney, contact_history: ContactHistory) -> bool:
        """Whether she consents on any channel of its actions."""
        named = [self._actions.get(step.action or "") for step in given.steps]
        channels = {action.channel for action in named if action is not None} or {""}
        return any(self._consent.granted(contact_history, purpose, channel) for channel in channels)

    def _enter(
        self,
        definition: str,
        known: SubJourneyFlow,
        customer_id: str,
        contact_history: ContactHistory,
        facts: Mapping[str, Any],
        now: datetime,
    ) -> Iterator[SubJourneyMove]:
        given, now_s = known.given, micros(now) / 1e6
        if contact_history.position(given.id) is not None:
            return
        last = contact_history.last_exit(given.id)
        again = given.again_after_days
        if last is not None and (
            again is None or now_s <= last.at_s or now_s < last.at_s + again * DAY_S
        ):
            return
        enter = known.rule(given.enter)
        if enter is None or not enter.holds(facts):
            return
        if given.purpose is not None and not self._allowed(given.purpose, given, contact_history):
            return
        rivals = [
            one
            for one in contact_history.positions
            if not one.held_out and (given.id, one.sub_journey) in self._conflicts
        ]
        if any(self._priority.get(one.sub_journey, 0) >= given.priority for one in rivals):
            return
        held_out = in_share(f"holdout:{given.id}", given.holdout, customer_id)
        for rival in [] if held_out else rivals:  # held out: as if it did not exist
            yield _leave(rival, "overtaken", f"by {given.id}", rival.moves + 1)
        step = given.steps[0]
        over = now + timedelta(days=given.time_out_days)
        yield SubJourneyMove(
            name=SUB_JOURNEY_ENTERED,
            sub_journey=given.id,
            definition=definition,
            episode_id=f"{given.id}:{customer_id}:{micros(now)}",
            number=1,
            step=step.id,
            held_out=held_out,
            why=" ".join(given.enter.split()),
            due=(*due(step, now), over),
        )


def _leave(position: SubJourneyPosition, exit_: str, why: str, number: int) -> SubJourneyMove:
    return SubJourneyMove(
        name=SUB_JOURNEY_LEFT,
        sub_journey=position.sub_journey,
        definition=position.definition,
        episode_id=position.episode,
        number=number,
        step=position.step,
        exit=exit_,
        why=why,
    )


def _applied(
    contact_history: ContactHistory, move: SubJourneyMove, customer_id: str, now: datetime
) -> ContactHistory:
    event = move.as_event(customer_id, now)
    return apply_sub_journey_move(contact_history, event.name, event.properties, micros(now) / 1e6)
