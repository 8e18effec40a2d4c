"""Assignment: where a customer belongs, by their id and the salts of what is in force alone.

Who is in the always-on holdout or in the random slice is in no experiment, so that both stay what
they are. Nor are the customers of a rollout: its canary and its control. So the control is there
whatever share of the customers the experiments hold. Everybody else may be in one experiment of
each layer.

Nothing else is read, so that a decision has the same labels however it came about: drawn, from the
fallback, or without the customer's context.
"""

from __future__ import annotations

from typing import NamedTuple

from nba.experiments.experiment import ArmSpec, Started
from nba.promotion.rollout import Rollout
from nba.randomization import HOLDOUT, RANDOM_SLICE, in_share


class Assigned(NamedTuple):
    """Where one customer belongs."""

    labels: tuple[str, ...] = ()  # as decisions log them
    arms: tuple[ArmSpec, ...] = ()  # of the experiments


class Assignment(NamedTuple):
    """What assigns customers now."""

    holdout_share: float = 0.0
    random_share: float = 0.0
    rollout: Rollout | None = None
    experiments: tuple[Started, ...] = ()  # that run

    def of(self, customer_id: str) -> Assigned:
        """Where the customer belongs, always the same while the same is in force."""
        kept_out = self.kept_out(customer_id)
        if kept_out is not None:
            return Assigned(kept_out)
        arms = [
            (started.experiment.label(arm), arm)
            for started in self.experiments
            if (arm := started.arm_of(customer_id)) is not None
        ]
        return Assigned(tuple(label for label, _ in arms), tuple(arm for _, arm in arms))

    def kept_out(self, customer_id: str) -> tuple[str, ...] | None:
        """The labels of a customer whom no experiment may have; None: they may be in one."""
        if in_share(HOLDOUT, self.holdout_share, customer_id):
            return ()
        if in_share(RANDOM_SLICE, self.random_share, customer_id):
            return (RANDOM_SLICE,)
        label = None if self.rollout is None else self.rollout.label_of(customer_id)
        return None if label is None else (label,)
