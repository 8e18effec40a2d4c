"""The decision and its parts: what was offered, refused, drawn, and what came of it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from nba.events import ACTION_DECIDED, DECISION_PREFIX, Event
from nba.feelings import FeltNode

NO_ACTION = "no_action"


class Stage(StrEnum):
    """The stages of a decision that can refuse an action, in order."""

    AVAILABLE = "available"
    ELIGIBILITY = "eligibility"
    APPLICABILITY = "applicability"
    SUITABILITY = "suitability"
    CONSENT = "consent"
    CONTACT_POLICY = "contact_policy"
    SCORE = "score"


class Mode(StrEnum):
    """How a decision came about."""

    LIVE = "live"  # scored by a bundle and drawn by the policy
    FALLBACK = "fallback"  # the owner's declared fallback, because a part was missing
    IMPORTED = "imported"  # taken by another system and read from its log


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One fact that moved a score."""

    column: str  # context column or action feature
    value: float | None  # its value, None where unknown
    contribution: float  # share of the score, in log-odds for a probability, else in its unit
    text: str


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """An action that a rule removed."""

    action_id: str
    stage: Stage
    rule: str  # the reason code, listed in docs/reasons.md
    detail: str  # the fact that failed


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """An action that passed every rule, with its factors; `no_action` is one of them.

    priority = p_accept x context_weight x value_eur x lever - cost_eur
    """

    action_id: str
    p_accept: float | None  # P(responds well | context, action); None: value_eur is learned
    context_weight: float
    value_eur: float
    lever: float
    cost_eur: float
    priority: float | None  # EUR; None where nothing was scored
    propensity: float  # P(drawn | context, candidates), in [0, 1]; they sum to 1


class Churn(msgspec.Struct, frozen=True, kw_only=True):
    """The customer's risk of leaving."""

    risk: float  # P(churn within horizon_days)
    horizon_days: float
    reasons: tuple[Reason, ...] = ()


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A channel's question. `facts` are the request context that the journey declares."""

    customer_id: str
    channel: str | None = None  # None: any channel
    placement: str | None = None  # the touchpoint where the action would show; None: any
    request_id: str | None = None  # the caller's key: the same key answers with the same decision
    candidates: tuple[str, ...] | None = None  # action ids to choose from; None: the catalogue
    facts: dict[str, Any] = {}


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One governed, explained, replayable answer, as it is logged."""

    decision_id: str
    request: Request
    decided_at: datetime  # UTC: the context's as_of
    mode: Mode
    action_id: str  # the drawn action, NO_ACTION for none
    treatment: str | None
    propensity: float  # P(action_id was drawn by the whole pipeline), in (0, 1]
    candidates: tuple[Candidate, ...]
    refused: tuple[Refused, ...]
    reasons: tuple[Reason, ...]  # for the drawn action's p_accept
    churn: Churn | None
    known_customer: bool  # False: decided from an empty context
    context: bytes  # float64 little-endian, in the column order of context_schema
    context_schema: str  # hash of the column names and the kernel's layout
    context_seq: int  # the log position up to which the context was folded
    nodes: tuple[FeltNode, ...] = ()  # what the emotion was made of, oldest first
    emotion: dict[str, float | None] = {}  # its columns by name, None where unknown
    valences: str = "prior"  # version of the valences
    words: str = "none"  # what read texts then: a model, untrained, or none where none is mapped
    bundle_id: str | None
    catalogue_version: str  # hash of the journey file
    policy: str
    seed: int
    note: str | None = None  # why there is no action, or why the fallback was used

    def to_json(self) -> bytes:
        """Canonical JSON, the bytes that are logged and replayed."""
        return msgspec.json.encode(self, order="deterministic")

    def as_event(self) -> Event:
        """The event that the log appends beside the decision."""
        properties: dict[str, Any] = {
            "decision_id": self.decision_id,
            "action_id": self.action_id,
            "propensity": self.propensity,
            "context_seq": self.context_seq,
        }
        if self.request.channel is not None:
            properties["channel"] = self.request.channel
        return Event(
            event_id=DECISION_PREFIX + self.decision_id,
            customer_id=self.request.customer_id,
            name=ACTION_DECIDED,
            occurred_at=self.decided_at,
            received_at=self.decided_at,
            properties=properties,
        )


def decision_from_json(data: bytes | str) -> Decision:
    """The decision that `Decision.to_json` wrote."""
    return msgspec.json.decode(data, type=Decision)
