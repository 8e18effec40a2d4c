"""The stages of a decision, in order, from a request and its context to the record.

available -> eligibility -> applicability -> suitability -> consent -> contact policy -> score ->
arbitrate -> draw. Applicability, suitability and consent have no rules of their own yet; their
place is between eligibility and the contact policy. Nothing is read or written here: the same
requests, contexts, ids and seeds give the same decisions, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from nba.arbitration import Arbitration, Policy, Priorities, Scorer, draw
from nba.contact_policy import ContactPolicy
from nba.context import Context, ContextSchema, Facts
from nba.decision import (
    NO_ACTION,
    Candidate,
    Churn,
    Decision,
    Mode,
    Reason,
    Refused,
    Request,
)
from nba.engagement import Engagement
from nba.errors import InvalidInput, did_you_mean


class Governed(NamedTuple):
    """One request after the rules."""

    request: Request
    context: Context
    codes: list[int]
    refused: tuple[Refused, ...]


class Scored(NamedTuple):
    """One request's candidates with their worth, and what is known of the customer."""

    governed: Governed
    priorities: Priorities
    probabilities: np.ndarray
    churn: Churn | None


class Pipeline:
    """One journey, one policy, and the scorer that was promoted last."""

    def __init__(self, schema: ContextSchema, policy: Policy) -> None:
        self._scoring: tuple[Scorer | None, str] = (None, "no bundle is promoted")
        self._schema = schema
        self._policy = policy
        self._journey = schema.journey
        self._codes = {action.id: code for code, action in enumerate(self._journey.actions)}
        self._names = [*self._codes, NO_ACTION]
        self._placements = {
            place
            for action in self._journey.actions
            for place in (action.touchpoint, *action.also_at)
        }
        self._version = self._journey.catalogue_version()
        self.words = "none"  # what reads texts on the way in, for the record
        self._engagement = Engagement(self._journey)
        self._contact_policy = ContactPolicy(self._journey)
        self._arbitration = Arbitration(self._journey)

    def take(self, scorer: Scorer | None, why_none: str = "") -> None:
        """Score with this from now on; without a scorer, `why_none` goes into every answer."""
        self._scoring = (scorer, why_none)

    @property
    def scorer(self) -> Scorer | None:
        """What scores now; None: decisions come from the owner's fallback."""
        return self._scoring[0]

    @property
    def why_no_scorer(self) -> str:
        """Why decisions come from the fallback, empty where they do not."""
        return self._scoring[1]

    def check(self, request: Request) -> None:
        """Raise InvalidInput where the request names what the journey file does not."""
        for candidate in request.candidates or ():
            if candidate not in self._codes:
                raise InvalidInput("candidates", candidate, did_you_mean(candidate, self._codes))
        channels = self._journey.channels()
        if request.channel is not None and request.channel not in channels:
            raise InvalidInput("channel", request.channel, did_you_mean(request.channel, channels))
        if request.placement is not None and request.placement not in self._placements:
            remedy = did_you_mean(request.placement, self._placements)
            raise InvalidInput("placement", request.placement, remedy)
        for name, value in request.facts.items():
            declared = self._journey.request.get(name)
            if declared is None:
                raise InvalidInput(
                    f"context.{name}", value, did_you_mean(name, self._journey.request)
                )
            declared.check(f"context.{name}", value)

    def run(
        self,
        requests: Sequence[Request],
        contexts: Sequence[Context],
        *,
        new_id: Callable[[], str],
        new_seed: Callable[[], int],
    ) -> list[Decision]:
        """Decide each request on its context."""
        governed = [self._govern(r, c) for r, c in zip(requests, contexts, strict=True)]
        scorer, why_none = self._scoring
        if scorer is None:
            return [self._fall_back(g, new_id(), new_seed(), why_none) for g in governed]
        scored = self._score(scorer, governed)
        chosen, seeds = [], []
        for one in scored:
            seeds.append(new_seed())
            chosen.append(draw(one.probabilities, np.random.default_rng(seeds[-1])))
        reasons = self._reasons(scorer, scored, chosen)
        return [
            self._decision(
                one,
                index,
                why,
                decision_id=new_id(),
                seed=seed,
                mode=Mode.LIVE,
                policy=self._policy.name,
                bundle_id=scorer.bundle_id,
                note=self._why_no_action(one, index),
            )
            for one, index, why, seed in zip(scored, chosen, reasons, seeds, strict=True)
        ]

    def _govern(self, request: Request, context: Context) -> Governed:
        codes, unavailable = self._engagement.available(request)
        facts = Facts(self._schema, context.values, request.facts)
        codes, not_eligible = self._engagement.eligible(codes, facts)
        codes, capped = self._contact_policy.allowed(codes, context)
        return Governed(request, context, codes, (*unavailable, *not_eligible, *capped))

    def _score(self, scorer: Scorer, governed: Sequence[Governed]) -> list[Scored]:
        contexts = [g.context for g in governed]
        codes = [[*g.codes, -1] if scorer.learns_value else g.codes for g in governed]
        flat = scorer.touchpoint(contexts, codes)
        ends = np.cumsum([len(chosen) for chosen in codes])
        scored = []
        for one, scores, churn in zip(
            governed, np.split(flat, ends[:-1]), scorer.churn(contexts), strict=True
        ):
            priorities = self._arbitration.priorities(
                one.codes, scores, learned_value=scorer.learns_value
            )
            probabilities = self._policy.probabilities(priorities.priority)
            scored.append(Scored(one, priorities, probabilities, churn))
        return scored

    def _reasons(
        self, scorer: Scorer, scored: Sequence[Scored], chosen: Sequence[int]
    ) -> list[tuple[Reason, ...]]:
        """Of the drawn action; `no_action` has none, unless its value was learned."""
        codes = [int(one.priorities.codes[i]) for one, i in zip(scored, chosen, strict=True)]
        explained = [n for n, code in enumerate(codes) if code >= 0 or scorer.learns_value]
        reasons: list[tuple[Reason, ...]] = [()] * len(scored)
        if explained:
            contexts = [scored[n].governed.context for n in explained]
            found = scorer.touchpoint_reasons(contexts, [codes[n] for n in explained])
            for n, why in zip(explained, found, strict=True):
                reasons[n] = why
        return reasons

    def _fall_back(self, governed: Governed, decision_id: str, seed: int, note: str) -> Decision:
        """The owner's first fallback action that the rules allow, with propensity 1."""
        codes = np.array([*governed.codes, -1])
        allowed = [self._codes[name] for name in self._journey.fallback]
        allowed = [code for code in allowed if code in governed.codes]
        index = governed.codes.index(allowed[0]) if allowed else len(codes) - 1
        unknown = np.full(len(codes), np.nan)
        probabilities = np.zeros(len(codes))
        probabilities[index] = 1.0
        priorities = self._arbitration.priorities(
            governed.codes, unknown[:-1], learned_value=False
        )._replace(priority=unknown)
        return self._decision(
            Scored(governed, priorities, probabilities, None),
            index,
            (),
            decision_id=decision_id,
            seed=seed,
            mode=Mode.FALLBACK,
            policy="fallback",
            bundle_id=None,
            note=note,
        )

    def _decision(
        self,
        scored: Scored,
        index: int,
        reasons: tuple[Reason, ...],
        *,
        decision_id: str,
        seed: int,
        mode: Mode,
        policy: str,
        bundle_id: str | None,
        note: str | None,
    ) -> Decision:
        governed, priorities = scored.governed, scored.priorities
        context = governed.context
        code = int(priorities.codes[index])
        action = None if code < 0 else self._journey.actions[code]
        return Decision(
            decision_id=decision_id,
            request=governed.request,
            decided_at=context.as_of,
            mode=mode,
            action_id=NO_ACTION if action is None else action.id,
            treatment=None if action is None else action.treatment,
            propensity=float(scored.probabilities[index]),
            candidates=self._candidates(priorities, scored.probabilities),
            refused=governed.refused,
            reasons=reasons,
            churn=scored.churn,
            known_customer=context.known,
            context=context.values.astype("<f8").tobytes(),
            context_schema=self._schema.schema_hash,
            context_seq=context.seq,
            nodes=context.nodes,
            emotion=self._schema.emotion_of(context.values),
            valences=self._schema.table.version,
            words=self.words,
            bundle_id=bundle_id,
            catalogue_version=self._version,
            policy=policy,
            seed=seed,
            note=note,
        )

    def _candidates(
        self, priorities: Priorities, probabilities: np.ndarray
    ) -> tuple[Candidate, ...]:
        order = np.argsort(-priorities.priority, kind="stable")
        columns = (
            priorities.codes,
            priorities.p_accept,
            priorities.value_eur,
            priorities.lever,
            priorities.cost_eur,
            priorities.priority,
            probabilities,
        )
        return tuple(
            Candidate(
                action_id=self._names[code],
                p_accept=None if p_accept != p_accept else p_accept,
                context_weight=1.0,
                value_eur=value_eur,
                lever=lever,
                cost_eur=cost_eur,
                priority=None if priority != priority else priority,
                propensity=propensity,
            )
            for code, p_accept, value_eur, lever, cost_eur, priority, propensity in zip(
                *(column[order].tolist() for column in columns), strict=True
            )
        )

    def _why_no_action(self, scored: Scored, index: int) -> str | None:
        if scored.priorities.codes[index] >= 0:
            return None
        if not scored.governed.codes:
            return "every action was refused"
        best = scored.priorities.priority.max()
        if scored.priorities.priority[index] == best:
            return "nothing is worth more than leaving the customer in peace"
        return "drawn to explore"
