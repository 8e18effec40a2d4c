"""What a journey needs of the ledger."""

from __future__ import annotations

from collections.abc import Iterable

from nba.customer.contact_history import ContactHistoryRules
from nba.durations import DAY_S, HOUR_S
from nba.governance.sub_journey_steps import SIGNS
from nba.journey.file import JourneyFile
from nba.journey.sub_journeys import SubJourney


def contact_history_rules(
    journey: JourneyFile, earlier: Iterable[SubJourney] = ()
) -> ContactHistoryRules:
    """How far the ledger has to look back, and at which kinds of event.

    `earlier`: definitions of sub-journeys that customers may still be on.
    """
    policy, sub_journeys = journey.contact_policy, [*journey.sub_journeys, *earlier]
    spans = [DAY_S]
    spans += [cap.days * DAY_S for cap in policy.caps]
    spans += [one.hours * HOUR_S for one in policy.cool_downs]
    spans += [(pause.days + pause.pause_days) * DAY_S for pause in policy.pauses]
    spans += [one.time_out_days * DAY_S for one in sub_journeys]
    kinds = {one.goal: 1 for one in sub_journeys if one.goal}
    kinds |= {step.done: 1 for one in sub_journeys for step in one.steps}
    kinds |= {one.after: 1 for one in policy.cool_downs}
    for cap in policy.caps:
        kinds[cap.on] = max(kinds.get(cap.on, 1), cap.times)
    return ContactHistoryRules(
        max(spans), {kind: n for kind, n in kinds.items() if kind not in SIGNS}
    )
