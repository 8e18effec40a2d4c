"""Which decisions of one call are stored: the rule that every log keeps."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nba.decision import Decision
from nba.errors import shown
from nba.events import MAX_ID_CHARS, Event


class Stand(msgspec.Struct, frozen=True, kw_only=True):
    """What the log holds, before a call, about one of its decisions."""

    position: int  # seq of the customer's last event, 0 for none
    earlier: Decision | None  # of this customer, with the same request_id or decision_id
    taken: bool  # the id of its Action Decided event is in the log


def accepted(
    decisions: Sequence[Decision], stands: Sequence[Stand]
) -> tuple[list[Decision | None], list[Decision]]:
    """(answers, to store). An answer is the decision itself, the earlier one, or None: again.

    The decisions count one after the other: the first that is stored moves its customer's log
    past all that were made on the same context.
    """
    answers: list[Decision | None] = []
    stored: dict[str, Decision] = {}  # by customer
    ids: set[str] = set()
    for decision, stand in zip(decisions, stands, strict=True):
        request = decision.request
        before = stored.get(request.customer_id)
        if stand.earlier is not None:
            answers.append(stand.earlier)
        elif before is not None:
            answers.append(before if _answers(before, decision) else None)
        elif stand.taken or decision.decision_id in ids or decision.context_seq < stand.position:
            answers.append(None)
        else:
            stored[request.customer_id] = decision
            ids.add(decision.decision_id)
            answers.append(decision)
    return answers, list(stored.values())


def claimed_decision(event: Event) -> str | None:
    """The decision that an event names, where that can be the id of one.

    Any text may come in as a property; only one of an id's length is worth an index entry.
    """
    name = event.decision_id
    return name if name is not None and 0 < len(name) <= MAX_ID_CHARS else None


def _answers(earlier: Decision, decision: Decision) -> bool:
    same_key = decision.request.request_id is not None and (
        decision.request.request_id == earlier.request.request_id
    )
    return same_key or decision.decision_id == earlier.decision_id


def unsaved_bundle(alias: str, bundle_id: str) -> str:
    """Why an alias was not set."""
    return f"bundle {shown(bundle_id)} is not saved; save it before pointing {shown(alias)} at it"


def decision_event_id(decision_id: str) -> str:
    """The id of the decision's own `Action Decided` event, as `Decision.as_event` makes it."""
    return f"decision:{decision_id}"
