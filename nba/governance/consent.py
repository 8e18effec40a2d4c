"""Consent and suppression: what the customer allows, in force with the next decision.

Reason codes: `no_consent`, `suppressed`.
"""

from __future__ import annotations

from nba.customer.contact_history import ContactHistory
from nba.governance.candidate_set import CandidateSet, Mask, Variants
from nba.journey.file import JourneyFile


class ConsentPolicy:
    """Consents by purpose and channel; a purpose has a default for those who have said nothing."""

    def __init__(self, journey: JourneyFile, variants: Variants) -> None:
        self._variants = variants
        self._default = {
            purpose: consent.default == "granted" for purpose, consent in journey.consents.items()
        }
        self._needed = {
            (purpose, channel): variants.where(
                lambda a, p=purpose, c=channel: (a.purpose, a.channel) == (p, c)
            )
            for purpose in journey.consents
            for channel in journey.channels()
        }
        self._suppressible = {
            channel: variants.where(
                lambda a, c=channel: a.channel == c and a.type != "transactional"
            )
            for channel in journey.channels()
        }

    def concerned(self) -> Mask:
        """What needs a consent, or can be suppressed."""
        return self._variants.any_of([*self._needed.values(), *self._suppressible.values()])

    def granted(self, contact_history: ContactHistory, purpose: str, channel: str) -> bool:
        """Whether the customer consents, by what they said or by the default."""
        granted = contact_history.granted(purpose, channel)
        return self._default.get(purpose, False) if granted is None else granted

    def apply(
        self, candidate_set: CandidateSet, contact_history: ContactHistory, now_s: float
    ) -> None:
        """Refuse what the customer has not consented to, and channels that are suppressed."""
        if contact_history.suppressions:
            for channel, mask in self._suppressible.items():
                if contact_history.is_suppressed(channel, now_s):
                    detail = f"contacts on {channel} are stopped for this customer"
                    candidate_set.refuse(mask, "suppressed", rule=channel, detail=detail)
        for (purpose, channel), mask in self._needed.items():
            if candidate_set.meets(mask) and not self.granted(contact_history, purpose, channel):
                granted = contact_history.granted(purpose, channel)
                what = "has not given it" if granted is None else "has withdrawn it"
                detail = f"consent to {purpose} on {channel}: the customer {what}"
                candidate_set.refuse(mask, "no_consent", rule=purpose, detail=detail)
