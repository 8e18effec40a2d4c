"""What the champion before would have been worth on the decisions of the new one.

After a promotion nobody is decided by it any more, so its worth is estimated doubly robust, with
the priorities that were logged before anything came of them as the reward model: nothing is fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from nba.decisions.decision import Decision, Mode
from nba.measurement.statistics.estimate import Undecided
from nba.promotion.rollout import CONTROL

MIN_ESS = 50.0  # effective decisions of the champion before, on the new one's
MIN_SUPPORT = 0.99  # of its probability, on what could have been drawn

Redecide: TypeAlias = Callable[[Sequence[Decision]], list[Decision]]


class _Counterfactual(NamedTuple):
    """What the champion before would have done in one decision."""

    weight: float  # its probability of what was drawn over the logged one
    expected_eur: float  # by the logged priorities
    drawn_eur: float  # the logged priority of what was drawn
    supported: float  # its probability of what could have been drawn


class ChampionBefore:
    """The champion before, beside the live decisions of the bundle that took its place."""

    def __init__(self, champion_id: str, redecide: Redecide | None) -> None:
        """`champion_id`: the new one's bundle. `redecide`: its decisions made again by the champion
        before, None where that cannot read them."""
        self._champion_id = champion_id
        self._redecide = redecide
        self._weighed: dict[str, _Counterfactual] = {}

    def weigh(self, decisions: Iterable[Decision]) -> None:
        """Take note of what it would have drawn in those that were not weighed before."""
        live = [
            decision
            for decision in decisions
            if decision.decision_id not in self._weighed
            and decision.mode is Mode.LIVE
            and decision.bundle_id == self._champion_id
            and not set(decision.arms) - {CONTROL}
        ]
        if self._redecide is None or not live:
            return
        for decision, again in zip(live, self._redecide(live), strict=True):
            chance = {c.action_id: c.propensity for c in again.candidates}
            logged = {c.action_id: c for c in decision.candidates}
            worth = {name: c.priority or 0.0 for name, c in logged.items()}
            possible = [n for n in chance if n in logged and logged[n].propensity > 0.0]
            self._weighed[decision.decision_id] = _Counterfactual(
                weight=chance.get(decision.action_id, 0.0) / decision.propensity,
                expected_eur=sum(p * worth.get(name, 0.0) for name, p in chance.items()),
                drawn_eur=worth[decision.action_id],
                supported=sum(chance[name] for name in possible),
            )

    def gain_over(self, decision_id: str, reward_eur: float, exposed: int) -> float:
        """What a change of a decision's reward adds to the new champion's gain, EUR.

        `exposed`: 1 where the decision counts from now on, -1 where it does no more, 0 else. What
        was not weighed is of the fallback, which both would have used: 0.
        """
        weighed = self._weighed.get(decision_id)
        if weighed is None:
            return 0.0
        model_eur = weighed.expected_eur - weighed.weight * weighed.drawn_eur
        return (1.0 - weighed.weight) * reward_eur - exposed * model_eur

    def unsupported(self) -> Undecided | None:
        """Why it cannot be valued on the new one's decisions, None where it can."""
        if not self._weighed:
            return Undecided(reason="the champion before does not read the same contexts")
        weights = np.array([weighed.weight for weighed in self._weighed.values()])
        supported = float(np.mean([weighed.supported for weighed in self._weighed.values()]))
        if supported < MIN_SUPPORT:
            return Undecided(
                reason=f"{1 - supported:.1%} of what the champion before would draw could not be"
            )
        ess = float(weights.sum() ** 2 / (weights**2).sum()) if weights.any() else 0.0
        if ess < MIN_ESS:
            return Undecided(reason=f"effective sample size {ess:.1f}, under {MIN_ESS:.0f}")
        return None
