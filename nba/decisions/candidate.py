"""What a decision makes of each action: a candidate with its factors, or a refusal."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Stage(StrEnum):
    """The stages of a decision that can refuse an action, in order."""

    AVAILABLE = "available"
    ELIGIBILITY = "eligibility"
    APPLICABILITY = "applicability"
    SUITABILITY = "suitability"
    CONSENT = "consent"
    CONTACT_POLICY = "contact_policy"
    SCORE = "score"


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One fact that moved a score."""

    column: str  # context column or action feature
    value: float | None  # its value, None where unknown
    contribution: float  # share of the score, in log-odds for a probability, else in its unit
    text: str


class Refused(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An action that a rule removed."""

    action_id: str
    stage: Stage
    code: str  # the reason code, listed in docs/reasons.md
    rule: str  # the owner's rule that removed it: its id, or where it stands
    detail: str  # the fact that failed


class Candidate(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """An action that passed every rule, with its factors; `no_action` is one of them.

    priority = p_accept x context_weight x (value_eur + retention_eur) x lever
               - cost_eur - annoyance_eur
    """

    action_id: str
    p_accept: float | None  # P(responds well | context, action); None: value_eur is learned
    context_weight: float
    value_eur: float
    retention_eur: float = 0.0  # worth of the risk of leaving that a good response takes away
    lever: float
    cost_eur: float
    annoyance_eur: float = 0.0  # price of one more contact on top of the recent ones
    priority: float | None  # EUR; None where nothing was scored
    propensity: float  # P(drawn | context, candidates), in [0, 1]; they sum to 1
    because: tuple[str, ...] = ()  # ids of the weights, levers and steps that are in the factors
    batch_score: float | None = None  # the bundle's own score, where more was learned since
    spread_eur: float = 0.0  # how unsure the priority is, a standard deviation

    def numbers(self) -> tuple[float, ...]:
        """All of them; 0 where one is not known."""
        return (
            self.p_accept or 0.0,
            self.context_weight,
            self.value_eur,
            self.retention_eur,
            self.lever,
            self.cost_eur,
            self.annoyance_eur,
            self.priority or 0.0,
            self.propensity,
            self.batch_score or 0.0,
            self.spread_eur,
        )
