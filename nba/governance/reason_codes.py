"""The reason codes of refusals, and the kinds of rules that give them.

`docs/reasons.md` explains each code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from nba.decisions.candidate import Stage
from nba.journey.policies import Layer

STAGE_OF: Mapping[str, Stage] = {
    "not_a_candidate": Stage.AVAILABLE,
    "already_placed": Stage.AVAILABLE,
    "other_channel": Stage.AVAILABLE,
    "other_placement": Stage.AVAILABLE,
    "out_of_date": Stage.AVAILABLE,
    "no_step": Stage.AVAILABLE,
    "not_eligible": Stage.ELIGIBILITY,
    "unread": Stage.ELIGIBILITY,
    "not_applicable": Stage.APPLICABILITY,
    "not_suitable": Stage.SUITABILITY,
    "no_consent": Stage.CONSENT,
    "suppressed": Stage.CONSENT,
    "too_soon": Stage.CONTACT_POLICY,
    "contact_cap": Stage.CONTACT_POLICY,
    "cool_down": Stage.CONTACT_POLICY,
    "paused": Stage.CONTACT_POLICY,
    "quiet_hours": Stage.CONTACT_POLICY,
    "holdout": Stage.CONTACT_POLICY,
    "no_capacity": Stage.CONTACT_POLICY,
}
NOT_FINITE = "score_not_finite"  # the note of a decision that fell back, with what was none
CODE_OF_LAYER: Mapping[Layer, str] = {
    "eligibility": "not_eligible",
    "applicability": "not_applicable",
    "suitability": "not_suitable",
}


class RuleKind(NamedTuple):
    """A kind of rule, lever or weight that an owner writes."""

    codes: tuple[str, ...] = ()  # of its refusals; none: it changes what actions are worth
    limits: str | None = None  # the list of `contact_policy` that holds it
    droppable: bool = False  # whether an arm of an experiment may leave it out


# consents are the customer's, quiet hours the law's, capacities shared: no arm leaves them out
RULE_KINDS: Mapping[str, RuleKind] = {
    "engagement": RuleKind(tuple(CODE_OF_LAYER.values()), droppable=True),
    "inline": RuleKind(tuple(CODE_OF_LAYER.values()), droppable=True),
    "consent": RuleKind(("no_consent",)),
    "cap": RuleKind(("contact_cap",), limits="caps", droppable=True),
    "cool-down": RuleKind(("cool_down",), limits="cool_downs", droppable=True),
    "pause": RuleKind(("paused",), limits="pauses", droppable=True),
    "quiet hours": RuleKind(("quiet_hours",), limits="quiet_hours"),
    "capacity": RuleKind(("no_capacity",), limits="capacities"),
    "weight": RuleKind(droppable=True),
    "lever": RuleKind(droppable=True),
}
