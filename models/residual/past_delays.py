"""Past delays: when the rewards of earlier decisions came, as a bundle brings them to its residual.

A new bundle's residual waits for the rewards of its own decisions. Without them its delay curves
would begin as those of uniform delays, and the first decisions would be taken for worth less, or
more, than they turn out to be.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from nba.journey.actions import NO_ACTION

DEFERRED = " deferred"  # after the action's id, in the name of a stream


class StreamDelays(msgspec.Struct, frozen=True, array_like=True):
    """Of the rewards of one stream of decisions."""

    arrived: tuple[float, ...]  # by age, as `models.residual.delay_curve.AGES`
    size: float  # sum of |r|
    square: float  # sum of r^2


PastDelays: TypeAlias = dict[str, StreamDelays]  # by stream; those without rewards are left out


def stream_names(actions: tuple[str, ...]) -> list[str]:
    """The streams of `models.residual.pending.PendingExposures`, in their order."""
    names = [*actions, NO_ACTION]
    return [*names, *(name + DEFERRED for name in names)]
