"""The stages of a decision, in order, from a request and its context to the record.

What the governor leaves is scored, arbitrated and drawn. Nothing is read or written here: the same
requests, contexts, readings, ids and seeds give the same decisions, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from nba.customer.context import Context, ContextSchema
from nba.decisions.candidate import Reason
from nba.decisions.decision import Churn, Decision, Mode
from nba.decisions.request import Request
from nba.decisions.sub_journey_moves import SubJourneyMove
from nba.engine.arbitration import Arbitration
from nba.engine.policy import ExplorationPolicy, Policy
from nba.engine.recorder import DecisionRecorder, DrawnAction, Origin
from nba.engine.scorer import CalibratedScorer, Residual, Scorer
from nba.engine.strategy import Arm, Arms, Challenger, ScoredCandidates, Strategy, scored
from nba.errors import InvalidInput, did_you_mean
from nba.governance.governor import Governor
from nba.journey.actions import NO_ACTION
from nba.journey.exploration import Exploration
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


class NoArms(NamedTuple):
    """No experiment runs."""

    def of(self, customer_id: str) -> Arm:
        """No arm."""
        return Arm()


class Pipeline:
    """One journey, and the strategies by which its customers are decided."""

    def __init__(
        self,
        schema: ContextSchema,
        exploration_policy: ExplorationPolicy | Policy,
        earlier: Iterable[SubJourney] = (),
        exploration: Exploration | None = None,
    ) -> None:
        """`earlier`: definitions of sub-journeys that customers may still be on. `exploration`:
        what the drawing was made of, where that is not the journey's own."""
        self._schema = schema
        self._journey = schema.journey
        exploration_policy = (
            exploration_policy
            if isinstance(exploration_policy, ExplorationPolicy)
            else ExplorationPolicy(exploration_policy)
        )
        self._strategy = Strategy(
            exploration or self._journey.exploration,
            exploration_policy,
            why_none="no bundle is promoted",
        )
        self.arms: Arms = NoArms()
        self._codes = {action.id: code for code, action in enumerate(self._journey.actions)}
        self._names = [*self._codes, NO_ACTION]
        actions = self._journey.actions
        self._placements = {one for a in actions for one in (a.touchpoint, *a.also_at)}
        self.words = "none"  # what reads texts on the way in, for the record
        self.governor = Governor(schema, earlier)
        self._arbitration = Arbitration(
            self._journey, schema, self.governor.variants, self.governor.names
        )
        self._recorder = DecisionRecorder(schema, self.governor, self._arbitration)

    def take(
        self,
        scorer: Scorer | None,
        why_none: str = "",
        *,
        residual: Residual | None = None,
        challenger: Challenger | None = None,
    ) -> None:
        """Score with this from now on; without a scorer, `why_none` goes into every answer."""
        self._strategy = self._strategy._replace(
            scorer=None if scorer is None else CalibratedScorer(scorer, residual),
            why_none=why_none,
            challenger=challenger,
        )

    @property
    def strategy(self) -> Strategy:
        """How everybody is decided who is in no arm of her own."""
        return self._strategy

    @property
    def scorer(self) -> Scorer | None:
        """What scores now; None: decisions come from the owner's fallback."""
        scorer = self._strategy.scorer
        return None if scorer is None else scorer.base

    @property
    def why_no_scorer(self) -> str:
        """Why decisions come from the fallback, empty where they do not."""
        return self._strategy.why_none

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
        asked = [
            DecisionInputs(request, context, self._arm(request.customer_id), new_seed(), new_id())
            for request, context in zip(requests, contexts, strict=True)
        ]
        by_strategy: dict[int, list[int]] = {}
        for n, one in enumerate(asked):
            by_strategy.setdefault(id(one.arm.strategy), []).append(n)
        found: dict[int, Decision] = {}
        for chosen in by_strategy.values():
            strategy = asked[chosen[0]].arm.strategy
            assert strategy is not None
            decided = self._decided(strategy, [asked[n] for n in chosen], used)
            found |= zip(chosen, decided, strict=True)
        return [found[n] for n in range(len(asked))]

    def blind(
        self, request: Request, context: Context, decision_id: str, seed: int, note: str
    ) -> Decision:
        """The owner's fallback where nothing can be known of the customer in time.

        `context`: an empty one. Only what no rule, consent or limit concerns is left; else it is
        no_action.
        """
        governed = self.governor.blind(request, context)
        origin = self._origin(self._strategy, Arm(), decision_id, policy=BLIND)
        return self._recorder.fall_back(governed, seed, origin, note)

    def moves(
        self, requests: Sequence[Request], contexts: Sequence[Context]
    ) -> list[tuple[Context, tuple[SubJourneyMove, ...]]]:
        """Of these customers, those whose sub-journeys move now, with their moves in order."""
        scorer = self.scorer
        churns: Sequence[Churn | None] = [None] * len(requests)
        if scorer is not None and self.governor.sub_journeys_read_risk:
            churns = scorer.churn(contexts)
        found = zip(contexts, self.governor.moves(requests, contexts, churns), strict=True)
        return [(context, moves) for context, moves in found if moves]

    def _arm(self, customer_id: str) -> Arm:
        arm = self.arms.of(customer_id)
        return arm if arm.strategy is not None else arm._replace(strategy=self._strategy)

    def _decided(
        self,
        strategy: Strategy,
        asked: Sequence[DecisionInputs],
        used: Mapping[tuple[str, str], float],
    ) -> list[Decision]:
        """The decisions of customers who share a strategy, in order."""
        requests, contexts = [one.request for one in asked], [one.context for one in asked]
        scorer, without = strategy.scorer, [one.arm.without for one in asked]
        churns: Sequence[Churn | None] = [None] * len(asked)
        if scorer is not None:
            churns = scorer.base.churn(contexts)
        governed, population = self.governor.govern(
            requests, contexts, churns, used, dropped_rules=without
        )
        if scorer is None:
            return [
                self._recorder.fall_back(
                    one,
                    *(each.seed, self._origin(strategy, each.arm, each.decision_id)),
                    strategy.why_none,
                )
                for one, each in zip(governed, asked, strict=True)
            ]
        inputs = self._arbitration.inputs(
            population,
            contexts,
            churns,
            calls=[one.calls for one in governed],
            today=[one.today for one in governed],
            without=without,
        )
        found = scored(strategy, self._arbitration, governed, inputs, churns)
        drawn = [
            self._recorder.draw(one, each.seed) for one, each in zip(found, asked, strict=True)
        ]
        reasons = self._reasons(scorer.base, found, drawn)
        return [
            self._recorder.decision(
                *(one, chosen, why, self._origin(strategy, each.arm, each.decision_id)),
                Mode.LIVE,
                self._why_no_action(one, chosen.at),
            )
            for one, chosen, why, each in zip(found, drawn, reasons, asked, strict=True)
        ]

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
            words=self.words,
        )

    def _reasons(
        self, scorer: Scorer, scored: Sequence[ScoredCandidates], drawn: Sequence[DrawnAction]
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

    def _why_no_action(self, scored: ScoredCandidates, index: int) -> str | None:
        if scored.priorities.codes[index] >= 0:
            return None
        if not scored.governed.codes:
            return "every action was refused"
        best = scored.priorities.priority.max()
        if scored.priorities.priority[index] == best:
            return "nothing is worth more than leaving the customer in peace"
        return "drawn to explore"
