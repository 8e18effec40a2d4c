"""Consent and suppression: what she allows, in force with the next decision.

Reason codes: `no_consent`, `suppressed`.
"""

from __future__ import annotations

from nba.customer.contact_history import ContactHistory
from nba.decisions.candidate import Stage
from nba.governance.candidate_set import CandidateSet, Mask, Variants
from nba.journey.file import JourneyFile


class ConsentPolicy:
    """Consents by purpose and channel; a purpose has a default for those who have said nothing."""

    def __init__(self, journey: JourneyFile, variants: Variants) -> None:
        self._variants = variants
        self._default = {name: one.default == "granted" for name, one in journey.consents.items()}
        self._asked = [
            (
                *(purpose, channel),
                variants.where(lambda a, p=purpose, c=channel: (a.purpose, a.channel) == (p, c)),
            )
            for purpose in journey.consents
            for channel in journey.channels()
        ]
        self._stoppable = [
            (
                channel,
                variants.where(lambda a, c=channel: a.channel == c and a.type != "transactional"),
            )
            for channel in journey.channels()
        ]

    def concerned(self) -> Mask:
        """What needs a consent, or can be stopped."""
        found = ~self._variants.everything
        for _, _, mask in self._asked:
            found = found | mask
        for _, mask in self._stoppable:
            found = found | mask
        return found

    def granted(self, contact_history: ContactHistory, purpose: str, channel: str) -> bool:
        """Whether she consents, by what she said or by the default."""
        said = contact_history.granted(purpose, channel)
        return self._default.get(purpose, False) if said is None else said

    def ask(
        self, candidate_set: CandidateSet, contact_history: ContactHistory, now_s: float
    ) -> None:
        """Strike what she has not consented to, and channels on which contacts are stopped."""
        if contact_history.suppressions:
            for channel, mask in self._stoppable:
                if contact_history.is_suppressed(channel, now_s):
                    detail = f"contacts on {channel} are stopped for this customer"
                    candidate_set.strike(mask, Stage.CONSENT, "suppressed", channel, detail)
        for purpose, channel, mask in self._asked:
            if candidate_set.meets(mask) and not self.granted(contact_history, purpose, channel):
                said = contact_history.granted(purpose, channel)
                what = "has not given it" if said is None else "has withdrawn it"
                detail = f"consent to {purpose} on {channel}: the customer {what}"
                candidate_set.strike(mask, Stage.CONSENT, "no_consent", purpose, detail)
