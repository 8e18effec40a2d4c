"""The stages of a decision, in order, from a request and its context to the record.

What the governor leaves is scored, arbitrated and drawn. Nothing is read or written here: the same
requests, contexts, readings, ids and seeds give the same decisions, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nba.arbitration import Arbitration, Policy, Priorities, Scorer, candidates, draw
from nba.catalogue import SubJourney
from nba.context import Context, ContextSchema
from nba.decision import (
    Churn,
    Decision,
    Mode,
    Move,
    Reason,
    Request,
)
from nba.errors import InvalidInput, did_you_mean
from nba.events import NO_ACTION
from nba.governor import Governed, Governor

BLIND = "blind"  # the policy of decisions that were taken without the customer's context
NOTHING_USED: Mapping[tuple[str, str], float] = {}


class Scored(NamedTuple):
    """One request's candidates with their worth, and what is known of the customer."""

    governed: Governed
    priorities: Priorities
    probabilities: np.ndarray
    churn: Churn | None


class Drawn(NamedTuple):
    """What came out of the draw."""

    at: int  # among the candidates
    seed: int
    treatment: str | None
    treatment_propensity: float


class Pipeline:
    """One journey, one policy, and the scorer that was promoted last."""

    def __init__(
        self, schema: ContextSchema, policy: Policy, earlier: Iterable[SubJourney] = ()
    ) -> None:
        """`earlier`: definitions of sub-journeys that customers may still be on."""
        self._scoring: tuple[Scorer | None, str] = (None, "no bundle is promoted")
        self._schema = schema
        self._policy = policy
        self._journey = schema.journey
        self._codes = {action.id: code for code, action in enumerate(self._journey.actions)}
        self._names = [*self._codes, NO_ACTION]
        actions = self._journey.actions
        self._placements = {one for a in actions for one in (a.touchpoint, *a.also_at)}
        self._version = self._journey.catalogue_version()
        self.words = "none"  # what reads texts on the way in, for the record
        self.governor = Governor(schema, earlier)
        self._arbitration = Arbitration(
            self._journey, schema, self.governor.variants, self.governor.names
        )

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
        baseline = request.baseline
        if baseline is not None and baseline not in self._names:
            raise InvalidInput("shadow_of", baseline, did_you_mean(baseline, self._names))
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
        used: Mapping[tuple[str, str], float] = NOTHING_USED,
    ) -> list[Decision]:
        """Decide each request on its context.

        `used`: what was taken by (capacity, period); `governor.periods` says which count.
        """
        scorer, why_none = self._scoring
        churns = [None] * len(requests) if scorer is None else scorer.churn(contexts)
        governed, population = self.governor.govern(requests, contexts, churns, used)
        if scorer is None:
            return [self._fall_back(g, new_id(), new_seed(), why_none) for g in governed]
        moments = self._arbitration.moments(
            population,
            contexts,
            churns,
            calls=[one.calls for one in governed],
            today=[one.today for one in governed],
        )
        codes = [[*g.codes, -1] if scorer.learns_value else g.codes for g in governed]
        flat = scorer.touchpoint(contexts, codes)
        ends = np.cumsum([len(chosen) for chosen in codes])
        scored, drawn = [], []
        for one, scores, moment, churn in zip(
            governed, np.split(flat, ends[:-1]), moments, churns, strict=True
        ):
            priorities = self._arbitration.priorities(
                one.codes, scores, moment, learned_value=scorer.learns_value
            )
            probabilities = self._policy.probabilities(priorities.priority)
            scored.append(Scored(one, priorities, probabilities, churn))
            drawn.append(self._draw(scored[-1], new_seed()))
        reasons = self._reasons(scorer, scored, drawn)
        return [
            self._decision(
                one,
                chosen,
                why,
                decision_id=new_id(),
                mode=Mode.LIVE,
                policy=self._policy.name,
                bundle_id=scorer.bundle_id,
                note=self._why_no_action(one, chosen.at),
            )
            for one, chosen, why in zip(scored, drawn, reasons, strict=True)
        ]

    def blind(
        self, request: Request, context: Context, decision_id: str, seed: int, note: str
    ) -> Decision:
        """The owner's fallback where nothing can be known of the customer in time.

        `context`: an empty one. Only what no rule, consent or limit concerns is left; else it is
        no_action.
        """
        governed = self.governor.blind(request, context)
        return self._fall_back(governed, decision_id, seed, note, policy=BLIND)

    def moves(
        self, requests: Sequence[Request], contexts: Sequence[Context]
    ) -> list[tuple[Context, tuple[Move, ...]]]:
        """Of these customers, those whose sub-journeys move now, with their moves in order."""
        scorer, _ = self._scoring
        churns: Sequence[Churn | None] = [None] * len(requests)
        if scorer is not None and self.governor.sub_journeys_read_risk:
            churns = scorer.churn(contexts)
        found = zip(contexts, self.governor.moves(requests, contexts, churns), strict=True)
        return [(context, moves) for context, moves in found if moves]

    def _draw(self, scored: Scored, seed: int) -> Drawn:
        rng = np.random.default_rng(seed)
        index = draw(scored.probabilities, rng)
        code = int(scored.priorities.codes[index])
        if code < 0:
            return Drawn(index, seed, None, 1.0)
        left = scored.governed.slate.treatments(code)
        nth = int(rng.integers(len(left))) if len(left) > 1 else 0
        return Drawn(index, seed, self._treatment(code, left[nth]), 1.0 / len(left))

    def _treatment(self, code: int, variant: int) -> str | None:
        treatment = self.governor.variants.treatments[variant]
        return self._journey.actions[code].treatment if treatment is None else treatment.id

    def _reasons(
        self, scorer: Scorer, scored: Sequence[Scored], drawn: Sequence[Drawn]
    ) -> list[tuple[Reason, ...]]:
        """Of the drawn action; `no_action` has none, unless its value was learned."""
        codes = [int(o.priorities.codes[d.at]) for o, d in zip(scored, drawn, strict=True)]
        explained = [n for n, code in enumerate(codes) if code >= 0 or scorer.learns_value]
        reasons: list[tuple[Reason, ...]] = [()] * len(scored)
        if explained:
            contexts = [scored[n].governed.context for n in explained]
            found = scorer.touchpoint_reasons(contexts, [codes[n] for n in explained])
            for n, why in zip(explained, found, strict=True):
                reasons[n] = why
        return reasons

    def _fall_back(
        self, governed: Governed, decision_id: str, seed: int, note: str, policy: str = "fallback"
    ) -> Decision:
        """The owner's first fallback action that the rules allow, with propensity 1."""
        codes = np.array([*governed.codes, -1], dtype=np.int64)
        allowed = [self._codes[name] for name in self._journey.fallback]
        allowed = [code for code in allowed if code in governed.codes]
        index = governed.codes.index(allowed[0]) if allowed else len(codes) - 1
        probabilities = np.zeros(len(codes))
        probabilities[index] = 1.0
        left = governed.slate.treatments(allowed[0]) if allowed else []
        treatment = self._treatment(allowed[0], left[0]) if allowed else None
        return self._decision(
            Scored(governed, self._arbitration.unscored(codes), probabilities, None),
            Drawn(index, seed, treatment, 1.0),
            (),
            decision_id=decision_id,
            mode=Mode.FALLBACK,
            policy=policy,
            bundle_id=None,
            note=note,
        )

    def _decision(
        self,
        scored: Scored,
        drawn: Drawn,
        reasons: tuple[Reason, ...],
        *,
        decision_id: str,
        mode: Mode,
        policy: str,
        bundle_id: str | None,
        note: str | None,
    ) -> Decision:
        governed, priorities = scored.governed, scored.priorities
        context, request = governed.context, governed.request
        code = int(priorities.codes[drawn.at])
        action_id = self._names[code]
        call = governed.calls.get(action_id)
        takes = not request.deferred and request.baseline is None  # of capacities
        return Decision(
            decision_id=decision_id,
            request=request,
            decided_at=context.as_of,
            mode=mode if request.baseline is None else Mode.SHADOW,
            action_id=action_id,
            treatment=drawn.treatment,
            propensity=float(scored.probabilities[drawn.at]),
            candidates=candidates(priorities, scored.probabilities, self._names),
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
            seed=drawn.seed,
            note=note,
            treatment_propensity=drawn.treatment_propensity,
            not_before=governed.not_before.get(code),
            step="" if call is None else call.step_key,
            moves=governed.moves,
            uses=self.governor.uses(action_id, context.as_of) if takes and code >= 0 else (),
            watched=self.governor.watched(governed.codes, context.as_of) if takes else (),
            used=dict(governed.used),
            unheard=self.governor.sub_journeys.unheard(context.ledger),
            lifted=governed.lifted,
            ledger=context.ledger,
            contacts=context.contact_bytes(),
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
