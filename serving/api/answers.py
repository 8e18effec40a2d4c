"""Turn request bodies into requests, and decisions and customers into answers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Literal, TypeAlias

from msgspec import UNSET, structs

from features.replay.visits import EmotionHistory
from nba.customer.appraisal import AppraisedNode
from nba.customer.contact_history import sub_journey_of
from nba.customer.context import STAGE, Context, ContextSchema
from nba.customer.sub_journey_keys import key_of, step_name
from nba.decisions.candidate import Candidate, Reason
from nba.decisions.decision import Churn, Decision, Mode
from nba.decisions.request import Request
from nba.events.event import from_micros
from nba.events.parsing import checked_id
from nba.journey.actions import NO_ACTION
from serving.api.reason_words import in_words
from serving.api.refusals import filtered, filtered_by_rule
from serving.api.replay import differences
from serving.api.schemas import (
    ChosenAction,
    CustomerAnswer,
    DecideAnswer,
    DecideRequest,
    EmotionCurve,
    EmotionParts,
    Factors,
    Option,
    ReplayAnswer,
    SubJourneyStanding,
)

Explain: TypeAlias = bool | Literal["short", "full"]


def to_request(body: DecideRequest) -> Request:
    """The domain's request. Raises InvalidInput."""
    for name in ("customer_id", "channel", "placement", "decision_request_id", "shadow_of"):
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
        deferred=body.defer_activation,
        baseline=body.shadow_of,
    )


def decide_answer(
    decision: Decision,
    schema: ContextSchema,
    *,
    logged: bool = True,
    dry_run: bool = False,
    explain: Explain = True,
) -> DecideAnswer:
    """The answer to a channel, explained as `DecideRequest.explain` asks."""
    churn, reasons, short = decision.churn, decision.reasons, explain == "short"
    if churn is not None and not explain:
        churn = structs.replace(churn, reasons=())
    if short:
        reasons = in_words(reasons, schema, decision.action_id)
        if churn is not None:
            churn = structs.replace(churn, reasons=in_words(churn.reasons, schema))
    chosen = [
        _chosen(decision, candidate, rank, schema, reasons)
        for rank, candidate in enumerate(decision.candidates, start=1)
        if candidate.action_id == decision.action_id != NO_ACTION
    ]
    return DecideAnswer(
        decision_id=decision.decision_id,
        customer_id=decision.request.customer_id,
        decided_at=decision.decided_at,
        mode=decision.mode.value if not dry_run else "dry_run",
        actions=chosen,
        no_action=not chosen,
        fallback_used=decision.mode is Mode.FALLBACK,
        known_customer=decision.known_customer,
        propensity=decision.propensity,
        note=decision.note,
        candidates=[option(candidate) for candidate in decision.candidates] if explain else [],
        filtered=filtered(decision.refused) if explain and not short else [],
        filtered_by_rule=filtered_by_rule(decision.refused) if short else UNSET,
        churn=churn,
        emotion=decision.emotion if explain else {},
        emotion_parts=_parts(
            decision.nodes if explain else (),
            valences=decision.valences,
            text_model=decision.text_model,
            as_of=decision.decided_at,
        ),
        policy=decision.policy,
        model_version=decision.bundle_id,
        config_version=decision.catalogue_version,
        seed=decision.seed,
        logged=logged and not dry_run,
        placement=decision.request.placement,
        deferred=decision.request.deferred,
        shadow_of=decision.request.baseline,
        lifted=decision.lifted if explain else (),
        sub_journeys=decision.moves,
        policy_version=decision.policy_version,
        challenger=decision.challenger,
        arms=decision.arms,
    )


def option(candidate: Candidate) -> Option:
    """A candidate with its factors."""
    return Option(
        action_id=candidate.action_id,
        p_accept=candidate.p_accept,
        context_weight=candidate.context_weight,
        value_eur=candidate.value_eur,
        retention_eur=candidate.retention_eur,
        lever=candidate.lever,
        cost_eur=candidate.cost_eur,
        annoyance_eur=candidate.annoyance_eur,
        priority=candidate.priority,
        propensity=candidate.propensity,
        because=candidate.because,
        batch_score=candidate.batch_score,
        spread_eur=candidate.spread_eur,
    )


def customer_answer(
    schema: ContextSchema,
    context: Context,
    churn: Churn | None,
    decisions: Sequence[Decision],
    *,
    text_model: str,
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
        emotion_parts=_parts(
            context.nodes, valences=schema.table.version, text_model=text_model, as_of=context.as_of
        ),
        churn=churn,
        context={name: value for name, value in named.items() if value is not None and value != 0},
        decisions=[decision.decision_id for decision in decisions],
        sub_journeys=[
            SubJourneyStanding(
                sub_journey=sub_journey_of(position.sub_journey),
                key=key_of(position.episode) or UNSET,
                step=position.step,
                entered_at=from_micros(round(position.entered_s * 1e6)),
                since=from_micros(round(position.since_s * 1e6)),
                held_out=position.held_out,
            )
            for position in context.contact_history.positions
        ],
        consents=list(context.contact_history.consent_changes),
        contacts=list(context.contact_history.contacts),
    )


def emotion_curve(
    customer_id: str, story: EmotionHistory, as_of: datetime, *, valences: str, text_model: str
) -> EmotionCurve:
    """A customer's story as an answer."""
    return EmotionCurve(
        customer_id=customer_id,
        as_of=as_of,
        valences=valences,
        text_model=text_model,
        nodes_in_all=story.nodes_in_all,
        nodes=story.nodes,
    )


def replay_answer(logged: Decision, again: Decision) -> ReplayAnswer:
    """Whether a decision came out the same again."""
    before, after = logged.to_json(), again.to_json()
    return ReplayAnswer(
        decision_id=logged.decision_id,
        equal=before == after,
        logged_sha256=hashlib.sha256(before).hexdigest(),
        replayed_sha256=hashlib.sha256(after).hexdigest(),
        differs=[] if before == after else differences(logged, again),
        model_version=logged.bundle_id,
        config_version=logged.catalogue_version,
    )


def _parts(
    nodes: tuple[AppraisedNode, ...], *, valences: str, text_model: str, as_of: datetime
) -> EmotionParts:
    age_s = (as_of - nodes[-1].at).total_seconds() if nodes else None
    return EmotionParts(valences=valences, text_model=text_model, age_s=age_s, nodes=nodes)


def _chosen(
    decision: Decision,
    candidate: Candidate,
    rank: int,
    schema: ContextSchema,
    reasons: tuple[Reason, ...],
) -> ChosenAction:
    action = next((a for a in schema.journey.actions if a.id == candidate.action_id), None)
    return ChosenAction(
        action_id=candidate.action_id,
        treatment=decision.treatment,
        channel=action.channel if action else decision.request.channel or "",
        placement=decision.request.placement or (action.touchpoint if action else ""),
        not_before=decision.not_before,
        sub_journey=step_name(decision.step),
        key=decision.key or UNSET,
        rank=rank,
        priority=candidate.priority,
        p_accept=candidate.p_accept,
        propensity=candidate.propensity,
        factors=_factors(candidate),
        reasons=reasons,
    )


def _factors(candidate: Candidate) -> Factors:
    return Factors(
        p_accept=candidate.p_accept,
        context_weight=candidate.context_weight,
        value_eur=candidate.value_eur,
        retention_eur=candidate.retention_eur,
        lever=candidate.lever,
        cost_eur=candidate.cost_eur,
        annoyance_eur=candidate.annoyance_eur,
        because=candidate.because,
    )
