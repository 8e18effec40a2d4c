"""Sub-journey transitions: what takes a customer into a sub-journey, from step to step, and out.

Pure functions of contact history, facts and time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Literal

from nba.customer.contact_history import ContactHistory, SubJourneyPosition, sub_journey_of
from nba.customer.sub_journey_keys import MAX_KEYS, happened_s, is_crowded, run_name
from nba.decisions.sub_journey_moves import SubJourneyMove
from nba.durations import DAY_S
from nba.events.event import micros
from nba.events.names import SUB_JOURNEY_ENTERED, SUB_JOURNEY_LEFT, SUB_JOURNEY_MOVED
from nba.governance.consent import ConsentPolicy
from nba.governance.rule_inputs import segment_rules
from nba.governance.sub_journey_steps import EntryKinds, SubJourneyFlow, SubJourneyInputs, due
from nba.journey.file import JourneyFile
from nba.journey.sub_journeys import SubJourney
from nba.randomization import in_share
from nba.rules.rule import Names

Exit = Literal[
    "success", "time_out", "opt_out", "overtaken", "left", "budget", "done", "gone", "crowded"
]  # docs/reasons.md explains each

_CLOSE_S = 1e-3  # of a time that was turned into days and back


class SubJourneyTransitions:
    """The moves of the sub-journeys of one journey file."""

    def __init__(self, journey: JourneyFile, names: Names, consent: ConsentPolicy) -> None:
        self._consent = consent
        self._actions = {action.id: action for action in journey.actions}
        self._news = EntryKinds(journey, segment_rules(journey, names))
        self._priority: dict[str, int] = {}
        self._conflicts: set[tuple[str, str]] = set()  # both ways
        for sub_journey in journey.sub_journeys:
            self._priority[sub_journey.id] = sub_journey.priority
            for rival in sub_journey.conflicts:
                self._conflicts |= {(sub_journey.id, rival), (rival, sub_journey.id)}

    def onward(
        self, position: SubJourneyPosition, flow: SubJourneyFlow, inputs: SubJourneyInputs
    ) -> Iterator[SubJourneyMove]:
        """The moves of a customer who is in it: to later steps, or out."""
        number = position.moves
        ended = self._ended(position, flow, inputs)
        if ended is not None:
            exit_, why = ended
            yield leave(position, exit_, why, number=number + 1)
            return
        if position.held_out:
            return
        _, step = flow.steps[position.step]
        since_s = position.since_s
        while True:
            why_over = flow.step_over(step, inputs, episode=position.episode, since_s=since_s)
            if why_over is None:
                return
            number += 1
            following = flow.following(step, inputs.facts)
            if following is None:
                yield leave(position, "done", why_over, number=number)
                return
            step, since_s = following, inputs.now_s
            yield SubJourneyMove(
                name=SUB_JOURNEY_MOVED,
                sub_journey=sub_journey_of(position.sub_journey),
                definition=position.definition,
                episode_id=position.episode,
                number=number,
                step=step.id,
                why=why_over,
                due=due(step, inputs.now),
            )
            if number - position.moves > len(flow.steps):
                return  # branches that go round in a circle go on next time

    def enter(self, flow: SubJourneyFlow, inputs: SubJourneyInputs) -> Iterator[SubJourneyMove]:
        """The entries of a customer for whom it begins now, after the exits of its rivals."""
        if flow.sub_journey.per:
            yield from self._crowded_out(flow, inputs)
            for run in flow.waiting(inputs.history):
                yield from self._enter(flow, inputs, run)
        else:
            yield from self._enter(flow, inputs, flow.sub_journey.id)

    def _enter(
        self, flow: SubJourneyFlow, inputs: SubJourneyInputs, run: str
    ) -> Iterator[SubJourneyMove]:
        sub_journey = flow.sub_journey
        if not self._may_enter(flow, inputs, run):
            return
        rivals = [
            position
            for position in inputs.history.positions
            if not position.held_out
            and (sub_journey.id, sub_journey_of(position.sub_journey)) in self._conflicts
        ]
        if any(
            self._priority.get(sub_journey_of(rival.sub_journey), 0) >= sub_journey.priority
            for rival in rivals
        ):
            return
        customer_id, now = inputs.customer_id, inputs.now
        held_out = in_share(f"holdout:{sub_journey.id}", sub_journey.holdout, customer_id)
        for rival in [] if held_out else rivals:  # held out: as if it did not exist
            yield leave(rival, "overtaken", f"by {sub_journey.id}", number=rival.moves + 1)
        step = sub_journey.steps[0]
        time_out_at = now + timedelta(days=sub_journey.time_out_days)
        yield SubJourneyMove(
            name=SUB_JOURNEY_ENTERED,
            sub_journey=sub_journey.id,
            definition=flow.definition,
            episode_id=f"{run}:{customer_id}:{micros(now)}",
            number=1,
            step=step.id,
            held_out=held_out,
            why=" ".join(sub_journey.enter.split()),
            due=(*due(step, now), time_out_at),
        )

    def _crowded_out(
        self, flow: SubJourneyFlow, inputs: SubJourneyInputs
    ) -> Iterator[SubJourneyMove]:
        """That keys were left out since the last time."""
        sub_journey_id = flow.sub_journey.id
        if not is_crowded(inputs.history, sub_journey_id):
            return
        yield SubJourneyMove(
            name=SUB_JOURNEY_LEFT,
            sub_journey=sub_journey_id,
            definition=flow.definition,
            episode_id=f"{run_name(sub_journey_id, '')}:{inputs.customer_id}:{micros(inputs.now)}",
            number=1,
            exit="crowded",
            why=f"more than {MAX_KEYS} of {flow.sub_journey.per} at once: the oldest are left out",
        )

    def _may_enter(self, flow: SubJourneyFlow, inputs: SubJourneyInputs, run: str) -> bool:
        sub_journey, history, now_s = flow.sub_journey, inputs.history, inputs.now_s
        if history.position(run) is not None:
            return False
        last = history.last_exit(run)
        again = sub_journey.again_after_days
        if last is not None and (
            again is None or now_s <= last.at_s or now_s < last.at_s + again * DAY_S
        ):
            return False
        enter = flow.rule(sub_journey.enter)
        if enter is None or not enter.holds(inputs.facts):
            return False
        entered_s = history.last_entry_s(run)
        if not sub_journey.per and last is not None and entered_s is not None:
            kinds = self._news.of(enter.names)
            if not any(_happened_since(entered_s, kind, inputs) for kind in kinds):
                return False
        purpose = sub_journey.purpose
        return purpose is None or self._consents(purpose, sub_journey, history)

    def _ended(
        self, position: SubJourneyPosition, flow: SubJourneyFlow, inputs: SubJourneyInputs
    ) -> tuple[Exit, str] | None:
        """(exit, why) where the whole sub-journey is over."""
        sub_journey, history = flow.sub_journey, inputs.history
        achieved_s = happened_s(history, position.sub_journey, [sub_journey.goal])
        if any(at_s > position.entered_s for at_s in achieved_s):
            return "success", f"{sub_journey.goal} happened"
        if inputs.now_s >= position.entered_s + sub_journey.time_out_days * DAY_S:
            return "time_out", f"{sub_journey.time_out_days:g} days are over"
        if position.held_out:
            return None
        purpose = sub_journey.purpose
        if purpose is not None and not self._consents(purpose, sub_journey, history):
            return "opt_out", f"consent to {purpose} was withdrawn"
        leave_rule = flow.rule(sub_journey.leave)
        if leave_rule is not None and leave_rule.holds(inputs.facts):
            return "left", " ".join((sub_journey.leave or "").split())
        return self._over_budget(position, flow, history)

    def _over_budget(
        self, position: SubJourneyPosition, flow: SubJourneyFlow, history: ContactHistory
    ) -> tuple[Exit, str] | None:
        budget, passage = flow.sub_journey.budget, f"{position.episode}/"
        spent = [c for c in history.contacts if c.counted and c.step.startswith(passage)]
        if budget.contacts is not None and len(spent) >= budget.contacts:
            return "budget", f"{len(spent)} contacts, at most {budget.contacts}"
        cost_eur = sum(self._cost_eur(contact.action) for contact in spent)
        coming = self._cost_eur(flow.steps[position.step][1].action or "")
        if budget.cost_eur is not None and cost_eur + coming > budget.cost_eur:
            fact = f"{cost_eur:g} EUR and {coming:g} for this step, at most {budget.cost_eur:g}"
            return "budget", fact
        return None

    def _cost_eur(self, action_id: str) -> float:
        action = self._actions.get(action_id)
        return 0.0 if action is None else action.cost_eur

    def _consents(self, purpose: str, sub_journey: SubJourney, history: ContactHistory) -> bool:
        """Whether the customer consents on any channel of its actions."""
        actions = [self._actions.get(step.action or "") for step in sub_journey.steps]
        channels = {action.channel for action in actions if action is not None} or {""}
        return any(self._consent.granted(history, purpose, channel) for channel in channels)


def _happened_since(since_s: float, kind: str, inputs: SubJourneyInputs) -> bool:
    """Whether an event of this kind is later than `since_s`, by more than what the column loses."""
    days = inputs.facts.get(f"{kind}.days_since")
    return days is not None and inputs.now_s - days * DAY_S > since_s + _CLOSE_S


def leave(position: SubJourneyPosition, exit_: Exit, why: str, *, number: int) -> SubJourneyMove:
    """The move out of a sub-journey, `number` in its passage."""
    return SubJourneyMove(
        name=SUB_JOURNEY_LEFT,
        sub_journey=sub_journey_of(position.sub_journey),
        definition=position.definition,
        episode_id=position.episode,
        number=number,
        step=position.step,
        exit=exit_,
        why=why,
    )
