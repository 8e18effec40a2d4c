"""Contact policy: what we must not do, however good the offer.

Limits on contacts, the gap between two messages of ours (reason code `too_soon`), quiet hours,
capacities, and the holdout (`holdout`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from nba.customer.contact_history import ContactHistory, last_message_s
from nba.durations import HOUR_S
from nba.governance.candidate_set import CandidateSet, Mask, Variants
from nba.governance.capacities import Capacities
from nba.governance.contact_limits import ContactLimits
from nba.governance.quiet_hours import QuietHoursPolicy
from nba.journey.file import JourneyFile
from nba.randomization import HOLDOUT, in_share


class ContactInputs(NamedTuple):
    """The inputs of the contact policy: one customer at one moment."""

    history: ContactHistory
    now_s: float  # since 1970 UTC
    local: datetime  # now on the customer's own clock
    used: Mapping[str, float]  # of each capacity in its present period
    outbound: bool  # nobody asks: we address the customer


class ContactPolicy:
    """The owner's caps, cool-downs, pauses, quiet hours and capacities."""

    def __init__(self, journey: JourneyFile, variants: Variants) -> None:
        self._variants = variants
        self._holdout_share = journey.exploration.holdout_share
        self._exempt = variants.where(lambda action: action.type == "transactional")
        self._gap_s = journey.contact_policy.gap_s
        self._limits = ContactLimits(journey, variants, self._exempt)
        self._quiet_hours = QuietHoursPolicy(journey, variants, self._exempt)
        self.capacities = Capacities(journey, variants)

    def concerned(self) -> Mask:
        """What any limit, quiet hour or capacity concerns."""
        return self._variants.any_of(
            [*self._limits.masks, *self._quiet_hours.masks, *self.capacities.masks]
        )

    def apply(self, candidate_set: CandidateSet, inputs: ContactInputs) -> dict[int, datetime]:
        """Refuse what the policy does not leave room for.

        Gives, by action code, when what may wait for quiet hours to end can be shown.
        """
        self._hold_out(candidate_set)
        if inputs.outbound:
            self._keep_apart(candidate_set, inputs)
        self._limits.apply(candidate_set, inputs.history, inputs.now_s, inputs.local)
        not_before = self.apply_quiet_hours(candidate_set, inputs.local)
        self.capacities.apply(candidate_set, inputs.used)
        return not_before

    def apply_quiet_hours(
        self, candidate_set: CandidateSet, local: datetime
    ) -> dict[int, datetime]:
        """Refuse what quiet hours drop now; by action code, when what may wait can be shown."""
        return self._quiet_hours.apply(candidate_set, local)

    def _keep_apart(self, candidate_set: CandidateSet, inputs: ContactInputs) -> None:
        """Refuse a message so soon after another one, which may still wait for quiet hours."""
        last_s = last_message_s(inputs.history)
        if last_s is None or inputs.now_s >= last_s + self._gap_s:
            return
        hours = (inputs.now_s - last_s) / HOUR_S
        last = f"{hours:.1f} hours ago" if hours >= 0.0 else f"due in {-hours:.1f} hours"
        detail = f"the last message was {last}; {self._gap_s / HOUR_S:g} hours are kept between two"
        candidate_set.refuse(
            ~self._exempt, "too_soon", rule="contact_policy.gap_hours", detail=detail
        )

    def _hold_out(self, candidate_set: CandidateSet) -> None:
        """Refuse all but transactional actions to the customers of the holdout."""
        if in_share(HOLDOUT, self._holdout_share, candidate_set.customer_id):
            detail = f"she is in the holdout of {self._holdout_share:.1%} of the customers"
            rule = "exploration.holdout_share"
            candidate_set.refuse(~self._exempt, "holdout", rule=rule, detail=detail)
