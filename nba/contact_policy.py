"""ContactPolicy: what we must not do, however good the offer. Reason code: `contact_cap`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from nba.context import DAY_S, Context
from nba.decision import Refused, Stage
from nba.events import micros
from nba.journey import CONTACTS_KEPT, JourneyFile


class ContactPolicy:
    """The owner's cap on contacts, read from the contacts that the context keeps.

    Every decision that draws an action is a contact. The cap holds under concurrent requests
    because the log takes a decision only on the context that it was made on
    (`Log.append_decisions`).
    """

    def __init__(self, journey: JourneyFile) -> None:
        self._cap = journey.cap
        self._actions = journey.actions
        channels = journey.channels()
        self._channel_of = [channels.index(action.channel) for action in journey.actions]
        exempt = set(journey.cap.exempt) if journey.cap else set()
        self._exempt = {code for code, a in enumerate(journey.actions) if a.id in exempt}

    def allowed(self, codes: Sequence[int], context: Context) -> tuple[list[int], list[Refused]]:
        """The actions for which one more contact stays within the cap."""
        cap = self._cap
        if cap is None:
            return list(codes), []
        since = micros(context.as_of) / 1e6 - cap.days * DAY_S
        counted = [
            contact
            for contact in context.contacts
            if contact.at_s > since and contact.action not in self._exempt
        ]
        # the contacts that the context keeps may not reach back to the window's beginning: then
        # nothing more is allowed, rather than a count that is too low
        full = len(context.contacts) == CONTACTS_KEPT and context.contacts[0].at_s > since
        by_action = Counter(contact.action for contact in counted)
        by_channel = Counter(contact.channel for contact in counted)
        kept: list[int] = []
        refused: list[Refused] = []
        for code in codes:
            if cap.per == "action":
                made = by_action[code]
            elif cap.per == "channel":
                made = by_channel[self._channel_of[code]]
            else:
                made = len(counted)
            if code in self._exempt or (made < cap.times and not full):
                kept.append(code)
                continue
            detail = f"{made} contacts per {cap.per} in {cap.days:g} days, at most {cap.times}"
            if made < cap.times:
                detail = f"at least {CONTACTS_KEPT} contacts of all kinds in {cap.days:g} days"
            refused.append(
                Refused(
                    action_id=self._actions[code].id,
                    stage=Stage.CONTACT_POLICY,
                    rule="contact_cap",
                    detail=detail,
                )
            )
        return kept, refused
