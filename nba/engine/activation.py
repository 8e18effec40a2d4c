"""Activation: a deferred decision begins to count."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec.structs import replace

from nba.customer.context import Context
from nba.decisions.candidate import Refused, Stage
from nba.decisions.decision import Decision
from nba.engine.pipeline import Pipeline
from nba.engine.scorer import known_churns
from nba.events.event import Event
from nba.events.names import ACTION_ACTIVATED, ACTIVATION_PREFIX


def recheck(
    pipeline: Pipeline,
    decision: Decision,
    context: Context,
    used: Mapping[tuple[str, str], float],
) -> tuple[tuple[Refused, ...], datetime | None]:
    """(why a deferred decision may not be activated now, when it may be shown).

    All rules again, on what is known now; and the step that called for it must still be open.
    """
    scorer, governor = pipeline.scorer, pipeline.governor
    churns = known_churns(scorer, [context])
    request = replace(decision.request, deferred=False)
    ((governed,), _) = governor.govern(
        [request], [context], churns, used, dropped_rules=[frozenset(decision.dropped_rules)]
    )
    action_id = decision.action_id
    refused = tuple(each for each in governed.refused if each.action_id == action_id)
    call = governed.calls.get(action_id)
    if decision.step and (call is None or call.step_key != decision.step):
        over = Refused(action_id, Stage.AVAILABLE, "no_step", decision.step, "the step is over")
        refused = (*refused, over)
    return refused, governed.not_before.get(governor.variants.ids.index(action_id))


def activation(decision: Decision, at: datetime) -> Event:
    """The event from which on a deferred decision counts."""
    properties = {"decision_id": decision.decision_id, "action_id": decision.action_id}
    channel = decision.request.channel
    if channel is not None:
        properties["channel"] = channel
    if decision.step:
        properties["step"] = decision.step
    return Event(
        event_id=ACTIVATION_PREFIX + decision.decision_id,
        customer_id=decision.request.customer_id,
        name=ACTION_ACTIVATED,
        occurred_at=at,
        received_at=at,
        properties=properties,
    )
