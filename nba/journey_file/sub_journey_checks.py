"""Check the sub-journeys: actions and events that exist, steps that can be reached."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from nba.customer.sub_journey_keys import entering_kinds
from nba.errors import InvalidInput
from nba.governance.candidate_set import concerns
from nba.journey.actions import Action
from nba.journey.file import JourneyFile
from nba.journey.policies import CONTACT_STATUSES, Cap, CoolDown
from nba.journey.sub_journeys import EXIT, Branch, SubJourney
from nba.journey_file.reference_checks import unknown_id_errors

MOST_A_DAY = 24.0  # messages of one outbound step to one customer, where it may be entered at once


def sub_journey_errors(journey: JourneyFile) -> Iterator[InvalidInput]:
    """Every error of the sub-journeys but their rules, with its path."""
    ids = [sub_journey.id for sub_journey in journey.sub_journeys]
    kinds = [mapping.id for mapping in journey.events]
    by_id = {action.id: action for action in journey.actions}
    actions = list(by_id)
    for index, sub_journey in enumerate(journey.sub_journeys):
        path, own = f"sub_journeys[{index}]", sub_journey.id
        if own in ids[:index]:
            yield InvalidInput(f"{path}.id", own, "already the id of another; choose another")
        yield from unknown_id_errors(f"{path}.goal", sub_journey.goal, kinds)
        yield from unknown_id_errors(f"{path}.purpose", sub_journey.purpose, journey.consents)
        others = [other for other in ids if other != own]
        for n, rival in enumerate(sub_journey.conflicts):
            yield from unknown_id_errors(f"{path}.conflicts[{n}]", rival, others)
        yield from _per_errors(path, sub_journey, journey)
        steps = [step.id for step in sub_journey.steps]
        for n, step in enumerate(sub_journey.steps):
            at = f"{path}.steps[{n}]"
            if step.id in (EXIT, *steps[:n]):
                yield InvalidInput(f"{at}.id", step.id, "taken or reserved; choose another")
            yield from unknown_id_errors(f"{at}.action", step.action, actions)
            yield from unknown_id_errors(f"{at}.done", step.done, [*CONTACT_STATUSES, *kinds])
            if step.outbound and step.action is None:
                remedy = "name the action with which we address the customer"
                yield InvalidInput(f"{at}.outbound", True, remedy)
            action = by_id.get(step.action or "")
            if action is not None and step.outbound and _repeats(journey, sub_journey, action):
                remedy = (
                    f"{own} may be entered again at once, and no cap or cool-down on what was "
                    f"decided keeps the outbound step {step.id} at {MOST_A_DAY:g} a day or fewer: "
                    "write again_after_days: 1 or more, or "
                )
                if action.type == "transactional":
                    remedy += (
                        "leave it out (limits do not concern transactional actions), with "
                        "`per: PROPERTY` where each order or the like is to have its own"
                    )
                else:
                    remedy += (
                        f"contact_policy: {{caps: [{{id: {own}_{step.id}, times: 1, days: 1, "
                        f"actions: [{action.id}]}}]}}"
                    )
                yield InvalidInput(f"{path}.again_after_days", sub_journey.again_after_days, remedy)
            yield from _branch_errors(at, step.next, steps, steps[: n + 1])
        for n in _unreachable(sub_journey):
            remedy = "no step leads here; give one a branch to it, or remove it"
            yield InvalidInput(f"{path}.steps[{n}].id", sub_journey.steps[n].id, remedy)


def _per_errors(path: str, sub_journey: SubJourney, journey: JourneyFile) -> Iterator[InvalidInput]:
    per = sub_journey.per
    if not per:
        return
    if per.startswith("properties."):
        remedy = f"name the property alone: per: {per.removeprefix('properties.')}"
        yield InvalidInput(f"{path}.per", per, remedy)
    try:
        begins = entering_kinds(sub_journey, journey)
    except InvalidInput:  # a rule that cannot be read is told where rules are checked
        return
    if not begins:
        remedy = (
            f"no event that {sub_journey.id} begins with could carry it: let `enter` name one, "
            "such as cart_added.count_1h > 0"
        )
        yield InvalidInput(f"{path}.per", per, remedy)


def _repeats(journey: JourneyFile, sub_journey: SubJourney, action: Action) -> bool:
    """Whether each new event could bring one more message of this action, without a limit."""
    again, policy = sub_journey.again_after_days, journey.contact_policy
    if again is None or again >= 1.0:
        return False
    limits: list[Cap | CoolDown] = [*policy.caps, *policy.cool_downs]
    limited = any(concerns(limit, action) and _is_few(limit) for limit in limits)
    return action.type == "transactional" or not limited


def _is_few(limit: Cap | CoolDown) -> bool:
    """Whether it lets few messages through: it counts what we send, not what comes back of it, and
    no more than MOST_A_DAY."""
    if isinstance(limit, Cap):
        return limit.on == "decided" and limit.times <= MOST_A_DAY * limit.days
    return limit.after == "decided" and 24.0 / limit.hours <= MOST_A_DAY


def _branch_errors(
    path: str, branches: list[Branch], steps: list[str], begun: list[str]
) -> Iterator[InvalidInput]:
    """The errors of the branches of the last step in `begun`; `steps` are all, by id."""
    for n, branch in enumerate(branches):
        yield from unknown_id_errors(f"{path}.next[{n}].to", branch.to, [*steps, EXIT])
        if branch.to in begun:
            remedy = "a branch leads to a later step or to the exit, so that every passage ends"
            yield InvalidInput(f"{path}.next[{n}].to", branch.to, remedy)
    for n, (earlier, branch) in enumerate(pairwise(branches), start=1):
        if earlier.when is None:
            remedy = "never reached: the branch before it has no condition; move it to the end"
            yield InvalidInput(f"{path}.next[{n}]", branch.to, remedy)


def _unreachable(sub_journey: SubJourney) -> list[int]:
    """The positions of the steps to which no way leads; ways lead forward only."""
    positions = {step.id: n for n, step in enumerate(sub_journey.steps)}
    reached = {0}
    for n, step in enumerate(sub_journey.steps):
        if n in reached:
            reached |= {positions[branch.to] for branch in step.next if branch.to in positions}
            if all(branch.when is not None for branch in step.next):
                reached.add(n + 1)
    return [n for n in range(len(sub_journey.steps)) if n not in reached]
