"""How much of a customer's contact history the policies of a journey need."""

from __future__ import annotations

from collections.abc import Iterable

from nba.customer.contact_history import ContactHistoryRules
from nba.customer.sub_journey_keys import keyed_events
from nba.durations import DAY_S, HOUR_S
from nba.journey.file import JourneyFile
from nba.journey.policies import CONTACT_STATUSES
from nba.journey.sub_journeys import SubJourney


def contact_history_rules(
    journey: JourneyFile, earlier: Iterable[SubJourney] = ()
) -> ContactHistoryRules:
    """How far the contact history has to look back, and at which kinds of event.

    `earlier`: definitions of sub-journeys that customers may still be on.
    """
    policy, sub_journeys = journey.contact_policy, [*journey.sub_journeys, *earlier]
    spans = [DAY_S]
    if any(step.outbound for sub_journey in sub_journeys for step in sub_journey.steps):
        spans.append(DAY_S + policy.gap_s)  # quiet hours keep a message for a day at most
    spans += [(cap.days + bool(cap.calendar)) * DAY_S for cap in policy.caps]
    spans += [cool_down.hours * HOUR_S for cool_down in policy.cool_downs]
    spans += [(pause.days + pause.pause_days) * DAY_S for pause in policy.pauses]
    spans += [sub_journey.time_out_days * DAY_S for sub_journey in sub_journeys]
    kinds = {sub_journey.goal: 1 for sub_journey in sub_journeys if sub_journey.goal}
    kinds |= {step.done: 1 for sub_journey in sub_journeys for step in sub_journey.steps}
    kinds |= {cool_down.after: 1 for cool_down in policy.cool_downs}
    for cap in policy.caps:
        kinds[cap.on] = max(kinds.get(cap.on, 1), cap.times)
    most = {cool_down.after: 1 for cool_down in policy.cool_downs}
    for cap in policy.caps:
        most[cap.on] = max(most.get(cap.on, 1), cap.times)
    budgets = [one.budget.contacts for one in sub_journeys if one.budget.contacts is not None]
    most["decided"] = max([most.get("decided", 1), *budgets])
    return ContactHistoryRules(
        horizon_s=max(spans),
        kinds={kind: n for kind, n in kinds.items() if kind not in CONTACT_STATUSES},
        most={status: n for status, n in most.items() if status in CONTACT_STATUSES},
        pauses=tuple((one.after, one.times, one.days * DAY_S) for one in policy.pauses),
        actions=frozenset(action.id for action in journey.actions),
        channels=frozenset(journey.channels()),
        keyed=keyed_events(journey, sub_journeys),
    )
