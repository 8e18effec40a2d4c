"""Engagement policy: which actions may be offered to this customer now, each refusal with its fact.

Three layers, each over what the earlier ones left: eligibility (may we: law, product),
applicability (does it make sense now), suitability (is it good for her). Rules stand at four
levels: for all actions, for a group or channel, on an action, on a treatment.

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

from nba.decisions.candidate import Stage
from nba.decisions.request import Request
from nba.governance.candidate_set import CandidateSet, Mask, Variants
from nba.governance.rule_inputs import Population
from nba.journey.actions import INLINE_RULES
from nba.journey.file import JourneyFile
from nba.journey.policies import Layer
from nba.rules.rule import Names, Rule, parse_rule

CODES: Mapping[Layer, str] = {
    "eligibility": "not_eligible",
    "applicability": "not_applicable",
    "suitability": "not_suitable",
}


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


class Engagement:
    """The owner's rules on who may be asked what."""

    def __init__(self, journey: JourneyFile, variants: Variants, names: Names) -> None:
        self._variants = variants
        self._actions = journey.actions
        codes = {action.id: code for code, action in enumerate(journey.actions)}
        self._codes = codes
        channels = sorted({action.channel for action in journey.actions})
        self._channel = {one: variants.where(lambda a, c=one: a.channel != c) for one in channels}
        places = {place for a in journey.actions for place in (a.touchpoint, *a.also_at)}
        self._place = {
            one: variants.where(lambda a, p=one: p not in (a.touchpoint, *a.also_at))
            for one in places
        }
        self._dates = [(day(action.begins), day(action.ends)) for action in journey.actions]
        self._dated = [code for code, dates in enumerate(self._dates) if dates != (None, None)]
        self._stepped = variants.where(lambda action: action.only_in_sub_journey)
        self.clauses = _clauses(journey, variants, names)

    def make_available(
        self, candidate_set: CandidateSet, request: Request, called: Sequence[str], today: date
    ) -> None:
        """Strike what the request does not ask for, or its channel cannot show."""
        stage = Stage.AVAILABLE
        if request.candidates is not None:
            others = ~self._mask(request.candidates)
            detail = "the request names other candidates"
            candidate_set.strike(others, stage, "not_a_candidate", "request.candidates", detail)
        if request.without:
            detail = "another placement of the same question shows it"
            taken = self._mask(request.without)
            candidate_set.strike(taken, stage, "already_placed", "request.placements", detail)
        if request.channel is not None and request.channel in self._channel:
            detail = f"the action is for another channel than {request.channel}"
            mask = self._channel[request.channel]
            candidate_set.strike(mask, stage, "other_channel", "request.channel", detail)
        if request.placement is not None and request.placement in self._place:
            detail = f"the action cannot be shown at {request.placement}"
            mask = self._place[request.placement]
            candidate_set.strike(mask, stage, "other_placement", "request.placement", detail)
        for code in self._dated:
            begins, ends = self._dates[code]
            if not in_force(begins, ends, today):
                mask = self._variants.code == code
                bound = f"from {begins}" if begins and today < begins else f"until {ends}"
                detail = f"today is {today}, the action is offered {bound}"
                candidate_set.strike(mask, stage, "out_of_date", self._actions[code].id, detail)
        uncalled = self._stepped & ~self._mask(called) if called else self._stepped
        detail = "no sub-journey that she is in calls for it now"
        candidate_set.strike(uncalled, stage, "no_step", "only_in_sub_journey", detail)

    def concerned(self) -> Mask:
        """What any rule concerns."""
        found = ~self._variants.everything
        for clause in self.clauses:
            found = found | clause.mask
        return found

    def govern(
        self,
        candidate_sets: Sequence[CandidateSet],
        population: Population,
        customers: Sequence[str],
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
                if not left:
                    continue
                why = partial(population.facts[n].failing, clause.rule)
                layer = clause.layer
                candidate_set.take_out_unless_lifted(
                    *(left, Stage(layer), CODES[layer], clause.id, why),
                    lifted_share=clause.lifted_share,
                    customer_id=customers[n],
                )

    def _mask(self, action_ids: Sequence[str]) -> Mask:
        wanted = [self._codes[one] for one in action_ids if one in self._codes]
        return np.isin(self._variants.code, wanted)


def _clause(
    name: str,
    layer: Layer,
    rule: Rule,
    mask: Mask,
    begins: date | None = None,
    ends: date | None = None,
    lifted_share: float = 0.0,
) -> EngagementClause:
    positions = tuple(np.flatnonzero(mask).tolist())
    return EngagementClause(name, layer, rule, mask, positions, begins, ends, lifted_share)


def _clauses(journey: JourneyFile, variants: Variants, names: Names) -> list[EngagementClause]:
    """Layer by layer; within one: the owner's rules, then those of actions, then of treatments."""
    found: list[EngagementClause] = []
    for rule in journey.engagement:
        dates = (day(rule.begins), day(rule.ends))
        parsed = parse_rule(rule.when, names)
        mask = variants.mask(rule)
        found.append(_clause(rule.id, rule.layer, parsed, mask, *dates, rule.lifted_share))
    shared: dict[tuple[str, str], list[int]] = {}  # the same text on many actions is read once
    for code, action in enumerate(journey.actions):
        for name in INLINE_RULES:
            text = getattr(action, name)
            if text is not None:
                shared.setdefault((name, text), []).append(code)
    for (name, text), codes in shared.items():
        where = f"{journey.actions[codes[0]].id}.{name}"  # of the first that has it
        mask = np.isin(variants.code, codes)
        found.append(_clause(where, INLINE_RULES[name], parse_rule(text, names), mask))
    for position, treatment in enumerate(variants.treatments):
        if treatment is None:
            continue
        mask = np.zeros(len(variants.code), dtype=bool)
        mask[position] = True
        action_id = variants.ids[int(variants.code[position])]
        for name, layer in INLINE_RULES.items():
            text = getattr(treatment, name)
            if text is not None:
                where = f"{action_id}.{treatment.id}.{name}"
                found.append(_clause(where, layer, parse_rule(text, names), mask))
    order = list(CODES)
    return sorted(found, key=lambda clause: order.index(clause.layer))
