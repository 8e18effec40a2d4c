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
from nba.decisions.candidate import Refused, Stage
from nba.decisions.decision import CapacityTaken, Churn, LiftedRule
from nba.decisions.request import Request
from nba.decisions.sub_journey_moves import SubJourneyMove
from nba.events.event import micros
from nba.governance.candidate_set import CandidateSet, Variants
from nba.governance.consent import ConsentPolicy
from nba.governance.contact_policy import ContactPolicy
from nba.governance.engagement_policy import Engagement
from nba.governance.quiet_hours import zone
from nba.governance.rule_inputs import (
    CHURN_RISK,
    Population,
    RuleSubject,
    rule_names,
    segment_rules,
)
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
        self.consent = ConsentPolicy(journey, self.variants)
        self.sub_journeys = SubJourneys(journey, self.names, self.consent, earlier)
        self._schema = schema
        self._segments = segment_rules(journey, self.names)
        read = self.sub_journeys.names.union(*(rule.names for rule in self._segments.values()))
        self.sub_journeys_read_risk = CHURN_RISK in read
        self._engagement = Engagement(journey, self.variants, self.names)
        self._contact_policy = ContactPolicy(journey, self.variants)
        self._trait = journey.time_zone.trait
        self._fallback_zone = zone(journey.time_zone.fallback)

    def govern(
        self,
        requests: Sequence[Request],
        contexts: Sequence[Context],
        churns: Sequence[Churn | None],
        used: Mapping[tuple[str, str], float],
        without: Sequence[frozenset[str]] = (),
    ) -> tuple[list[Governed], Population]:
        """Each request after the rules, and the facts that the rules have seen.

        `used`: what was taken by (capacity, period). `without`: of each request, the rules that do
        not hold for her.
        """
        ledgers = [context.contact_history for context in contexts]
        moves: list[tuple[SubJourneyMove, ...]] = [() for _ in contexts]
        population = self._population(requests, contexts, ledgers, churns)
        if self.sub_journeys:
            for n, (request, context) in enumerate(zip(requests, contexts, strict=True)):
                if request.baseline is None:  # in shadow mode nothing of ours happens to her
                    ledgers[n], moves[n] = self.sub_journeys.settle(
                        request.customer_id, ledgers[n], population.facts[n], context.as_of
                    )
            if any(moves):
                population = self._population(requests, contexts, ledgers, churns)
        left_out = without or [frozenset[str]()] * len(requests)
        candidate_sets = [CandidateSet(self.variants, one) for one in left_out]
        today = [context.as_of.astimezone(self._fallback_zone).date() for context in contexts]
        calls = [
            self.sub_journeys.calls(contact_history, context.as_of)
            for contact_history, context in zip(ledgers, contexts, strict=True)
        ]
        for n, request in enumerate(requests):
            self._engagement.make_available(candidate_sets[n], request, list(calls[n]), today[n])
        customers = [request.customer_id for request in requests]
        self._engagement.govern(candidate_sets, population, customers, today)
        governed = []
        for n, (request, context) in enumerate(zip(requests, contexts, strict=True)):
            now_s = micros(context.as_of) / 1e6
            self.consent.ask(candidate_sets[n], ledgers[n], now_s)
            self._contact_policy.hold_out(candidate_sets[n], request.customer_id)
            periods = self.periods(context.as_of)
            own = {capacity: used.get((capacity, at), 0.0) for capacity, at in periods}
            waiting = self._contact_policy.limit(
                *(
                    candidate_sets[n],
                    ledgers[n],
                    request.customer_id,
                    now_s,
                    self._local(context),
                    own,
                )
            )
            governed.append(
                Governed(
                    request=request,
                    context=context,
                    candidate_set=candidate_sets[n],
                    codes=candidate_sets[n].codes,
                    calls=calls[n],
                    moves=moves[n],
                    not_before={code: at.astimezone(UTC) for code, at in waiting.items()},
                    used=own,
                    today=today[n],
                )
            )
        return governed, population

    def blind(self, request: Request, context: Context) -> Governed:
        """The request where nothing is known: what any rule, consent or limit concerns is out."""
        candidate_set = CandidateSet(self.variants)
        today = context.as_of.astimezone(self._fallback_zone).date()
        self._engagement.make_available(candidate_set, request, [], today)
        detail = "a rule, a consent or a limit concerns it, and the customer could not be read"
        concerned = self._engagement.concerned() | self.consent.concerned()
        concerned |= self._contact_policy.concerned()
        candidate_set.strike(concerned, Stage.ELIGIBILITY, "unread", "fallback", detail)
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
        ledgers = [context.contact_history for context in contexts]
        population = self._population(requests, contexts, ledgers, churns)
        return [
            self.sub_journeys.settle(
                request.customer_id, context.contact_history, population.facts[n], context.as_of
            )[1]
            for n, (request, context) in enumerate(zip(requests, contexts, strict=True))
        ]

    def uses(self, action_id: str, now: datetime) -> tuple[CapacityTaken, ...]:
        """What drawing this action takes of the capacities."""
        return self._contact_policy.uses(action_id, now.astimezone(self._fallback_zone))

    def periods(self, now: datetime) -> list[tuple[str, str]]:
        """The (capacity, period) that a decision at `now` has to know of."""
        return self._contact_policy.periods(now.astimezone(self._fallback_zone))

    def by_period(self, used: Mapping[str, float], now: datetime) -> dict[tuple[str, str], float]:
        """What a decision of `now` logged as used, by (capacity, period)."""
        return {(one, at): used.get(one, 0.0) for one, at in self.periods(now)}

    def watched(self, codes: Sequence[int], now: datetime) -> tuple[CapacityTaken, ...]:
        """Of each capacity the most that any of these actions would take."""
        return self._contact_policy.watched(codes, now.astimezone(self._fallback_zone))

    def delivery_block(self, action_id: str, context: Context) -> str | datetime | None:
        """Why an action that was drawn may not reach her now, or until when it has to wait: by what
        she said since, and by the hours that are quiet."""
        candidate_set = CandidateSet(self.variants)
        self.consent.ask(candidate_set, context.contact_history, micros(context.as_of) / 1e6)
        waiting = self._contact_policy.apply_quiet_hours(candidate_set, self._local(context))
        for one in candidate_set.refused:
            if one.action_id == action_id:
                return one.detail
        until = waiting.get(self.variants.ids.index(action_id))
        return None if until is None else until.astimezone(UTC)

    def _population(
        self,
        requests: Sequence[Request],
        contexts: Sequence[Context],
        ledgers: Sequence[ContactHistory],
        churns: Sequence[Churn | None],
    ) -> Population:
        subjects = [
            RuleSubject(
                context.values,
                request.facts,
                contact_history,
                None if churn is None else churn.risk,
            )
            for request, context, contact_history, churn in zip(
                requests, contexts, ledgers, churns, strict=True
            )
        ]
        return Population(self._schema, subjects, self._segments)

    def _local(self, context: Context) -> datetime:
        """Now on the customer's own clock, on the owner's where hers is not known."""
        if self._trait is None:
            return context.as_of.astimezone(self._fallback_zone)
        column = f"traits.{self._trait}"
        named = self._schema.value(column, context.values[self._schema.index[column]])
        return context.as_of.astimezone(
            zone(named) if isinstance(named, str) else self._fallback_zone
        )
