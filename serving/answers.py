"""Between the wire and the nouns: requests in, decisions and customers out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from features.nodes import Story
from nba.context import STAGE, Context, ContextSchema
from nba.decision import NO_ACTION, Candidate, Churn, Decision, Mode, Request
from nba.errors import InvalidInput
from nba.events import (
    ACTION_ACCEPTED,
    ACTION_CLICKED,
    ACTION_DISMISSED,
    ACTION_SHOWN,
    REWARD_GIVEN,
    Event,
    checked_id,
)
from nba.feelings import FeltNode
from serving.wire import (
    ChosenAction,
    CustomerAnswer,
    DecideAnswer,
    DecideRequest,
    EmotionCurve,
    EmotionParts,
    Factors,
    FeedbackRequest,
)

OUTCOME_EVENTS = {
    "shown": ACTION_SHOWN,
    "clicked": ACTION_CLICKED,
    "accepted": ACTION_ACCEPTED,
    "dismissed": ACTION_DISMISSED,
}


def to_request(body: DecideRequest) -> Request:
    """The domain's request. Raises InvalidInput."""
    for name in ("customer_id", "channel", "placement", "decision_request_id"):
        value = getattr(body, name)
        if value is not None:
            checked_id(name, value)
    return Request(
        customer_id=body.customer_id,
        channel=body.channel,
        placement=body.placement,
        request_id=body.decision_request_id,
        candidates=None if body.candidates is None else tuple(body.candidates),
        facts=body.context,
    )


def decide_answer(
    decision: Decision, schema: ContextSchema, *, logged: bool = True
) -> DecideAnswer:
    """The answer to a channel."""
    chosen = [
        _chosen(decision, candidate, rank, schema)
        for rank, candidate in enumerate(decision.candidates, start=1)
        if candidate.action_id == decision.action_id != NO_ACTION
    ]
    return DecideAnswer(
        decision_id=decision.decision_id,
        customer_id=decision.request.customer_id,
        decided_at=decision.decided_at,
        mode=decision.mode.value,
        actions=chosen,
        no_action=not chosen,
        fallback_used=decision.mode is Mode.FALLBACK,
        known_customer=decision.known_customer,
        propensity=decision.propensity,
        note=decision.note,
        candidates=decision.candidates,
        filtered=decision.refused,
        churn=decision.churn,
        emotion=decision.emotion,
        emotion_parts=_parts(
            decision.nodes, decision.valences, decision.words, decision.decided_at
        ),
        policy=decision.policy,
        model_version=decision.bundle_id,
        config_version=decision.catalogue_version,
        seed=decision.seed,
        logged=logged,
    )


def customer_answer(
    schema: ContextSchema,
    context: Context,
    churn: Churn | None,
    decisions: Sequence[Decision],
    *,
    words: str,
) -> CustomerAnswer:
    """What we know of a customer."""
    named = {
        column: schema.value(column, number)
        for column, number in zip(schema.columns, context.values, strict=True)
    }
    stage = named[STAGE]
    return CustomerAnswer(
        customer_id=context.customer_id,
        as_of=context.as_of,
        traits={name: named[f"traits.{name}"] for name in schema.traits},
        stage=stage if isinstance(stage, str) else None,
        emotion=schema.emotion_of(context.values),
        emotion_parts=_parts(context.nodes, schema.table.version, words, context.as_of),
        churn=churn,
        context={name: value for name, value in named.items() if value is not None and value != 0},
        decisions=[decision.decision_id for decision in decisions],
    )


def emotion_curve(
    customer_id: str, story: Story, as_of: datetime, *, valences: str, words: str
) -> EmotionCurve:
    """A customer's story as an answer."""
    return EmotionCurve(
        customer_id=customer_id,
        as_of=as_of,
        valences=valences,
        words=words,
        nodes_in_all=story.nodes_in_all,
        nodes=story.nodes,
    )


def _parts(nodes: tuple[FeltNode, ...], valences: str, words: str, as_of: datetime) -> EmotionParts:
    age_s = (as_of - nodes[-1].at).total_seconds() if nodes else None
    return EmotionParts(valences=valences, words=words, age_s=age_s, nodes=nodes)


def feedback_event(body: FeedbackRequest, decision: Decision, now: datetime) -> Event:
    """The event that a feedback stands for. Raises InvalidInput."""
    if (body.outcome is None) == (body.reward is None):
        raise InvalidInput("outcome", body.outcome, "send either an outcome or a reward")
    if body.action_id is not None and body.action_id != decision.action_id:
        remedy = f"the decision drew {decision.action_id!r}"
        raise InvalidInput("action_id", body.action_id, remedy)
    occurred_at = body.occurred_at or now
    if occurred_at.tzinfo is None:
        remedy = "give an ISO 8601 time with its offset, such as 2026-01-31T09:30:00Z"
        raise InvalidInput("occurred_at", occurred_at.isoformat(), remedy)
    properties: dict[str, Any] = {
        "decision_id": decision.decision_id,
        "action_id": decision.action_id,
    }
    if body.reward is not None:
        properties["reward"] = body.reward
    kind = body.outcome or "reward"
    event_id = body.event_id or f"feedback:{decision.decision_id}:{kind}"
    return Event(
        event_id=checked_id("event_id", event_id),
        customer_id=decision.request.customer_id,
        name=OUTCOME_EVENTS[body.outcome] if body.outcome else REWARD_GIVEN,
        occurred_at=min(max(occurred_at, decision.decided_at), max(now, decision.decided_at)),
        received_at=max(now, decision.decided_at),
        properties=properties,
    )


def _chosen(
    decision: Decision, candidate: Candidate, rank: int, schema: ContextSchema
) -> ChosenAction:
    action = next((a for a in schema.journey.actions if a.id == candidate.action_id), None)
    return ChosenAction(
        action_id=candidate.action_id,
        treatment=decision.treatment,
        channel=action.channel if action else decision.request.channel or "",
        placement=decision.request.placement or (action.touchpoint if action else ""),
        rank=rank,
        priority=candidate.priority,
        p_accept=candidate.p_accept,
        propensity=candidate.propensity,
        factors=_factors(candidate),
        reasons=decision.reasons,
    )


def _factors(candidate: Candidate) -> Factors:
    return Factors(
        p_accept=candidate.p_accept,
        context_weight=candidate.context_weight,
        value_eur=candidate.value_eur,
        lever=candidate.lever,
        cost_eur=candidate.cost_eur,
    )
