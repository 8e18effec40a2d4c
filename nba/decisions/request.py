"""The question of a channel."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from nba.journey.actions import NO_ACTION


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A channel's question. `facts` are the request context that the journey declares."""

    customer_id: str
    channel: str | None = None  # None: any channel
    placement: str | None = None  # the touchpoint where the action would show; None: any
    request_id: str | None = None  # the caller's key: the same key answers with the same decision
    candidates: tuple[str, ...] | None = None  # action ids to choose from; None: the catalogue
    facts: dict[str, Any] = {}
    # action ids drawn for other placements of the same question
    already_placed: tuple[str, ...] = msgspec.field(default=(), name="without")
    deferred: bool = False  # it counts from its activation on, and not before
    outbound: bool = False  # nobody asks: we address the customer
    asked_for: str = ""  # the open step of a sub-journey for which we address them
    baseline: str | None = None  # shadow mode: the action that the other system takes


def at_place(request: Request, placement: str, taken: tuple[str, ...]) -> Request:
    """The part of a question about several placements that is about this one."""
    key = request.request_id
    return replace(
        request,
        placement=placement,
        request_id=None if key is None else f"{key}/{placement}",
        already_placed=tuple(action_id for action_id in taken if action_id != NO_ACTION),
    )
