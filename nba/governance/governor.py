"""Governor: the rules of one journey file, applied to requests and their contexts.

available -> eligibility -> applicability -> suitability -> consent -> contact policy; before them
the sub-journeys are brought up to the moment, so that the rules see where the customer stands now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple

from nba.customer.contact_history import ContactHistory
from nba.customer.context import Context, ContextSchema
from nba.decisions.candidate import Refused
from nba.decisions.decision import CapacityTaken, Churn, LiftedRule
from nba.decisions.request import Request
from nba.decisions.sub_journey_moves import SubJourneyMove
from nba.events.event import micros
from nba.governance.candidate_set import CandidateSet, Variants
from nba.governance.consent import ConsentPolicy
from nba.governance.contact_policy import ContactInputs, ContactPolicy
from nba.governance.engagement_policy import EngagementPolicy
from nba.governance.quiet_hours import zone
from nba.governance.rule_inputs import (
    CHURN_RISK,
    Population,
    RuleInputs,
    RuleSubject,
    rule_names,
    segment_rules,
)
from nba.governance.sub_journey_steps import SubJourneyInputs
from nba.governance.sub_journeys import OpenStep, SubJourneys
from nba.journey.sub_journeys import SubJourney


class Governed(NamedTuple):
    """One request after the rules."""

    request: Request
    context: Context
    candidate_set: CandidateSet
    codes: list[int]  # of the actions that are left
    calls: Mapping[str, OpenStep]  # open steps by the action that they call for
    moves: tuple[SubJourneyMove, ...]
    not_before: Mapping[int, datetime]  # by action code, UTC
    used: Mapping[str, float]  # of each capacity in the period of this context, as it was read
    today: date

    @property
    def refused(self) -> tuple[Refused, ...]:
        return tuple(self.candidate_set.refused)

    @property
    def lifted(self) -> tuple[LiftedRule, ...]:
        return tuple(self.candidate_set.lifted)


class Governor:
    """Everything of a journey file that can refuse an action."""

    def __init__(self, schema: ContextSchema, earlier: Iterable[SubJourney] = ()) -> None:
        journey = schema.journey
        self.names = rule_names(journey)
        self.variants = Variants(journey)
        self._consent = ConsentPolicy(journey, self.variants)
        self.sub_journeys = SubJourneys(journey, self.names, self._consent, earlier)
        self._schema = schema
        self._segments = segment_rules(journey, self.names)
        read = self.sub_journeys.names.union(*(rule.names for rule in self._segments.values()))
        self.sub_journeys_read_risk = CHURN_RISK in read
        self._engagement = EngagementPolicy(journey, self.variants, self.names)
        self._contact_policy = ContactPolicy(journey, self.variants)
        self._trait = journey.time_zone.trait
        self._fallback_zone = zone(journey.time_zone.fallback)

    def govern(
        self,
        requests: Sequence[Request],
        contexts: Sequence[Context],
        churns: Sequence[Churn | None],
        used: Mapping[tuple[str, str], float],
        *,
        dropped_rules: Sequence[frozenset[str]] = (),
    ) -> tuple[list[Governed], Population]:
        """Each request after the rules, and the facts that the rules have seen.

        `used`: what was taken by (capacity, period). `dropped_rules`: of each request, the rules
        that do not hold for its customer.
        """
        histories = [context.contact_history for context in contexts]
        moves: list[tuple[SubJourneyMove, ...]] = [() for _ in contexts]
        population = self._population(requests, contexts, histories, churns)
        if self.sub_journeys:
            for n, request in enumerate(requests):
                if request.baseline is None:  # in shadow mode nothing of ours happens to them
                    histories[n], moves[n] = self._settle(request, contexts[n], population.facts[n])
            if any(moves):
                population = self._population(requests, contexts, histories, churns)
        candidate_sets = [
            CandidateSet(self.variants, customer_id=request.customer_id, dropped_rules=dropped)
            for request, dropped in zip(
                requests, dropped_rules or [frozenset[str]()] * len(requests), strict=True
            )
        ]
        today = [context.as_of.astimezone(self._fallback_zone).date() for context in contexts]
        calls = [
            self.sub_journeys.calls(history, context.as_of, request.asked_for)
            for request, history, context in zip(requests, histories, contexts, strict=True)
        ]
        for n, request in enumerate(requests):
            called = {action_id: call.step_key for action_id, call in calls[n].items()}
            self._engagement.make_available(candidate_sets[n], request, called, today[n])
        self._engagement.apply(candidate_sets, population, today)
        governed = []
        for n, (request, context) in enumerate(zip(requests, contexts, strict=True)):
            candidate_set = candidate_sets[n]
            inputs = ContactInputs(
                history=histories[n],
                now_s=micros(context.as_of) / 1e6,
                local=self._local(context),
                used={
                    capacity: used.get((capacity, period), 0.0)
                    for capacity, period in self.periods(context.as_of)
                },
                outbound=request.outbound,
            )
            self._consent.apply(candidate_set, inputs.history, inputs.now_s)
            not_before = self._contact_policy.apply(candidate_set, inputs)
            governed.append(
                Governed(
                    request=request,
                    context=context,
                    candidate_set=candidate_set,
                    codes=candidate_set.codes,
                    calls=calls[n],
                    moves=moves[n],
                    not_before={code: at.astimezone(UTC) for code, at in not_before.items()},
                    used=inputs.used,
                    today=today[n],
                )
            )
        return governed, population

    def blind(self, request: Request, context: Context) -> Governed:
        """The request where nothing is known: what any rule, consent or limit concerns is out."""
        candidate_set = CandidateSet(self.variants)
        today = context.as_of.astimezone(self._fallback_zone).date()
        self._engagement.make_available(candidate_set, request, {}, today)
        detail = "a rule, a consent or a limit concerns it, and the customer could not be read"
        concerned = self._engagement.concerned() | self._consent.concerned()
        concerned |= self._contact_policy.concerned()
        candidate_set.refuse(concerned, "unread", rule="fallback", detail=detail)
        return Governed(
            request=request,
            context=context,
            candidate_set=candidate_set,
            codes=candidate_set.codes,
            calls={},
            moves=(),
            not_before={},
            used={},
            today=today,
        )

    def moves(
        self,
        requests: Sequence[Request],
        contexts: Sequence[Context],
        churns: Sequence[Churn | None],
    ) -> list[tuple[SubJourneyMove, ...]]:
        """What moves in each customer's sub-journeys now."""
        histories = [context.contact_history for context in contexts]
        population = self._population(requests, contexts, histories, churns)
        return [
            self._settle(request, context, facts)[1]
            for request, context, facts in zip(requests, contexts, population.facts, strict=True)
        ]

    def uses(self, action_id: str, now: datetime) -> tuple[CapacityTaken, ...]:
        """What drawing this action takes of the capacities."""
        owners_clock = now.astimezone(self._fallback_zone)
        return self._contact_policy.capacities.uses(action_id, owners_clock)

    def watched(self, codes: Sequence[int], now: datetime) -> tuple[CapacityTaken, ...]:
        """Of each capacity the most that any of these actions would take."""
        owners_clock = now.astimezone(self._fallback_zone)
        return self._contact_policy.capacities.watched(codes, owners_clock)

    def periods(self, now: datetime) -> list[tuple[str, str]]:
        """The (capacity, period) that a decision at `now` has to know of."""
        return self._contact_policy.capacities.periods(now.astimezone(self._fallback_zone))

    def by_period(self, used: Mapping[str, float], now: datetime) -> dict[tuple[str, str], float]:
        """What a decision of `now` logged as used, by (capacity, period)."""
        return {(name, period): used.get(name, 0.0) for name, period in self.periods(now)}

    def delivery_block(self, action_id: str, context: Context) -> str | datetime | None:
        """Why an action that was drawn may not reach the customer now, or until when it has to
        wait: by what they said since, and by the hours that are quiet."""
        candidate_set = CandidateSet(self.variants)
        self._consent.apply(candidate_set, context.contact_history, micros(context.as_of) / 1e6)
        not_before = self._contact_policy.apply_quiet_hours(candidate_set, self._local(context))
        for refused in candidate_set.refused:
            if refused.action_id == action_id:
                return refused.detail
        until = not_before.get(self.variants.ids.index(action_id))
        return None if until is None else until.astimezone(UTC)

    def _settle(
        self, request: Request, context: Context, facts: RuleInputs
    ) -> tuple[ContactHistory, tuple[SubJourneyMove, ...]]:
        return self.sub_journeys.settle(
            SubJourneyInputs(
                customer_id=request.customer_id,
                history=context.contact_history,
                facts=facts,
                now=context.as_of,
            )
        )

    def _population(
        self,
        requests: Sequence[Request],
        contexts: Sequence[Context],
        histories: Sequence[ContactHistory],
        churns: Sequence[Churn | None],
    ) -> Population:
        subjects = [
            RuleSubject(
                values=context.values,
                request=request.facts,
                contact_history=history,
                churn_risk=None if churn is None else churn.risk,
            )
            for request, context, history, churn in zip(
                requests, contexts, histories, churns, strict=True
            )
        ]
        return Population(self._schema, subjects, self._segments)

    def _local(self, context: Context) -> datetime:
        """Now on the customer's own clock, on the owner's where theirs is not known."""
        if self._trait is None:
            return context.as_of.astimezone(self._fallback_zone)
        column = f"traits.{self._trait}"
        named = self._schema.value(column, context.values[self._schema.index[column]])
        return context.as_of.astimezone(
            zone(named) if isinstance(named, str) else self._fallback_zone
        )
