"""The stages of a decision, in order, from a request and its context to the record.

What the governor leaves is scored, arbitrated and drawn. Nothing is read or written here: the same
requests, contexts, readings, ids and seeds give the same decisions, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nba.customer.context import Context, ContextSchema
from nba.decisions.candidate import Reason
from nba.decisions.decision import Decision, Mode
from nba.decisions.request import Request
from nba.decisions.sub_journey_moves import SubJourneyMove
from nba.engine.arbitration import Arbitration
from nba.engine.recorder import DecisionRecorder, DrawnAction, Origin
from nba.engine.request_check import RequestCheck
from nba.engine.scorer import Scorer, known_churns
from nba.engine.strategy import NO_ARMS, Arm, Arms, ScoredCandidates, Strategy, scored
from nba.governance.governor import Governor
from nba.governance.reason_codes import NOT_FINITE
from nba.journey.sub_journeys import SubJourney

FALLBACK = "fallback"  # the policy where nothing scores
BLIND = "blind"  # the policy of decisions that were taken without the customer's context
NOTHING_USED: Mapping[tuple[str, str], float] = {}


class DecisionInputs(NamedTuple):
    """One request with all that its decision depends on."""

    request: Request
    context: Context
    arm: Arm
    seed: int
    decision_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """The rules of one journey, and the strategies by which its customers are decided.

    Immutable. `dataclasses.replace` gives the next one, by another strategy, other arms or another
    text model, which shares all that was made of the journey.
    """

    schema: ContextSchema
    check: RequestCheck  # what a request may name
    governor: Governor
    arbitration: Arbitration
    recorder: DecisionRecorder
    strategy: Strategy  # of everybody who is in no arm with a strategy of its own
    arms: Arms = NO_ARMS
    text_model: str = "none"  # what reads texts on the way in, for the record

    @property
    def scorer(self) -> Scorer | None:
        """What scores for most; None: their decisions come from the owner's fallback."""
        scorer = self.strategy.scorer
        return None if scorer is None else scorer.base

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
        inputs = [
            DecisionInputs(
                request=request,
                context=context,
                arm=self.arms.of(request.customer_id),
                seed=new_seed(),
                decision_id=new_id(),
            )
            for request, context in zip(requests, contexts, strict=True)
        ]
        by_strategy: dict[int, tuple[Strategy, list[int]]] = {}
        for n, each in enumerate(inputs):
            strategy = each.arm.strategy or self.strategy
            by_strategy.setdefault(id(strategy), (strategy, []))[1].append(n)
        decisions: dict[int, Decision] = {}
        for strategy, positions in by_strategy.values():
            decided = self._decided(strategy, [inputs[n] for n in positions], used)
            decisions |= zip(positions, decided, strict=True)
        return [decisions[n] for n in range(len(inputs))]

    def blind(
        self, request: Request, context: Context, decision_id: str, seed: int, note: str
    ) -> Decision:
        """The owner's fallback where nothing can be known of the customer in time.

        `context`: an empty one. Only what no rule, consent or limit concerns is left; else it is
        no_action. The arms follow from the id, so they are what they would have been.
        """
        arm = self.arms.of(request.customer_id)
        governed = self.governor.blind(request, context)
        origin = self._origin(arm.strategy or self.strategy, arm, decision_id, policy=BLIND)
        return self.recorder.fall_back(governed, seed, origin, note, mode=Mode.FALLBACK)

    def moves(
        self, requests: Sequence[Request], contexts: Sequence[Context]
    ) -> list[tuple[Context, tuple[SubJourneyMove, ...]]]:
        """Of these customers, those whose sub-journeys move now, with their moves in order."""
        scorer = self.scorer
        reads_risk = self.governor.sub_journeys_read_risk
        churns = known_churns(scorer if reads_risk else None, contexts)
        moved = zip(contexts, self.governor.moves(requests, contexts, churns), strict=True)
        return [(context, moves) for context, moves in moved if moves]

    def _decided(
        self,
        strategy: Strategy,
        inputs: Sequence[DecisionInputs],
        used: Mapping[tuple[str, str], float],
    ) -> list[Decision]:
        """The decisions of customers who share a strategy, in order."""
        contexts = [each.context for each in inputs]
        dropped_rules = [each.arm.dropped_rules for each in inputs]
        origins = [self._origin(strategy, each.arm, each.decision_id) for each in inputs]
        churns = known_churns(None if strategy.scorer is None else strategy.scorer.base, contexts)
        governed, population = self.governor.govern(
            [each.request for each in inputs], contexts, churns, used, dropped_rules=dropped_rules
        )
        if strategy.scorer is None:
            return [
                self.recorder.fall_back(
                    offered,
                    each.seed,
                    origin,
                    strategy.fallback_reason,
                    mode=_mode(Mode.FALLBACK, each.request),
                )
                for offered, each, origin in zip(governed, inputs, origins, strict=True)
            ]
        scored_candidates = scored(
            strategy,
            self.arbitration,
            governed,
            self.arbitration.inputs(
                population,
                contexts,
                churns,
                calls=[each.calls for each in governed],
                today=[each.today for each in governed],
                dropped_rules=dropped_rules,
            ),
            churns,
        )
        decisions: dict[int, Decision] = {}
        live: list[int] = []
        for n, candidates in enumerate(scored_candidates):
            if strategy.challenger is not None and not candidates.challenged:
                alone = strategy._replace(challenger=None)
                origins[n] = self._origin(alone, inputs[n].arm, inputs[n].decision_id)
            if (what := candidates.not_finite) is None:
                live.append(n)
                continue
            decisions[n] = self.recorder.fall_back(
                candidates.governed,
                inputs[n].seed,
                origins[n]._replace(policy=FALLBACK),
                f"{NOT_FINITE}: {what}",
                mode=_mode(Mode.FALLBACK, inputs[n].request),
            )
        drawn = [self.recorder.draw(scored_candidates[n], inputs[n].seed) for n in live]
        reasons = self._reasons(strategy.scorer.base, [scored_candidates[n] for n in live], drawn)
        for n, action, why in zip(live, drawn, reasons, strict=True):
            decisions[n] = self.recorder.decision(
                scored_candidates[n],
                action,
                origins[n],
                mode=_mode(Mode.LIVE, inputs[n].request),
                reasons=why,
                note=self._why_no_action(scored_candidates[n], action.at),
            )
        return [decisions[n] for n in range(len(inputs))]

    def _origin(
        self, strategy: Strategy, arm: Arm, decision_id: str, policy: str | None = None
    ) -> Origin:
        scorer, challenger = strategy.scorer, strategy.challenger
        residual = None if scorer is None else scorer.residual
        scores = scorer is not None and policy is None
        return Origin(
            decision_id=decision_id,
            policy=policy or (strategy.name if scores else FALLBACK),
            bundle_id=scorer.base.bundle_id if scorer is not None and scores else None,
            exploration=strategy.exploration,
            policy_version=residual.version if residual is not None and scores else None,
            learned_from=residual.exposures if residual is not None and scores else 0.0,
            challenger=challenger.scorer.base.bundle_id if challenger and scores else None,
            arm=arm,
            text_model=self.text_model,
        )

    def _reasons(
        self, scorer: Scorer, scored: Sequence[ScoredCandidates], drawn: Sequence[DrawnAction]
    ) -> list[tuple[Reason, ...]]:
        """Of the drawn action; `no_action` has none, unless its value was learned."""
        codes = [
            int(candidates.priorities.codes[action.at])
            for candidates, action in zip(scored, drawn, strict=True)
        ]
        explained = [n for n, code in enumerate(codes) if code >= 0 or scorer.learns_value]
        reasons: list[tuple[Reason, ...]] = [()] * len(scored)
        if explained:
            contexts = [scored[n].governed.context for n in explained]
            known = scorer.touchpoint_reasons(contexts, [codes[n] for n in explained])
            for n, why in zip(explained, known, strict=True):
                reasons[n] = why
        return reasons

    def _why_no_action(self, scored: ScoredCandidates, index: int) -> str | None:
        if scored.priorities.codes[index] >= 0:
            return None
        if not scored.governed.codes:
            return "every action was refused"
        best = scored.priorities.priority.max()
        if scored.priorities.priority[index] == best:
            return "nothing is worth more than leaving the customer in peace"
        return "drawn to explore"


def _mode(mode: Mode, request: Request) -> Mode:
    """Of a decision that was made in full: beside another system it is only compared."""
    return mode if request.baseline is None else Mode.SHADOW


def make_pipeline(
    schema: ContextSchema,
    strategy: Strategy,
    earlier: Iterable[SubJourney] = (),
    *,
    arms: Arms = NO_ARMS,
    text_model: str = "none",
) -> Pipeline:
    """The pipeline of one journey; `earlier`: definitions of sub-journeys that customers may still
    be on."""
    governor = Governor(schema, earlier)
    arbitration = Arbitration(schema.journey, schema, governor.variants, governor.names)
    return Pipeline(
        schema=schema,
        check=RequestCheck(schema.journey),
        governor=governor,
        arbitration=arbitration,
        recorder=DecisionRecorder(schema, governor, arbitration),
        strategy=strategy,
        arms=arms,
        text_model=text_model,
    )
