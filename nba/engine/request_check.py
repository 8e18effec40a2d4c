"""Whether a request names only what the journey file declares."""

from __future__ import annotations

from nba.decisions.request import Request
from nba.errors import InvalidInput, did_you_mean
from nba.journey.actions import NO_ACTION
from nba.journey.file import JourneyFile


class RequestCheck:
    """Checks requests against one journey file: `check(request)`."""

    def __init__(self, journey: JourneyFile) -> None:
        self._facts = journey.request
        self._channels = journey.channels()
        self._action_ids = frozenset(action.id for action in journey.actions)
        self._placements = {
            placement
            for action in journey.actions
            for placement in (action.touchpoint, *action.also_at)
        }

    def __call__(self, request: Request) -> None:
        """Raise InvalidInput where the request names what the journey file does not."""
        for action_id in request.candidates or ():
            if action_id not in self._action_ids:
                remedy = did_you_mean(action_id, self._action_ids)
                raise InvalidInput("candidates", action_id, remedy)
        baseline = request.baseline
        if baseline is not None and baseline != NO_ACTION and baseline not in self._action_ids:
            remedy = did_you_mean(baseline, {*self._action_ids, NO_ACTION})
            raise InvalidInput("shadow_of", baseline, remedy)
        channel, placement = request.channel, request.placement
        if channel is not None and channel not in self._channels:
            raise InvalidInput("channel", channel, did_you_mean(channel, self._channels))
        if placement is not None and placement not in self._placements:
            remedy = did_you_mean(placement, self._placements)
            raise InvalidInput("placement", placement, remedy)
        for name, value in request.facts.items():
            declared = self._facts.get(name)
            if declared is None:
                raise InvalidInput(f"context.{name}", value, did_you_mean(name, self._facts))
            declared.check(f"context.{name}", value)
