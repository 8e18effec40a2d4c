"""Capacities: what all customers together may take of something scarce.

The log takes a decision only where the capacities that it uses have room
(`Log.append_decisions`). Reason code: `no_capacity`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

import numpy as np

from nba.decisions.decision import CapacityTaken
from nba.governance.candidate_set import CandidateSet, Mask, Variants
from nba.journey.file import JourneyFile


class Capacities:
    """The owner's capacities, each with the variants that take of it."""

    def __init__(self, journey: JourneyFile, variants: Variants) -> None:
        self._variants = variants
        self._codes = {action.id: code for code, action in enumerate(journey.actions)}
        self._capacities = [
            (capacity, variants.mask(capacity)) for capacity in journey.contact_policy.capacities
        ]
        cost_eur = np.array([action.cost_eur for action in journey.actions])
        self._cost_eur = cost_eur[variants.code] if len(cost_eur) else cost_eur  # (n_variants,)

    @property
    def masks(self) -> list[Mask]:
        """What each of them concerns."""
        return [mask for _, mask in self._capacities]

    def apply(self, candidate_set: CandidateSet, used: Mapping[str, float]) -> None:
        """Refuse what would take more than is left; `used`: by capacity, in this period."""
        for capacity, mask in self._capacities:
            taken = used.get(capacity.id, 0.0)
            amounts = 1.0 if capacity.unit == "contacts" else self._cost_eur
            over = taken + amounts > capacity.most
            unit = "contacts" if capacity.unit == "contacts" else "EUR"
            detail = f"{taken:g} of {capacity.most:g} {unit} are taken this {capacity.every}"
            candidate_set.refuse(mask & over, "no_capacity", rule=capacity.id, detail=detail)

    def uses(self, action_id: str, owners_clock: datetime) -> tuple[CapacityTaken, ...]:
        """What drawing this action takes of the capacities."""
        code = self._codes.get(action_id)
        return () if code is None else self.watched([code], owners_clock)

    def watched(self, codes: Sequence[int], owners_clock: datetime) -> tuple[CapacityTaken, ...]:
        """Of each capacity the most that any of these actions would take."""
        amounts = []
        for capacity, mask in self._capacities:
            positions = [self._variants.of[code][0] for code in codes]
            taking = [position for position in positions if mask[position]]
            if taking:
                cost_eur = max(float(self._cost_eur[position]) for position in taking)
                amounts.append(
                    CapacityTaken(
                        capacity=capacity.id,
                        period=period(capacity.every, owners_clock),
                        amount=1.0 if capacity.unit == "contacts" else cost_eur,
                        most=capacity.most,
                    )
                )
        return tuple(amounts)

    def periods(self, owners_clock: datetime) -> list[tuple[str, str]]:
        """The (capacity, period) that a decision has to know of."""
        return [
            (capacity.id, period(capacity.every, owners_clock)) for capacity, _ in self._capacities
        ]


def period(every: Literal["day", "week", "month"], local: datetime) -> str:
    """The name of the day, week or month, such as 2026-03-01, 2026-W09, 2026-03."""
    if every == "day":
        return local.date().isoformat()
    if every == "month":
        return f"{local:%Y-%m}"
    year, week, _ = local.isocalendar()
    return f"{year}-W{week:02d}"
