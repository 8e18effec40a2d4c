"""Engagement policy: which actions may be offered to this customer now, each refusal with its fact.

Three layers, each over what the earlier ones left: eligibility (may we: law, product),
applicability (does it make sense now), suitability (is it good for the customer). Rules stand at
four levels: for all actions, for a group or channel, on an action, on a treatment.

Reason codes: `not_a_candidate`, `already_placed`, `other_channel`, `other_placement`,
`out_of_date`, `no_step` (available), `not_eligible`, `unread` (eligibility), `not_applicable`,
`not_suitable`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial
from typing import NamedTuple

import numpy as np

from nba.decisions.request import Request
from nba.governance.candidate_set import CandidateSet, Mask, Variants
from nba.governance.reason_codes import CODE_OF_LAYER
from nba.governance.rule_inputs import Population
from nba.journey.actions import INLINE_RULES
from nba.journey.file import JourneyFile
from nba.journey.policies import Layer
from nba.rules.rule import Names, Rule, parse_rule


class EngagementClause(NamedTuple):
    """One rule with what it concerns."""

    id: str
    layer: Layer
    rule: Rule
    mask: Mask
    positions: tuple[int, ...]  # of the mask
    begins: date | None = None
    ends: date | None = None
    lifted_share: float = 0.0

    def in_force(self, today: date) -> bool:
        """Whether it counts on this day."""
        return in_force(self.begins, self.ends, today)


def in_force(begins: date | None, ends: date | None, today: date) -> bool:
    """Whether a day is neither before the first nor after the last."""
    return (begins is None or begins <= today) and (ends is None or today <= ends)


def day(text: str | None) -> date | None:
    """A day of the journey file."""
    return None if text is None else date.fromisoformat(text)


class EngagementPolicy:
    """The owner's rules on who may be offered what."""

    def __init__(self, journey: JourneyFile, variants: Variants, names: Names) -> None:
        self._variants = variants
        self._actions = journey.actions
        self._codes = {action.id: code for code, action in enumerate(journey.actions)}
        self._other_channel = {
            channel: variants.where(lambda a, c=channel: a.channel != c)
            for channel in sorted({action.channel for action in journey.actions})
        }
        touchpoints = {t for a in journey.actions for t in (a.touchpoint, *a.also_at)}
        self._other_placement = {
            touchpoint: variants.where(lambda a, t=touchpoint: t not in (a.touchpoint, *a.also_at))
            for touchpoint in touchpoints
        }
        self._dates = [(day(action.begins), day(action.ends)) for action in journey.actions]
        self._dated = [code for code, dates in enumerate(self._dates) if dates != (None, None)]
        self._only_in_sub_journey = variants.where(lambda action: action.only_in_sub_journey)
        self.clauses = _clauses(journey, variants, names)

    def make_available(
        self,
        candidate_set: CandidateSet,
        request: Request,
        called: Mapping[str, str],
        today: date,
    ) -> None:
        """Refuse what the request does not ask for, or its channel cannot show.

        `called`: by id of the action for which an open step of a sub-journey calls, that step.
        Where a step asks, it gets its own action or nothing, and nothing once it is over.
        """
        if request.candidates is not None:
            candidate_set.refuse(
                ~self._mask(request.candidates),
                "not_a_candidate",
                rule="request.candidates",
                detail="the request names other candidates",
            )
        if request.already_placed:
            candidate_set.refuse(
                self._mask(request.already_placed),
                "already_placed",
                rule="request.placements",
                detail="another placement of the same question shows it",
            )
        if request.channel is not None and request.channel in self._other_channel:
            candidate_set.refuse(
                self._other_channel[request.channel],
                "other_channel",
                rule="request.channel",
                detail=f"the action is for another channel than {request.channel}",
            )
        if request.placement is not None and request.placement in self._other_placement:
            candidate_set.refuse(
                self._other_placement[request.placement],
                "other_placement",
                rule="request.placement",
                detail=f"the action cannot be shown at {request.placement}",
            )
        for code in self._dated:
            begins, ends = self._dates[code]
            if not in_force(begins, ends, today):
                bound = f"from {begins}" if begins and today < begins else f"until {ends}"
                candidate_set.refuse(
                    self._variants.code == code,
                    "out_of_date",
                    rule=self._actions[code].id,
                    detail=f"today is {today}, the action is offered {bound}",
                )
        uncalled = self._only_in_sub_journey
        candidate_set.refuse(
            uncalled & ~self._mask(list(called)) if called else uncalled,
            "no_step",
            rule="only_in_sub_journey",
            detail="no sub-journey that she is in calls for it now",
        )
        # earlier versions asked without naming the step's action; their decisions stand
        step_names_action = request.asked_for and request.candidates is not None
        if step_names_action and request.asked_for not in called.values():
            candidate_set.refuse(
                self._variants.everything,
                "no_step",
                rule="asked_for",
                detail="the step that asked is over",
            )

    def concerned(self) -> Mask:
        """What any rule concerns."""
        return self._variants.any_of([clause.mask for clause in self.clauses])

    def apply(
        self,
        candidate_sets: Sequence[CandidateSet],
        population: Population,
        today: Sequence[date],
    ) -> None:
        """Apply the three layers in order, but for the rules that are lifted to be priced.

        Each rule is evaluated once, for all customers.
        """
        for clause in self.clauses:
            for n, holds in enumerate(population.holds(clause.rule)):
                if holds or not clause.in_force(today[n]):
                    continue
                candidate_set = candidate_sets[n]
                left = candidate_set.among(clause.positions)
                if left:
                    candidate_set.refuse_unless_lifted(
                        left,
                        CODE_OF_LAYER[clause.layer],
                        rule=clause.id,
                        detail=partial(population.facts[n].failing, clause.rule),
                        lifted_share=clause.lifted_share,
                    )

    def _mask(self, action_ids: Sequence[str]) -> Mask:
        codes = [self._codes[action] for action in action_ids if action in self._codes]
        return np.isin(self._variants.code, codes)


def _clause(id_: str, layer: Layer, rule: Rule, mask: Mask) -> EngagementClause:
    positions = tuple(np.flatnonzero(mask).tolist())
    return EngagementClause(id=id_, layer=layer, rule=rule, mask=mask, positions=positions)


def _clauses(journey: JourneyFile, variants: Variants, names: Names) -> list[EngagementClause]:
    """Layer by layer; within one: the owner's rules, then those of actions, then of treatments."""
    clauses: list[EngagementClause] = []
    for rule in journey.engagement:
        parsed = parse_rule(rule.when, names)
        clause = _clause(rule.id, rule.layer, parsed, variants.mask(rule))
        clauses.append(
            clause._replace(
                begins=day(rule.begins), ends=day(rule.ends), lifted_share=rule.lifted_share
            )
        )
    shared: dict[tuple[str, str], list[int]] = {}  # the same text on many actions is read once
    for code, action in enumerate(journey.actions):
        for name in INLINE_RULES:
            text = getattr(action, name)
            if text is not None:
                shared.setdefault((name, text), []).append(code)
    for (name, text), codes in shared.items():
        rule_id = f"{journey.actions[codes[0]].id}.{name}"  # of the first that has it
        mask = np.isin(variants.code, codes)
        clauses.append(_clause(rule_id, INLINE_RULES[name], parse_rule(text, names), mask))
    for position, treatment in enumerate(variants.treatments):
        if treatment is None:
            continue
        mask = np.zeros(len(variants.code), dtype=bool)
        mask[position] = True
        action_id = variants.ids[int(variants.code[position])]
        for name, layer in INLINE_RULES.items():
            text = getattr(treatment, name)
            if text is not None:
                rule_id = f"{action_id}.{treatment.id}.{name}"
                clauses.append(_clause(rule_id, layer, parse_rule(text, names), mask))
    layers = list(CODE_OF_LAYER)
    return sorted(clauses, key=lambda clause: layers.index(clause.layer))
